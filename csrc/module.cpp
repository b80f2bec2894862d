// The Python bindings, and nothing but them. Tensors come as addresses with their sizes: this module links to no torch,
// so one build serves every torch release. Callers (fastcam/ops) vouch for shape, dtype, contiguity and lifetime.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <string>
#include <vector>

#include "core.hpp"
#include "parallel.hpp"

namespace py = pybind11;
using namespace fastcam;

namespace {

template <class T>
T* at(std::uintptr_t address) {
  return reinterpret_cast<T*>(address);  // NOLINT: that is what an address is for
}

MaskBatch mask_batch(std::uintptr_t data, bool packed, int height, int width, bool polygon, int connectivity) {
  return {at<const void>(data), packed, height, width, polygon ? Area::polygon : Area::pixels, connectivity};
}

void write_box(const Region& region, float* box) {
  box[0] = static_cast<float>(region.x0);
  box[1] = static_cast<float>(region.y0);
  box[2] = static_cast<float>(region.x1);
  box[3] = static_cast<float>(region.y1);
}

void write_area(double area, bool polygon, std::uintptr_t areas, std::int64_t i) {
  if (polygon)
    at<double>(areas)[i] = area;
  else
    at<std::int64_t>(areas)[i] = static_cast<std::int64_t>(area);
}

// About what one mask takes, in nanoseconds: what a row costs, and what a word costs.
double mask_cost(int height, int width) { return 8.0 * height + 0.5 * height * ((width + 63) / 64); }

void largest(std::uintptr_t data, bool packed, std::int64_t count, int height, int width, bool polygon,
             int connectivity, std::uintptr_t boxes, std::uintptr_t areas, int threads) {
  const py::gil_scoped_release released;
  const MaskBatch masks = mask_batch(data, packed, height, width, polygon, connectivity);
  std::vector<Region> regions(static_cast<std::size_t>(count));
  parallel_for(count, mask_cost(height, width), threads, [&](std::int64_t begin, std::int64_t end) {
    core().largest(masks, begin, end, regions.data());
  });
  for (std::int64_t i = 0; i < count; ++i) {
    const Region& region = regions[static_cast<std::size_t>(i)];
    write_box(region, at<float>(boxes) + 4 * i);
    write_area(region.area, polygon, areas, i);
  }
}



py::tuple all(std::uintptr_t data, bool packed, std::int64_t count, int height, int width, bool polygon,
              int connectivity, int threads) {
  std::vector<std::vector<Region>> found(static_cast<std::size_t>(count));
  std::size_t total = 0;
  {
    const py::gil_scoped_release released;
    const MaskBatch masks = mask_batch(data, packed, height, width, polygon, connectivity);
    parallel_for(count, mask_cost(height, width), threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i)
        core().all(
            masks, i,
            [](void* to, const Region& region) { static_cast<std::vector<Region>*>(to)->push_back(region); },
            &found[static_cast<std::size_t>(i)]);
    });
    for (const auto& regions : found) total += regions.size();
  }
  py::array_t<float> boxes({static_cast<py::ssize_t>(total), py::ssize_t{4}});
  py::array_t<double> areas(static_cast<py::ssize_t>(total));
  py::array_t<std::int64_t> image(static_cast<py::ssize_t>(total));
  std::size_t row = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    for (const Region& region : found[i]) {
      write_box(region, boxes.mutable_data() + 4 * row);
      areas.mutable_data()[row] = region.area;
      image.mutable_data()[row++] = static_cast<std::int64_t>(i);
    }
  }
  return py::make_tuple(boxes, areas, image);
}

std::vector<std::string> cores() {
  std::vector<std::string> names;
  for (int i = 0; i < core_count(); ++i) names.emplace_back(core(i).name);
  return names;
}

}  // namespace

PYBIND11_MODULE(_C, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled core of fastcam.";
  m.def("largest", &largest);
  m.def("all", &all);
  m.def("cores", &cores, "Names of the builds that this processor runs, the plainest first.");
  m.def("core", [] { return core().name; }, "Name of the build in use.");
  m.def("choose_core", [](const std::string& name) {
    if (!choose_core(name.c_str())) throw py::value_error("no build named '" + name + "' runs on this processor");
  });
}

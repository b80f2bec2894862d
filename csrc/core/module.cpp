// The Python bindings, and nothing but them. Tensors come as addresses with their sizes: this module links to no torch,
// so one build serves every torch release. Callers (fastcam/ops) guarantee shape, dtype, contiguity and lifetime, and
// refuse what does not fit (fastcam/ops/arguments.py).
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <exception>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "core/binding.hpp"
#include "core/keywords.hpp"
#include "core/schedule.hpp"

namespace py = pybind11;
using namespace fastcam;

namespace {

void write_area(const Region& region, Area area, Address areas, std::int64_t i) {
  if (area == Area::polygon)
    at<double>(areas)[i] = region.area;
  else
    at<std::int64_t>(areas)[i] = static_cast<std::int64_t>(region.area);
}

void largest(Address data, bool packed, std::int64_t count, int height, int width, std::string_view area,
             int connectivity, Address boxes, Address areas, int threads) {
  require("masks", data, count > 0);
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  const Working working;
  std::vector<Region> regions(static_cast<std::size_t>(count));
  schedule::largest(masks, count, threads, regions.data());
  for (std::int64_t i = 0; i < count; ++i) {
    const Region& region = regions[static_cast<std::size_t>(i)];
    write_box(region, at<float>(boxes) + 4 * i);
    write_area(region, masks.area, areas, i);
  }
}

void weighted_sums(Address data, int dtype, const Shape& shape, const Strides& strides, Address weight,
                   std::int64_t rows, Address index, std::int64_t count, std::int64_t per_image, bool clamp_negative,
                   Address maps, int threads) {
  require_sums(data, shape, weight, rows, count);
  const Working working;
  const Features features = features_at(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image, clamp_negative};
  schedule::weighted_sums(features, classes, count, threads, at<void>(maps));
}

void locate(Address data, std::int64_t count, const Size& shape, const Size& size, const Protocol& protocol,
            Address boxes, Address areas, Address thresholds, Address maps, Address masks, int threads) {
  require("maps", data, count > 0);
  const Working working;
  const auto [h, w] = shape;
  const auto [height, width] = size;
  const Maps small{at<const float>(data), h, w, height, width};
  schedule::locate(small, protocol, count, threads, found_at(boxes, areas, thresholds, maps, masks));
}

void localize(Address data, int dtype, const Shape& shape, const Strides& strides, Address weight, std::int64_t rows,
              Address index, std::int64_t count, std::int64_t per_image, const Size& size, const Protocol& protocol,
              Address boxes, Address areas, Address thresholds, Address maps, Address masks, int threads) {
  require_sums(data, shape, weight, rows, count);
  const Working working;
  const Features features = features_at(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image,
                        protocol.clamp_negative};
  const auto [height, width] = size;
  const Maps small{nullptr, features.height, features.width, height, width};
  const Found found = found_at(boxes, areas, thresholds, maps, masks);
  schedule::localize(features, classes, small, protocol, count, threads, found);
}

void tap_forward(Address x, int dtype, bool interleaved, std::int64_t images, std::int64_t channels,
                 std::int64_t positions, double threshold, Address values, Address cutoffs, Address counts,
                 int threads) {
  require("x", x, images > 0 && channels > 0);
  const Working working;
  const Planes planes{at<const void>(x), static_cast<Dtype>(dtype), interleaved, channels, positions};
  const Pooled out{at<void>(values), at<void>(cutoffs), at<std::int32_t>(counts)};
  schedule::tap_forward(planes, threshold, images, threads, out);
}

void tap_backward(Address grad, Address x, int dtype, bool interleaved, std::int64_t images, std::int64_t channels,
                  std::int64_t positions, Address cutoffs, Address counts, Address dx, int threads) {
  const bool planes_exist = images > 0 && channels > 0;
  require("grad", grad, planes_exist);
  require("x", x, planes_exist);
  require("cutoff", cutoffs, planes_exist);
  require("count", counts, planes_exist);
  const Working working;
  const Planes planes{at<const void>(x), static_cast<Dtype>(dtype), interleaved, channels, positions};
  const Pooled saved{nullptr, at<void>(cutoffs), at<std::int32_t>(counts)};
  schedule::tap_backward(planes, at<const void>(grad), images, threads, saved, at<void>(dx));
}

ScoreMaps score_maps_at(Address data, int dtype, bool raw, const Size& shape, const Size& size) {
  const auto [h, w] = shape;
  const auto [height, width] = size;
  return {at<const void>(data), static_cast<Dtype>(dtype), raw, h, w, height, width};
}

void score_levels(Address data, int dtype, bool raw, std::int64_t count, const Size& shape, const Size& size,
                  Address levels, Address inside, int threads) {
  require("maps", data, count > 0);
  const Working working;
  schedule::score_levels(score_maps_at(data, dtype, raw, shape, size), count, threads, at<std::uint8_t>(levels),
                         at<bool>(inside));
}

void score_histogram(Address data, int dtype, bool raw, std::int64_t count, const Size& shape, const Size& size,
                     Address masks, Address edges, int thresholds, Address counts, Address inside, Address known,
                     int threads) {
  require("maps", data, count > 0);
  require("masks", masks, count > 0);
  const Working working;
  schedule::score_histogram(score_maps_at(data, dtype, raw, shape, size), at<const std::uint8_t>(masks),
                            {at<const double>(edges), thresholds}, count, threads, at<std::int64_t>(counts),
                            at<bool>(inside), at<bool>(known));
}

void sweep(Address levels, std::int64_t count, int height, int width, Address boxes, Address ends, Address of_largest,
           Address largest_boxes, Address of_any, int threads) {
  require("levels", levels, count > 0);
  require("boxes", boxes, count > 0);
  const Working working;
  const LevelMaps maps{at<const std::uint8_t>(levels), height, width};
  const TruthBoxes truth{at<const double>(boxes), at<const std::int64_t>(ends)};
  const Swept out{at<double>(of_largest), at<std::int32_t>(largest_boxes), at<double>(of_any)};
  schedule::sweep(maps, truth, count, threads, out);
}

void stable_levels(Address levels, std::int64_t count, int height, int width, Address thresholds, int threads) {
  require("levels", levels, count > 0);
  const Working working;
  schedule::stable_levels({at<const std::uint8_t>(levels), height, width}, count, threads,
                          at<std::int64_t>(thresholds));
}

std::vector<std::string> cores() {
  std::vector<std::string> names;
  for (int i = 0; i < core_count(); ++i) names.emplace_back(core(i).name);
  return names;
}

}  // namespace

PYBIND11_MODULE(_C, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled core of fastcam.";
  py::class_<Protocol> protocol(m, "Protocol", "fastcam.Protocol, as far as the core reads it.");
  protocol.def(py::init(&protocol_of));
  protocol.attr("fields") = protocol_fields();
  py::register_local_exception_translator([](std::exception_ptr thrown) {
    try {
      std::rethrow_exception(thrown);
    } catch (const Interrupted&) {  // NOLINT: Python's error is set already
    }
  });
  m.def("largest", &largest);
  m.def("weighted_sums", &weighted_sums);
  m.def("locate", &locate);
  m.def("localize", &localize);
  bind_ragged(m);
  m.def("tap_forward", &tap_forward);
  m.def("tap_backward", &tap_backward);
  m.def("score_levels", &score_levels);
  m.def("score_histogram", &score_histogram);
  m.def("sweep", &sweep);
  m.def("stable_levels", &stable_levels);
  m.def("cores", &cores, "Names of the instruction sets that this processor has, the oldest first.");
  m.def("core", [] { return core().name; }, "Name of the instruction set in use.");
  m.def("choose_core", [](const std::string& name) {
    if (!choose_core(name.c_str())) throw py::value_error("no build named '" + name + "' runs on this processor");
  });
}

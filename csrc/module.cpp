// The Python bindings, and nothing but them. Tensors come as addresses with their sizes: this module links to no torch,
// so one build serves every torch release. Callers (fastcam/ops) vouch for shape, dtype, contiguity and lifetime.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <cstdint>
#include <mutex>
#include <string>
#include <tuple>
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
double mask_cost(int height, int width) {
  return 8.0 * height + 0.5 * height * ((width + 63) / 64);
}

// How many strips each mask is cut into: one, but for large masks that are fewer than the threads.
int strips_of(std::int64_t count, int height, int width, int threads) {
  constexpr std::int64_t large = std::int64_t{1} << 22;
  constexpr int fewest_rows = 64;
  if (count >= threads || std::int64_t{height} * width < large) return 1;
  return std::max(1, std::min(threads, height / fewest_rows));
}

Runner on_threads(int& threads) {
  return {[](void* pool, int count, void (*piece)(const void*, int), const void* state) {
            ThreadPool::instance().run(count, 1, *static_cast<int*>(pool), [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t i = begin; i < end; ++i) piece(state, static_cast<int>(i));
            });
          },
          &threads};
}

void largest_regions(std::uintptr_t data, bool packed, std::int64_t count, int height, int width, bool polygon,
                     int connectivity, std::uintptr_t boxes, std::uintptr_t areas, int threads) {
  const py::gil_scoped_release released;
  const MaskBatch masks = mask_batch(data, packed, height, width, polygon, connectivity);
  std::vector<Region> regions(static_cast<std::size_t>(count));
  const int strips = strips_of(count, height, width, threads);
  if (strips == 1)
    parallel_for(count, mask_cost(height, width), threads,
                 [&](std::int64_t begin, std::int64_t end) { core().largest(masks, begin, end, regions.data()); });
  else
    for (std::int64_t i = 0; i < count; ++i)
      core().largest_in_strips(masks, i, strips, on_threads(threads), &regions[static_cast<std::size_t>(i)]);
  for (std::int64_t i = 0; i < count; ++i) {
    const Region& region = regions[static_cast<std::size_t>(i)];
    write_box(region, at<float>(boxes) + 4 * i);
    write_area(region.area, polygon, areas, i);
  }
}

py::tuple all_regions(std::uintptr_t data, bool packed, std::int64_t count, int height, int width, bool polygon,
                      int connectivity, int threads) {
  std::vector<std::vector<Region>> found(static_cast<std::size_t>(count));
  std::size_t total = 0;
  {
    const py::gil_scoped_release released;
    const MaskBatch masks = mask_batch(data, packed, height, width, polygon, connectivity);
    const auto emit = [](void* to, const Region& region) { static_cast<std::vector<Region>*>(to)->push_back(region); };
    const int strips = strips_of(count, height, width, threads);
    if (strips == 1)
      parallel_for(count, mask_cost(height, width), threads, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) core().all(masks, i, emit, &found[static_cast<std::size_t>(i)]);
      });
    else
      for (std::int64_t i = 0; i < count; ++i)
        core().all_in_strips(masks, i, strips, on_threads(threads), emit, &found[static_cast<std::size_t>(i)]);
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

// What a nanosecond reads, on one thread.
constexpr double bytes_per_ns = 20;

double element_size(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2;
}

using Shape = std::tuple<int, int, int>;
using Strides = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
using Size = std::tuple<int, int>;

Features features_of(std::uintptr_t data, int dtype, const Shape& shape, const Strides& strides) {
  const auto [channels, height, width] = shape;
  const auto [n, c, h, w] = strides;
  return {at<const void>(data), static_cast<Dtype>(dtype), channels, height, width, n, c, h, w};
}

// As parallel_for, in pieces of images that are read together, or of fewer where a thread would have nothing to do.
template <class Piece>
void parallel_for_images(std::int64_t count, double cost, int threads, const Piece& piece) {
  const std::int64_t each = (count + threads - 1) / threads;
  const std::int64_t together = std::clamp(each, std::int64_t{1}, std::int64_t{images_at_once});
  parallel_for((count + together - 1) / together, cost * static_cast<double>(together), threads,
               [&](std::int64_t begin, std::int64_t end) { piece(begin * together, std::min(end * together, count)); });
}

double reading_cost(const Features& f) {
  return element_size(f.dtype) * f.channels * f.height * f.width / bytes_per_ns + 1;
}

void weighted_sums(std::uintptr_t data, int dtype, const Shape& shape, const Strides& strides, std::uintptr_t weight,
                   std::int64_t rows, std::uintptr_t index, std::int64_t count, std::int64_t per_image,
                   bool clamp_negative, std::uintptr_t maps, int threads) {
  const py::gil_scoped_release released;
  const Features features = features_of(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image, clamp_negative};
  parallel_for_images(count, reading_cost(features), threads, [&](std::int64_t begin, std::int64_t end) {
    core().weighted_sums(features, classes, begin, end, at<void>(maps));
  });
}

// What locate and localize take after their maps, in its order.
using Options = std::tuple<bool, int, bool, double, double, bool, int, bool, bool>;

Protocol protocol_of(const Options& options) {
  const auto [bicubic, normalize, quantize, percentile, threshold, polygon, connectivity, clipped, whole] = options;
  return {bicubic,   static_cast<Normalize>(normalize),      quantize,     percentile,
          threshold, polygon ? Area::polygon : Area::pixels, connectivity, clipped,
          whole};
}

// Boxes, areas, thresholds, full-size maps, masks.
using Places = std::tuple<std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t, std::uintptr_t>;

Found found_at(const Places& places) {
  const auto [boxes, areas, thresholds, maps, masks] = places;
  return {at<Box>(boxes), at<void>(areas), at<float>(thresholds), at<void>(maps), at<std::uint8_t>(masks)};
}

double locating_cost(const Maps& maps) {
  return 0.4 * maps.height * maps.width + 100;
}

void locate(std::uintptr_t data, std::int64_t count, const Size& shape, const Size& size, const Options& options,
            const Places& places, int threads) {
  const py::gil_scoped_release released;
  const auto [h, w] = shape;
  const auto [height, width] = size;
  const Maps maps{at<const float>(data), h, w, height, width};
  const Protocol protocol = protocol_of(options);
  const Found found = found_at(places);
  parallel_for(count, locating_cost(maps), threads,
               [&](std::int64_t begin, std::int64_t end) { core().locate(maps, protocol, begin, end, found); });
}

void localize(std::uintptr_t data, int dtype, const Shape& shape, const Strides& strides, std::uintptr_t weight,
              std::int64_t rows, std::uintptr_t index, std::int64_t count, std::int64_t per_image, bool clamp_negative,
              const Size& size, const Options& options, const Places& places, int threads) {
  const py::gil_scoped_release released;
  const Features features = features_of(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image, clamp_negative};
  const auto [height, width] = size;
  const Maps maps{nullptr, features.height, features.width, height, width};
  const Protocol protocol = protocol_of(options);
  const Found found = found_at(places);
  const double cost = reading_cost(features) + locating_cost(maps);
  parallel_for_images(count, cost, threads, [&](std::int64_t begin, std::int64_t end) {
    core().localize(features, classes, maps, protocol, begin, end, found);
  });
}

// Of N images of C planes; the pieces are planes, or images where interleaved.
struct Pieces {
  Planes planes;
  std::int64_t count;
  double cost;
};

Pieces pieces(std::uintptr_t x, int dtype, bool interleaved, std::int64_t images, std::int64_t channels,
              std::int64_t positions) {
  const Planes planes{at<const void>(x), static_cast<Dtype>(dtype), interleaved, channels, positions};
  const double values = static_cast<double>(interleaved ? channels * positions : positions);
  return {planes, interleaved ? images : images * channels, element_size(planes.dtype) * values / bytes_per_ns + 1};
}

void tap_forward(std::uintptr_t x, int dtype, bool interleaved, std::int64_t images, std::int64_t channels,
                 std::int64_t positions, double threshold, std::uintptr_t values, std::uintptr_t cutoffs,
                 std::uintptr_t counts, int threads) {
  const py::gil_scoped_release released;
  const Pieces work = pieces(x, dtype, interleaved, images, channels, positions);
  const Pooled out{at<void>(values), at<void>(cutoffs), at<std::int32_t>(counts)};
  parallel_for(work.count, work.cost, threads, [&](std::int64_t begin, std::int64_t end) {
    core().tap_forward(work.planes, threshold, begin, end, out);
  });
}

void tap_backward(std::uintptr_t grad, std::uintptr_t x, int dtype, bool interleaved, std::int64_t images,
                  std::int64_t channels, std::int64_t positions, std::uintptr_t cutoffs, std::uintptr_t counts,
                  std::uintptr_t dx, int threads) {
  const py::gil_scoped_release released;
  const Pieces work = pieces(x, dtype, interleaved, images, channels, positions);
  const Pooled saved{nullptr, at<void>(cutoffs), at<std::int32_t>(counts)};
  parallel_for(work.count, 2 * work.cost, threads, [&](std::int64_t begin, std::int64_t end) {
    core().tap_backward(work.planes, at<const void>(grad), begin, end, saved, at<void>(dx));
  });
}

ScoreMaps score_maps(std::uintptr_t data, int dtype, bool raw, std::tuple<int, int> shape, std::tuple<int, int> size) {
  const auto [h, w] = shape;
  const auto [height, width] = size;
  return {at<const void>(data), static_cast<Dtype>(dtype), raw, h, w, height, width};
}

void score_levels(std::uintptr_t data, int dtype, bool raw, std::int64_t count, std::tuple<int, int> shape,
                  std::tuple<int, int> size, std::uintptr_t levels, std::uintptr_t inside, int threads) {
  const py::gil_scoped_release released;
  const ScoreMaps maps = score_maps(data, dtype, raw, shape, size);
  parallel_for(count, 1.0 * maps.height * maps.width + 100, threads, [&](std::int64_t begin, std::int64_t end) {
    core().score_levels(maps, begin, end, at<std::uint8_t>(levels), at<bool>(inside));
  });
}

void score_histogram(std::uintptr_t data, int dtype, bool raw, std::int64_t count, std::tuple<int, int> shape,
                     std::tuple<int, int> size, std::uintptr_t masks, std::uintptr_t edges, int thresholds,
                     std::uintptr_t counts, std::uintptr_t inside, std::uintptr_t known, int threads) {
  const py::gil_scoped_release released;
  const ScoreMaps maps = score_maps(data, dtype, raw, shape, size);
  const Edges bins{at<const double>(edges), thresholds};
  const auto places = 2 * (static_cast<std::size_t>(thresholds) + 2);
  std::mutex guard;
  parallel_for(count, 2.0 * maps.height * maps.width + 1000, threads, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> part(places);
    core().score_histogram(maps, at<const std::uint8_t>(masks), bins, begin, end, part.data(), at<bool>(inside),
                           at<bool>(known));
    const std::lock_guard lock(guard);
    for (std::size_t bin = 0; bin < places; ++bin) at<std::int64_t>(counts)[bin] += part[bin];
  });
}

void sweep(std::uintptr_t levels, std::int64_t count, int height, int width, std::uintptr_t boxes, std::uintptr_t ends,
           std::uintptr_t of_largest, std::uintptr_t largest, std::uintptr_t of_any, int threads) {
  const py::gil_scoped_release released;
  const LevelMaps maps{at<const std::uint8_t>(levels), height, width};
  const TruthBoxes truth{at<const double>(boxes), at<const std::int64_t>(ends)};
  const Swept out{at<double>(of_largest), at<std::int32_t>(largest), at<double>(of_any)};
  parallel_for(count, 4.0 * height * width + 1000, threads,
               [&](std::int64_t begin, std::int64_t end) { core().sweep(maps, truth, begin, end, out); });
}

std::vector<std::string> cores() {
  std::vector<std::string> names;
  for (int i = 0; i < core_count(); ++i) names.emplace_back(core(i).name);
  return names;
}

}  // namespace

PYBIND11_MODULE(_C, m, py::mod_gil_not_used()) {
  m.doc() = "The compiled core of fastcam.";
  m.def("largest_regions", &largest_regions);
  m.def("all_regions", &all_regions);
  m.def("weighted_sums", &weighted_sums);
  m.def("locate", &locate);
  m.def("localize", &localize);
  m.def("tap_forward", &tap_forward);
  m.def("tap_backward", &tap_backward);
  m.def("score_levels", &score_levels);
  m.def("score_histogram", &score_histogram);
  m.def("sweep", &sweep);
  m.def("cores", &cores, "Names of the builds that this processor runs, the plainest first.");
  m.def("core", [] { return core().name; }, "Name of the build in use.");
  m.def("choose_core", [](const std::string& name) {
    if (!choose_core(name.c_str())) throw py::value_error("no build named '" + name + "' runs on this processor");
  });
}

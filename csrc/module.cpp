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

// Reads the fields of a Protocol from keywords.
struct FieldReader {
  const py::kwargs& given;

  py::object value(const char* name) const {
    if (!given.contains(name)) throw py::type_error(std::string("Protocol needs the field ") + name);
    return given[name];
  }

  void operator()(const char* name, bool& field) const {
    const py::object value = this->value(name);
    if (!py::isinstance<py::bool_>(value)) refuse<py::type_error>(name, value, "a bool");
    field = value.cast<bool>();
  }
  void operator()(const char* name, double& field) const {
    const py::object value = this->value(name);
    if (!py::isinstance<py::float_>(value) && !py::isinstance<py::int_>(value))
      refuse<py::type_error>(name, value, "a number");
    field = value.cast<double>();
  }
  template <class T, std::size_t N>
  void operator()(const char* name, T& field, const Word<T> (&words)[N]) const {
    field = word(name, value(name), words);
  }
  template <std::size_t N>
  void operator()(const char* name, int& field, const int (&choices)[N]) const {
    const py::object value = this->value(name);
    std::string expected;
    for (const int choice : choices) {
      if (py::isinstance<py::int_>(value) && value.equal(py::int_(choice))) {
        field = choice;
        return;
      }
      expected += (expected.empty() ? "" : ", ") + std::to_string(choice);
    }
    refuse<py::value_error>(name, value, "one of " + expected);
  }

  template <class T, std::size_t N>
  static T word(const char* name, const py::handle& value, const Word<T> (&words)[N]) {
    std::string expected;
    for (const Word<T>& choice : words) {
      if (value.equal(py::str(choice.word))) return choice.value;
      expected += std::string(expected.empty() ? "'" : ", '") + choice.word + "'";
    }
    refuse<py::value_error>(name, value, "one of " + expected);
  }

  template <class Error>
  [[noreturn]] static void refuse(const char* name, const py::handle& value, const std::string& expected) {
    throw Error(std::string(name) + " must be " + expected + ", got " + py::repr(value).cast<std::string>());
  }
};

py::tuple protocol_fields() {
  py::list names;
  Protocol protocol{};
  Protocol::visit(protocol, [&](const char* name, const auto&...) { names.append(name); });
  return py::tuple(names);
}

Protocol protocol_of(const py::kwargs& given) {
  Protocol protocol{};
  Protocol::visit(protocol, FieldReader{given});
  const py::tuple fields = protocol_fields();
  for (const auto& [name, value] : given)
    if (!fields.contains(name)) throw py::type_error("Protocol has no field " + name.cast<std::string>());
  return protocol;
}

Area area_of(const py::str& word) {
  return FieldReader::word("area", word, area_words);
}

void write_box(const Region& region, float* box) {
  box[0] = static_cast<float>(region.x0);
  box[1] = static_cast<float>(region.y0);
  box[2] = static_cast<float>(region.x1);
  box[3] = static_cast<float>(region.y1);
}

void write_area(double value, Area area, std::uintptr_t areas, std::int64_t i) {
  if (area == Area::polygon)
    at<double>(areas)[i] = value;
  else
    at<std::int64_t>(areas)[i] = static_cast<std::int64_t>(value);
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

void largest(std::uintptr_t data, bool packed, std::int64_t count, int height, int width, const py::str& area,
             int connectivity, std::uintptr_t boxes, std::uintptr_t areas, int threads) {
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  const py::gil_scoped_release released;
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
    write_area(region.area, masks.area, areas, i);
  }
}

py::tuple all_components(std::uintptr_t data, bool packed, std::int64_t count, int height, int width,
                         const py::str& area, int connectivity, int threads) {
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  std::vector<std::vector<Region>> found(static_cast<std::size_t>(count));
  std::size_t total = 0;
  {
    const py::gil_scoped_release released;
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

double locating_cost(const Maps& maps) {
  return 0.4 * maps.height * maps.width + 100;
}

Found found_at(std::uintptr_t boxes, std::uintptr_t areas, std::uintptr_t thresholds, std::uintptr_t maps,
               std::uintptr_t masks) {
  return {at<Box>(boxes), at<void>(areas), at<float>(thresholds), at<void>(maps), at<std::uint8_t>(masks)};
}

void locate(std::uintptr_t data, std::int64_t count, const Size& shape, const Size& size, const Protocol& protocol,
            std::uintptr_t boxes, std::uintptr_t areas, std::uintptr_t thresholds, std::uintptr_t full,
            std::uintptr_t masks, int threads) {
  const py::gil_scoped_release released;
  const auto [h, w] = shape;
  const auto [height, width] = size;
  const Maps maps{at<const float>(data), h, w, height, width};
  const Found found = found_at(boxes, areas, thresholds, full, masks);
  parallel_for(count, locating_cost(maps), threads,
               [&](std::int64_t begin, std::int64_t end) { core().locate(maps, protocol, begin, end, found); });
}

void localize(std::uintptr_t data, int dtype, const Shape& shape, const Strides& strides, std::uintptr_t weight,
              std::int64_t rows, std::uintptr_t index, std::int64_t count, std::int64_t per_image, const Size& size,
              const Protocol& protocol, std::uintptr_t boxes, std::uintptr_t areas, std::uintptr_t thresholds,
              std::uintptr_t full, std::uintptr_t masks, int threads) {
  const py::gil_scoped_release released;
  const Features features = features_of(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image,
                        protocol.clamp_negative};
  const auto [height, width] = size;
  const Maps maps{nullptr, features.height, features.width, height, width};
  const Found found = found_at(boxes, areas, thresholds, full, masks);
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
  py::class_<Protocol> protocol(m, "Protocol", "fastcam.Protocol as far as the core reads it.");
  protocol.def(py::init(&protocol_of));
  protocol.attr("fields") = protocol_fields();
  m.def("largest", &largest);
  m.def("all_components", &all_components);
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

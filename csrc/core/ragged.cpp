// The bindings of what is found in numbers that nobody knows before: they return arrays of their own.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string_view>
#include <vector>

#include "core/binding.hpp"
#include "core/keywords.hpp"
#include "core/schedule.hpp"

namespace fastcam {

namespace {

template <class T>
using OfMaps = std::vector<std::vector<T>>;

template <class T>
py::ssize_t total_of(const OfMaps<T>& found) {
  std::size_t total = 0;
  for (const auto& of_map : found) total += of_map.size();
  return static_cast<py::ssize_t>(total);
}

// Calls write(row, number of the map, what was found), map by map.
template <class T, class Write>
void for_each_row(const OfMaps<T>& found, const Write& write) {
  std::int64_t row = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    for (const T& one : found[i]) write(row++, static_cast<std::int64_t>(i), one);
}

py::tuple all_components(Address data, bool packed, std::int64_t count, int height, int width, std::string_view area,
                         int connectivity, int threads) {
  require("masks", data, count > 0);
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  OfMaps<Region> found;
  {
    const Working working;
    found = schedule::all(masks, count, threads);
  }
  const py::ssize_t total = total_of(found);
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<double> areas(total);
  py::array_t<std::int64_t> image(total);
  for_each_row(found, [box = boxes.mutable_data(), area = areas.mutable_data(), number = image.mutable_data()](
                          std::int64_t row, std::int64_t mask, const Region& region) {
    write_box(region, box + 4 * row);
    area[row] = region.area;
    number[row] = mask;
  });
  return py::make_tuple(boxes, areas, image);
}

// Boxes (M, 4), areas, peaks, means and the numbers of the maps (M,).
py::tuple columns_of(const schedule::ObjectsOfMaps& objects) {
  const py::ssize_t total = total_of(objects);
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<double> areas(total), peaks(total), means(total);
  py::array_t<std::int64_t> maps(total);
  for_each_row(objects, [box = boxes.mutable_data(), area = areas.mutable_data(), peak = peaks.mutable_data(),
                         mean = means.mutable_data(),
                         number = maps.mutable_data()](std::int64_t row, std::int64_t map, const Object& object) {
    write_box(object.region, box + 4 * row);
    area[row] = object.region.area;
    peak[row] = object.peak;
    mean[row] = object.mean;
    number[row] = map;
  });
  return py::make_tuple(boxes, areas, peaks, means, maps);
}

py::tuple locate_all(Address data, std::int64_t count, const Size& shape, const Size& size, const Protocol& protocol,
                     Address thresholds, Address maps, Address masks, int threads) {
  require("maps", data, count > 0);
  const auto [h, w] = shape;
  const auto [height, width] = size;
  const Maps small{at<const float>(data), h, w, height, width};
  schedule::ObjectsOfMaps objects;
  {
    const Working working;
    objects = schedule::locate_all(small, protocol, count, threads, found_at(0, 0, thresholds, maps, masks));
  }
  return columns_of(objects);
}

py::tuple localize_all(Address data, int dtype, const Shape& shape, const Strides& strides, Address weight,
                       std::int64_t rows, Address index, std::int64_t count, std::int64_t per_image, const Size& size,
                       const Protocol& protocol, Address thresholds, Address maps, Address masks, int threads) {
  require_sums(data, shape, weight, rows, count);
  const Features features = features_at(data, dtype, shape, strides);
  const Classes classes{at<const void>(weight), rows, at<const std::int64_t>(index), per_image,
                        protocol.clamp_negative};
  const auto [height, width] = size;
  const Maps small{nullptr, features.height, features.width, height, width};
  schedule::ObjectsOfMaps objects;
  {
    const Working working;
    objects = schedule::localize_all(features, classes, small, protocol, count, threads,
                                     found_at(0, 0, thresholds, maps, masks));
  }
  return columns_of(objects);
}

py::tuple objects_in_masks(Address data, bool packed, std::int64_t count, int height, int width, std::string_view area,
                           int connectivity, Address values, int threads) {
  require("masks", data, count > 0);
  require("values", values, count > 0);
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  schedule::ObjectsOfMaps objects;
  {
    const Working working;
    objects = schedule::objects(masks, at<const double>(values), count, threads);
  }
  return columns_of(objects);
}

// Boxes (M, 4), areas, peaks, births, deaths, parents among all nodes or -1, and the numbers of the maps (M,).
py::tuple box_trees(Address levels, std::int64_t count, int height, int width, int threads) {
  require("levels", levels, count > 0);
  OfMaps<Node> trees;
  {
    const Working working;
    trees = schedule::box_trees({at<const std::uint8_t>(levels), height, width}, count, threads);
  }
  const py::ssize_t total = total_of(trees);
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<std::int64_t> areas(total), peaks(total), births(total), deaths(total), parents(total), maps(total);
  std::int64_t first = 0;
  std::int64_t last_map = 0;
  for_each_row(trees, [&, box = boxes.mutable_data(), area = areas.mutable_data(), peak = peaks.mutable_data(),
                       birth = births.mutable_data(), death = deaths.mutable_data(), parent = parents.mutable_data(),
                       number = maps.mutable_data()](std::int64_t row, std::int64_t map, const Node& node) {
    if (map != last_map) first = row;
    last_map = map;
    const auto& nodes = trees[static_cast<std::size_t>(map)];
    const Node* const around = node.parent < 0 ? nullptr : &nodes[static_cast<std::size_t>(node.parent)];
    write_box(node.region, box + 4 * row);
    area[row] = static_cast<std::int64_t>(node.region.area);
    peak[row] = node.peak;
    birth[row] = node.level;
    death[row] = around == nullptr ? 0 : around->level;
    parent[row] = around == nullptr ? -1 : first + node.parent;
    number[row] = map;
  });
  return py::make_tuple(boxes, areas, peaks, births, deaths, parents, maps);
}

}  // namespace

void bind_ragged(py::module_& m) {
  m.def("all_components", &all_components);
  m.def("locate_all", &locate_all);
  m.def("localize_all", &localize_all);
  m.def("objects_in_masks", &objects_in_masks);
  m.def("box_trees", &box_trees);
}

}  // namespace fastcam

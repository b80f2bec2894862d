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

py::tuple all_components(Address data, bool packed, std::int64_t count, int height, int width, std::string_view area,
                         int connectivity, int threads) {
  require("masks", data, count > 0);
  const MaskBatch masks{at<const void>(data), packed, height, width, area_of(area), connectivity};
  std::vector<std::vector<Region>> found;
  py::ssize_t total = 0;
  {
    const Working working;
    found = schedule::all(masks, count, threads);
    for (const auto& regions : found) total += static_cast<py::ssize_t>(regions.size());
  }
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<double> areas(total);
  py::array_t<std::int64_t> image(total);
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

// Boxes (M, 4), areas, peaks, means and the numbers of the maps (M,).
py::tuple columns_of(const schedule::ObjectsOfMaps& objects) {
  py::ssize_t total = 0;
  for (const auto& of_map : objects) total += static_cast<py::ssize_t>(of_map.size());
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<double> areas(total), peaks(total), means(total);
  py::array_t<std::int64_t> maps(total);
  std::size_t row = 0;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    for (const Object& object : objects[i]) {
      write_box(object.region, boxes.mutable_data() + 4 * row);
      areas.mutable_data()[row] = object.region.area;
      peaks.mutable_data()[row] = object.peak;
      means.mutable_data()[row] = object.mean;
      maps.mutable_data()[row++] = static_cast<std::int64_t>(i);
    }
  }
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

// Boxes (M, 4), areas, peaks, levels, parents among all nodes or -1, and the numbers of the maps (M,).
py::tuple box_trees(Address levels, std::int64_t count, int height, int width, int threads) {
  require("levels", levels, count > 0);
  std::vector<std::vector<Node>> trees;
  py::ssize_t total = 0;
  {
    const Working working;
    trees = schedule::box_trees({at<const std::uint8_t>(levels), height, width}, count, threads);
    for (const auto& nodes : trees) total += static_cast<py::ssize_t>(nodes.size());
  }
  py::array_t<float> boxes({total, py::ssize_t{4}});
  py::array_t<std::int64_t> areas(total), peaks(total), of_levels(total), parents(total), maps(total);
  std::int64_t row = 0;
  for (std::size_t i = 0; i < trees.size(); ++i) {
    const std::int64_t first = row;
    for (const Node& node : trees[i]) {
      write_box(node.region, boxes.mutable_data() + 4 * row);
      areas.mutable_data()[row] = static_cast<std::int64_t>(node.region.area);
      peaks.mutable_data()[row] = node.peak;
      of_levels.mutable_data()[row] = node.level;
      parents.mutable_data()[row] = node.parent < 0 ? -1 : first + node.parent;
      maps.mutable_data()[row++] = static_cast<std::int64_t>(i);
    }
  }
  return py::make_tuple(boxes, areas, peaks, of_levels, parents, maps);
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

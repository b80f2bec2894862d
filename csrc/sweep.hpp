// The best boxes of a map at every threshold at once. From one threshold to the next a few hundred pixels change hands,
// so the mask's components are not found anew: they grow, from the highest level down, and their holes from the lowest
// level up. What the pixels of a level add to a basin (basins.hpp) is gathered for all levels and basins in one pass
// over the map; then, level by level, basins are joined to components by union-find, and only what has changed is
// looked at.
#pragma once

#include <cmath>

#include "component_tree.hpp"
#include "core.hpp"
#include "outline.hpp"

namespace fastcam::FASTCAM_ISA {

struct Extent {
  std::uint16_t x0 = UINT16_MAX, y0 = UINT16_MAX, x1 = 0, y1 = 0;  // half-open

  bool add(const Extent& other) {
    const Extent before = *this;
    x0 = std::min(x0, other.x0);
    y0 = std::min(y0, other.y0);
    x1 = std::max(x1, other.x1);
    y1 = std::max(y1, other.y1);
    return x0 != before.x0 || y0 != before.y0 || x1 != before.x1 || y1 != before.y1;
  }
};

// What the pixels of one level add to a component.
template <bool Areas>
struct Part {
  std::int64_t sum;  // of gains (ring.hpp)
  Extent extent;
};
template <>
struct Part<false> {
  Extent extent;
};

// A component as it grows.
struct Grown {
  std::int64_t sum;  // of gains
  double iou;
  Extent extent;
  bool changed;         // the box, since the IoU was computed
  std::uint32_t place;  // among those there are
};

// The ground truth of an image, and its IoU with a box; x1 and y1 are the last pixels inside.
class GroundTruth {
 public:
  GroundTruth(const double* boxes, std::int64_t count) : boxes_(boxes), count_(count) {}

  double best_iou(double x0, double y0, double x1, double y1) const {
    const double area = (x1 - x0 + 1) * (y1 - y0 + 1);
    double best = 0;
    for (const double* t = boxes_; t != boxes_ + 4 * count_; t += 4) {
      const double width = std::max(0.0, std::min(x1, t[2]) - std::max(x0, t[0]) + 1);
      const double height = std::max(0.0, std::min(y1, t[3]) - std::max(y0, t[1]) + 1);
      const double both = width * height;
      const double all = area + (t[2] - t[0] + 1) * (t[3] - t[1] + 1) - both;
      if (all > 0) best = std::max(best, both / all);
    }
    return best;
  }

 private:
  const double* boxes_;
  std::int64_t count_;
};

class Sweeper {
 public:
  static constexpr int levels = 256;

  void run(const LevelMaps& maps, const TruthBoxes& truth, std::int64_t i, const Swept& out) {
    map_.start(maps.data + i * maps.height * maps.width, maps.height, maps.width);
    const std::int64_t first = i == 0 ? 0 : truth.ends[i - 1];
    const GroundTruth boxes(truth.boxes + 4 * first, truth.ends[i] - first);
    of_largest_ = out.of_largest == nullptr ? nullptr : out.of_largest + i * levels;
    largest_ = out.largest == nullptr ? nullptr : out.largest + i * levels * 4;
    of_any_ = out.of_any == nullptr ? nullptr : out.of_any + i * levels;
    const double iou_of_nothing = boxes.best_iou(0, 0, 0, 0);
    for (int t = map_.maximum(); t < levels; ++t) write_nothing(t, iou_of_nothing);
    if (map_.maximum() == 0) return;
    outer_.find(map_);
    outer_tree_.build(outer_);
    const auto visit = [&](int level) {
      if (largest_ != nullptr) write_largest(level - 1, boxes);
      if (of_any_ != nullptr) of_any_[level - 1] = best_of_any(boxes, 0);
    };
    if (largest_ != nullptr)
      walk<true>(outer_, outer_tree_, map_.maximum(), 1, visit);
    else
      walk<false>(outer_, outer_tree_, map_.maximum(), 1, visit);
    if (of_any_ == nullptr) return;
    holes_.find(map_);
    if (holes_.count() == 1) return;
    holes_tree_.build(holes_);
    walk<false>(holes_, holes_tree_, 0, map_.maximum() - 1,
                [&](int level) { of_any_[level] = std::max(of_any_[level], best_of_any(boxes, 1)); });
  }

 private:
  // Lets components grow from one level to another and calls visit(level) after each.
  template <bool Areas, bool Holes, class Visit>
  void walk(const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int from, int to, const Visit& visit) {
    grown_.reserve(tree.count());
    alive_.reserve(tree.count());
    alive_count_ = 0;
    const int end = tree.key(to) - 1;
    for (int key = tree.key(from), gathered = key; key > end; --key) {
      if (key == gathered) gathered = gather<Areas>(basins, tree, key, end);
      tree.for_each_beginning(key, [&](std::uint32_t c) {
        grown_[c] = {0, 0, {}, false, alive_count_};
        alive_[alive_count_++] = c;
      });
      tree.for_each_end(key, [&](std::uint32_t c, std::uint32_t into) {
        if (tree.first(c) > key) end_component<Holes>(c, tree.at(into, key));
      });
      for (std::uint32_t i = 0; i < alive_count_; ++i) {
        const std::uint32_t c = alive_[i];
        const Part<Areas>& part = parts<Areas>()[offsets_[c] + key];
        if constexpr (Areas) grown_[c].sum += part.sum;
        grown_[c].changed |= grown_[c].extent.add(part.extent);
      }
      visit(tree.level(key));
    }
  }

  template <bool Holes>
  void end_component(std::uint32_t c, std::uint32_t into) {
    const std::uint32_t place = grown_[c].place, moved = alive_[--alive_count_];
    alive_[place] = moved;
    grown_[moved].place = place;
    if (Holes && into == 0) return;  // a way out of the map: no hole any more
    grown_[into].sum += grown_[c].sum;
    grown_[into].changed |= grown_[into].extent.add(grown_[c].extent);
  }

  // Gathers the parts of all components at the keys from `first` down to where they get too many, or to `end`, which
  // is left out; returns where it stopped.
  template <bool Areas, bool Holes>
  int gather(const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int first, int end) {
    constexpr std::int64_t most_parts = std::int64_t{1} << 22;
    int stop = first;
    for (std::int64_t parts = 0; stop > end && (stop == first || parts + tree.alive(stop) <= most_parts); --stop)
      parts += tree.alive(stop);
    offsets_.reserve(tree.count());
    std::int64_t size = 0;
    for (std::uint32_t c = Holes ? 1 : 0; c < tree.count(); ++c) {
      const int low = std::max(tree.last(c), stop), high = std::min(tree.first(c), first);
      offsets_[c] = size - low - 1;
      size += std::max(0, high - low);
    }
    parts<Areas>().reserve(static_cast<std::size_t>(size));
    std::fill(parts<Areas>().data(), parts<Areas>().data() + size, Part<Areas>{});
    for (int y = 0; y < map_.height(); ++y)
      basins.for_each_segment(y, [&](std::uint32_t basin, int begin, int peak, int past) {
        gather_segment<Areas>(tree, basin, y, begin, peak, past, first, stop);
      });
    return stop;
  }

  // From the peak the keys fall on either side, and with them the component goes down the tree.
  template <bool Areas, bool Holes>
  void gather_segment(const ComponentTree<Holes>& tree, std::uint32_t basin, int y, int begin, int peak, int past,
                      int first, int stop) {
    static constexpr auto gains = for_each_ring<std::int64_t>([](unsigned ring) { return Gain::of(ring); });
    const std::uint8_t *const row = map_.row(y), *const rings = map_.rings(y);
    const std::uint32_t top = tree.at(basin, tree.key(row[peak]));
    const auto slope = [&](int from, int to, int step, const auto& extend) {
      std::uint32_t c = top;
      int last = tree.last(c);
      Part<Areas>* of_component = parts<Areas>().data() + offsets_[c];
      for (int x = from; x != to; x += step) {
        const int key = tree.key(row[x]);
        if (key <= stop) return;
        if (key <= last) {
          c = tree.at(c, key);
          if (Holes && c == 0) return;
          last = tree.last(c);
          of_component = parts<Areas>().data() + offsets_[c];
        }
        if (key > first) continue;
        if constexpr (Areas) of_component[key].sum += gains[rings[x]];
        extend(of_component[key].extent, x);
      }
    };
    if (Holes && top == 0) return;
    slope(peak, past, 1, [&](Extent& e, int x) {
      if (x == peak) {
        e.x0 = std::min(e.x0, static_cast<std::uint16_t>(x));
        e.y0 = std::min(e.y0, static_cast<std::uint16_t>(y));
        e.y1 = std::max(e.y1, static_cast<std::uint16_t>(y + 1));
      }
      e.x1 = std::max(e.x1, static_cast<std::uint16_t>(x + 1));
    });
    slope(peak - 1, begin - 1, -1, [&](Extent& e, int x) { e.x0 = std::min(e.x0, static_cast<std::uint16_t>(x)); });
  }

  template <bool Areas>
  Buffer<Part<Areas>>& parts() {
    if constexpr (Areas)
      return parts_with_areas_;
    else
      return parts_;
  }

  template <class Visit>
  void for_each_component(const Visit& visit) {
    for (std::uint32_t i = 0; i < alive_count_; ++i) visit(alive_[i], grown_[alive_[i]]);
  }

  // The box of a contour: of a component, or in the pixels around a hole, one larger on every side.
  struct Box {
    int x0, y0, x1, y1;
  };
  Box box(const Extent& e, int grown) const {
    return {e.x0 - grown, e.y0 - grown, std::min(e.x1 + grown, map_.width() - 1),
            std::min(e.y1 + grown, map_.height() - 1)};
  }
  static double iou(const Box& b, const GroundTruth& truth) { return truth.best_iou(b.x0, b.y0, b.x1, b.y1); }

  double best_of_any(const GroundTruth& truth, int grown) {
    double best = 0;
    for_each_component([&](std::uint32_t, Grown& c) {
      if (c.changed) c.iou = iou(box(c.extent, grown), truth);
      c.changed = false;
      best = std::max(best, c.iou);
    });
    return best;
  }

  void write_nothing(int t, double iou_of_nothing) {
    if (of_any_ != nullptr) of_any_[t] = iou_of_nothing;
    if (of_largest_ != nullptr) of_largest_[t] = iou_of_nothing;
    if (largest_ != nullptr) std::fill(largest_ + 4 * t, largest_ + 4 * t + 4, 0);
  }

  void write_largest(int t, const GroundTruth& truth) {
    const Box b = box(largest(t), 0);
    const int values[] = {b.x0, b.y0, b.x1, b.y1};
    std::copy(values, values + 4, largest_ + 4 * t);
    of_largest_[t] = iou(b, truth);
  }

  // The component of the largest polygon area, holes filled; of equal ones that whose first pixel comes last in raster
  // order, as OpenCV's contours fall. What fits in the box of a component with holes rules out most of them.
  Extent largest(int t) {
    std::int64_t floor = -1;  // an area that some component reaches at least
    for_each_component([&](std::uint32_t, const Grown& c) { floor = std::max(floor, Gain::area2(c.sum)); });
    Extent best;
    std::int64_t best2 = -1;
    int best_x = 0;
    std::uint32_t candidates = 0;
    for_each_component([&](std::uint32_t, const Grown& c) { candidates += most2(c) >= floor; });
    for_each_component([&](std::uint32_t number, const Grown& c) {
      if (most2(c) < std::max(floor, best2)) return;
      if (candidates == 1) {
        best = c.extent;
        return;
      }
      const int x = first_x(number, c.extent, t);
      const std::int64_t exact2 = has_holes(c) ? outline(x, c.extent.y0, t) : Gain::area2(c.sum);
      if (exact2 < best2) return;
      const bool later = c.extent.y0 != best.y0 ? c.extent.y0 > best.y0 : x > best_x;
      if (exact2 == best2 && !later) return;
      best2 = exact2;
      best = c.extent;
      best_x = x;
    });
    return best;
  }

  static bool has_holes(const Grown& c) { return Gain::euler(c.sum) != 1; }
  static std::int64_t most2(const Grown& c) {
    const Extent& e = c.extent;
    return has_holes(c) ? 2 * std::int64_t{e.x1 - e.x0 - 1} * (e.y1 - e.y0 - 1) : Gain::area2(c.sum);
  }

  // Where the component's first pixel in raster order lies in its first row.
  int first_x(std::uint32_t number, const Extent& extent, int t) {
    const std::uint8_t* const row = map_.row(extent.y0);
    int x = extent.x0;
    while (row[x] <= t || outer_tree_.at(outer_.basin(x, extent.y0), t + 1) != number) ++x;
    return x;
  }

  std::int64_t outline(int x, int y, int t) const {
    return outline_area2<8>([&](int at_x, int at_y) { return map_.row(at_y)[at_x] > t; }, x, y);
  }

  RingMap map_;
  Basins<false> outer_;
  Basins<true> holes_;
  ComponentTree<false> outer_tree_;
  ComponentTree<true> holes_tree_;
  Buffer<Grown> grown_;
  Buffer<std::uint32_t> alive_;
  std::uint32_t alive_count_ = 0;
  Buffer<std::int64_t> offsets_;  // of a component's parts, from key 0
  Buffer<Part<true>> parts_with_areas_;
  Buffer<Part<false>> parts_;
  double *of_largest_ = nullptr, *of_any_ = nullptr;
  std::int32_t* largest_ = nullptr;
};

}  // namespace fastcam::FASTCAM_ISA

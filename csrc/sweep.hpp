// The best boxes of a map at every threshold at once. From one threshold to the next a few hundred pixels change hands,
// so the mask's components are not found anew: they grow, from the highest level down, and their holes from the lowest
// level up. What the pixels of a level add to a basin (basins.hpp) is gathered for all levels and basins in one pass
// over the map; then, level by level, basins are joined to components by union-find, and only what has changed is
// looked at.
#pragma once

#include <cmath>

#include "basins.hpp"
#include "core.hpp"
#include "outline.hpp"

namespace fastcam::FASTCAM_ISA {

struct Extent {
  std::uint16_t x0 = UINT16_MAX, y0 = UINT16_MAX, x1 = 0, y1 = 0;  // half-open

  bool empty() const { return (x0 == UINT16_MAX) & (x1 == 0); }
  bool add(const Extent& other) {
    const Extent before = *this;
    x0 = std::min(x0, other.x0);
    y0 = std::min(y0, other.y0);
    x1 = std::max(x1, other.x1);
    y1 = std::max(y1, other.y1);
    return x0 != before.x0 || y0 != before.y0 || x1 != before.x1 || y1 != before.y1;
  }
};

// What the pixels of one level add to the component that a basin is in.
struct Part {
  std::int64_t sum;  // of gains (ring.hpp)
  Extent extent;
};

// Components as they grow, numbered by one of their basins.
class Components {
 public:
  struct Grown {
    std::int64_t sum;
    double iou;
    Extent extent;
    bool changed;  // the box, since the IoU was computed
    std::uint32_t place;
  };

  void start(std::uint32_t basins) {
    forest_.clear();
    forest_.reserve(basins);
    grown_.reserve(basins);
    alive_.reserve(basins);
    alive_count_ = 0;
    for (std::uint32_t b = 0; b < basins; ++b) grown_[forest_.add()] = {0, 0, {}, false, 0};
  }
  void begin(std::uint32_t basin) {
    grown_[basin].place = alive_count_;
    alive_[alive_count_++] = basin;
  }
  std::uint32_t find(std::uint32_t basin) { return forest_.find(basin); }

  void add(std::uint32_t basin, const Part& part) {
    Grown& to = grown_[find(basin)];
    to.sum += part.sum;
    to.changed |= to.extent.add(part.extent);
  }
  // Basin 0 of holes is never alive: what joins it is none any more.
  template <bool Holes>
  void join(std::uint32_t a, std::uint32_t b) {
    a = find(a);
    b = find(b);
    if (a == b) return;
    if (a > b) std::swap(a, b);
    forest_.unite(a, b);
    const std::uint32_t place = grown_[b].place, last = alive_[--alive_count_];
    alive_[place] = last;
    grown_[last].place = place;
    if (Holes && a == 0) return;
    grown_[a].sum += grown_[b].sum;
    grown_[a].changed |= grown_[a].extent.add(grown_[b].extent);
  }

  template <class Visit>
  void for_each(const Visit& visit) {
    for (std::uint32_t i = 0; i < alive_count_; ++i) visit(alive_[i], grown_[alive_[i]]);
  }

 private:
  Forest forest_;
  Buffer<Grown> grown_;
  Buffer<std::uint32_t> alive_;
  std::uint32_t alive_count_ = 0;
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
    outer_.find(map_);
    walk(outer_, map_.maximum(), 0, [&](int level) {
      if (largest_ != nullptr) write_largest(level - 1, boxes);
      if (of_any_ != nullptr) of_any_[level - 1] = best_of_any(boxes, 0);
    });
    if (of_any_ == nullptr) return;
    holes_.find(map_);
    if (holes_.count() == 1) return;
    walk(holes_, 0, map_.maximum(),
         [&](int level) { of_any_[level] = std::max(of_any_[level], best_of_any(boxes, 1)); });
  }

 private:
  // Lets components grow from level `from` on, up or down, until level `to`, which is left out, and calls visit(level).
  template <bool Holes, class Visit>
  void walk(const Basins<Holes>& basins, int from, int to, const Visit& visit) {
    constexpr std::size_t most_parts = std::size_t{1} << 20;
    if (from == to) return;
    const std::uint32_t count = basins.count();
    const int step = from < to ? 1 : -1;
    const int band = static_cast<int>(std::clamp<std::size_t>(most_parts / count, 1, levels));
    components_.start(count);
    for (int begin = from; begin != to;) {
      const int end = step > 0 ? std::min(begin + band, to) : std::max(begin - band, to);
      const int lowest = step > 0 ? begin : end + 1;
      gather(basins, lowest, std::abs(end - begin));
      for (int level = begin; level != end; level += step) {
        basins.for_each_seed(level, [&](std::uint32_t basin) { components_.begin(basin); });
        const Part* const parts = parts_.data() + static_cast<std::size_t>(level - lowest) * count;
        for (std::uint32_t b = Holes ? 1 : 0; b < count; ++b)
          if (!parts[b].extent.empty()) components_.add(b, parts[b]);
        basins.for_each_joint(level, [&](std::uint32_t a, std::uint32_t b) { components_.template join<Holes>(a, b); });
        visit(level);
      }
      begin = end;
    }
  }

  // Gathers the parts of `count` levels from `lowest` on.
  template <bool Holes>
  void gather(const Basins<Holes>& basins, int lowest, int count) {
    static constexpr auto gains = for_each_ring<std::int64_t>([](unsigned ring) { return Gain::of(ring); });
    const std::size_t stride = basins.count();
    Part* const parts = parts_.reserve(stride * static_cast<std::size_t>(count));
    std::fill(parts, parts + stride * static_cast<std::size_t>(count), Part{0, {}});
    for (int y = 0; y < map_.height(); ++y) {
      const std::uint8_t *const row = map_.row(y), *const rings = map_.rings(y);
      basins.for_each_segment(y, [&](std::uint32_t basin, int begin, int peak, int end) {
        Part* const of_basin = parts + basin;
        const auto part = [&](int x) -> Part* {
          const unsigned level = static_cast<unsigned>(row[x] - lowest);
          return level < static_cast<unsigned>(count) ? of_basin + level * stride : nullptr;
        };
        for (int x = begin; x < peak; ++x)
          if (Part* const p = part(x)) {
            p->sum += gains[rings[x]];
            p->extent.x0 = std::min(p->extent.x0, static_cast<std::uint16_t>(x));
          }
        if (Part* const p = part(peak)) {
          p->extent.x0 = std::min(p->extent.x0, static_cast<std::uint16_t>(peak));
          p->extent.y0 = std::min(p->extent.y0, static_cast<std::uint16_t>(y));
          p->extent.y1 = std::max(p->extent.y1, static_cast<std::uint16_t>(y + 1));
        }
        for (int x = peak; x < end; ++x)
          if (Part* const p = part(x)) {
            p->sum += gains[rings[x]];
            p->extent.x1 = std::max(p->extent.x1, static_cast<std::uint16_t>(x + 1));
          }
      });
    }
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
    components_.for_each([&](std::uint32_t, Components::Grown& c) {
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
    components_.for_each(
        [&](std::uint32_t, const Components::Grown& c) { floor = std::max(floor, Gain::area2(c.sum)); });
    Extent best;
    std::int64_t best2 = -1;
    int best_x = 0;
    std::uint32_t candidates = 0;
    components_.for_each([&](std::uint32_t, const Components::Grown& c) { candidates += most2(c) >= floor; });
    components_.for_each([&](std::uint32_t number, const Components::Grown& c) {
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

  static bool has_holes(const Components::Grown& c) { return Gain::euler(c.sum) != 1; }
  static std::int64_t most2(const Components::Grown& c) {
    const Extent& e = c.extent;
    return has_holes(c) ? 2 * std::int64_t{e.x1 - e.x0 - 1} * (e.y1 - e.y0 - 1) : Gain::area2(c.sum);
  }

  // Where the component's first pixel in raster order lies in its first row.
  int first_x(std::uint32_t number, const Extent& extent, int t) {
    const std::uint8_t* const row = map_.row(extent.y0);
    int x = extent.x0;
    while (row[x] <= t || components_.find(outer_.basin(x, extent.y0)) != number) ++x;
    return x;
  }

  std::int64_t outline(int x, int y, int t) const {
    return outline_area2<8>([&](int at_x, int at_y) { return map_.row(at_y)[at_x] > t; }, x, y);
  }

  RingMap map_;
  Basins<false> outer_;
  Basins<true> holes_;
  Components components_;
  Buffer<Part> parts_;
  double *of_largest_ = nullptr, *of_any_ = nullptr;
  std::int32_t* largest_ = nullptr;
};

}  // namespace fastcam::FASTCAM_ISA

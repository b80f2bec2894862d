// Sweeper   the best boxes of a map at every threshold at once
//   run     one map of a batch
//
// The components of the mask grow from the highest level down; their holes grow from the lowest level up. After each
// level the largest contour is chosen, and the best IoU of any contour: those of components, and those of holes, whose
// contours OpenCV finds in the pixels around them.
#pragma once

#include <algorithm>

#include "core/core.hpp"
#include "masks/largest.hpp"
#include "masks/outline.hpp"
#include "scores/iou.hpp"
#include "trees/growth.hpp"

namespace fastcam::FASTCAM_ISA {

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
    sweep_components(boxes);
    if (of_any_ != nullptr) sweep_holes(boxes);
  }

 private:
  // The box of a contour; x1 and y1 are half-open, clipped to the last pixel of the map.
  struct Contour {
    int x0, y0, x1, y1;
  };

  void sweep_components(const GroundTruth& truth) {
    outer_.find(map_);
    outer_tree_.build(outer_);
    const auto visit = [&](int level) {
      if (largest_ != nullptr) write_largest(level - 1, truth);
      if (of_any_ != nullptr) of_any_[level - 1] = best_of_any(truth, 0);
    };
    if (largest_ != nullptr)
      growth_.walk<Sums::gains>(map_, outer_, outer_tree_, map_.maximum(), 1, visit);
    else
      growth_.walk<Sums::none>(map_, outer_, outer_tree_, map_.maximum(), 1, visit);
  }

  void sweep_holes(const GroundTruth& truth) {
    holes_.find(map_);
    if (holes_.count() == 1) return;  // the outside alone
    holes_tree_.build(holes_);
    growth_.walk<Sums::none>(map_, holes_, holes_tree_, 0, map_.maximum() - 1,
                             [&](int level) { of_any_[level] = std::max(of_any_[level], best_of_any(truth, 1)); });
  }

  // The contour of a component, or of a hole: that one is larger by 1 on every side.
  Contour contour(const Extent& e, int grown) const {
    return {e.x0() - grown, e.y0() - grown, std::min(e.x1() + grown, map_.width() - 1),
            std::min(e.y1() + grown, map_.height() - 1)};
  }
  static double iou(const Contour& c, const GroundTruth& truth) { return truth.best_iou(c.x0, c.y0, c.x1, c.y1); }

  double best_of_any(const GroundTruth& truth, int grown) {
    double best = 0;
    growth_.for_each([&](std::uint32_t, Grown& c) {
      if (c.changed) c.iou = iou(contour(c.extent, grown), truth);
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
    const Contour c = contour(largest(t), 0);
    const int values[] = {c.x0, c.y0, c.x1, c.y1};
    std::copy(values, values + 4, largest_ + 4 * t);
    of_largest_[t] = iou(c, truth);
  }

  // The component of the largest polygon area, holes filled.
  Extent largest(int t) {
    LargestByPolygon<Extent> largest;
    growth_.for_each([&](std::uint32_t, const Grown& c) { largest.expect(Gain::area2(c.sum)); });
    std::uint32_t candidates = 0;
    Extent only;
    growth_.for_each([&](std::uint32_t, const Grown& c) {
      if (!largest.may_win(most2(c))) return;
      ++candidates;
      only = c.extent;
    });
    if (candidates == 1) return only;
    growth_.for_each([&](std::uint32_t number, const Grown& c) {
      if (!largest.may_win(most2(c))) return;
      const int x = first_x(number, c.extent, t);
      largest.offer(has_holes(c) ? outline(x, c.extent.y0(), t) : Gain::area2(c.sum), c.extent.y0(), x, c.extent);
    });
    return largest.winner();
  }

  static bool has_holes(const Grown& c) { return Gain::euler(c.sum) != 1; }
  // Twice the most that the component's area can be.
  static std::int64_t most2(const Grown& c) {
    const Extent& e = c.extent;
    return has_holes(c) ? LargestByPolygon<Extent>::most_in_box2(e.x1() - e.x0(), e.y1() - e.y0()) : Gain::area2(c.sum);
  }

  // The column of the component's first pixel in raster order.
  int first_x(std::uint32_t number, const Extent& extent, int t) {
    const std::uint8_t* const row = map_.row(extent.y0());
    int x = extent.x0();
    while (row[x] <= t || outer_tree_.at(outer_.basin(x, extent.y0()), t + 1) != number) ++x;
    return x;
  }

  std::int64_t outline(int x, int y, int t) const {
    return outline_area2<8>([&](int at_x, int at_y) { return map_.row(at_y)[at_x] > t; }, x, y);
  }

  LevelMap map_;
  Basins<false> outer_;
  Basins<true> holes_;
  ComponentTree<false> outer_tree_;
  ComponentTree<true> holes_tree_;
  Growth growth_;
  double *of_largest_ = nullptr, *of_any_ = nullptr;
  std::int32_t* largest_ = nullptr;
};

}  // namespace fastcam::FASTCAM_ISA

// StableThreshold   the threshold of levels at which the largest component is most stable
//   find
#pragma once

#include <algorithm>

#include "trees/box_tree.hpp"

namespace fastcam::FASTCAM_ISA {

class StableThreshold {
 public:
  // The threshold t with the smallest (|Q(t - step)| - |Q(t)|) / |Q(t)|, where Q(t) is the largest component of the
  // levels above t, and Q(t - step) what contains it at t - step: below threshold 0 the whole map. Of equal ones the
  // lowest. Components of an area out of bounds count where there are no others. 0 where no level is above 0.
  int find(const std::uint8_t* levels, int height, int width) {
    tree_.find({levels, height, width}, 0);
    pixels_ = std::int64_t{height} * width;
    std::int64_t largest[levels_of_map] = {};
    for_each([&](const Node& node, int t) { largest[t] = std::max(largest[t], pixels(node)); });
    best_ = {true, 0, levels_of_map};
    for_each([&](const Node& node, int t) {
      if (pixels(node) == largest[t]) offer(node, t);
    });
    return best_.threshold == levels_of_map ? 0 : best_.threshold;
  }

 private:
  static constexpr int levels_of_map = 256;
  static constexpr int step = 5;                      // of VLFeat and OpenCV
  static constexpr std::int64_t fewest_share = 1000;  // one pixel in a thousand, to three in four

  struct Candidate {
    bool out_of_bounds;
    double variation;
    int threshold;

    bool before(const Candidate& other) const {
      if (out_of_bounds != other.out_of_bounds) return other.out_of_bounds;
      return variation != other.variation ? variation < other.variation : threshold < other.threshold;
    }
  };

  static std::int64_t pixels(const Node& node) { return static_cast<std::int64_t>(node.region.area); }
  int death(const Node& node) const { return node.parent < 0 ? 0 : tree_.node(node.parent).level; }

  // Calls visit(node, threshold) for every node at every threshold at which it is there.
  template <class Visit>
  void for_each(const Visit& visit) const {
    Pace pace;
    for (std::int32_t n = 0; n < tree_.count(); ++n) {
      const Node& node = tree_.node(n);
      const int last = death(node);
      pace.add(node.level - last);
      for (int t = node.level - 1; t >= last; --t) visit(node, t);
    }
  }

  std::int64_t pixels_around(const Node& node, int t) const {
    if (t < 0) return pixels_;
    const Node* around = &node;
    while (t < death(*around)) around = &tree_.node(around->parent);
    return pixels(*around);
  }

  void offer(const Node& node, int t) {
    const std::int64_t own = pixels(node), around = pixels_around(node, t - step);
    const bool out_of_bounds = own * fewest_share < pixels_ || 4 * own > 3 * pixels_;
    const Candidate one{out_of_bounds, static_cast<double>(around - own) / static_cast<double>(own), t};
    if (best_.threshold == levels_of_map || one.before(best_)) best_ = one;
  }

  BoxTree tree_;
  std::int64_t pixels_ = 0;
  Candidate best_{};
};

}  // namespace fastcam::FASTCAM_ISA

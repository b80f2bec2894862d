// BoxTree   every component of a map over all levels: the component tree, with a box for each node
//   run            one map of a batch
//   find, node     the same, to look at here
//
// As the threshold falls, components grow (growth.hpp). Whenever one has grown there is a new node, whose children are
// what it was before and what has joined it at that level.
#pragma once

#include <algorithm>

#include "core/core.hpp"
#include "trees/growth.hpp"

namespace fastcam::FASTCAM_ISA {

class BoxTree {
 public:
  void run(const LevelMaps& maps, std::int64_t i, const Nodes& to) {
    find(maps, i);
    for (std::int32_t n = 0; n < count_; ++n) to.emit(to.context, i, node(n));
  }

  void find(const LevelMaps& maps, std::int64_t i) {
    map_.start(maps.data + i * maps.height * maps.width, maps.height, maps.width);
    count_ = 0;
    if (map_.maximum() == 0) return;
    basins_.find(map_);
    tree_.build(basins_);
    branches_.reserve(tree_.count());
    for (std::uint32_t c = 0; c < tree_.count(); ++c) branches_[c] = {none, tree_.first(c), 0};
    growth_.walk<Sums::pixels>(map_, basins_, tree_, map_.maximum(), 1, [&](int level) { grow(level); });
  }
  std::int32_t count() const { return count_; }
  const Node& node(std::int32_t n) const { return nodes_[static_cast<std::size_t>(n)]; }

 private:
  static constexpr std::int32_t none = -1;

  // What a component of the growth has been so far.
  struct Branch {
    std::int32_t node;  // the last one
    std::int32_t peak;
    std::int64_t pixels;
  };

  // Calls visit(the branch that ended, the one it has joined) for those that had nodes before this level.
  template <class Visit>
  void for_each_join(int level, const Visit& visit) {
    tree_.for_each_end(level, [&](std::uint32_t c, std::uint32_t into) {
      if (tree_.first(c) > level) visit(branches_[c], branches_[tree_.at(into, level)]);
    });
  }

  void grow(int level) {
    for_each_join(level, [](Branch& ended, Branch& on) { on.peak = std::max(on.peak, ended.peak); });
    growth_.for_each([&](std::uint32_t c, const Grown& grown) {
      Branch& branch = branches_[c];
      if (grown.sum == branch.pixels) return;
      const Extent& e = grown.extent;
      nodes_.reserve(static_cast<std::size_t>(count_) + 1)[count_] = {
          {e.x0(), e.y0(), e.x1(), e.y1(), static_cast<double>(grown.sum)}, branch.peak, level, none};
      if (branch.node != none) node(branch).parent = count_;
      branch.node = count_++;
      branch.pixels = grown.sum;
    });
    for_each_join(level, [&](Branch& ended, Branch& on) { node(ended).parent = on.node; });
  }

  Node& node(const Branch& branch) { return nodes_[static_cast<std::size_t>(branch.node)]; }

  LevelMap map_;
  Basins<false> basins_;
  ComponentTree<false> tree_;
  Growth growth_;
  Buffer<Branch> branches_;
  Buffer<Node> nodes_;
  std::int32_t count_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

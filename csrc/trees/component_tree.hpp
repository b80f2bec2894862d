// ComponentTree   how the components of a map come and go as the threshold moves
//
// Each component begins with a basin (basins.hpp) and ends at the level where it is joined to another one, which goes
// on in its place. So at every level the component of a pixel has the number of one of its basins.
//
// Levels are counted by keys, which always fall: the key of a component of clear pixels is 255 - level.
#pragma once

#include "trees/basins.hpp"

namespace fastcam::FASTCAM_ISA {

template <bool Holes>
class ComponentTree {
 public:
  static constexpr int keys = 256;
  static int key(int level) { return Holes ? 255 - level : level; }
  static int level(int key) { return Holes ? 255 - key : key; }

  void build(const Basins<Holes>& basins);

  std::uint32_t count() const { return count_; }
  // Component c exists at keys from first(c) down to last(c) + 1; from then on it is part of into(c).
  int first(std::uint32_t c) const { return nodes_[c].first; }
  int last(std::uint32_t c) const { return nodes_[c].last; }
  std::uint32_t into(std::uint32_t c) const { return nodes_[c].into; }
  // The component that c is, or is part of, at a key.
  std::uint32_t at(std::uint32_t c, int key) const {
    while (key <= nodes_[c].last) c = nodes_[c].into;
    return c;
  }
  // How many components exist at a key.
  std::uint32_t alive(int key) const { return alive_[key]; }

  // Calls visit(c) for the components that begin at a key and do not end at it.
  template <class Visit>
  void for_each_beginning(int key, const Visit& visit) const {
    for (std::uint32_t i = beginnings_at_[key + 1]; i < beginnings_at_[key]; ++i)
      if (nodes_[beginnings_[i]].last < key) visit(beginnings_[i]);
  }
  // Calls visit(c, into) for those that end at a key.
  template <class Visit>
  void for_each_end(int key, const Visit& visit) const {
    for (std::uint32_t i = ends_at_[key + 1]; i < ends_at_[key]; ++i) visit(ends_[i], nodes_[ends_[i]].into);
  }

 private:
  struct Node {
    std::int32_t first, last;
    std::uint32_t into, size;
  };

  // Joins the smaller component to the larger one, so that paths in the tree stay short. The outside always goes on.
  void join(std::uint32_t a, std::uint32_t b, int key) {
    a = at(a, key);
    b = at(b, key);
    if (a == b) return;
    if (Holes ? b == 0 || (a != 0 && nodes_[a].size < nodes_[b].size) : nodes_[a].size < nodes_[b].size)
      std::swap(a, b);
    nodes_[a].size += nodes_[b].size;
    nodes_[b].last = key;
    nodes_[b].into = a;
    ends_[ends_count_++] = b;
  }

  std::uint32_t count_ = 0, ends_count_ = 0;
  Buffer<Node> nodes_;
  Buffer<std::uint32_t> beginnings_, ends_;
  std::uint32_t beginnings_at_[keys + 1], ends_at_[keys + 1], alive_[keys];  // by key: how many down to that key
};

template <bool Holes>
void ComponentTree<Holes>::build(const Basins<Holes>& basins) {
  const std::uint32_t count = basins.count();
  nodes_.reserve(count);
  beginnings_.reserve(count);
  ends_.reserve(count);
  count_ = count;
  ends_count_ = 0;
  Pace pace;
  std::uint32_t begun = 0;
  if (Holes) nodes_[0] = {keys, -1, 0, 1};
  beginnings_at_[keys] = ends_at_[keys] = 0;
  for (int k = keys - 1; k >= 0; --k) {
    basins.for_each_seed(level(k), [&](std::uint32_t basin) {
      nodes_[basin] = {k, -1, 0, 1};
      beginnings_[begun++] = basin;
    });
    basins.for_each_joint(level(k), [&](std::uint32_t a, std::uint32_t b) { join(a, b, k); });
    beginnings_at_[k] = begun;
    ends_at_[k] = ends_count_;
    alive_[k] = begun - ends_count_;
    constexpr std::int64_t pixels_a_component = 64;  // take about as long
    pace.add(pixels_a_component * (beginnings_at_[k] - beginnings_at_[k + 1]));
  }
}

}  // namespace fastcam::FASTCAM_ISA

// Extent     the box of a component
// Grown      a component at the level where the growth stands
// Growth     the components of a map as they grow from level to level
//   walk     from one level to another
//
// From one threshold to the next a few hundred pixels change, so the components are not found anew: they grow. What the
// pixels of each level add to each component is gathered for all levels in one pass over the map. Then, level by level,
// the sums are added up and components are joined.
#pragma once

#include <algorithm>
#include <cstdint>

#include "scores/component_tree.hpp"
#include "vector/pace.hpp"

namespace fastcam::FASTCAM_ISA {

struct Extent {
  std::uint16_t x0 = UINT16_MAX, y0 = UINT16_MAX, x1 = 0, y1 = 0;  // half-open

  // Returns whether the extent has grown.
  bool add(const Extent& other) {
    const Extent before = *this;
    x0 = std::min(x0, other.x0);
    y0 = std::min(y0, other.y0);
    x1 = std::max(x1, other.x1);
    y1 = std::max(y1, other.y1);
    return x0 != before.x0 || y0 != before.y0 || x1 != before.x1 || y1 != before.y1;
  }
};

// What is summed up over the pixels of a component.
enum class Sums { none, gains, pixels };  // gains: see neighbourhood.hpp

// What the pixels of one level add to a component.
template <Sums S>
struct Part {
  std::int64_t sum;
  Extent extent;
};
template <>
struct Part<Sums::none> {
  Extent extent;
};

struct Grown {
  std::int64_t sum;
  double iou;
  Extent extent;
  bool changed;         // the extent, since the IoU was computed
  std::uint32_t index;  // in the list of components that exist
};

class Growth {
 public:
  // Lets the components grow from one level to another and calls visit(level) after each level.
  template <Sums S, bool Holes, class Visit>
  void walk(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int from, int to,
            const Visit& visit);

  // Calls visit(number, Grown) for the components that exist, in no particular order.
  template <class Visit>
  void for_each(const Visit& visit) {
    constexpr std::uint32_t step = 1 << 16;  // some milliseconds' work
    for (std::uint32_t begin = 0; begin < alive_count_; begin += step) {
      if (begin > 0) interruption_point();
      const std::uint32_t end = begin + std::min(step, alive_count_ - begin);
      for (std::uint32_t i = begin; i < end; ++i) visit(alive_[i], grown_[alive_[i]]);
    }
  }

 private:
  // The keys (component_tree.hpp) whose parts are gathered at once: from `first` down to `stop`, which is left out.
  struct Keys {
    int first, stop;
  };

  template <bool Holes>
  void end_component(std::uint32_t c, std::uint32_t into);
  template <Sums S, bool Holes>
  int gather(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int first, int end);
  template <Sums S, bool Holes>
  void gather_segment(const LevelMap& map, const ComponentTree<Holes>& tree, std::uint32_t basin, int y, int begin,
                      int peak, int past, const Keys& keys);

  template <Sums S>
  Buffer<Part<S>>& parts() {
    if constexpr (S == Sums::none)
      return parts_;
    else if constexpr (S == Sums::gains)
      return parts_with_gains_;
    else
      return parts_with_pixels_;
  }

  Buffer<Grown> grown_;
  Buffer<std::uint32_t> alive_;
  std::uint32_t alive_count_ = 0;
  Buffer<std::int64_t> offsets_;  // where the parts of each component would begin for key 0
  Buffer<Part<Sums::none>> parts_;
  Buffer<Part<Sums::gains>> parts_with_gains_;
  Buffer<Part<Sums::pixels>> parts_with_pixels_;
};

template <Sums S, bool Holes, class Visit>
void Growth::walk(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int from, int to,
                  const Visit& visit) {
  grown_.reserve(tree.count());
  alive_.reserve(tree.count());
  alive_count_ = 0;
  Pace pace;
  const int end = tree.key(to) - 1;
  for (int key = tree.key(from), gathered = key; key > end; --key) {
    if (key == gathered) gathered = gather<S>(map, basins, tree, key, end);
    tree.for_each_beginning(key, [&](std::uint32_t c) {
      grown_[c] = {0, 0, {}, false, alive_count_};
      alive_[alive_count_++] = c;
    });
    tree.for_each_end(key, [&](std::uint32_t c, std::uint32_t into) {
      if (tree.first(c) > key) end_component<Holes>(c, tree.at(into, key));
    });
    for (std::uint32_t i = 0; i < alive_count_; ++i) {
      const std::uint32_t c = alive_[i];
      const Part<S>& part = parts<S>()[offsets_[c] + key];
      if constexpr (S != Sums::none) grown_[c].sum += part.sum;
      grown_[c].changed |= grown_[c].extent.add(part.extent);
    }
    visit(tree.level(key));
    constexpr std::int64_t pixels_a_component = 16;  // take about as long
    pace.add(alive_count_ * pixels_a_component);
  }
}

template <bool Holes>
void Growth::end_component(std::uint32_t c, std::uint32_t into) {
  const std::uint32_t index = grown_[c].index, moved = alive_[--alive_count_];
  alive_[index] = moved;
  grown_[moved].index = index;
  if (Holes && into == 0) return;  // connected to the outside: no hole any more
  grown_[into].sum += grown_[c].sum;
  grown_[into].changed |= grown_[into].extent.add(grown_[c].extent);
}

// Gathers the parts of all components at the keys from `first` down to `end`, which is left out, or to where there
// would be too many. Returns where it stopped.
template <Sums S, bool Holes>
int Growth::gather(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int first,
                   int end) {
  constexpr std::int64_t most_parts = std::int64_t{1} << 22;
  int stop = first;
  for (std::int64_t count = 0; stop > end && (stop == first || count + tree.alive(stop) <= most_parts); --stop)
    count += tree.alive(stop);
  offsets_.reserve(tree.count());
  std::int64_t size = 0;
  for (std::uint32_t c = Holes ? 1 : 0; c < tree.count(); ++c) {
    const int low = std::max(tree.last(c), stop), high = std::min(tree.first(c), first);
    offsets_[c] = size - low - 1;
    size += std::max(0, high - low);
  }
  parts<S>().reserve(static_cast<std::size_t>(size));
  std::fill(parts<S>().data(), parts<S>().data() + size, Part<S>{});
  const Keys keys{first, stop};
  Pace pace;
  for (int y = 0; y < map.height(); ++y) {
    pace.add(map.width());
    basins.for_each_segment(y, [&](std::uint32_t basin, int begin, int peak, int past) {
      gather_segment<S>(map, tree, basin, y, begin, peak, past, keys);
    });
  }
  return stop;
}

// Keys fall from the peak to either side, and each lower key may lead to another component further down the tree.
template <Sums S, bool Holes>
void Growth::gather_segment(const LevelMap& map, const ComponentTree<Holes>& tree, std::uint32_t basin, int y,
                            int begin, int peak, int past, const Keys& keys) {
  static constexpr auto gains = for_each_neighbourhood<std::int64_t>([](unsigned set) { return Gain::of(set); });
  const std::uint8_t *const row = map.row(y), *const neighbours = map.neighbours(y);
  const std::uint32_t top = tree.at(basin, tree.key(row[peak]));
  const auto slope = [&](int from, int to, int step, const auto& extend) {
    std::uint32_t c = top;
    int last = tree.last(c);
    Part<S>* of_component = parts<S>().data() + offsets_[c];
    for (int x = from; x != to; x += step) {
      const int key = tree.key(row[x]);
      if (key <= keys.stop) return;
      if (key <= last) {
        c = tree.at(c, key);
        if (Holes && c == 0) return;
        last = tree.last(c);
        of_component = parts<S>().data() + offsets_[c];
      }
      if (key > keys.first) continue;
      if constexpr (S == Sums::gains) of_component[key].sum += gains[neighbours[x]];
      if constexpr (S == Sums::pixels) ++of_component[key].sum;
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

}  // namespace fastcam::FASTCAM_ISA

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

#include "trees/component_tree.hpp"
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
  template <bool Holes>
  void gather_extents(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int y);
  template <Sums S>
  void gather_sums(const LevelMap& map, const Basins<false>& basins, const ComponentTree<false>& tree);

  // Where the part is that the pixels of a basin have at a key.
  template <bool Holes>
  std::size_t part(const ComponentTree<Holes>& tree, std::uint32_t basin, int key) const {
    if (key <= keys_.stop || key > keys_.first) return static_cast<std::size_t>(nobodys_);
    const std::uint32_t c = tree.at(basin, key);
    return static_cast<std::size_t>(Holes && c == 0 ? nobodys_ : offsets_[c] + key);
  }

  Buffer<Grown> grown_;
  Buffer<std::uint32_t> alive_;
  std::uint32_t alive_count_ = 0;
  // Parts: what the pixels of one level add to a component. The last is nobody's.
  Buffer<Extent> extents_;
  Buffer<std::int64_t> sums_;
  Buffer<std::int64_t> offsets_;  // where those of each component would begin for key 0
  std::int64_t nobodys_ = 0;
  Keys keys_{};
  Buffer<std::int64_t> starts_;  // of each basin's sums by level
  Buffer<std::uint32_t> pixels_of_basins_;
  Buffer<std::int64_t> gains_of_basins_;
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
      const auto part = static_cast<std::size_t>(offsets_[c] + key);
      if constexpr (S != Sums::none) grown_[c].sum += sums_[part];
      grown_[c].changed |= grown_[c].extent.add(extents_[part]);
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
  extents_.reserve(static_cast<std::size_t>(size) + 1);
  std::fill(extents_.data(), extents_.data() + size, Extent{});
  keys_ = {first, stop};
  nobodys_ = size;
  Pace pace;
  for (int y = 0; y < map.height(); ++y) {
    pace.add(map.width());
    gather_extents(map, basins, tree, y);
  }
  if constexpr (S != Sums::none) {
    sums_.reserve(static_cast<std::size_t>(size) + 1);
    std::fill(sums_.data(), sums_.data() + size, 0);
    gather_sums<S>(map, basins, tree);
  }
  return stop;
}

// The rows of a component are those of the peaks of its rows, and its columns those of the peaks of its columns: both
// are part of it at their own levels, and few.
template <bool Holes>
void Growth::gather_extents(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int y) {
  const std::uint8_t* const row = map.row(y);
  basins.for_each_segment(y, [&](std::uint32_t basin, int, int peak, int) {
    Extent& e = extents_[part(tree, basin, tree.key(row[peak]))];
    e.y0 = std::min(e.y0, static_cast<std::uint16_t>(y));
    e.y1 = static_cast<std::uint16_t>(y + 1);  // rows come in order
  });
  basins.for_each_column_peak(map, y, [&](std::uint32_t basin, int x) {
    Extent& e = extents_[part(tree, basin, tree.key(row[x]))];
    e.x0 = std::min(e.x0, static_cast<std::uint16_t>(x));
    e.x1 = std::max(e.x1, static_cast<std::uint16_t>(x + 1));
  });
}

// Adds up what the pixels add to their components at their own levels: for each basin and level first, so that a pixel
// takes no more than its level. Where these would be too many, as in noise, pixel by pixel.
template <Sums S>
void Growth::gather_sums(const LevelMap& map, const Basins<false>& basins, const ComponentTree<false>& tree) {
  static constexpr auto gains = for_each_neighbourhood<std::int64_t>([](unsigned set) { return Gain::of(set); });
  auto& of_basins = [&]() -> auto& {
    if constexpr (S == Sums::gains)
      return gains_of_basins_;
    else
      return pixels_of_basins_;
  }();
  starts_.reserve(tree.count());
  std::int64_t size = 0;
  for (std::uint32_t b = 0; b < tree.count(); ++b) {
    starts_[b] = size;
    size += tree.first(b) + 1;
  }
  const bool by_basins = size <= 2 * std::int64_t{map.height()} * map.width();
  if (by_basins) {
    of_basins.reserve(static_cast<std::size_t>(size));
    std::fill(of_basins.data(), of_basins.data() + size, 0);
  }
  Pace pace;
  for (int y = 0; y < map.height(); ++y) {
    pace.add(map.width());
    const std::uint8_t *const row = map.row(y), *const neighbours = map.neighbours(y);
    basins.for_each_segment(y, [&](std::uint32_t basin, int begin, int, int past) {
      if (by_basins) {
        auto* const of_levels = of_basins.data() + starts_[basin];
        for (int x = begin; x < past; ++x) {
          if constexpr (S == Sums::gains)
            of_levels[row[x]] += gains[neighbours[x]];
          else
            ++of_levels[row[x]];
        }
      } else {
        for (int x = begin; x < past; ++x)
          sums_[part(tree, basin, row[x])] += S == Sums::gains ? gains[neighbours[x]] : 1;
      }
    });
  }
  for (std::uint32_t b = 0; by_basins && b < tree.count(); ++b) {
    std::uint32_t c = b;
    for (int key = std::min(tree.first(b), keys_.first); key > keys_.stop;) {
      c = tree.at(c, key);
      std::int64_t* const to = sums_.data() + offsets_[c];
      for (const int end = std::max(tree.last(c), keys_.stop); key > end; --key)
        to[key] += of_basins[static_cast<std::size_t>(starts_[b] + key)];
    }
  }
}

}  // namespace fastcam::FASTCAM_ISA

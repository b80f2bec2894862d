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
#include <cstring>

#include "trees/component_tree.hpp"
#include "vector/pace.hpp"

namespace fastcam::FASTCAM_ISA {

// Half-open. The far ends are kept as what is left of them up to 65535, so that boxes are joined by minima alone.
struct Extent {
  static constexpr int most = UINT16_MAX;
  std::uint16_t low[4] = {most, most, most, most};  // x0, y0, most - x1, most - y1

  int x0() const { return low[0]; }
  int y0() const { return low[1]; }
  int x1() const { return most - low[2]; }
  int y1() const { return most - low[3]; }

  // Returns whether the extent has grown.
  bool add(const std::uint16_t* other) {
    const Extent before = *this;
    for (int i = 0; i < 4; ++i) low[i] = std::min(low[i], other[i]);
    return std::memcmp(low, before.low, sizeof low) != 0;
  }
  bool add(const Extent& other) { return add(other.low); }
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

  // What the pixels of one level add to a component, or to a basin.
  struct Parts {
    Buffer<std::uint16_t> lows;  // four each, of extents
    Buffer<std::int64_t> sums;
    Buffer<std::int64_t> offsets;  // where those of each component, or basin, would begin for key 0

    template <Sums S>
    void clear(std::int64_t size) {
      const auto count = static_cast<std::size_t>(size);
      lows.reserve(4 * count);
      std::memset(lows.data(), -1, 8 * count);
      if constexpr (S != Sums::none) {
        sums.reserve(count);
        std::fill(sums.data(), sums.data() + count, 0);
      }
    }
  };

  template <bool Holes>
  void end_component(std::uint32_t c, std::uint32_t into);
  template <Sums S, bool Holes>
  int gather(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int first, int end);
  template <Sums S, bool Holes, class PartsOf>
  void gather_rows(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, Parts& to,
                   const PartsOf& parts_of);
  template <Sums S, bool Holes>
  void fold(const ComponentTree<Holes>& tree);

  Buffer<Grown> grown_;
  Buffer<std::uint32_t> alive_;
  std::uint32_t alive_count_ = 0;
  Parts parts_, of_basins_;
  Keys keys_{};
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
      const auto part = static_cast<std::size_t>(parts_.offsets[c] + key);
      if constexpr (S != Sums::none) grown_[c].sum += parts_.sums[part];
      grown_[c].changed |= grown_[c].extent.add(parts_.lows.data() + 4 * part);
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
// would be too many. Returns where it stopped. The parts of basins are gathered first, for which no pixel has to look
// for its component; where these would be too many, as in noise, those of components at once.
template <Sums S, bool Holes>
int Growth::gather(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, int first,
                   int end) {
  constexpr std::int64_t most_parts = std::int64_t{1} << 22;
  int stop = first;
  for (std::int64_t count = 0; stop > end && (stop == first || count + tree.alive(stop) <= most_parts); --stop)
    count += tree.alive(stop);
  keys_ = {first, stop};
  parts_.offsets.reserve(tree.count());
  of_basins_.offsets.reserve(tree.count());
  std::int64_t size = 0, size_of_basins = 0;
  for (std::uint32_t c = Holes ? 1 : 0; c < tree.count(); ++c) {
    const int low = std::max(tree.last(c), stop), high = std::min(tree.first(c), first);
    parts_.offsets[c] = size - low - 1;
    size += std::max(0, high - low);
    of_basins_.offsets[c] = size_of_basins;
    size_of_basins += tree.first(c) + 1;
  }
  parts_.clear<S>(size + 1);
  if (size_of_basins <= 2 * std::int64_t{map.height()} * map.width()) {
    of_basins_.clear<S>(size_of_basins);
    gather_rows<S>(map, basins, tree, of_basins_, [&](std::uint32_t basin) {
      return [offset = of_basins_.offsets[basin]](int key) { return offset + key; };
    });
    fold<S>(tree);
  } else {
    gather_rows<S>(map, basins, tree, parts_, [&](std::uint32_t basin) {
      return [&, basin](int key) {
        if (key <= stop || key > first) return size;  // nobody's
        const std::uint32_t c = tree.at(basin, key);
        return Holes && c == 0 ? size : parts_.offsets[c] + key;
      };
    });
  }
  return stop;
}

// Adds what the pixels of all rows are to their parts: `parts_of(basin)(key)` tells which. The rows of a component are
// those of the peaks of its rows, and its columns those of the peaks of its columns: both are part of it at their own
// levels, and few.
template <Sums S, bool Holes, class PartsOf>
void Growth::gather_rows(const LevelMap& map, const Basins<Holes>& basins, const ComponentTree<Holes>& tree, Parts& to,
                         const PartsOf& parts_of) {
  static constexpr auto gains = for_each_neighbourhood<std::int64_t>([](unsigned set) { return Gain::of(set); });
  std::uint16_t* const lows = to.lows.data();
  std::int64_t* const sums = to.sums.data();
  Pace pace;
  for (int y = 0; y < map.height(); ++y) {
    pace.add(map.width());
    const std::uint8_t *const row = map.row(y), *const neighbours = map.neighbours(y);
    basins.for_each_segment(y, [&](std::uint32_t basin, int begin, int peak, int past) {
      const auto part = parts_of(basin);
      std::uint16_t* const low = lows + 4 * part(tree.key(row[peak]));
      low[1] = std::min(low[1], static_cast<std::uint16_t>(y));
      low[3] = static_cast<std::uint16_t>(Extent::most - y - 1);  // rows come in order
      if constexpr (S != Sums::none)
        for (int x = begin; x < past; ++x) sums[part(tree.key(row[x]))] += S == Sums::gains ? gains[neighbours[x]] : 1;
    });
    basins.for_each_column_peak(map, y, [&](std::uint32_t basin, int x) {
      std::uint16_t* const low = lows + 4 * parts_of(basin)(tree.key(row[x]));
      low[0] = std::min(low[0], static_cast<std::uint16_t>(x));
      low[2] = std::min(low[2], static_cast<std::uint16_t>(Extent::most - x - 1));
    });
  }
}

// Adds the parts of basins to those of the components that they belong to.
template <Sums S, bool Holes>
void Growth::fold(const ComponentTree<Holes>& tree) {
  for (std::uint32_t b = Holes ? 1 : 0; b < tree.count(); ++b) {
    std::uint32_t c = b;
    for (int key = std::min(tree.first(b), keys_.first); key > keys_.stop;) {
      c = tree.at(c, key);
      if (Holes && c == 0) break;
      const int end = std::max(tree.last(c), keys_.stop), count = key - end;
      const std::int64_t from = of_basins_.offsets[b] + end + 1, to = parts_.offsets[c] + end + 1;
      const std::uint16_t* const lows = of_basins_.lows.data() + 4 * from;
      std::uint16_t* const lows_to = parts_.lows.data() + 4 * to;
      for (int i = 0; i < 4 * count; ++i) lows_to[i] = std::min(lows_to[i], lows[i]);
      if constexpr (S != Sums::none) {
        const std::int64_t* const sums = of_basins_.sums.data() + from;
        std::int64_t* const sums_to = parts_.sums.data() + to;
        for (int i = 0; i < count; ++i) sums_to[i] += sums[i];
      }
      key = end;
    }
  }
}

}  // namespace fastcam::FASTCAM_ISA

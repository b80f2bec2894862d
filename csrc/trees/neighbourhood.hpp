// LevelMap           a map of levels, and the neighbourhood of each of its pixels
// Groups             the components that a pixel joins: groups_of_set(), groups_of_clear()
// Gain               what a pixel adds to the polygon area and Euler's number of its component
//
// Pixels are taken from the highest level down, in raster order where levels are equal. A pixel's neighbourhood is
// eight bits: which of its neighbours come before it. It tells what adding the pixel does to the mask: whether it
// begins a component, joins some, closes a hole, and how much it adds to the polygon area. In the opposite order the
// neighbours that come before are the others, and the components of pixels that are not set yet grow in the same way.
#pragma once

#include <array>

#include "masks/bitmask.hpp"
#include "vector/buffer.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

// The bits of a neighbourhood, clockwise from the west. The even ones share an edge with the pixel.
enum Direction { west, north_west, north, north_east, east, south_east, south, south_west };
inline constexpr int step_x[] = {-1, -1, 0, 1, 1, 1, 0, -1}, step_y[] = {0, -1, -1, -1, 0, 1, 1, 1};

// One member of each group of connected neighbours.
struct Groups {
  int count = 0;
  std::uint8_t member[4] = {};
};

// The groups of set neighbours. Those touch that follow each other clockwise, and those on both sides of a corner.
constexpr Groups groups_of_set(unsigned set) {
  unsigned closed = set;
  for (int corner = 1; corner < 8; corner += 2)
    if ((set >> (corner - 1) & 1) != 0 && (set >> ((corner + 1) % 8) & 1) != 0) closed |= 1u << corner;
  Groups groups;
  for (int i = 0; i < 8; ++i) {
    const bool begins = (closed >> i & 1) != 0 && (closed >> ((i + 7) % 8) & 1) == 0;
    if (!begins) continue;
    int j = i;
    while ((set >> j & 1) == 0) j = (j + 1) % 8;
    groups.member[groups.count++] = static_cast<std::uint8_t>(j);
  }
  if (closed == 255) groups = {1, {west}};
  return groups;
}

// The groups of clear neighbours across an edge. Two touch where the corner between them is clear too.
constexpr Groups groups_of_clear(unsigned set) {
  Groups groups;
  for (int i = 0; i < 8; i += 2) {
    const bool clear = (set >> i & 1) == 0;
    const bool goes_on = (set >> ((i + 7) % 8) & 1) == 0 && (set >> ((i + 6) % 8) & 1) == 0;
    if (clear && !goes_on) groups.member[groups.count++] = static_cast<std::uint8_t>(i);
  }
  if (set == 0) groups = {1, {west}};
  return groups;
}

// Twice the polygon area in the low bits and Euler's number above them, so that one sum adds up both. A map has at most
// 2^30 pixels, so each of the two fits in 32 bits.
class Gain {
 public:
  static constexpr std::int64_t of(unsigned set) {
    std::int64_t area2 = 0;
    for (int corner = 1; corner < 8; corner += 2) {
      const unsigned others = (set >> (corner - 1) & 1) + (set >> corner & 1) + (set >> ((corner + 1) % 8) & 1);
      area2 += others >= 2;  // with the pixel the window has three pixels, or four
    }
    const bool closes_hole = (set & 0x55) == 0x55;
    return area2 + (closes_hole ? 1 : 1 - groups_of_set(set).count) * euler_unit;
  }
  static std::int64_t area2(std::int64_t sum) { return sum & (euler_unit - 1); }
  static std::int64_t euler(std::int64_t sum) { return sum >> euler_bits; }

 private:
  static constexpr int euler_bits = 32;
  static constexpr std::int64_t euler_unit = std::int64_t{1} << euler_bits;
};

// A table of of(neighbourhood) for all neighbourhoods.
template <class T, class Of>
constexpr std::array<T, 256> for_each_neighbourhood(const Of& of) {
  std::array<T, 256> all{};
  for (unsigned set = 0; set < 256; ++set) all[set] = of(set);
  return all;
}

class LevelMap {
 public:
  void start(const std::uint8_t* levels, int height, int width);

  int height() const { return height_; }
  int width() const { return width_; }
  int words() const { return words_; }
  int maximum() const { return maximum_; }

  // The levels of row y. One pixel beyond the map on every side may be read, and is 0.
  const std::uint8_t* row(int y) const { return plane_.data() + std::int64_t{y + 1} * stride_ + 1; }
  // The neighbourhoods of row y.
  const std::uint8_t* neighbours(int y) const { return neighbours_.data() + std::int64_t{y} * words_ * 64; }

  // Of 64 pixels of a row: whether the western, the eastern, the northern and the southern neighbour come before,
  // whether the pixel joins several groups of set neighbours (and so as many groups of clear ones), and whether its
  // level is above 0.
  struct Word {
    std::uint64_t west, east, north, south, joins, above_zero;
  };
  const Word& word(int y, int k) const { return bits_[static_cast<std::size_t>(y * words_ + k)]; }

 private:
  void resize(int height, int width);
  void find_neighbours(int y);

  int height_ = 0, width_ = 0, words_ = 0, stride_ = 0, maximum_ = 0;
  Buffer<std::uint8_t> plane_, neighbours_;
  Buffer<std::int8_t> not_first_, not_last_;
  Buffer<Word> bits_;
};

inline void LevelMap::start(const std::uint8_t* levels, int height, int width) {
  if (height != height_ || width != width_) resize(height, width);
  std::uint8_t maximum = 0;
  for (int y = 0; y < height; ++y) {
    std::uint8_t* const to = plane_.data() + std::int64_t{y + 1} * stride_ + 1;
    std::memcpy(to, levels + std::int64_t{y} * width, static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x) maximum = to[x] > maximum ? to[x] : maximum;
  }
  maximum_ = maximum;
  for (int y = 0; y < height; ++y) find_neighbours(y);
}

inline void LevelMap::resize(int height, int width) {
  const int words = words_in_row(width), stride = 64 * words + 2;
  const auto row = static_cast<std::size_t>(stride), rows = static_cast<std::size_t>(height);
  const std::size_t plane = (rows + 2) * row + 64;
  plane_.reserve(plane);
  neighbours_.reserve(rows * (row - 2));
  bits_.reserve(rows * static_cast<std::size_t>(words));
  not_first_.reserve(row);
  not_last_.reserve(row);
  height_ = height;
  width_ = width;
  words_ = words;
  stride_ = stride;
  std::memset(plane_.data(), 0, plane);
  std::memset(not_first_.data(), -1, row);
  std::memset(not_last_.data(), -1, row);
  not_first_[0] = 0;
  not_last_[static_cast<std::size_t>(width - 1)] = 0;
}

inline void LevelMap::find_neighbours(int y) {
  constexpr int step = lanes<std::uint8_t>;
  const std::uint8_t *const above = row(y - 1), *const here = row(y), *const below = row(y + 1);
  std::uint8_t* const neighbours = neighbours_.data() + std::int64_t{y} * words_ * 64;
  const Vector<std::int8_t> not_top = all_lanes(static_cast<std::int8_t>(y == 0 ? 0 : -1));
  for (int k = 0; k < words_; ++k) {
    alignas(64) std::uint8_t wests[64], easts[64], norths[64], souths[64], joins[64];
    for (int i = 0; i < 64; i += step) {
      const int x = 64 * k + i;
      const auto level = load(here + x);
      const auto not_first = load(not_first_.data() + x), not_last = load(not_last_.data() + x);
      // Outside of the map nothing comes before, not even a pixel of level 0.
      const auto w = (load(here + x - 1) >= level) & not_first;
      const auto nw = (load(above + x - 1) >= level) & not_first & not_top;
      const auto n = (load(above + x) >= level) & not_top;
      const auto ne = (load(above + x + 1) >= level) & not_last & not_top;
      const auto e = load(here + x + 1) > level;
      const auto se = load(below + x + 1) > level;
      const auto s = load(below + x) > level;
      const auto sw = load(below + x - 1) > level;
      store(neighbours + x, (Vector<std::uint8_t>)((w & 1) | (nw & 2) | (n & 4) | (ne & 8) | (e & 16) | (se & 32) |
                                                   (s & 64) | (sw & -128)));
      const auto a = nw | (w & n), b = ne | (n & e), c = se | (e & s), d = sw | (s & w);
      const auto minus_groups = (a & ~w) + (n & ~a) + (b & ~n) + (e & ~b) + (c & ~e) + (s & ~c) + (d & ~s) + (w & ~d);
      store(wests + i, (Vector<std::uint8_t>)w);
      store(easts + i, (Vector<std::uint8_t>)e);
      store(norths + i, (Vector<std::uint8_t>)n);
      store(souths + i, (Vector<std::uint8_t>)s);
      store(joins + i, (Vector<std::uint8_t>)(minus_groups < -1));
    }
    const std::uint64_t inside = k + 1 < words_ ? ~std::uint64_t{0} : last_word_mask(width_);
    bits_[static_cast<std::size_t>(y * words_ + k)] = {
        nonzero_bits(wests) & inside,  nonzero_bits(easts) & inside, nonzero_bits(norths) & inside,
        nonzero_bits(souths) & inside, nonzero_bits(joins) & inside, nonzero_bits(here + 64 * k) & inside};
  }
}

}  // namespace fastcam::FASTCAM_ISA

// A map of levels, and for every pixel which of its eight neighbours come before it when pixels are taken from the
// highest level down, in raster order where levels are equal. A pixel's ring, these eight bits, tells what adding it
// does to the mask: whether it begins a component, joins some, closes a hole, and how much it adds to the polygon area.
// Taken in the opposite order, the neighbours that come before are the others, and components of what is not set yet
// shrink the same way.
#pragma once

#include <array>

#include "bitmask.hpp"
#include "buffer.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

// Around the pixel, from the west clockwise; even ones share an edge with it.
enum Direction { west, north_west, north, north_east, east, south_east, south, south_west };
inline constexpr int step_x[] = {-1, -1, 0, 1, 1, 1, 0, -1}, step_y[] = {0, -1, -1, -1, 0, 1, 1, 1};

// Groups of neighbours that a pixel joins, one of each.
struct Groups {
  int count = 0;
  std::uint8_t member[4] = {};
};

// Of the set neighbours, where those touch that are next to each other on the ring or meet across a corner.
constexpr Groups groups_of_set(unsigned ring) {
  unsigned closed = ring;
  for (int corner = 1; corner < 8; corner += 2)
    if ((ring >> (corner - 1) & 1) != 0 && (ring >> ((corner + 1) % 8) & 1) != 0) closed |= 1u << corner;
  Groups groups;
  for (int i = 0; i < 8; ++i) {
    const bool begins = (closed >> i & 1) != 0 && (closed >> ((i + 7) % 8) & 1) == 0;
    if (!begins) continue;
    int j = i;
    while ((ring >> j & 1) == 0) j = (j + 1) % 8;
    groups.member[groups.count++] = static_cast<std::uint8_t>(j);
  }
  if (closed == 255) groups = {1, {west}};
  return groups;
}

// Of the neighbours across an edge that are not set, where those touch whose common corner is not set either.
constexpr Groups groups_of_clear(unsigned ring) {
  Groups groups;
  for (int i = 0; i < 8; i += 2) {
    const bool clear = (ring >> i & 1) == 0;
    const bool goes_on = (ring >> ((i + 7) % 8) & 1) == 0 && (ring >> ((i + 6) % 8) & 1) == 0;
    if (clear && !goes_on) groups.member[groups.count++] = static_cast<std::uint8_t>(i);
  }
  if (ring == 0) groups = {1, {west}};
  return groups;
}

// What a pixel adds to its component: twice the polygon area in the low bits, Euler's number above them.
class Gain {
 public:
  static constexpr std::int64_t of(unsigned ring) {
    std::int64_t area2 = 0;
    for (int corner = 1; corner < 8; corner += 2) {
      const unsigned set = (ring >> (corner - 1) & 1) + (ring >> corner & 1) + (ring >> ((corner + 1) % 8) & 1);
      area2 += set >= 2;  // the window has three pixels then, or four
    }
    const bool closes_hole = (ring & 0x55) == 0x55;
    return area2 + (closes_hole ? 1 : 1 - groups_of_set(ring).count) * euler_unit;
  }
  static std::int64_t area2(std::int64_t sum) { return sum & (euler_unit - 1); }
  static std::int64_t euler(std::int64_t sum) { return sum >> euler_bits; }

 private:
  static constexpr int euler_bits = 40;
  static constexpr std::int64_t euler_unit = std::int64_t{1} << euler_bits;
};

template <class T, class Of>
constexpr std::array<T, 256> for_each_ring(const Of& of) {
  std::array<T, 256> all{};
  for (unsigned ring = 0; ring < 256; ++ring) all[ring] = of(ring);
  return all;
}

class RingMap {
 public:
  void start(const std::uint8_t* levels, int height, int width);

  int height() const { return height_; }
  int width() const { return width_; }
  int words() const { return words_; }
  int maximum() const { return maximum_; }

  // Levels of row y; what is not in the map is 0, as far as one pixel beyond it.
  const std::uint8_t* row(int y) const { return plane_.data() + std::int64_t{y + 1} * stride_ + 1; }
  const std::uint8_t* rings(int y) const { return rings_.data() + std::int64_t{y} * words_ * 64; }

  // 64 pixels of a row: whether the western and the eastern neighbour come before, whether the pixel joins several
  // groups of set neighbours (and so as many of clear ones), and whether its level is above 0.
  struct Word {
    std::uint64_t west, east, joins, above_zero;
  };
  const Word& word(int y, int k) const { return bits_[static_cast<std::size_t>(y * words_ + k)]; }

 private:
  void frame(int height, int width);
  void find_rings(int y);

  int height_ = 0, width_ = 0, words_ = 0, stride_ = 0, maximum_ = 0;
  Buffer<std::uint8_t> plane_, rings_;
  Buffer<std::int8_t> not_first_, not_last_;
  Buffer<Word> bits_;
};

inline void RingMap::start(const std::uint8_t* levels, int height, int width) {
  if (height != height_ || width != width_) frame(height, width);
  std::uint8_t maximum = 0;
  for (int y = 0; y < height; ++y) {
    std::uint8_t* const to = plane_.data() + std::int64_t{y + 1} * stride_ + 1;
    std::memcpy(to, levels + std::int64_t{y} * width, static_cast<std::size_t>(width));
    for (int x = 0; x < width; ++x) maximum = to[x] > maximum ? to[x] : maximum;
  }
  maximum_ = maximum;
  for (int y = 0; y < height; ++y) find_rings(y);
}

inline void RingMap::frame(int height, int width) {
  height_ = height;
  width_ = width;
  words_ = words_in_row(width);
  stride_ = 64 * words_ + 2;
  const auto row = static_cast<std::size_t>(stride_), rows = static_cast<std::size_t>(height);
  std::memset(plane_.reserve((rows + 2) * row + 64), 0, (rows + 2) * row + 64);
  rings_.reserve(rows * (row - 2));
  bits_.reserve(rows * static_cast<std::size_t>(words_));
  std::memset(not_first_.reserve(row), -1, row);
  std::memset(not_last_.reserve(row), -1, row);
  not_first_[0] = 0;
  not_last_[static_cast<std::size_t>(width - 1)] = 0;
}

inline void RingMap::find_rings(int y) {
  constexpr int step = lanes<std::uint8_t>;
  const std::uint8_t *const above = row(y - 1), *const here = row(y), *const below = row(y + 1);
  std::uint8_t* const rings = rings_.data() + std::int64_t{y} * words_ * 64;
  const Vector<std::int8_t> not_top = all_lanes(static_cast<std::int8_t>(y == 0 ? 0 : -1));
  for (int k = 0; k < words_; ++k) {
    alignas(64) std::uint8_t wests[64], easts[64], joins[64];
    for (int i = 0; i < 64; i += step) {
      const int x = 64 * k + i;
      const auto level = load(here + x);
      const auto not_first = load(not_first_.data() + x), not_last = load(not_last_.data() + x);
      // Beyond the map nothing comes before, not even for pixels of level 0.
      const auto w = (load(here + x - 1) >= level) & not_first;
      const auto nw = (load(above + x - 1) >= level) & not_first & not_top;
      const auto n = (load(above + x) >= level) & not_top;
      const auto ne = (load(above + x + 1) >= level) & not_last & not_top;
      const auto e = load(here + x + 1) > level;
      const auto se = load(below + x + 1) > level;
      const auto s = load(below + x) > level;
      const auto sw = load(below + x - 1) > level;
      store(rings + x, (Vector<std::uint8_t>)((w & 1) | (nw & 2) | (n & 4) | (ne & 8) | (e & 16) | (se & 32) |
                                              (s & 64) | (sw & -128)));
      const auto a = nw | (w & n), b = ne | (n & e), c = se | (e & s), d = sw | (s & w);
      const auto minus_groups = (a & ~w) + (n & ~a) + (b & ~n) + (e & ~b) + (c & ~e) + (s & ~c) + (d & ~s) + (w & ~d);
      store(wests + i, (Vector<std::uint8_t>)w);
      store(easts + i, (Vector<std::uint8_t>)e);
      store(joins + i, (Vector<std::uint8_t>)(minus_groups < -1));
    }
    const std::uint64_t inside = k + 1 < words_ ? ~std::uint64_t{0} : last_word_mask(width_);
    bits_[static_cast<std::size_t>(y * words_ + k)] = {nonzero_bits(wests) & inside, nonzero_bits(easts) & inside,
                                                       nonzero_bits(joins) & inside,
                                                       nonzero_bits(here + 64 * k) & inside};
  }
}

}  // namespace fastcam::FASTCAM_ISA

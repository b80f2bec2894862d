// Basins   the pixels of a map from which the same seed is reached by going to neighbours that come before
//
// In a row this path follows a slope up to a peak of the row. All pixels on the two slopes of a peak are a segment.
// From the peak the path goes on to the row above or below, or it ends: then the peak is a seed. So basins are found
// segment by segment. Only the few pixels that join several groups of neighbours (neighbourhood.hpp) connect basins,
// and at its own level every other pixel belongs to the component in which its basin is.
#pragma once

#include "masks/runs.hpp"
#include "trees/neighbourhood.hpp"
#include "vector/pace.hpp"

namespace fastcam::FASTCAM_ISA {

// Basins of set pixels, 8-connected, from the highest level down; with Holes, basins of clear pixels, 4-connected, from
// the lowest level up. Basin 0 of holes is the outside of the map.
template <bool Holes>
class Basins {
 public:
  static constexpr std::int32_t none = -1;

  void find(const LevelMap& map);

  std::uint32_t count() const { return count_; }

  // Visits the basins that begin at a level, and the pairs of basins that are connected at a level.
  template <class Visit>
  void for_each_seed(int level, const Visit& visit) const {
    for (std::int32_t b = first_seed_[level]; b != none; b = next_seed_[static_cast<std::size_t>(b)])
      visit(static_cast<std::uint32_t>(b));
  }
  template <class Visit>
  void for_each_joint(int level, const Visit& visit) const {
    for (std::int32_t j = first_joint_[level]; j != none; j = joints_[static_cast<std::size_t>(j)].next)
      visit(joints_[static_cast<std::size_t>(j)].a, joints_[static_cast<std::size_t>(j)].b);
  }

  // Calls visit(basin, begin, peak, end) for the segments of row y, except those of the outside.
  template <class Visit>
  void for_each_segment(int y, const Visit& visit) const {
    const std::uint32_t last = first_[static_cast<std::size_t>(y) + 1];
    for (std::uint32_t s = first_[static_cast<std::size_t>(y)]; s < last; ++s) {
      if (Holes && labels_[s] == 0) continue;
      visit(labels_[s], begins_[s], peaks_[s], s + 1 < last ? begins_[s + 1] : width_);
    }
  }

  // Calls visit(basin, x) for the pixels of row y that are peaks of their columns, except those of the outside.
  template <class Visit>
  void for_each_column_peak(const LevelMap& map, int y, const Visit& visit) const {
    for (int k = 0; k < words_; ++k) {
      const auto& word = map.word(y, k);
      std::uint64_t bits = Holes ? word.north & word.south : word.above_zero & ~(word.north | word.south);
      for (; bits != 0; bits &= bits - 1) {
        const int x = 64 * k + std::countr_zero(bits);
        const std::uint32_t label = labels_[segment(x, y)];
        if (!Holes || label != 0) visit(label, x);
      }
    }
  }

  // The basin of a pixel. Without Holes, its level must be above 0.
  std::uint32_t basin(int x, int y) const {
    if (Holes && (x < 0 || y < 0 || x >= width_ || y >= height_)) return 0;
    return labels_[segment(x, y)];
  }

 private:
  struct Joint {
    std::uint32_t a, b;
    std::int32_t next;
  };

  std::uint32_t segment(int x, int y) const {
    const auto at = static_cast<std::size_t>(y * words_ + x / 64);
    return before_[at] + static_cast<std::uint32_t>(std::popcount(starts_[at] & ~std::uint64_t{0} >> (63 - x % 64))) -
           1;
  }
  void cut(const LevelMap& map, int y);
  void link(const LevelMap& map, int y);
  void label();
  void join(const LevelMap& map, int y);
  std::uint32_t seed(int level);

  int height_ = 0, width_ = 0, words_ = 0;
  std::uint32_t count_ = 0;
  std::size_t joint_count_ = 0;
  Buffer<std::uint64_t> starts_;            // where segments begin
  Buffer<std::uint32_t> before_;            // segments that begin before the word
  Buffer<std::uint32_t> first_;             // of each row, then their number
  Buffer<std::int32_t> begins_, peaks_;     // of each segment; a peak of `none` leads out of the map
  Buffer<std::uint32_t> onwards_, labels_;  // the segment on which the path goes on; the basin
  Buffer<std::int32_t> next_seed_;
  Buffer<Joint> joints_;
  std::int32_t first_seed_[256], first_joint_[256];
};

template <bool Holes>
void Basins<Holes>::find(const LevelMap& map) {
  const auto rows = static_cast<std::size_t>(map.height()), words = rows * static_cast<std::size_t>(map.words());
  starts_.reserve(words);
  before_.reserve(words);
  first_.reserve(rows + 1);
  height_ = map.height();
  width_ = map.width();
  words_ = map.words();
  std::fill(std::begin(first_seed_), std::end(first_seed_), none);
  std::fill(std::begin(first_joint_), std::end(first_joint_), none);
  count_ = Holes ? 1 : 0;
  joint_count_ = 0;
  first_[0] = 0;
  Pace pace;
  for (int y = 0; y < height_; ++y) {
    pace.add(width_);
    cut(map, y);
  }
  const std::size_t segments = first_[static_cast<std::size_t>(height_)];
  onwards_.reserve(segments);
  labels_.reserve(segments);
  for (int y = 0; y < height_; ++y) {
    pace.add(width_);
    link(map, y);
  }
  label();
  if (count_ > 1)
    for (int y = 0; y < height_; ++y) {
      pace.add(width_);
      join(map, y);
    }
}

// Cuts row y into segments.
template <bool Holes>
void Basins<Holes>::cut(const LevelMap& map, int y) {
  const std::uint32_t first = first_[static_cast<std::size_t>(y)];
  const auto room = first + static_cast<std::size_t>(width_) + positions_margin;
  std::int32_t* begin = begins_.reserve(room) + first;
  std::int32_t* const peaks = peaks_.reserve(room) + first;
  std::int32_t* peak = peaks;
  if constexpr (Holes) *peak++ = none;  // the slope down to the western border
  std::uint64_t carry = 0;
  for (int k = 0; k < words_; ++k) {
    const auto& word = map.word(y, k);
    const std::uint64_t inside = k + 1 < words_ ? ~std::uint64_t{0} : last_word_mask(width_);
    const std::uint64_t any = Holes ? inside : word.above_zero;
    const std::uint64_t up_west = Holes ? ~word.west : word.west, up_east = Holes ? ~word.east : word.east;
    const std::uint64_t eastwards = any & ~up_west & up_east;
    std::uint64_t starts = any & ~up_west & ~(eastwards << 1 | carry);
    carry = eastwards >> 63;
    if (Holes && k == 0) starts |= 1;
    const auto at = static_cast<std::size_t>(y * words_ + k);
    starts_[at] = starts;
    before_[at] = static_cast<std::uint32_t>(begin - begins_.data());
    begin = write_positions(starts, 64 * k, begin);
    peak = write_positions(any & ~up_west & ~up_east, 64 * k, peak);
  }
  const auto end = static_cast<std::uint32_t>(begin - begins_.data());
  if (Holes && peak < peaks + (end - first)) *peak = none;  // the slope down to the eastern border
  first_[static_cast<std::size_t>(y) + 1] = end;
}

template <bool Holes>
std::uint32_t Basins<Holes>::seed(int level) {
  next_seed_.reserve(std::size_t{count_} + 1)[count_] = first_seed_[level];
  first_seed_[level] = static_cast<std::int32_t>(count_);
  return count_++;
}

// Finds where the paths go on from the peaks of row y.
template <bool Holes>
void Basins<Holes>::link(const LevelMap& map, int y) {
  constexpr std::uint32_t unknown = UINT32_MAX;
  for (std::uint32_t s = first_[static_cast<std::size_t>(y)]; s < first_[static_cast<std::size_t>(y) + 1]; ++s) {
    const std::int32_t x = peaks_[s];
    if (Holes && x == none) {
      labels_[s] = 0;
      continue;
    }
    const unsigned before = Holes ? ~map.neighbours(y)[x] & 0x44u : map.neighbours(y)[x];
    if (before == 0) {
      labels_[s] = seed(map.row(y)[x]);
      continue;
    }
    const int direction = std::countr_zero(before);
    const int to_x = x + step_x[direction], to_y = y + step_y[direction];
    if (Holes && (to_y < 0 || to_y >= height_)) {
      labels_[s] = 0;
      continue;
    }
    labels_[s] = unknown;
    onwards_[s] = segment(to_x, to_y);
  }
}

// Gives every segment the basin in which its path ends.
template <bool Holes>
void Basins<Holes>::label() {
  constexpr std::uint32_t unknown = UINT32_MAX;
  const std::uint32_t segments = first_[static_cast<std::size_t>(height_)];
  for (std::uint32_t s = 0; s < segments; ++s) {
    std::uint32_t end = s;
    while (labels_[end] == unknown) end = onwards_[end];
    const std::uint32_t basin = labels_[end];
    for (std::uint32_t at = s; labels_[at] == unknown; at = onwards_[at]) labels_[at] = basin;
  }
}

// Finds the pixels of row y that connect basins.
template <bool Holes>
void Basins<Holes>::join(const LevelMap& map, int y) {
  static constexpr auto groups =
      for_each_neighbourhood<Groups>([](unsigned set) { return Holes ? groups_of_clear(set) : groups_of_set(set); });
  for (int k = 0; k < words_; ++k) {
    const auto& word = map.word(y, k);
    for (std::uint64_t bits = Holes ? word.joins : word.joins & word.above_zero; bits != 0; bits &= bits - 1) {
      const int x = 64 * k + std::countr_zero(bits);
      const std::uint32_t own = basin(x, y);
      const Groups& around = groups[map.neighbours(y)[x]];
      const int level = map.row(y)[x];
      for (int g = 0; g < around.count; ++g) {
        const int direction = around.member[g];
        const std::uint32_t other = basin(x + step_x[direction], y + step_y[direction]);
        if (other == own) continue;
        joints_.reserve(joint_count_ + 1)[joint_count_] = {own, other, first_joint_[level]};
        first_joint_[level] = static_cast<std::int32_t>(joint_count_++);
      }
    }
  }
}

}  // namespace fastcam::FASTCAM_ISA

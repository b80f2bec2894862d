// AlignedRows     rows in which every run touches just the run of the same number in the row above
//   follow        how many rows are aligned, and what their runs add to the components
//   finish        the sums
//
// Most rows of smooth masks are aligned. With c runs a row, run i of a RunTable lies below run i - c, so vectors
// compare the runs of several rows at once and sum in their lanes what the runs add.
#pragma once

#include <array>

#include "masks/run_table.hpp"
#include "vector/lanes.hpp"

namespace fastcam::FASTCAM_ISA {

// What aligned rows add to the component of one of their runs.
struct AlignedSum {
  std::int32_t x0, x1, pixels, area2;  // area2 as in Component
};

template <int Connectivity, bool Polygon>
class AlignedRows {
 public:
  static constexpr int most_runs = lanes<std::int32_t>;

  // Sums the rows from `row` on, as long as they are aligned with the row above them. Returns how many are.
  int follow(const RunTable& table, int row) {
    const int count = count_ = table.count(row - 1), rows_at_once = rows_in_lanes(count), step = rows_at_once * count;
    const Lanes pitch = all_lanes(table.pitch());
    const std::int32_t *b = table.begins() + table.first(row), *e = table.ends() + table.first(row);
    low_ = all_lanes(INT32_MAX);
    high_ = pixels_ = area2_ = Lanes{};
    Lanes base = (load(row_of_lane(count)) + row) * pitch;
    for (int from = row;; from += rows_at_once, b += step, e += step, base = plus(base, rows_at_once * pitch)) {
      const int alike = std::min(rows_at_once, table.rows_with(count, from));
      const Lanes b0 = plus(load(b - count), pitch), e0 = plus(load(e - count), pitch), b1 = load(b), e1 = load(e);
      const Lanes left = greater(b0, b1), right = lesser(e0, e1);
      const Lanes gap = greater(e0, e1), next = lesser(plus(load(b - count + 1), pitch), load(b + 1));
      const Lanes broken = Connectivity == 8 ? (left > right) | (gap >= next) : (left >= right) | (gap > next);
      const std::uint32_t breaks = lanes_set(broken & first_lanes(alike * count));
      const int good = breaks == 0 ? alike : row_of_lane(count)[std::countr_zero(breaks)];
      add(minus(b1, base), minus(e1, base), left, right, b0 != b1, e0 != e1, first_lanes(good * count));
      if (good < rows_at_once) return from - row + good;
    }
  }

  // Calls use(j, AlignedSum) for run j, from left to right.
  template <class Use>
  void finish(const Use& use) {
    for (int rows = rows_in_lanes(count_) / 2; rows > 0; rows /= 2) {
      const int shift = rows * count_;
      low_ = lesser(low_, moved_down(low_, shift));
      high_ = greater(high_, moved_down(high_, shift));
      pixels_ += moved_down(pixels_, shift);
      if constexpr (Polygon) area2_ += moved_down(area2_, shift);
    }
    std::int32_t low[most_runs], high[most_runs], pixels[most_runs], area2[most_runs];
    store(low, low_);
    store(high, high_);
    store(pixels, pixels_);
    store(area2, area2_);
    for (int j = 0; j < count_; ++j) use(j, AlignedSum{low[j], high[j], pixels[j], area2[j]});
  }

 private:
  FASTCAM_INLINE void add(const Lanes& x0, const Lanes& x1, const Lanes& left, const Lanes& right,
                          const Lanes& begins_differ, const Lanes& ends_differ, const Lanes& valid) {
    low_ = lesser(low_, valid != 0 ? x0 : low_);
    high_ = greater(high_, x1 & valid);
    pixels_ += minus(x1, x0) & valid;
    if constexpr (Polygon) {
      const Lanes overlap = minus(minus(right, left), all_lanes(1));
      const Lanes twice = minus(plus(overlap, overlap), begins_differ + ends_differ);
      area2_ += (overlap >= 0) & twice & valid;  // as windows2()
    }
  }

  // All bits of the first `count` lanes set, the others clear.
  FASTCAM_INLINE static Lanes first_lanes(int count) {
    static constexpr auto window = [] {
      std::array<std::int32_t, 2 * most_runs> ones{};
      for (std::size_t i = 0; i < most_runs; ++i) ones[i] = -1;
      return ones;
    }();
    return load(window.data() + most_runs - count);
  }

  // How many rows of `count` runs a vector takes: a power of two, so that its halves can be added.
  static int rows_in_lanes(int count) {
    static constexpr auto rows = [] {
      std::array<int, most_runs + 1> all{};
      for (std::size_t c = 1; c <= most_runs; ++c) all[c] = static_cast<int>(std::bit_floor(most_runs / c));
      return all;
    }();
    return rows[static_cast<std::size_t>(count)];
  }

  // The row that each lane belongs to.
  static const std::int32_t* row_of_lane(int count) {
    static constexpr auto rows = [] {
      std::array<std::array<std::int32_t, most_runs>, most_runs + 1> all{};
      for (std::size_t c = 1; c <= most_runs; ++c)
        for (std::size_t i = 0; i < most_runs; ++i) all[c][i] = static_cast<std::int32_t>(i / c);
      return all;
    }();
    return rows[static_cast<std::size_t>(count)].data();
  }

  Lanes low_, high_, pixels_, area2_;
  int count_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

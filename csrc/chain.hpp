// Chains: successive rows in which each run touches just the run of the same number in the row above, as most rows of
// smooth masks do. With c runs a row, run i of a RunTable lies below run i - c, so vectors compare several rows at
// once, and what their runs add to the components is summed in the lanes.
#pragma once

#include <array>
#include <utility>

#include "run_table.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

using Lanes = Vector<std::int32_t>;

FASTCAM_INLINE Lanes lesser(const Lanes& a, const Lanes& b) {
  return a < b ? a : b;
}
FASTCAM_INLINE Lanes greater(const Lanes& a, const Lanes& b) {
  return a > b ? a : b;
}

// Sums and differences that may wrap around, as they do in lanes that hold no run.
using UnsignedLanes = Vector<std::uint32_t>;
FASTCAM_INLINE Lanes plus(const Lanes& a, const Lanes& b) {
  return (Lanes)((UnsignedLanes)a + (UnsignedLanes)b);
}
FASTCAM_INLINE Lanes minus(const Lanes& a, const Lanes& b) {
  return (Lanes)((UnsignedLanes)a - (UnsignedLanes)b);
}

// A bit for each lane that is not zero.
FASTCAM_INLINE std::uint32_t lanes_set(const Lanes& v) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)v, (__m512i)v);
#elif defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)(v != 0)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)(v != 0)));
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < lanes<std::int32_t>; ++i) bits |= static_cast<std::uint32_t>(v[i] != 0) << i;
  return bits;
#endif
}

// How many numbers from p on a test holds for, up to the first that fails it.
template <class Test>
FASTCAM_INLINE int count_while(const std::int32_t* p, const Test& test) {
  constexpr int at_once = lanes<std::int32_t>;
  for (int count = 0;; count += at_once) {
    const int held = std::countr_one(lanes_set(test(load(p + count))));
    if (held < at_once) return count + held;
  }
}

// What the rows of a chain add to the component of one of their runs.
struct ChainSum {
  std::int32_t x0, x1, pixels, area2;  // area2 as in Component
};

template <int Connectivity, bool Polygon>
class Chain {
 public:
  static constexpr int most_runs = lanes<std::int32_t>;

  // Sums the rows from `row` on, as long as they continue the chain that ends above them; returns how many do. All rows
  // before `last_row` have as many runs as the one above.
  int follow(const RunTable& table, int row, int last_row) {
    const int count = count_ = table.count(row), rows_at_once = most_runs / count, step = rows_at_once * count;
    const Lanes pitch = all_lanes(table.pitch());
    const std::int64_t begin = table.first(row), end = table.first(last_row);
    low_ = all_lanes(INT32_MAX);
    high_ = pixels_ = area2_ = Lanes{};
    Lanes base = (row_of_lane(count) + row) * pitch;
    for (std::int64_t i = begin; i < end; i += step, base = plus(base, rows_at_once * pitch)) {
      const auto valid = static_cast<int>(std::min<std::int64_t>(step, end - i));
      const std::int32_t *b = table.begins() + i, *e = table.ends() + i;
      const Lanes b0 = plus(load(b - count), pitch), e0 = plus(load(e - count), pitch), b1 = load(b), e1 = load(e);
      const Lanes left = greater(b0, b1), right = lesser(e0, e1);
      const Lanes gap = greater(e0, e1), next = lesser(plus(load(b - count + 1), pitch), load(b + 1));
      const Lanes broken = Connectivity == 8 ? (left > right) | (gap >= next) : (left >= right) | (gap > next);
      const std::uint32_t breaks = lanes_set(broken & first_lanes(valid));
      if (breaks == 0) {
        add(minus(b1, base), minus(e1, base), left, right, b0 != b1, e0 != e1, first_lanes(valid));
        continue;
      }
      const int good = std::countr_zero(breaks) / count;
      if (good > 0) add(minus(b1, base), minus(e1, base), left, right, b0 != b1, e0 != e1, first_lanes(good * count));
      return static_cast<int>((i - begin) / count) + good;
    }
    return static_cast<int>((end - begin) / count);
  }

  // Calls use(j, ChainSum) for the component of run j of each row.
  template <class Use>
  void finish(const Use& use) const {
    std::int32_t low[most_runs], high[most_runs], pixels[most_runs], area2[most_runs];
    store(low, low_);
    store(high, high_);
    store(pixels, pixels_);
    store(area2, area2_);
    for (int j = 0; j < count_; ++j) {
      ChainSum sum{low[j], high[j], pixels[j], area2[j]};
      for (int i = j + count_; i + count_ - j <= most_runs; i += count_) {
        sum.x0 = std::min(sum.x0, low[i]);
        sum.x1 = std::max(sum.x1, high[i]);
        sum.pixels += pixels[i];
        sum.area2 += area2[i];
      }
      use(j, sum);
    }
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
      area2_ += (overlap >= 0) & twice & valid;  // as windows2
    }
  }

  // All bits of the first `count` lanes.
  FASTCAM_INLINE static Lanes first_lanes(int count) {
    static constexpr auto window = [] {
      std::array<std::int32_t, 2 * most_runs> ones{};
      for (std::size_t i = 0; i < most_runs; ++i) ones[i] = -1;
      return ones;
    }();
    return load(window.data() + most_runs - count);
  }

  // Which of the rows in a vector each lane belongs to, `count` runs a row.
  FASTCAM_INLINE static Lanes row_of_lane(int count) {
    static constexpr auto rows = [] {
      std::array<std::array<std::int32_t, most_runs>, most_runs + 1> all{};
      for (std::size_t c = 1; c <= most_runs; ++c)
        for (std::size_t i = 0; i < most_runs; ++i) all[c][i] = static_cast<std::int32_t>(i / c);
      return all;
    }();
    return load(rows[static_cast<std::size_t>(count)].data());
  }

  Lanes low_, high_, pixels_, area2_;
  int count_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

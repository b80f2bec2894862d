// order_key, from_order_key, middle_key   floats as integers in the same order
// Range, range_of                         the smallest and the largest value
// Collector                               what lies within a range, and how many values lie below it
// Neighbours, select                      the k-th smallest value and the next one
// value_between_ranks                     a value of about a given rank
//
// Order statistics are exact. One is found by bisection: vector compares count how many values lie at or below a pivot,
// until the few candidates left can be sorted. percentile.hpp uses them on maps.
#pragma once

#include <algorithm>
#include <bit>
#include <limits>

#include "vector/block.hpp"
#include "vector/buffer.hpp"

namespace fastcam::FASTCAM_ISA {

// Integers in the order of floats; both zeros have the key 0, and NaN has none.
inline std::int32_t order_key(float x) {
  const auto bits = std::bit_cast<std::int32_t>(x), magnitude = bits & 0x7fffffff;
  return bits < 0 ? -magnitude : magnitude;
}
inline float from_order_key(std::int32_t key) {
  return key < 0 ? -std::bit_cast<float>(-key) : std::bit_cast<float>(key);
}
inline std::int32_t middle_key(std::int32_t a, std::int32_t b) {
  return static_cast<std::int32_t>((std::int64_t{a} + b) >> 1);
}

// How many of the `count` values, a multiple of 16, are at most t.
inline std::int64_t count_at_most(const float* p, std::int64_t count, float t) {
  constexpr int parts = Block<float>::parts;
  Vector<std::int32_t> total[parts] = {};
  for (std::int64_t i = 0; i < count; i += 16)
    for (int k = 0; k < parts; ++k) total[k] -= load(p + i + k * lanes<float>) <= t;
  for (int k = 1; k < parts; ++k) total[0] += total[k];
  std::int64_t sum = 0;
  for (int i = 0; i < lanes<float>; ++i) sum += total[0][i];
  return sum;
}

struct Range {
  float low, high;
};

// The smallest and largest of `so_far` and the `count` values, a multiple of 16. NaNs are left out.
inline Range range_of(const float* p, std::int64_t count, Range so_far) {
  Vector<float> low = all_lanes(so_far.low), high = all_lanes(so_far.high);
  for (std::int64_t i = 0; i < count; i += lanes<float>) {
    const Vector<float> v = load(p + i);
    low = v < low ? v : low;
    high = larger(v, high);
  }
  for (int i = 0; i < lanes<float>; ++i) {
    so_far.low = std::min(so_far.low, low[i]);
    so_far.high = std::max(so_far.high, high[i]);
  }
  return so_far;
}

inline constexpr Range empty_range{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};

// Collects the values in [low, high] and counts those below.
struct Collector {
  float low, high;
  float* out;
  std::int64_t count = 0, below = 0;

  // Adds the lanes whose bits are set in `valid`. `out` must have space for sixteen values more than are collected.
  FASTCAM_INLINE void add(const Block<float>& v, std::uint32_t valid) {
    const std::uint32_t under = compare_bits<Comparison::less>(v, low) & valid;
    const std::uint32_t inside = compare_bits<Comparison::at_most>(v, high) & ~under & valid;
    below += std::popcount(under);
#if !defined(__AVX2__)
    if (inside == 0) return;  // with AVX2, compressing costs less than a mispredicted branch
#endif
    compress(v, inside, out + count);
    count += std::popcount(inside);
  }
};

// The range of values in which an order statistic lies, as it narrows.
struct Bisection {
  Range range;
  std::int64_t below, up_to;  // how many values are below range.low, and how many at most range.high
  int step = 0;

  bool done() const { return range.low >= range.high; }

  // Halving the range of values is quick where they are spread evenly; halving the keys takes at most 32 steps.
  float pivot() {
    const std::int32_t low = order_key(range.low), high = order_key(range.high);
    const float middle = step++ % 2 == 0 ? range.low / 2 + range.high / 2 : from_order_key(middle_key(low, high));
    return std::min(from_order_key(high - 1), std::max(range.low, middle));
  }

  // Keeps the side of the pivot on which the k-th value lies; `at_most` values do not exceed the pivot.
  void keep(float pivot, std::int64_t at_most, std::int64_t k) {
    if (at_most > k) {
      range.high = pivot;
      up_to = at_most;
    } else {
      range.low = from_order_key(order_key(pivot) + 1);
      below = at_most;
    }
  }
};

// The k-th smallest value and the one after it. After the last comes itself.
struct Neighbours {
  float kth, next;
};

// Of `count` values without NaN. They are padded with NaN to a multiple of 16, for which there must be space.
inline Neighbours select(float* values, std::int64_t count, std::int64_t k, Buffer<float>& scratch) {
  constexpr std::int64_t few = 24;
  const std::int64_t padded = (count + 15) / 16 * 16;
  for (std::int64_t i = count; i < padded; ++i) values[i] = std::numeric_limits<float>::quiet_NaN();
  Bisection search{range_of(values, padded, empty_range), 0, count};
  while (!search.done() && search.up_to - search.below > few) {
    // In a narrow range values are spread almost evenly, so three pivots of four are interpolated: just beside where
    // the k-th value should be, on either side in turn.
    float pivot = search.pivot();
    if (search.step % 4 != 0) {
      const auto aim = static_cast<float>(k - search.below + (search.step % 2 == 0 ? few : -few) / 3);
      pivot = search.range.low +
              (search.range.high - search.range.low) * (aim / static_cast<float>(search.up_to - search.below));
      pivot = std::min(from_order_key(order_key(search.range.high) - 1), std::max(search.range.low, pivot));
    }
    search.keep(pivot, count_at_most(values, padded, pivot), k);
  }
  const auto next_above = [&](float x) {
    float next = std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < count; ++i)
      if (values[i] > x) next = std::min(next, values[i]);
    return next;
  };
  if (search.done()) {
    const float kth = search.range.low;
    return {kth, k + 1 < search.up_to || k + 1 == count ? kth : next_above(kth)};
  }
  Collector left{search.range.low, search.range.high, scratch.reserve(static_cast<std::size_t>(few) + 16)};
  for (std::int64_t i = 0; i < padded; i += 16) left.add(Block<float>::at(values + i), 0xffff);
  for (std::int64_t i = 1; i < left.count; ++i) {  // by insertion: all builds would share std::sort
    const float x = left.out[i];
    std::int64_t j = i;
    for (; j > 0 && left.out[j - 1] > x; --j) left.out[j] = left.out[j - 1];
    left.out[j] = x;
  }
  const std::int64_t at = k - search.below;
  const float kth = left.out[at];
  return {kth, at + 1 < left.count ? left.out[at + 1] : k + 1 == count ? kth : next_above(kth)};
}

// A value that at least `least` and at most `most` of the values do not exceed; where ties leave none, the closest one.
inline float value_between_ranks(float* values, std::int64_t padded, std::int64_t least, std::int64_t most,
                                 Bisection search) {
  while (!search.done()) {
    const float pivot = search.pivot();
    const std::int64_t at_most = count_at_most(values, padded, pivot);
    if (least <= at_most && at_most <= most) return pivot;
    search.keep(pivot, at_most, most);
  }
  return search.range.low;
}

}  // namespace fastcam::FASTCAM_ISA

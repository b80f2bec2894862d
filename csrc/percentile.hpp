// Exact order statistics. A number is found by bisection: vector compares count how many values lie at or below a
// pivot, until the few that are left can be sorted. Of a map that is only there row by row, a sample of the rows first
// gives a bracket, so that one pass over all rows keeps only the few values that matter.
#pragma once

#include <algorithm>
#include <bit>
#include <limits>

#include "resize.hpp"

namespace fastcam::FASTCAM_ISA {

// Integers in the order of floats, NaN left out; both zeros have the key 0.
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
  Vector<std::int32_t> total = {};
  for (std::int64_t i = 0; i < count; i += lanes<float>) total -= load(p + i) <= t;
  std::int64_t sum = 0;
  for (int i = 0; i < lanes<float>; ++i) sum += total[i];
  return sum;
}

struct Range {
  float low, high;
};

// Smallest and largest of the `count` values, a multiple of 16; NaNs are passed over.
inline Range range_of(const float* p, std::int64_t count, Range so_far) {
  Vector<float> low = all_lanes(so_far.low), high = all_lanes(so_far.high);
  for (std::int64_t i = 0; i < count; i += lanes<float>) {
    const Vector<float> v = load(p + i);
    low = v < low ? v : low;
    high = v > high ? v : high;
  }
  for (int i = 0; i < lanes<float>; ++i) {
    so_far.low = std::min(so_far.low, low[i]);
    so_far.high = std::max(so_far.high, high[i]);
  }
  return so_far;
}

inline constexpr Range nothing{std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity()};

// Appends the values in [low, high] of the 64 at p to `out`, which has room for 64; `below` counts those under it.
inline int collect(const float* p, float low, float high, float* out, std::int64_t& below) {
  const std::uint64_t at_least = ~compare_bits<Comparison::less>(p, low);
  const std::uint64_t inside = compare_bits<Comparison::at_most>(p, high) & at_least;
  below += 64 - std::popcount(at_least);
  if (inside == 0) return 0;
#if defined(__AVX512F__)
  int n = 0;
  for (int i = 0; i < 4; ++i) {
    const auto mask = static_cast<__mmask16>(inside >> (16 * i));
    _mm512_storeu_ps(out + n, _mm512_maskz_compress_ps(mask, _mm512_loadu_ps(p + 16 * i)));
    n += std::popcount(static_cast<std::uint32_t>(mask));
  }
  return n;
#else
  int n = 0;
  for (std::uint64_t rest = inside; rest != 0; rest &= rest - 1) out[n++] = p[std::countr_zero(rest)];
  return n;
#endif
}

// The k-th smallest and the one after it (itself where it is the last).
struct Neighbours {
  float kth, next;
};

// Of `count` values without NaN. Up to 64 more floats after them are overwritten.
inline Neighbours select(float* values, std::int64_t count, std::int64_t k, Buffer<float>& scratch) {
  const std::int64_t padded = (count + 63) / 64 * 64;
  for (std::int64_t i = count; i < padded; ++i) values[i] = std::numeric_limits<float>::quiet_NaN();
  Range range = range_of(values, padded, nothing);
  std::int64_t below = 0, up_to = count;  // how many are under range.low, and at most range.high
  constexpr std::int64_t few = 48;
  for (int step = 0; up_to - below > few && range.low < range.high; ++step) {
    // Halving the values is quick where they are spread evenly, halving the keys never takes more than 32 steps.
    const std::int32_t low_key = order_key(range.low), high_key = order_key(range.high);
    float pivot = from_order_key(middle_key(low_key, high_key));
    if (step % 2 == 0) pivot = range.low / 2 + range.high / 2;
    pivot = std::min(from_order_key(high_key - 1), std::max(range.low, pivot));
    const std::int64_t at_most = count_at_most(values, padded, pivot);
    if (at_most > k) {
      range.high = pivot;
      up_to = at_most;
    } else {
      range.low = from_order_key(order_key(pivot) + 1);
      below = at_most;
    }
  }
  const auto next_above = [&](float x) {
    float next = std::numeric_limits<float>::infinity();
    for (std::int64_t i = 0; i < count; ++i)
      if (values[i] > x) next = std::min(next, values[i]);
    return next;
  };
  if (range.low >= range.high) {
    return {range.low, k + 1 < up_to || k + 1 == count ? range.low : next_above(range.low)};
  }
  float* const left = scratch.reserve(static_cast<std::size_t>(few) + 64);
  int n = 0;
  std::int64_t under = 0;
  for (std::int64_t i = 0; i < padded; i += 64) n += collect(values + i, range.low, range.high, left + n, under);
  for (int i = 1; i < n; ++i) {
    const float x = left[i];
    int j = i;
    for (; j > 0 && left[j - 1] > x; --j) left[j] = left[j - 1];
    left[j] = x;
  }
  const auto at = static_cast<int>(k - below);
  if (at + 1 < n) return {left[at], left[at + 1]};
  return {left[at], k + 1 == count ? left[at] : next_above(left[at])};
}

class RowStatistics {
 public:
  static Range range(ResizedRows& rows, int height) {
    Range range = nothing;
    for (int y = 0; y < height; ++y) range = range_of(rows.row(y), rows.padded(), range);
    return range;
  }

  // The k-th smallest of all values and the next; the rows hold no NaN.
  Neighbours select(ResizedRows& rows, int height, int width, std::int64_t k) {
    const std::int64_t count = std::int64_t{height} * width;
    if (k + 1 >= count) {
      const float most = range(rows, height).high;
      return {most, most};
    }
    Range bracket = guess(rows, height, width, static_cast<double>(k) / static_cast<double>(count));
    for (;;) {
      std::int64_t below = 0, n = 0;
      float* const kept = kept_.reserve(static_cast<std::size_t>(count) + 128);
      for (int y = 0; y < height; ++y) {
        const float* row = rows.row(y);
        for (int x = 0; x < rows.padded(); x += 64) n += collect(row + x, bracket.low, bracket.high, kept + n, below);
      }
      if (k < below)
        bracket = {-std::numeric_limits<float>::infinity(), bracket.low};
      else if (k + 1 >= below + n)
        bracket = {bracket.high, std::numeric_limits<float>::infinity()};
      else
        return fastcam::FASTCAM_ISA::select(kept, n, k - below, scratch_);
    }
  }

 private:
  // A bracket that most likely holds the value at `rank`, a fraction, from a sample of the rows.
  Range guess(ResizedRows& rows, int height, int width, double rank) {
    constexpr int sampled = 3072;
    constexpr double margin = 0.015;
    const int taken = std::min(height, sampled / width + 1);
    const std::int64_t count = std::int64_t{taken} * width;
    float* const sample = sample_.reserve(static_cast<std::size_t>(count) + 64);
    for (int i = 0; i < taken; ++i) {
      const auto y = static_cast<int>((2 * std::int64_t{i} + 1) * height / (2 * taken));
      std::memcpy(sample + std::int64_t{i} * width, rows.row(y), sizeof(float) * static_cast<std::size_t>(width));
    }
    const auto low = static_cast<std::int64_t>((rank - margin) * static_cast<double>(count)) - 1;
    const auto high = static_cast<std::int64_t>((rank + margin) * static_cast<double>(count)) + 1;
    Range bracket{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
    if (low >= 0) bracket.low = fastcam::FASTCAM_ISA::select(sample, count, low, scratch_).kth;
    if (high < count) bracket.high = fastcam::FASTCAM_ISA::select(sample, count, high, scratch_).kth;
    return bracket;
  }

  Buffer<float> sample_, kept_, scratch_;
};

}  // namespace fastcam::FASTCAM_ISA

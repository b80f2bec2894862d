// Rank              where a percentile lies among ordered values, and its value between two of them
// OrderStatistics   the order statistics of a resized map
//
// The percentile is numpy.percentile's with linear interpolation, bit for bit. The search itself is in
// percentile_select.hpp; here a sample of the map first gives a range of values that most likely holds the percentile,
// so that one pass over the map keeps only the few pixels in that range.
#pragma once

#include "maps/resized_map.hpp"

namespace fastcam::FASTCAM_ISA {

// In numpy.percentile's order of operations.
struct Rank {
  std::int64_t below;
  double fraction;

  Rank(std::int64_t count, double percentile) {
    const double position = static_cast<double>(count - 1) * (percentile / 100);
    below = std::min(static_cast<std::int64_t>(position), count - 1);
    fraction = position - static_cast<double>(below);
  }

  template <class T>
  T between(T a, T b) const {
    const T step = (b - a) * static_cast<T>(fraction < 0.5 ? fraction : 1 - fraction);
    return fraction < 0.5 ? a + step : b - step;
  }
};

class OrderStatistics {
 public:
  // The k-th smallest pixel of a map without NaN, and the next one.
  Neighbours find(ResizedMap& map, std::int64_t k) {
    const std::int64_t count = map.pixels();
    if (k + 1 >= count) {
      const float most = map.range().high;
      return {most, most};
    }
    Range bracket = guess(map, static_cast<double>(k) / static_cast<double>(count));
    for (;;) {
      Collector inside{bracket.low, bracket.high, kept_.reserve(static_cast<std::size_t>(count) + 32)};
      map.collect(inside);
      if (k < inside.below)
        bracket.low = -infinity;
      else if (k + 1 >= inside.below + inside.count)
        bracket.high = infinity;
      else
        return select(kept_.data(), inside.count, k - inside.below, scratch_);
    }
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  // A range that most likely holds the value at `rank`, a fraction of all pixels.
  Range guess(ResizedMap& map, double rank) {
    constexpr double least = 0.005, most = 0.02;  // how far from the rank, in the sample, either end may lie
    const std::int64_t count = map.sample(sample_), padded = (count + 15) / 16 * 16;
    float* const sample = sample_.data();
    const auto at = [&](double fraction) { return static_cast<std::int64_t>(fraction * static_cast<double>(count)); };
    const Range all = range_of(sample, padded, empty_range);
    Range bracket{-infinity, infinity};
    if (rank > most)
      bracket.low = value_between_ranks(sample, padded, at(rank - most), at(rank - least), {all, 0, count});
    if (rank + most < 1)
      bracket.high = value_between_ranks(sample, padded, at(rank + least), at(rank + most),
                                         {{std::max(bracket.low, all.low), all.high}, 0, count});
    return bracket;
  }

  Buffer<float> sample_, kept_, scratch_;
};

}  // namespace fastcam::FASTCAM_ISA

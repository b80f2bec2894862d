// ScoreMap       score maps in double precision, as evaluators make and read them
//   start        one map; a raw one is resized as OpenCV's INTER_CUBIC does it, bit for bit, and normalized to [0, 1]
//   read         its scores, 64 at a time
// write_levels   its uint8 levels
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/core.hpp"
#include "maps/axis.hpp"
#include "vector/buffer.hpp"
#include "vector/lanes.hpp"

namespace fastcam::FASTCAM_ISA {

class ScoreMap {
 public:
  static constexpr int block = 64;

  void start(const ScoreMaps& maps, std::int64_t i) {
    const std::int64_t at = i * maps.h * maps.w;
    count_ = std::int64_t{maps.height} * maps.width;
    raw_ = maps.raw;
    doubles_ = given_doubles_ = maps.dtype == Dtype::float64 ? static_cast<const double*>(maps.data) + at : nullptr;
    floats_ = maps.dtype == Dtype::float64 ? nullptr : static_cast<const float*>(maps.data) + at;
    if (raw_ && !prepare(maps) && scale_down(maps)) prepare(maps);
  }

  std::int64_t pixels() const { return count_; }
  bool raw() const { return raw_; }

  // Writes the levels, trunc(255 score), of a raw map.
  void write_levels(std::uint8_t* levels) const {
    if (doubles_ == nullptr)
      write_levels(floats_, levels);
    else
      write_levels(doubles_, levels);
  }

  // Calls use(position, count, scores) for 64 scores at a time, until it returns false. Returns whether it never did.
  // Where count is less than 64, the scores behind it are some numbers from 0 to 1.
  template <class Use>
  FASTCAM_INLINE bool read(const Use& use) const {
    for (std::int64_t p = 0; p + block <= count_; p += block)
      if (!read_block(p, block, use)) return false;
    const int rest = static_cast<int>(count_ % block);
    return rest == 0 || read_block(count_ - rest, rest, use);
  }

 private:
  static constexpr int step = lanes<double>;

  template <class Use>
  FASTCAM_INLINE bool read_block(std::int64_t p, int n, const Use& use) const {
    alignas(64) double copied[block];
    const double* scores = copied;
    if (n < block) std::fill(copied, copied + block, 0.0);
    if (doubles_ == nullptr)
      for (int i = 0; i < n; ++i) copied[i] = static_cast<double>(floats_[p + i]);
    else if (raw_ || n < block)
      std::copy(doubles_ + p, doubles_ + p + n, copied);
    else
      scores = doubles_ + p;
    if (raw_) {
      const double low = low_, span = span_ == 0 ? std::numeric_limits<double>::infinity() : span_;
      for (int i = 0; i < block; ++i) copied[i] = (copied[i] - low) / span;
      std::fill(copied + (span_ == 0 ? 0 : n), copied + block, 0.0);
    }
    return use(p, n, scores);
  }

  // A score times 255 is found by one product instead of a quotient and a product, which rounds otherwise. Where that
  // might change a level, because the result is almost whole, the block is computed as the score is defined.
  template <class T>
  void write_levels(const T* values, std::uint8_t* levels) const {
    constexpr double tolerance = 1e-9;
    const double low = low_, span = span_, factor = 255 / span;
    if (span == 0) {
      std::memset(levels, 0, static_cast<std::size_t>(count_));
      return;
    }
    const auto exact = [&](std::int64_t p) {
      return static_cast<std::uint8_t>(static_cast<std::int32_t>((static_cast<double>(values[p]) - low) / span * 255));
    };
    std::int64_t p = 0;
    for (; p + block <= count_ && std::isfinite(factor); p += block) {
      constexpr double magic = 0x1.8p52;  // magic + x is rounded to an integer
      double products[block];
      for (int i = 0; i < block; ++i) products[i] = static_cast<double>(values[p + i]);
      auto unsure = load(products) != load(products);
      for (int i = 0; i < block; i += step) {
        const auto product = (load(products + i) - low) * factor, above = product - (product + magic - magic);
        unsure |= (above < tolerance) & (above > -tolerance);
        store(products + i, product);
      }
      std::uint8_t of_block[block];
      for (int i = 0; i < block; ++i) of_block[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(products[i]));
      std::memcpy(levels + p, of_block, block);
      if (lanes_set((Lanes)unsure) != 0)
        for (int i = 0; i < block; ++i) levels[p + i] = exact(p + i);
    }
    for (; p < count_; ++p) levels[p] = exact(p);
  }

  // Resizes a raw map and finds its range. Returns whether all is finite.
  bool prepare(const ScoreMaps& maps) {
    if (maps.h == maps.height && maps.w == maps.width)
      return doubles_ == nullptr ? find_range(floats_) : find_range(doubles_);
    const std::int64_t small = std::int64_t{maps.h} * maps.w;
    if (doubles_ == nullptr) {
      double* const wide = given_.reserve(static_cast<std::size_t>(small));
      std::copy(floats_, floats_ + small, wide);
      doubles_ = wide;
    }
    resize(maps);
    return find_range(doubles_);
  }

  // Where sums or differences of finite values overflow, makes them smaller by a power of two: normalization does not
  // see it. Returns whether it did.
  bool scale_down(const ScoreMaps& maps) {
    if (maps.dtype != Dtype::float64) return false;
    constexpr double factor = 0x1p-4;
    const std::int64_t small = std::int64_t{maps.h} * maps.w;
    double* const scaled = given_.reserve(static_cast<std::size_t>(small));
    std::transform(given_doubles_, given_doubles_ + small, scaled, [](double x) { return x * factor; });
    doubles_ = scaled;
    return std::all_of(scaled, scaled + small, [](double x) { return std::isfinite(x); });
  }

  void resize(const ScoreMaps& maps) {
    x_.prepare({maps.w, maps.width});
    y_.prepare({maps.h, maps.height});
    const std::int64_t stride = maps.width + step;
    double* const wide = wide_.reserve(static_cast<std::size_t>(maps.h * stride));
    double* const full = full_.reserve(static_cast<std::size_t>(count_ + step));
    for (int y = 0; y < maps.h; ++y) widen(doubles_ + std::int64_t{y} * maps.w, wide + y * stride);
    const auto row = [&](int y) { return wide + y * stride; };
    for (int y = 0; y < maps.height; ++y)  // what is written behind a row, the next one overwrites
      cubic_row(y_, y, row, maps.width, full + std::int64_t{y} * maps.width);
    doubles_ = full;
  }

  void widen(const double* from, double* out) const {
    for (int s = 0; s < x_.spans(); ++s) cubic_span(x_, from, x_.begin(s), x_.begin(s + 1), out);
  }

  // The span is 0 where the map is constant or not finite. Returns whether it is finite.
  template <class T>
  bool find_range(const T* values) {
    constexpr int several = lanes<T>;
    T low = values[0], high = values[0];
    bool nan = false;
    std::int64_t p = 0;
    if (count_ >= several) {
      auto lows = load(values), highs = lows;
      auto nans = lows != lows;
      for (; p + several <= count_; p += several) {
        const auto v = load(values + p);
        lows = v < lows ? v : lows;
        highs = v > highs ? v : highs;
        nans |= v != v;
      }
      for (int i = 0; i < several; ++i) {
        low = std::min(low, lows[i]);
        high = std::max(high, highs[i]);
        nan |= nans[i] != 0;
      }
    }
    for (; p < count_; ++p) {
      low = std::min(low, values[p]);
      high = std::max(high, values[p]);
      nan |= values[p] != values[p];
    }
    low_ = static_cast<double>(low);
    span_ = static_cast<double>(high) - low_;
    const bool finite = !nan && std::isfinite(span_);
    if (!finite) span_ = 0;
    return finite;
  }

  const double *doubles_ = nullptr, *given_doubles_ = nullptr;
  const float* floats_ = nullptr;
  std::int64_t count_ = 0;
  bool raw_ = false;
  double low_ = 0, span_ = 0;
  Axis<OpenCVKernel> x_, y_;
  Buffer<double> given_, wide_, full_;
};

// Whether a block of scores lies in [0, 1], without NaN.
FASTCAM_INLINE bool are_inside(const double* scores) {
  constexpr int step = lanes<double>;
  auto inside = load(scores) == load(scores);
  for (int i = 0; i < ScoreMap::block; i += step) {
    const auto v = load(scores + i);
    inside &= (v >= 0) & (v <= 1);
  }
  std::int64_t all = -1;
  for (int i = 0; i < step; ++i) all &= inside[i];
  return all != 0;
}

// Writes the levels of a map's scores. Returns whether all scores lie in [0, 1].
inline bool write_levels(const ScoreMap& map, std::uint8_t* levels) {
  if (map.raw()) {
    map.write_levels(levels);
    return true;
  }
  return map.read([&](std::int64_t p, int n, const double* scores) {
    if (!are_inside(scores)) return false;
    std::uint8_t levels_of_block[ScoreMap::block];
    for (int i = 0; i < ScoreMap::block; ++i) {
      const std::int32_t level = static_cast<std::int32_t>(scores[i] * 255);
      levels_of_block[i] = static_cast<std::uint8_t>(level);
    }
    std::memcpy(levels + p, levels_of_block, static_cast<std::size_t>(n));
    return true;
  });
}

}  // namespace fastcam::FASTCAM_ISA

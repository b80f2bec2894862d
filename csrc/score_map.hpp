// Score maps as evaluators make and read them, in double precision: resized as OpenCV's INTER_CUBIC does, bit for bit,
// normalized to [0, 1], then truncated to levels.
#pragma once

#include <cmath>
#include <cstring>

#include "buffer.hpp"
#include "core.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

// Where each of `to` output positions falls among `from` input positions, with Keys' factors (a = -0.75) made in float.
class CubicAxis {
 public:
  void prepare(int from, int to) {
    if (from == from_ && to == to_) return;
    from_ = from;
    to_ = to;
    first_.reserve(static_cast<std::size_t>(to));
    spans_.reserve(static_cast<std::size_t>(to) + 1);
    span_count_ = 0;
    for (auto& factor : factors_) factor.reserve(static_cast<std::size_t>(to) + lanes<double>);
    const double scale = static_cast<double>(from) / to;
    for (int i = 0; i < to; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const auto source = static_cast<float>((i + 0.5) * scale - 0.5);
      const float floor = std::floor(source), t = source - floor;
      first_[at] = static_cast<int>(floor);
      if (i == 0 || first_[at] != first_[at - 1]) spans_[static_cast<std::size_t>(span_count_++)] = i;
      const float a = -0.75f, past = t + 1, rest = 1 - t;
      const float w0 = ((a * past - 5 * a) * past + 8 * a) * past - 4 * a;
      const float w1 = ((a + 2) * t - (a + 3)) * t * t + 1;
      const float w2 = ((a + 2) * rest - (a + 3)) * rest * rest + 1;
      const float factors[] = {w0, w1, w2, 1 - w0 - w1 - w2};
      for (int k = 0; k < 4; ++k) factors_[k][at] = static_cast<double>(factors[k]);
    }
    spans_[static_cast<std::size_t>(span_count_)] = to;
  }

  // Span s is the output positions [begin(s), begin(s + 1)), which lie between the same two input positions.
  int spans() const { return span_count_; }
  int begin(int s) const { return spans_[static_cast<std::size_t>(s)]; }
  // The input position `offset` after the one before the output position; at the border the last one there is.
  int tap(int i, int offset) const {
    return std::min(std::max(first_[static_cast<std::size_t>(i)] + offset, 0), from_ - 1);
  }
  const double* factors(int k) const { return factors_[k].data(); }

 private:
  int from_ = 0, to_ = 0, span_count_ = 0;
  Buffer<int> first_, spans_;
  Buffer<double> factors_[4];
};

class ScoreMap {
 public:
  static constexpr int block = 64;

  void start(const ScoreMaps& maps, std::int64_t i) {
    const std::int64_t at = i * maps.h * maps.w;
    count_ = std::int64_t{maps.height} * maps.width;
    raw_ = maps.raw;
    doubles_ = maps.dtype == Dtype::float64 ? static_cast<const double*>(maps.data) + at : nullptr;
    floats_ = maps.dtype == Dtype::float64 ? nullptr : static_cast<const float*>(maps.data) + at;
    if (!raw_) return;
    const std::int64_t small = std::int64_t{maps.h} * maps.w;
    if (doubles_ == nullptr) {
      double* const wide = given_.reserve(static_cast<std::size_t>(small));
      std::copy(floats_, floats_ + small, wide);
      doubles_ = wide;
    }
    if (maps.h != maps.height || maps.w != maps.width) resize(maps);
    find_range();
  }

  std::int64_t pixels() const { return count_; }

  // Calls use(position, count, scores) for all scores, 64 at a time, behind the last of them anything from 0 to 1,
  // until it returns false; returns whether it never did.
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

  void resize(const ScoreMaps& maps) {
    x_.prepare(maps.w, maps.width);
    y_.prepare(maps.h, maps.height);
    const std::int64_t stride = maps.width + step;
    double* const wide = wide_.reserve(static_cast<std::size_t>(maps.h * stride));
    double* const full = full_.reserve(static_cast<std::size_t>(count_ + step));
    for (int y = 0; y < maps.h; ++y) widen(doubles_ + std::int64_t{y} * maps.w, wide + y * stride);
    for (int y = 0; y < maps.height; ++y) {
      const double* p[4];
      for (int k = 0; k < 4; ++k) p[k] = wide + y_.tap(y, k - 1) * stride;
      const double w0 = y_.factors(0)[y], w1 = y_.factors(1)[y], w2 = y_.factors(2)[y], w3 = y_.factors(3)[y];
      double* const row = full + std::int64_t{y} * maps.width;
      for (int x = 0; x < maps.width; x += step)  // what is written beyond the row, the next one overwrites
        store(row + x, ((load(p[0] + x) * w0 + load(p[1] + x) * w1) + load(p[2] + x) * w2) + load(p[3] + x) * w3);
    }
    doubles_ = full;
  }

  void widen(const double* from, double* out) const {
    for (int s = 0; s < x_.spans(); ++s) {
      const int begin = x_.begin(s), end = x_.begin(s + 1);
      const double p0 = from[x_.tap(begin, -1)], p1 = from[x_.tap(begin, 0)];
      const double p2 = from[x_.tap(begin, 1)], p3 = from[x_.tap(begin, 2)];
      for (int x = begin; x < end; x += step) {
        const auto w0 = load(x_.factors(0) + x), w1 = load(x_.factors(1) + x);
        const auto w2 = load(x_.factors(2) + x), w3 = load(x_.factors(3) + x);
        store(out + x, ((p0 * w0 + p1 * w1) + p2 * w2) + p3 * w3);
      }
    }
  }

  // The span stays 0 where the map is constant or not finite.
  void find_range() {
    low_ = doubles_[0];
    double high = doubles_[0];
    bool nan = false;
    std::int64_t p = 0;
    if (count_ >= step) {
      auto lows = load(doubles_), highs = lows;
      auto odd = lows != lows;
      for (; p + step <= count_; p += step) {
        const auto v = load(doubles_ + p);
        lows = v < lows ? v : lows;
        highs = v > highs ? v : highs;
        odd |= v != v;
      }
      for (int i = 0; i < step; ++i) {
        low_ = std::min(low_, lows[i]);
        high = std::max(high, highs[i]);
        nan |= odd[i] != 0;
      }
    }
    for (; p < count_; ++p) {
      low_ = std::min(low_, doubles_[p]);
      high = std::max(high, doubles_[p]);
      nan |= doubles_[p] != doubles_[p];
    }
    span_ = high - low_;
    if (nan || !std::isfinite(span_)) span_ = 0;
  }

  const double* doubles_ = nullptr;
  const float* floats_ = nullptr;
  std::int64_t count_ = 0;
  bool raw_ = false;
  double low_ = 0, span_ = 0;
  CubicAxis x_, y_;
  Buffer<double> given_, wide_, full_;
};

// Whether a block of scores lies in [0, 1], without NaN.
FASTCAM_INLINE bool inside(const double* scores) {
  constexpr int step = lanes<double>;
  auto good = load(scores) == load(scores);
  for (int i = 0; i < ScoreMap::block; i += step) {
    const auto v = load(scores + i);
    good &= (v >= 0) & (v <= 1);
  }
  std::int64_t all = -1;
  for (int i = 0; i < step; ++i) all &= good[i];
  return all != 0;
}

// Writes the levels of a map's scores; false if they leave [0, 1].
inline bool write_levels(const ScoreMap& map, std::uint8_t* levels) {
  return map.read([&](std::int64_t p, int n, const double* scores) {
    if (!inside(scores)) return false;
    std::uint8_t of_block[ScoreMap::block];
    for (int i = 0; i < ScoreMap::block; ++i) {
      const std::int32_t level = static_cast<std::int32_t>(scores[i] * 255);
      of_block[i] = static_cast<std::uint8_t>(level);
    }
    std::memcpy(levels + p, of_block, static_cast<std::size_t>(n));
    return true;
  });
}

}  // namespace fastcam::FASTCAM_ISA

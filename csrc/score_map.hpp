// Score maps as evaluators make and read them, in double precision: resized as OpenCV's INTER_CUBIC does, bit for bit,
// normalized to [0, 1], then truncated to levels or counted in histograms.
#pragma once

#include <cmath>

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
  // Makes map i ready to be read. A map given as it is must lie in [0, 1]; false if it does not, or holds a NaN.
  bool start(const ScoreMaps& maps, std::int64_t i) {
    const std::int64_t at = i * maps.h * maps.w;
    const std::int64_t count = std::int64_t{maps.h} * maps.w, room = std::int64_t{maps.height} * maps.width;
    const double* values;
    if (maps.dtype == Dtype::float64) {
      values = static_cast<const double*>(maps.data) + at;
    } else {
      double* const wide = given_.reserve(static_cast<std::size_t>(count));
      const float* const from = static_cast<const float*>(maps.data) + at;
      for (std::int64_t p = 0; p < count; ++p) wide[p] = static_cast<double>(from[p]);
      values = wide;
    }
    scores_ = values;
    count_ = room;
    if (!maps.raw) {
      bool outside = false;
      for (std::int64_t p = 0; p < count; ++p) outside |= !(values[p] >= 0 && values[p] <= 1);
      return !outside;
    }
    double* const full = full_.reserve(static_cast<std::size_t>(room + 2 * lanes<double>));
    if (maps.h == maps.height && maps.w == maps.width)
      std::copy(values, values + count, full);
    else
      resize(values, maps, full);
    normalize(full);
    scores_ = full;
    return true;
  }

  void write_levels(std::uint8_t* levels) const {
    for (std::int64_t p = 0; p < count_; ++p) levels[p] = static_cast<std::uint8_t>(static_cast<int>(scores_[p] * 255));
  }

  // Adds to the histograms of background (mask 0) and of objects (mask 1). A bin holds its lower edge.
  void count(const std::uint8_t* mask, const double* edges, std::int64_t* background, std::int64_t* objects) const {
    const double per_bin = 1 / edges[1];
    std::int64_t* const of[] = {background, objects};
    for (std::int64_t p = 0; p < count_; ++p) {
      if (mask[p] > 1) continue;
      const double score = scores_[p];
      // Edges are steps that rounding has moved a little: the bin is the one guessed, or a neighbour.
      int bin = static_cast<int>(score * per_bin);
      bin -= score < edges[bin];
      bin += score >= edges[bin + 1];
      ++of[mask[p]][bin];
    }
  }

 private:
  static constexpr int step = lanes<double>;

  void resize(const double* from, const ScoreMaps& maps, double* out) {
    x_.prepare(maps.w, maps.width);
    y_.prepare(maps.h, maps.height);
    const std::int64_t stride = maps.width + step;
    double* const wide = wide_.reserve(static_cast<std::size_t>(maps.h * stride));
    for (int y = 0; y < maps.h; ++y) widen(from + std::int64_t{y} * maps.w, wide + y * stride);
    for (int y = 0; y < maps.height; ++y) {
      const double* p[4];
      for (int k = 0; k < 4; ++k) p[k] = wide + y_.tap(y, k - 1) * stride;
      const double w0 = y_.factors(0)[y], w1 = y_.factors(1)[y], w2 = y_.factors(2)[y], w3 = y_.factors(3)[y];
      double* const row = out + std::int64_t{y} * maps.width;
      for (int x = 0; x < maps.width; x += step)  // what is written beyond the row, the next one overwrites
        store(row + x, ((load(p[0] + x) * w0 + load(p[1] + x) * w1) + load(p[2] + x) * w2) + load(p[3] + x) * w3);
    }
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

  void normalize(double* full) const {
    double low = full[0], high = full[0];
    bool nan = false;
    for (std::int64_t p = 0; p < count_; ++p) {
      low = full[p] < low ? full[p] : low;
      high = full[p] > high ? full[p] : high;
      nan |= full[p] != full[p];
    }
    const double span = high - low;
    if (nan || !(span > 0) || !std::isfinite(span)) {
      std::fill(full, full + count_, 0.0);
      return;
    }
    for (std::int64_t p = 0; p < count_; ++p) full[p] = (full[p] - low) / span;
  }

  const double* scores_ = nullptr;
  std::int64_t count_ = 0;
  CubicAxis x_, y_;
  Buffer<double> given_, wide_, full_;
};

}  // namespace fastcam::FASTCAM_ISA

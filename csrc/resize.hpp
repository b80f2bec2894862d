// A map resized row by row, so that no full-size map has to exist. Half-pixel centres, replicated border; along the
// width first. Bilinear is a + (b - a) f, whose values never leave [a, b]; bicubic is Keys' kernel with a = -0.75.
#pragma once

#include <cmath>
#include <cstring>
#include <limits>

#include "buffer.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

// Where each of `to` output positions, or of every stride-th of them, falls among `from` input positions.
class Axis {
 public:
  void prepare(int from, int to, int stride, bool bicubic) {
    if (from == from_ && to == to_ && stride == stride_ && bicubic == bicubic_) return;
    from_ = from;
    to_ = to;
    stride_ = stride;
    bicubic_ = bicubic;
    const int count = to / stride;
    first_.reserve(static_cast<std::size_t>(to));
    spans_.reserve(static_cast<std::size_t>(to) + 1);
    span_count_ = 0;
    for (auto& factor : factors_) factor.reserve(static_cast<std::size_t>(to) + 64);
    for (int i = 0; i < count; ++i) {
      double source = (i * stride + stride / 2 + 0.5) * from / to - 0.5;
      if (!bicubic) source = std::min(std::max(source, 0.0), from - 1.0);
      const double floor = std::floor(source), t = source - floor;
      const auto at = static_cast<std::size_t>(i);
      first_[at] = static_cast<int>(floor);
      if (i == 0 || first_[at] != first_[at - 1]) spans_[static_cast<std::size_t>(span_count_++)] = i;
      if (!bicubic) {
        factors_[0][at] = static_cast<float>(t);
        continue;
      }
      factors_[0][at] = static_cast<float>(far(t + 1));
      factors_[1][at] = static_cast<float>(near(t));
      factors_[2][at] = static_cast<float>(near(1 - t));
      factors_[3][at] = static_cast<float>(far(2 - t));
    }
    spans_[static_cast<std::size_t>(span_count_)] = count;
  }

  // Span s is the output positions [begin(s), begin(s + 1)), which lie between the same two input positions.
  int spans() const { return span_count_; }
  int begin(int s) const { return spans_[static_cast<std::size_t>(s)]; }
  int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
  // The input position `offset` after the first, at the border the last one there is.
  int tap(int i, int offset) const { return std::min(std::max(first(i) + offset, 0), from_ - 1); }
  const float* factors(int k) const { return factors_[k].data(); }

 private:
  static double near(double d) { return ((-0.75 + 2) * d - (-0.75 + 3)) * d * d + 1; }
  static double far(double d) { return ((-0.75 * d - 5 * -0.75) * d + 8 * -0.75) * d - 4 * -0.75; }

  int from_ = 0, to_ = 0, stride_ = 0;
  bool bicubic_ = false;
  int span_count_ = 0;
  Buffer<int> first_, spans_;
  Buffer<float> factors_[4];
};

class ResizedRows {
 public:
  // Rows come padded with NaN, which no comparison holds for, to a multiple of this.
  static constexpr int padding = 64;

  void start(const float* map, int h, int w, int height, int width, bool bicubic) {
    map_ = map;
    h_ = h;
    w_ = w;
    full_height_ = height;
    full_width_ = width;
    bicubic_ = bicubic;
    identity_ = h == height && w == width;
    prepare(1);
  }

  // Every stride-th pixel of every stride-th row of other rows, which are not a map at its own size.
  void start_sample(const ResizedRows& of, int stride) {
    map_ = of.map_;
    h_ = of.h_;
    w_ = of.w_;
    full_height_ = of.full_height_;
    full_width_ = of.full_width_;
    bicubic_ = of.bicubic_;
    identity_ = false;
    prepare(stride);
  }

  bool identity() const { return identity_; }
  int width() const { return width_; }
  int height() const { return height_; }
  int padded() const { return padded_; }
  const Axis& x() const { return x_; }
  const Axis& y() const { return y_; }
  // Row y of the map, resized along the width, with sixteen NaNs behind it.
  const float* wide(int y) const { return &wide_[static_cast<std::size_t>(y) * static_cast<std::size_t>(stride_)]; }

  // Row y of the resized map, until the next call.
  const float* row(int y) {
    float* const out = row_.data();
    if (identity_) {
      std::memcpy(out, map_ + std::int64_t{y} * width_, sizeof(float) * static_cast<std::size_t>(width_));
      return out;
    }
    if (bicubic_)
      cubic_row(y, out);
    else
      linear_row(y, out);
    for (int x = width_; x < std::min(padded_, width_ + step); ++x) out[x] = std::numeric_limits<float>::quiet_NaN();
    return out;
  }

 private:
  static constexpr int step = lanes<float>;

  void prepare(int stride) {
    width_ = full_width_ / stride;
    height_ = full_height_ / stride;
    padded_ = (width_ + padding - 1) / padding * padding;
    // Spans are written in whole vectors and may overrun what the next one, or the padding, then overwrites.
    float* const row = row_.reserve(static_cast<std::size_t>(padded_ + padding));
    for (int x = width_; x < padded_; ++x) row[x] = std::numeric_limits<float>::quiet_NaN();
    if (identity_) return;
    x_.prepare(w_, full_width_, stride, bicubic_);
    y_.prepare(h_, full_height_, stride, bicubic_);
    stride_ = padded_ + padding;
    wide_.reserve(static_cast<std::size_t>(h_) * static_cast<std::size_t>(stride_));
    for (int y = 0; y < h_; ++y) widen_row(map_ + std::int64_t{y} * w_, wide_.data() + std::int64_t{y} * stride_);
    difference_.reserve(static_cast<std::size_t>(stride_));
    difference_of_ = -1;
  }

  void widen_row(const float* from, float* out) {
    for (int s = 0; s < x_.spans(); ++s) {
      const int begin = x_.begin(s), end = x_.begin(s + 1);
      if (bicubic_)
        cubic_span(from, begin, end, out);
      else
        linear_span(from[x_.tap(begin, 0)], from[x_.tap(begin, 1)], begin, end, out);
    }
    for (int x = width_; x < width_ + 16; ++x) out[x] = std::numeric_limits<float>::quiet_NaN();
  }

  void linear_span(float a, float b, int begin, int end, float* out) {
    const float difference = b - a;
    for (int x = begin; x < end; x += step) store(out + x, a + difference * load(x_.factors(0) + x));
  }

  void cubic_span(const float* from, int begin, int end, float* out) {
    const float p0 = from[x_.tap(begin, -1)], p1 = from[x_.tap(begin, 0)];
    const float p2 = from[x_.tap(begin, 1)], p3 = from[x_.tap(begin, 2)];
    for (int x = begin; x < end; x += step) {
      const auto w0 = load(x_.factors(0) + x), w1 = load(x_.factors(1) + x);
      const auto w2 = load(x_.factors(2) + x), w3 = load(x_.factors(3) + x);
      store(out + x, ((p0 * w0 + p1 * w1) + p2 * w2) + p3 * w3);
    }
  }

  void linear_row(int y, float* out) {
    const float* a = wide(y_.first(y));
    if (difference_of_ != y_.first(y)) {
      difference_of_ = y_.first(y);
      const float* b = wide(y_.tap(y, 1));
      for (int x = 0; x < width_; x += step) {
        store(difference_.data() + x, load(b + x) - load(a + x));
      }
    }
    const float f = y_.factors(0)[y];
    const float* const difference = difference_.data();
    for (int x = 0; x < width_; x += step) store(out + x, load(a + x) + load(difference + x) * f);
  }

  void cubic_row(int y, float* out) {
    const float *p0 = wide(y_.tap(y, -1)), *p1 = wide(y_.tap(y, 0)), *p2 = wide(y_.tap(y, 1)), *p3 = wide(y_.tap(y, 2));
    const float w0 = y_.factors(0)[y], w1 = y_.factors(1)[y], w2 = y_.factors(2)[y], w3 = y_.factors(3)[y];
    for (int x = 0; x < width_; x += step)
      store(out + x, ((load(p0 + x) * w0 + load(p1 + x) * w1) + load(p2 + x) * w2) + load(p3 + x) * w3);
  }

  const float* map_ = nullptr;
  int h_ = 0, w_ = 0, full_height_ = 0, full_width_ = 0;
  int height_ = 0, width_ = 0, padded_ = 0, stride_ = 0, difference_of_ = -1;
  bool bicubic_ = false, identity_ = false;
  Axis x_, y_;
  Buffer<float> wide_;        // the map's rows, resized along the width
  Buffer<float> difference_;  // of the two rows that linear_row last lay between
  Buffer<float> row_;
};

}  // namespace fastcam::FASTCAM_ISA

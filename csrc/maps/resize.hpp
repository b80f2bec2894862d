// ResizedRows  a map resized row by row, so that no map of full size has to exist
//
// Along the width first. Bilinear is a + (b - a) f, whose values never leave [a, b]; bicubic is Keys' kernel.
#pragma once

#include <algorithm>
#include <cstring>
#include <limits>

#include "maps/axis.hpp"
#include "vector/buffer.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

class ResizedRows {
 public:
  // Rows are padded to a multiple of this with NaN, for which every comparison fails.
  static constexpr int padding = 64;

  using Axis = fastcam::FASTCAM_ISA::Axis<TorchKernel>;

  void start(const float* map, int h, int w, int height, int width, Interpolation interpolation) {
    map_ = map;
    h_ = h;
    w_ = w;
    full_height_ = height;
    full_width_ = width;
    interpolation_ = interpolation;
    identity_ = h == height && w == width;
    prepare(1);
  }

  // Every stride-th pixel of every stride-th row of `of`, which must be a map that is really resized.
  void start_sample(const ResizedRows& of, int stride) {
    map_ = of.map_;
    h_ = of.h_;
    w_ = of.w_;
    full_height_ = of.full_height_;
    full_width_ = of.full_width_;
    interpolation_ = of.interpolation_;
    identity_ = false;
    prepare(stride);
  }

  bool identity() const { return identity_; }
  int width() const { return width_; }
  int height() const { return height_; }
  int padded() const { return padded_; }
  const Axis& x() const { return x_; }
  const Axis& y() const { return y_; }
  // Row y of the map, resized along the width only, with sixteen NaNs behind it.
  const float* wide(int y) const { return &wide_[static_cast<std::size_t>(y) * static_cast<std::size_t>(stride_)]; }

  // Row y of the resized map. The next call overwrites it. Not inlined: loops over rows then have registers to spare.
  [[gnu::noinline]] const float* row(int y) {
    float* const out = row_.data();
    if (identity_) {
      std::memcpy(out, map_ + std::int64_t{y} * width_, sizeof(float) * static_cast<std::size_t>(width_));
      return out;
    }
    if (bicubic())
      cubic_row(y_, y, [this](int from) { return wide(from); }, width_, out);
    else
      linear_row(y, out);
    for (int x = width_; x < std::min(padded_, width_ + step); ++x) out[x] = std::numeric_limits<float>::quiet_NaN();
    return out;
  }

 private:
  static constexpr int step = lanes<float>;

  bool bicubic() const { return interpolation_ == Interpolation::bicubic; }

  void prepare(int stride) {
    width_ = full_width_ / stride;
    height_ = full_height_ / stride;
    padded_ = (width_ + padding - 1) / padding * padding;
    // Spans are written in whole vectors. What one writes beyond its end, the next one or the padding overwrites.
    float* const row = row_.reserve(static_cast<std::size_t>(padded_ + padding));
    for (int x = width_; x < padded_; ++x) row[x] = std::numeric_limits<float>::quiet_NaN();
    if (identity_) return;
    x_.prepare({w_, full_width_, stride, interpolation_});
    y_.prepare({h_, full_height_, stride, interpolation_});
    stride_ = padded_ + padding;
    wide_.reserve(static_cast<std::size_t>(h_) * static_cast<std::size_t>(stride_));
    for (int y = 0; y < h_; ++y) widen_row(map_ + std::int64_t{y} * w_, wide_.data() + std::int64_t{y} * stride_);
    difference_.reserve(static_cast<std::size_t>(stride_));
    difference_of_ = -1;
  }

  void widen_row(const float* from, float* out) {
    for (int s = 0; s < x_.spans(); ++s) {
      const int begin = x_.begin(s), end = x_.begin(s + 1);
      if (bicubic())
        cubic_span(x_, from, begin, end, out);
      else
        linear_span(from[x_.tap(begin, 0)], from[x_.tap(begin, 1)], begin, end, out);
    }
    for (int x = width_; x < width_ + 16; ++x) out[x] = std::numeric_limits<float>::quiet_NaN();
  }

  void linear_span(float a, float b, int begin, int end, float* out) {
    const float difference = b - a;
    for (int x = begin; x < end; x += step) store(out + x, a + difference * load(x_.factors(0) + x));
  }

  void linear_row(int y, float* out) {
    const float* a = wide(y_.first(y));
    if (difference_of_ != y_.first(y)) {
      difference_of_ = y_.first(y);
      const float* b = wide(y_.tap(y, 1));
      for (int x = 0; x < width_; x += step) store(difference_.data() + x, load(b + x) - load(a + x));
    }
    const float f = y_.factors(0)[y];
    const float* const difference = difference_.data();
    for (int x = 0; x < width_; x += step) store(out + x, load(a + x) + load(difference + x) * f);
  }

  const float* map_ = nullptr;
  int h_ = 0, w_ = 0, full_height_ = 0, full_width_ = 0;
  int height_ = 0, width_ = 0, padded_ = 0, stride_ = 0, difference_of_ = -1;
  Interpolation interpolation_ = Interpolation::bilinear;
  bool identity_ = false;
  Axis x_, y_;
  Buffer<float> wide_;        // the map's rows, resized along the width
  Buffer<float> difference_;  // of the two input rows that linear_row() used last
  Buffer<float> row_;
};

}  // namespace fastcam::FASTCAM_ISA

// Normalization      a map's normalization, as a function of the pixel's value
//   value, level     the normalized value; its uint8 level
//   cutoff           which pixels exceed a threshold once normalized, without normalizing them
//
// Every normalization, and the step to levels, never decreases. So order statistics of the normalized map are the
// normalized order statistics of the map, a comparison with the threshold is one of the pixel itself with a cutoff, and
// no normalized map has to be made.
#pragma once

#include <cmath>

#include "maps/percentile_select.hpp"

namespace fastcam::FASTCAM_ISA {

class Normalization {
 public:
  static Normalization identity(bool quantize) { return Normalization(false, quantize, 0, 1, -unbounded, unbounded); }
  static Normalization zeros(bool quantize) { return Normalization(false, quantize, 0, 1, 0, 0); }

  static Normalization minmax(Range range, bool quantize) {
    const double low = range.low, span = range.high - low;
    return usable(range, span) ? Normalization(true, quantize, low, span, -unbounded, unbounded) : zeros(quantize);
  }
  static Normalization max(Range range, bool quantize) {
    return usable(range, range.high) ? Normalization(true, quantize, 0, range.high, 0, unbounded) : zeros(quantize);
  }
  static Normalization percentile(Range range, float reference, bool quantize) {
    return usable(range, reference) ? Normalization(true, quantize, 0, reference, 0, 1) : zeros(quantize);
  }

  // Both with an order statistic as IVR's code takes it: the value of index int(p n), not interpolated.
  static Normalization pas(Range range, float kth, bool quantize) {
    const double low = range.low, span = kth - low;
    return usable(range, span) ? Normalization(true, quantize, low, span, -unbounded, 1) : zeros(quantize);
  }
  static Normalization ivr(Range range, float kth, bool quantize) {
    const double base = kth, span = range.high - base;
    return usable(range, span) ? Normalization(true, quantize, base, span, 0, unbounded) : zeros(quantize);
  }

  double scaled(float x) const {
    const double value = scale_ ? (static_cast<double>(x) - offset_) / span_ : static_cast<double>(x);
    return std::min(std::max(low_, value), high_);  // low_ where x is NaN
  }
  float value(float x) const { return static_cast<float>(scaled(x)); }
  std::uint8_t level(float x) const { return static_cast<std::uint8_t>(std::min(std::max(scaled(x), 0.0), 1.0) * 255); }

  // The largest value that does not exceed the threshold once normalized.
  float cutoff(float threshold) const {
    const auto exceeds = [&](float x) { return (quantize_ ? static_cast<float>(level(x)) : value(x)) > threshold; };
    std::int32_t low = order_key(-std::numeric_limits<float>::infinity());
    std::int32_t high = order_key(std::numeric_limits<float>::infinity());
    if (!exceeds(from_order_key(high))) return from_order_key(high);
    while (low + 1 < high) {
      const std::int32_t middle = middle_key(low, high);
      (exceeds(from_order_key(middle)) ? high : low) = middle;
    }
    return from_order_key(low);
  }

 private:
  static constexpr double unbounded = std::numeric_limits<double>::infinity();

  Normalization(bool scale, bool quantize, double offset, double span, double low, double high)
      : scale_(scale), quantize_(quantize), offset_(offset), span_(span), low_(low), high_(high) {}

  static bool usable(Range range, double span) {
    return span > 0 && std::isfinite(range.low) && std::isfinite(range.high);
  }

  bool scale_, quantize_;
  double offset_, span_, low_, high_;
};

}  // namespace fastcam::FASTCAM_ISA

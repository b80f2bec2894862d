// From a map to its box: resize, percentile, threshold into bits, largest component.
//
// Every normalization, and the step to uint8 levels, is a function that never decreases. So order statistics of what is
// normalized are the normalized order statistics of what is not, and comparing a normalized value with the threshold is
// comparing the value itself with a cutoff: no normalized map has to be made.
#pragma once

#include "core.hpp"
#include "regions.hpp"
#include "statistics.hpp"

namespace fastcam::FASTCAM_ISA {

// Position of a percentile among `count` ordered values, in numpy.percentile's arithmetic.
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

// A map's normalization, as a function of the raw value.
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

  double scaled(float x) const {
    const double value = scale_ ? (static_cast<double>(x) - offset_) / span_ : static_cast<double>(x);
    return std::min(std::max(low_, value), high_);  // low_ for a NaN
  }
  float value(float x) const { return static_cast<float>(scaled(x)); }
  std::uint8_t level(float x) const { return static_cast<std::uint8_t>(std::min(std::max(scaled(x), 0.0), 1.0) * 255); }

  // The largest raw value whose normalized one does not exceed the threshold.
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

template <int Connectivity>
class Locator {
 public:
  void prepare(const Maps& maps, const Protocol& protocol) {
    maps_ = maps;
    protocol_ = protocol;
    words_ = words_in_row(maps.width);
    bits_.reserve(static_cast<std::size_t>(words_) * static_cast<std::size_t>(maps.height) + Cells::words_beyond);
  }

  // Finds the box of map i.
  void run(std::int64_t i, const float* map, const Found& found) {
    const bool bicubic = protocol_.interpolation == Interpolation::bicubic;
    rows_.start(map, maps_.h, maps_.w, maps_.height, maps_.width, bicubic);
    const bool tame = is_tame(map), nan = !tame && has_nan();
    statistics_.start(rows_, map, maps_.height, maps_.width, tame && Cells::worthwhile(maps_, bicubic));
    const Normalization normalization = nan ? of_nan() : normalize();
    const float threshold = nan ? threshold_of_nan() : threshold_of(normalization);
    statistics_.binarize(nan ? infinity : cutoff(normalization, threshold), bits_.data(), words_);
    const Mask mask{bits_.data(), maps_.height, maps_.width};
    write(i, finder_.largest(mask, protocol_.area), threshold, found);
    if (found.maps != nullptr) write_map(i, normalization, found.maps);
    if (found.masks != nullptr) write_mask(i, found.masks);
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  // Whether the map is finite and nothing can overflow on the way.
  bool is_tame(const float* map) const {
    const float safe = std::numeric_limits<float>::max() / 16;
    bool large = false;
    for (std::int64_t p = 0; p < std::int64_t{maps_.h} * maps_.w; ++p) large |= !(std::abs(map[p]) <= safe);
    return !large;
  }

  bool has_nan() {
    for (int y = 0; y < maps_.height; ++y) {
      const float* row = rows_.row(y);
      for (int x = 0; x < maps_.width; ++x)
        if (row[x] != row[x]) return true;
    }
    return false;
  }

  bool raw() const { return protocol_.normalize == Normalize::none; }
  Normalization of_nan() const {
    return raw() ? Normalization::identity(protocol_.quantize) : Normalization::zeros(protocol_.quantize);
  }
  float threshold_of_nan() const { return raw() ? std::numeric_limits<float>::quiet_NaN() : 0; }

  std::int64_t pixels() const { return std::int64_t{maps_.height} * maps_.width; }

  // Also finds the order statistics that the threshold needs.
  Normalization normalize() {
    const Rank rank(pixels(), protocol_.percentile);
    around_ = statistics_.select(rank.below);
    if (raw()) return Normalization::identity(protocol_.quantize);
    const Range range = statistics_.range();
    if (protocol_.normalize == Normalize::minmax) return Normalization::minmax(range, protocol_.quantize);
    if (protocol_.normalize == Normalize::max) return Normalization::max(range, protocol_.quantize);
    return Normalization::percentile(range, rank.between(around_.kth, around_.next), protocol_.quantize);
  }

  float threshold_of(const Normalization& normalization) const {
    const Rank rank(pixels(), protocol_.percentile);
    if (protocol_.quantize) {
      const double a = normalization.level(around_.kth), b = normalization.level(around_.next);
      return static_cast<float>(std::floor(rank.between(a, b) * protocol_.threshold));
    }
    const float reference = rank.between(normalization.value(around_.kth), normalization.value(around_.next));
    return reference * static_cast<float>(protocol_.threshold);
  }

  float cutoff(const Normalization& normalization, float threshold) const {
    if (threshold != threshold) return infinity;
    return raw() && !protocol_.quantize ? threshold : normalization.cutoff(threshold);
  }

  void write(std::int64_t i, const Region& region, float threshold, const Found& found) const {
    const auto width = static_cast<float>(maps_.width), height = static_cast<float>(maps_.height);
    Box box{static_cast<float>(region.x0), static_cast<float>(region.y0), static_cast<float>(region.x1),
            static_cast<float>(region.y1)};
    if (protocol_.box_end == BoxEnd::clipped) {
      box.x1 = std::min(box.x1, width - 1);
      box.y1 = std::min(box.y1, height - 1);
    }
    if (region.x1 == 0 && protocol_.empty == Empty::image) box = {0, 0, width, height};
    found.boxes[i] = box;
    if (protocol_.area == Area::polygon)
      static_cast<double*>(found.areas)[i] = region.area;
    else
      static_cast<std::int64_t*>(found.areas)[i] = static_cast<std::int64_t>(region.area);
    found.thresholds[i] = threshold;
  }

  void write_map(std::int64_t i, const Normalization& normalization, void* maps) {
    for (int y = 0; y < maps_.height; ++y) {
      const float* row = rows_.row(y);
      const std::int64_t at = i * pixels() + std::int64_t{y} * maps_.width;
      for (int x = 0; x < maps_.width; ++x) {
        if (protocol_.quantize)
          static_cast<std::uint8_t*>(maps)[at + x] = row[x] != row[x] ? std::uint8_t{0} : normalization.level(row[x]);
        else
          static_cast<float*>(maps)[at + x] = raw() ? row[x] : normalization.value(row[x]);
      }
    }
  }

  void write_mask(std::int64_t i, std::uint8_t* masks) const {
    std::uint8_t* to = masks + i * pixels();
    for (int y = 0; y < maps_.height; ++y)
      for (int x = 0; x < maps_.width; ++x)
        *to++ = bits_[static_cast<std::size_t>(std::int64_t{y} * words_ + x / 64)] >> (x % 64) & 1;
  }

  Maps maps_{};
  Protocol protocol_{};
  int words_ = 0;
  ResizedRows rows_;
  MapStatistics statistics_;
  Neighbours around_{};
  Buffer<std::uint64_t> bits_;
  WholeFinder<Connectivity> finder_;
};

}  // namespace fastcam::FASTCAM_ISA

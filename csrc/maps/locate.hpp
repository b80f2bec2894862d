// Locator            from maps to their boxes (Eq. 3, 6): that of the largest component, or of all
//   prepare, run     for maps of one size and protocol; one map
//
// Resize, percentile, threshold into bits, largest component. The resized map is computed piece by piece, whenever a
// step reads it.
#pragma once

#include <cmath>

#include "core/core.hpp"
#include "maps/normalization.hpp"
#include "maps/percentile.hpp"
#include "masks/objects.hpp"

namespace fastcam::FASTCAM_ISA {

template <int Connectivity>
class Locator {
 public:
  void prepare(const Maps& maps, const Protocol& protocol) {
    bits_.reserve(ResizedMap::words(maps));
    maps_ = maps;
    protocol_ = protocol;
  }

  // Finds the box of map i, or all its boxes.
  void run(std::int64_t i, const float* map, const Found& found) {
    map_.start(map, maps_, protocol_.interpolation);
    const bool bounded = is_bounded(map), nan = !bounded && map_.has_nan();
    if (bounded && BilinearCells::worthwhile(maps_, protocol_.interpolation)) map_.use_cells();
    const Normalization normalization = nan ? of_nan() : normalize();
    const float threshold = nan ? threshold_of_nan() : threshold_of(normalization);
    map_.binarize(nan ? infinity : cutoff(normalization, threshold), bits_.data());
    const Mask mask{bits_.data(), maps_.height, maps_.width};
    found.thresholds[i] = threshold;
    if (found.objects.emit != nullptr)
      emit_objects(i, mask, normalization, found.objects);
    else
      write_largest(i, finder_.largest(mask, protocol_.area), found);
    if (found.maps != nullptr) write_map(i, normalization, found.maps);
    if (found.masks != nullptr) write_mask(i, found.masks);
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();

  // Whether the map is finite and so small that no resize can overflow.
  bool is_bounded(const float* map) const {
    const float safe = std::numeric_limits<float>::max() / 16;
    bool large = false;
    for (std::int64_t p = 0; p < std::int64_t{maps_.h} * maps_.w; ++p) large |= !(std::abs(map[p]) <= safe);
    return !large;
  }

  bool raw() const { return protocol_.normalize == Normalize::none; }
  Normalization of_nan() const {
    return raw() ? Normalization::identity(protocol_.quantize) : Normalization::zeros(protocol_.quantize);
  }
  float threshold_of_nan() const { return raw() ? std::numeric_limits<float>::quiet_NaN() : 0; }

  // Also finds the order statistics that the threshold needs.
  Normalization normalize() {
    const Rank rank(map_.pixels(), protocol_.percentile);
    around_ = statistics_.find(map_, rank.below);
    if (raw()) return Normalization::identity(protocol_.quantize);
    const Range range = map_.range();
    if (protocol_.normalize == Normalize::minmax) return Normalization::minmax(range, protocol_.quantize);
    if (protocol_.normalize == Normalize::max) return Normalization::max(range, protocol_.quantize);
    return Normalization::percentile(range, rank.between(around_.kth, around_.next), protocol_.quantize);
  }

  float threshold_of(const Normalization& normalization) const {
    const Rank rank(map_.pixels(), protocol_.percentile);
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

  void write_largest(std::int64_t i, const Region& region, const Found& found) const {
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
  }

  // A peak is normalized once it is found; a mean is that of normalized values.
  void emit_objects(std::int64_t i, const Mask& mask, const Normalization& normalization, const Objects& to) {
    const auto normalized = [&](float x) { return final_value(normalization, x); };
    if (protocol_.scores == Scores::peak)
      return objects_.template find<false>(
          mask, protocol_.area, [&](int y) { return map_.row(y); },
          [&](Object object) {
            object.peak = normalized(static_cast<float>(object.peak));
            to.emit(to.context, i, object);
          });
    float* const row = row_.reserve(static_cast<std::size_t>(maps_.width));
    objects_.template find<true>(
        mask, protocol_.area,
        [&](int y) {
          const float* const raw_row = map_.row(y);
          std::transform(raw_row, raw_row + maps_.width, row, normalized);
          return row;
        },
        [&](const Object& object) { to.emit(to.context, i, object); });
  }

  // What a map's value becomes, levels as numbers.
  float final_value(const Normalization& normalization, float x) const {
    if (protocol_.quantize) return normalization.level(x);
    return raw() ? x : normalization.value(x);
  }

  void write_map(std::int64_t i, const Normalization& normalization, void* maps) {
    for (int y = 0; y < maps_.height; ++y) {
      const float* row = map_.row(y);
      const std::int64_t at = i * map_.pixels() + std::int64_t{y} * maps_.width;
      for (int x = 0; x < maps_.width; ++x) {
        if (protocol_.quantize)
          static_cast<std::uint8_t*>(maps)[at + x] = row[x] != row[x] ? std::uint8_t{0} : normalization.level(row[x]);
        else
          static_cast<float*>(maps)[at + x] = raw() ? row[x] : normalization.value(row[x]);
      }
    }
  }

  void write_mask(std::int64_t i, std::uint8_t* masks) const {
    std::uint8_t* to = masks + i * map_.pixels();
    const Mask mask{bits_.data(), maps_.height, maps_.width};
    for (int y = 0; y < maps_.height; ++y) {
      const std::uint64_t* row = mask.row(y);
      for (int x = 0; x < maps_.width; ++x) *to++ = row[x / 64] >> (x % 64) & 1;
    }
  }

  Maps maps_{};
  Protocol protocol_{};
  ResizedMap map_;
  OrderStatistics statistics_;
  Neighbours around_{};
  Buffer<std::uint64_t> bits_;
  Buffer<float> row_;
  ComponentFinder<Connectivity> finder_;
  ObjectFinder<Connectivity, float> objects_;
};

}  // namespace fastcam::FASTCAM_ISA

// Locator            from maps to their boxes (Eq. 3, 6): that of the largest component, or of all
//   prepare, run     for maps of one size and protocol; one map
//
// Resize, percentile, threshold into bits, largest component. The resized map is computed piece by piece, whenever a
// step reads it.
#pragma once

#include <cmath>

#include "core/core.hpp"
#include "maps/normalization.hpp"
#include "maps/otsu.hpp"
#include "maps/percentile.hpp"
#include "masks/objects.hpp"
#include "trees/stable.hpp"

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
    const float threshold = nan ? threshold_of_nan() : threshold_of(normalization, protocol_.threshold);
    map_.binarize(nan ? infinity : cutoff(normalization, threshold), bits_.data());
    const Mask mask{bits_.data(), maps_.height, maps_.width};
    found.thresholds[i] = threshold;
    if (found.objects.emit != nullptr)
      emit_objects(i, mask, normalization, least_peak(normalization), found.objects);
    else
      write_largest(i, finder_.largest(mask, protocol_.area), found);
    if (found.maps != nullptr) write_map(i, normalization, found.maps);
    if (found.masks != nullptr) write_mask(i, found.masks);
  }

 private:
  static constexpr float infinity = std::numeric_limits<float>::infinity();
  static constexpr double no_mean = std::numeric_limits<double>::quiet_NaN();

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
    if (protocol_.normalize == Normalize::pas)
      return Normalization::pas(range, at_share(protocol_.percentile), protocol_.quantize);
    if (protocol_.normalize == Normalize::ivr)
      return Normalization::ivr(range, at_share(protocol_.base_percentile), protocol_.quantize);
    return Normalization::percentile(range, rank.between(around_.kth, around_.next), protocol_.quantize);
  }

  // The pixel of index int(q / 100 n), in order.
  float at_share(double q) {
    const std::int64_t index = static_cast<std::int64_t>(q / 100 * static_cast<double>(map_.pixels()));
    return statistics_.find(map_, std::min(index, map_.pixels() - 1)).kth;
  }

  float threshold_of(const Normalization& normalization, double fraction) {
    if (fraction == otsu_threshold || fraction == stable_threshold)
      return threshold_by_levels(normalization, fraction == otsu_threshold);
    const Rank rank(map_.pixels(), protocol_.percentile);
    if (protocol_.quantize) {
      const double a = normalization.level(around_.kth), b = normalization.level(around_.next);
      return static_cast<float>(std::floor(rank.between(a, b) * fraction));
    }
    const float reference = rank.between(normalization.value(around_.kth), normalization.value(around_.next));
    return reference * static_cast<float>(fraction);
  }

  // A component counts where its peak is above this.
  float least_peak(const Normalization& normalization) {
    return protocol_.high_threshold ? threshold_of(normalization, *protocol_.high_threshold) : -infinity;
  }

  // Otsu's threshold of levels, or the stable one; of other maps the largest value at or below it, once the map's range
  // is cut into levels.
  float threshold_by_levels(const Normalization& normalization, bool by_otsu) {
    const Range range = map_.range();
    const Normalization to_levels =
        Normalization::minmax({final_value(normalization, range.low), final_value(normalization, range.high)}, true);
    const auto level = [&](float x) {
      return protocol_.quantize ? normalization.level(x) : to_levels.level(final_value(normalization, x));
    };
    std::int64_t counts[otsu_levels] = {};
    float highest[otsu_levels];  // of the values of each level
    std::fill(std::begin(highest), std::end(highest), -infinity);
    std::uint8_t* to = by_otsu ? nullptr : levels_.reserve(static_cast<std::size_t>(map_.pixels()));
    for (int y = 0; y < maps_.height; ++y) {
      const float* const row = map_.row(y);
      for (int x = 0; x < maps_.width; ++x) {
        const std::uint8_t at = level(row[x]);
        if (to != nullptr) *to++ = at;
        ++counts[at];
        highest[at] = std::max(highest[at], row[x]);
      }
    }
    const int best = by_otsu ? otsu(counts, map_.pixels()) : stable_.find(levels_.data(), maps_.height, maps_.width);
    if (protocol_.quantize) return static_cast<float>(best);
    return final_value(normalization, *std::max_element(highest, highest + best + 1));
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

  // Emits the components whose peak is above `least`. A peak is normalized once it is found; a mean is that of
  // normalized values.
  void emit_objects(std::int64_t i, const Mask& mask, const Normalization& normalization, float least,
                    const Objects& to) {
    const auto normalized = [&](float x) { return final_value(normalization, x); };
    const auto emit = [&](const Object& object) {
      if (object.peak > static_cast<double>(least)) to.emit(to.context, i, object);
    };
    objects_.label(mask, protocol_.area);
    if (objects_.count() == 0) return;
    if (protocol_.scores == Scores::peak) {
      if (objects_.count() == 1 && map_.range_is_cheap())  // it holds the highest pixel of all
        return emit(Object{objects_.region(0), normalized(map_.range().high), no_mean});
      return objects_.template measure<false>(
          mask, [&](int y) { return map_.row(y); },
          [&](const Object& object) {
            emit(Object{object.region, normalized(static_cast<float>(object.peak)), object.mean});
          });
    }
    float* const row = row_.reserve(static_cast<std::size_t>(maps_.width));
    objects_.template measure<true>(
        mask,
        [&](int y) {
          const float* const raw_row = map_.row(y);
          std::transform(raw_row, raw_row + maps_.width, row, normalized);
          return row;
        },
        emit);
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
  Buffer<std::uint8_t> levels_;
  StableThreshold stable_;
  ComponentFinder<Connectivity> finder_;
  ObjectFinder<Connectivity, float> objects_;
};

}  // namespace fastcam::FASTCAM_ISA

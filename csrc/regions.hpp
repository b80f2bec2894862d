// From a mask to the regions asked for: the largest component, or all of them.
#pragma once

#include <optional>

#include "core.hpp"
#include "pair_strips.hpp"
#include "strips.hpp"

namespace fastcam::FASTCAM_ISA {

inline Region region(const Component& c, double area) {
  return {c.x0, c.y0, c.x1, c.y1, area};
}

// What Labels is here: a Labeller or a StripLabeller that has labelled the mask.
template <class Labels, class Visit>
void for_each_component(const Labels& labels, const Visit& visit) {
  for (std::uint32_t label = 0; label < labels.labels(); ++label)
    if (labels.is_root(label)) visit(labels.component(label));
}

template <int Connectivity>
std::int64_t exact_area2(const Mask& mask, const Component& c) {
  return c.euler == 1 ? c.area2 : outline_area2<Connectivity>(mask, c.first_x, c.y0);
}

// Of equal counts the component that comes first in raster order.
template <class Labels>
Region largest_by_pixels(const Labels& labels) {
  Component best{};
  for_each_component(labels, [&](const Component& c) {
    if (c.pixels > best.pixels) best = c;
  });
  return region(best, best.pixels);
}

// Of equal areas the component that comes last in raster order, as OpenCV's contours do. Where holes are not filled,
// what fits in the box rules most components out before anyone walks around them.
template <int Connectivity, class Labels>
Region largest_by_polygon(const Mask& mask, const Labels& labels) {
  std::int64_t floor = -1;  // an area that some component reaches at least
  for_each_component(labels, [&](const Component& c) { floor = std::max(floor, c.area2); });
  Region best;
  std::int64_t best2 = -1;
  for_each_component(labels, [&](const Component& c) {
    const std::int64_t box2 = 2 * std::int64_t{c.x1 - c.x0 - 1} * (c.y1 - c.y0 - 1);
    if ((c.euler == 1 ? c.area2 : box2) < std::max(floor, best2)) return;
    const std::int64_t exact2 = exact_area2<Connectivity>(mask, c);
    if (exact2 < best2) return;
    best2 = exact2;
    best = region(c, static_cast<double>(exact2) / 2);
  });
  return best;
}

// Calls visit(Region) for every component, in the raster order of first pixels.
template <int Connectivity, class Labels, class Visit>
void every_region(const Mask& mask, Area area, const Labels& labels, const Visit& visit) {
  for_each_component(labels, [&](const Component& c) {
    const bool pixels = area == Area::pixels;
    visit(region(c, pixels ? c.pixels : static_cast<double>(exact_area2<Connectivity>(mask, c)) / 2));
  });
}

// Nothing on a tie: pairs do not tell which of two components that are as large and begin in the same row comes first.
template <class Pairs>
std::optional<Region> largest_of_pairs(const Pairs& pairs) {
  Gathered best{};
  bool tie = false;
  pairs.for_each([&](const Gathered& c) {
    const bool better = c.pixels > best.pixels || (c.pixels == best.pixels && c.y0 < best.y0);
    const bool equal = c.pixels == best.pixels && c.y0 == best.y0;
    tie = !better && (tie || equal);
    if (better) best = c;
  });
  if (tie) return std::nullopt;
  return Region{best.x0, best.y0, best.x1, best.y1, static_cast<double>(best.pixels)};
}

// Labels and Pairs label a mask as a whole, or in strips.
template <int Connectivity, class Labels, class Pairs>
class RegionFinder {
 public:
  template <class... How>
  explicit RegionFinder(const How&... how) : labels_(how...), pairs_(how...) {}

  Region largest(const Mask& mask, Area area) {
    if (area == Area::polygon) return largest_by_polygon<Connectivity>(mask, labelled<true>(mask));
    if (Connectivity == 8 && is_dense(mask)) {
      pairs_.label(mask);
      if (const auto found = largest_of_pairs(pairs_)) return *found;
    }
    return largest_by_pixels(labelled<false>(mask));
  }

  // Calls visit(Region) for every component, in the raster order of first pixels.
  template <class Visit>
  void all(const Mask& mask, Area area, const Visit& visit) {
    every_region<Connectivity>(mask, area, area == Area::pixels ? labelled<false>(mask) : labelled<true>(mask), visit);
  }

 private:
  template <bool Polygon>
  const Labels& labelled(const Mask& mask) {
    labels_.template label<Connectivity, Polygon>(mask);
    return labels_;
  }

  Labels labels_;
  Pairs pairs_;
};

template <int Connectivity>
using WholeFinder = RegionFinder<Connectivity, Labeller, PairLabeller>;
template <int Connectivity>
using StripFinder = RegionFinder<Connectivity, StripLabeller, PairStrips>;

}  // namespace fastcam::FASTCAM_ISA

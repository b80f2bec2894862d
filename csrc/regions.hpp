// From a mask to the regions asked for: the largest component, or all of them.
#pragma once

#include "core.hpp"
#include "outline.hpp"
#include "row_pairs.hpp"

namespace fastcam::FASTCAM_ISA {

inline Region region(const Component& c, double area) {
  return {c.x0, c.y0, c.x1, c.y1, area};
}

template <int Connectivity>
class RegionFinder {
 public:
  Region largest(const Mask& mask, Area area) {
    return area == Area::pixels ? largest_by_pixels(mask) : largest_by_polygon(mask);
  }

  // Calls visit(Region) for every component, in the raster order of first pixels.
  template <class Visit>
  void all(const Mask& mask, Area area, const Visit& visit) {
    if (area == Area::pixels) {
      labeller_.template label<Connectivity, false>(mask);
      for_each_root([&](const Component& c) { visit(region(c, c.pixels)); });
      return;
    }
    labeller_.template label<Connectivity, true>(mask);
    for_each_root([&](const Component& c) { visit(region(c, static_cast<double>(area2(mask, c)) / 2)); });
  }

 private:
  template <class Visit>
  void for_each_root(const Visit& visit) {
    for (std::uint32_t label = 0; label < labeller_.labels(); ++label)
      if (labeller_.is_root(label)) visit(labeller_.component(label));
  }

  // Of equal counts the component that comes first in raster order.
  Region largest_by_pixels(const Mask& mask) {
    if (Connectivity == 8 && is_dense(mask)) {
      pairs_.label(mask);
      Component best{};
      pairs_.for_each([&](const Component& c) {
        if (c.pixels > best.pixels || (c.pixels == best.pixels && comes_before(c, best))) best = c;
      });
      return region(best, best.pixels);
    }
    labeller_.template label<Connectivity, false>(mask);
    Component best{};
    for_each_root([&](const Component& c) {
      if (c.pixels > best.pixels) best = c;
    });
    return region(best, best.pixels);
  }

  // Of equal areas the component that comes last in raster order, as OpenCV's contours do. Where there are holes, what
  // fits in the box rules most components out before anyone walks around them.
  Region largest_by_polygon(const Mask& mask) {
    labeller_.template label<Connectivity, true>(mask);
    std::int64_t floor = -1;  // an area that some component reaches at least
    for_each_root([&](const Component& c) { floor = std::max(floor, c.area2); });
    Region best;
    std::int64_t best2 = -1;
    for_each_root([&](const Component& c) {
      const std::int64_t box2 = 2 * std::int64_t{c.x1 - c.x0 - 1} * (c.y1 - c.y0 - 1);
      if ((c.euler == 1 ? c.area2 : box2) < std::max(floor, best2)) return;
      const std::int64_t exact2 = area2(mask, c);
      if (exact2 < best2) return;
      best2 = exact2;
      best = region(c, static_cast<double>(exact2) / 2);
    });
    return best;
  }

  static std::int64_t area2(const Mask& mask, const Component& c) {
    return c.euler == 1 ? c.area2 : outline_area2<Connectivity>(mask, c.first_x, c.y0);
  }

  Labeller labeller_;
  PairLabeller pairs_;
};

}  // namespace fastcam::FASTCAM_ISA

// LargestByPolygon     OpenCV's rule for the largest component by polygon area, ties included
// largest_by_pixels    the component of the most pixels
// largest_by_polygon   the component of the largest polygon area
// every_region         all components
//
// Labels is a labeller, or strips of them, that has labelled the mask.
#pragma once

#include <optional>

#include "core/core.hpp"
#include "masks/components.hpp"
#include "masks/two_rows.hpp"

namespace fastcam::FASTCAM_ISA {

// Components are offered in any order. Of equal areas the component wins whose first pixel comes last in raster order,
// because OpenCV lists contours in the opposite order and keeps the first of the largest ones.
template <class Winner>
class LargestByPolygon {
 public:
  // Twice the most area that a box can hold.
  static std::int64_t most_in_box2(std::int64_t width, std::int64_t height) { return 2 * (width - 1) * (height - 1); }

  // Says that some component has at least this area.
  void expect(std::int64_t area2) { least2_ = std::max(least2_, area2); }
  // Whether a component of at most this area may win. It spares the walk around most components with holes.
  bool may_win(std::int64_t most2) const { return most2 >= std::max(least2_, area2_); }

  void offer(std::int64_t area2, int first_y, int first_x, const Winner& winner) {
    const bool later = first_y != first_y_ ? first_y > first_y_ : first_x > first_x_;
    if (area2 < area2_ || (area2 == area2_ && !later)) return;
    area2_ = area2;
    first_y_ = first_y;
    first_x_ = first_x;
    winner_ = winner;
  }

  std::int64_t area2() const { return area2_; }  // -1 where nothing was offered
  const Winner& winner() const { return winner_; }

 private:
  std::int64_t least2_ = -1, area2_ = -1;
  int first_y_ = -1, first_x_ = -1;
  Winner winner_{};
};

inline Region region(const Component& c, double area) {
  return {c.x0, c.y0, c.x1, c.y1, area};
}

template <int Connectivity>
std::int64_t exact_area2(const Mask& mask, const Component& c) {
  return c.euler == 1 ? c.area2 : outline_area2<Connectivity>(mask, c.first_x, c.y0);
}

// Of equal counts the component that comes first in raster order.
template <class Labels>
Region largest_by_pixels(const Labels& labels) {
  Component best{};
  labels.for_each([&](const Component& c) {
    if (c.pixels > best.pixels) best = c;
  });
  return region(best, static_cast<double>(best.pixels));
}

template <int Connectivity, class Labels>
Region largest_by_polygon(const Mask& mask, const Labels& labels) {
  LargestByPolygon<Component> largest;
  labels.for_each([&](const Component& c) { largest.expect(c.area2); });
  labels.for_each([&](const Component& c) {
    if (!largest.may_win(c.euler == 1 ? c.area2 : largest.most_in_box2(c.x1 - c.x0, c.y1 - c.y0))) return;
    largest.offer(exact_area2<Connectivity>(mask, c), c.y0, c.first_x, c);
  });
  if (largest.area2() < 0) return {};
  return region(largest.winner(), static_cast<double>(largest.area2()) / 2);
}

// Of components found by two rows at a time. Nothing where several are equally large and begin in the same row: which
// of them comes first in raster order is not known.
template <class Labels>
std::optional<Region> largest_of_two_rows(const Labels& labels) {
  CountedBox best{};
  bool tie = false;
  labels.for_each([&](const CountedBox& c) {
    const bool better = c.pixels > best.pixels || (c.pixels == best.pixels && c.y0 < best.y0);
    const bool equal = c.pixels == best.pixels && c.y0 == best.y0;
    tie = !better && (tie || equal);
    if (better) best = c;
  });
  if (tie) return std::nullopt;
  if (best.pixels == 0) return Region{};
  return Region{best.x0, best.y0, best.x1, best.y1, static_cast<double>(best.pixels)};
}

// Calls visit(Region) for every component, in the raster order of first pixels.
template <int Connectivity, class Labels, class Visit>
void every_region(const Mask& mask, Area area, const Labels& labels, const Visit& visit) {
  labels.for_each([&](const Component& c) {
    const bool pixels = area == Area::pixels;
    visit(region(c,
                 pixels ? static_cast<double>(c.pixels) : static_cast<double>(exact_area2<Connectivity>(mask, c)) / 2));
  });
}

}  // namespace fastcam::FASTCAM_ISA

// ComponentFinder   the largest component of a mask, or all of them
// StripFinder       the same for one large mask, on several threads
//
// Both choose the labeller that suits the mask.
#pragma once

#include "masks/largest.hpp"
#include "masks/strips.hpp"

namespace fastcam::FASTCAM_ISA {

template <int Connectivity, class Labels, class TwoRowLabels>
class Finder {
 public:
  template <class... Arguments>
  explicit Finder(const Arguments&... arguments) : labels_(arguments...), two_rows_(arguments...) {}

  Region largest(const Mask& mask, Area area) {
    if (area == Area::polygon) return largest_by_polygon<Connectivity>(mask, labelled<true>(mask));
    if constexpr (Connectivity == 8) {
      if (is_dense(mask) && TwoRowLabeller::fits(mask)) {
        two_rows_.template label<8, false>(mask);
        if (const auto found = largest_of_two_rows(two_rows_)) return *found;
      }
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
  TwoRowLabels two_rows_;
};

template <int Connectivity>
using ComponentFinder = Finder<Connectivity, Labeller, TwoRowLabeller>;
template <int Connectivity>
using StripFinder = Finder<Connectivity, Strips<Labeller>, Strips<TwoRowLabeller>>;

}  // namespace fastcam::FASTCAM_ISA

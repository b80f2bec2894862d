// ObjectFinder   every component of a mask, with the peak and the mean of a map's values under it
//   label, measure   first the components, then what lies under them
#pragma once

#include <limits>

#include "core/core.hpp"
#include "masks/finder.hpp"
#include "masks/heat.hpp"

namespace fastcam::FASTCAM_ISA {

template <int Connectivity, class T>
class ObjectFinder {
 public:
  // Finds every component of the mask.
  void label(const Mask& mask, Area area) {
    count_ = 0;
    components_.all(mask, area, [&](const Region& region) {
      regions_.reserve(count_ + 1)[count_] = region;
      ++count_;
    });
  }
  std::size_t count() const { return count_; }
  const Region& region(std::size_t i) const { return regions_[i]; }

  // Calls visit(Object) for every component, in the raster order of first pixels. `row(y)` gives row y of the map.
  template <bool Mean, class Row, class Visit>
  void measure(const Mask& mask, const Row& row, const Visit& visit) {
    heats_.template find<Connectivity, Mean>(mask, row);
    const Region* region = regions_.data();
    heats_.for_each([&](const Heat<T>& heat) {
      constexpr double none = std::numeric_limits<double>::quiet_NaN();
      const double mean = Mean ? heat.sum / static_cast<double>(heat.pixels) : none;
      visit(Object{*region++, static_cast<double>(heat.peak), mean});
    });
  }

 private:
  ComponentFinder<Connectivity> components_;
  HeatFinder<T> heats_;
  Buffer<Region> regions_;
  std::size_t count_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

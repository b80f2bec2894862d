// One large mask cut into strips of rows, which are labelled apart, on several threads where there are, and joined
// along their seams. The result is that of labelling the whole.
#pragma once

#include <memory>

#include "components.hpp"
#include "core.hpp"

namespace fastcam::FASTCAM_ISA {

class StripLabeller {
 public:
  StripLabeller(int strips, const Runner& runner)
      : strips_(new Strip[static_cast<std::size_t>(strips)]), count_(strips), runner_(runner) {}

  // As Labeller::label.
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask) {
    runner_.each(count_, [&](int i) {
      const Mask rows = mask.rows(mask.first_row(i, count_), mask.first_row(i + 1, count_));
      strips_[static_cast<std::size_t>(i)].labeller.template label<Connectivity, Polygon>(rows);
    });
    gather(mask);
    for (int i = 1; i < count_; ++i) join<Connectivity, Polygon>(mask, i);
    forest_.fold([&](std::uint32_t to, std::uint32_t from) { merge(components_[to], components_[from]); });
  }

  std::uint32_t labels() const { return forest_.size(); }
  bool is_root(std::uint32_t label) const { return forest_.parent(label) == label && components_[label].pixels > 0; }
  const Component& component(std::uint32_t label) const { return components_[label]; }

 private:
  struct Strip {
    Labeller labeller;
    std::uint32_t offset = 0;  // of its labels among all
  };

  // Numbers the strips' labels one after the other: they stay in raster order. What is no root keeps no pixels.
  void gather(const Mask& mask) {
    forest_.clear();
    for (int i = 0; i < count_; ++i) {
      Strip& strip = strips_[static_cast<std::size_t>(i)];
      const std::uint32_t count = strip.labeller.labels();
      const int y = mask.first_row(i, count_);
      strip.offset = forest_.size();
      forest_.reserve(count);
      components_.reserve(forest_.size() + std::size_t{count});
      for (std::uint32_t label = 0; label < count; ++label) {
        Component& c = components_[forest_.add()] = {};
        if (!strip.labeller.is_root(label)) continue;
        c = strip.labeller.component(label);
        c.y0 += y;
        c.y1 += y;
      }
    }
  }

  // Joins strip i to the one above it, run by run of the rows along the seam.
  template <int Connectivity, bool Polygon>
  void join(const Mask& mask, int i) {
    constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
    const Strip &upper = strips_[static_cast<std::size_t>(i - 1)], &lower = strips_[static_cast<std::size_t>(i)];
    const int y = mask.first_row(i, count_);
    const Runs above = find(mask, y - 1, 0), here = find(mask, y, 1);
    for (int j = 0, k = 0; j < here.count && k < above.count;) {
      const std::int32_t a0 = above.begins[k], a1 = above.ends[k], b0 = here.begins[j], b1 = here.ends[j];
      if (a0 < b1 + reach && b0 < a1 + reach) {
        const std::uint32_t a = upper.offset + upper.labeller.root_in_last_row(k);
        const std::uint32_t b = lower.offset + lower.labeller.root_in_first_row(j);
        const std::uint32_t root = forest_.unite(a, b);
        if constexpr (Polygon) {
          components_[root].area2 += windows2(a0, a1, b0, b1);
          --components_[root].euler;
        }
      }
      if (a1 < b1)
        ++k;
      else
        ++j;
    }
  }

  Runs find(const Mask& mask, int y, int which) {
    const std::size_t places = Runs::places(mask.width);
    Runs runs{begins_[which].reserve(places), ends_[which].reserve(places)};
    runs.count = RunFinder(mask.width).find_many(mask.row(y), 0, runs.begins, runs.ends);
    return runs;
  }

  std::unique_ptr<Strip[]> strips_;
  int count_;
  Runner runner_;
  Forest forest_;
  Buffer<Component> components_;
  Buffer<std::int32_t> begins_[2], ends_[2];
};

}  // namespace fastcam::FASTCAM_ISA

// Strips<Labeller>   one large mask, cut into strips of rows that are labelled on several threads
//
// The strips are then joined along their seams. The components are those that one labeller finds in the whole mask, in
// the same order.
#pragma once

#include <memory>
#include <utility>

#include "core/core.hpp"
#include "masks/bitmask.hpp"

namespace fastcam::FASTCAM_ISA {

// Labeller is a Labeller or a TwoRowLabeller.
template <class Labeller>
class Strips {
 public:
  Strips(int strips, const Runner& runner)
      : strips_(new Labeller[static_cast<std::size_t>(strips)]), count_(strips), runner_(runner) {}

  // As Labeller::label.
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask) {
    runner_.each(count_, [&](int i) {
      strip(i).template label<Connectivity, Polygon>(mask, first_row(mask, i), first_row(mask, i + 1));
    });
    for (int i = 1; i < count_; ++i) join<Connectivity, Polygon>(mask, i);
  }

  // As Labeller::for_each.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int i = 0; i < count_; ++i)
      strips_[static_cast<std::size_t>(i)].for_each([&](const auto& c) {
        if (c.pixels >= 0) visit(c);
      });
  }

 private:
  // A component: the strip in which it begins, and its root label there.
  struct Root {
    int strip;
    std::uint32_t label;

    bool operator==(const Root&) const = default;
    bool before(const Root& other) const { return strip != other.strip ? strip < other.strip : label < other.label; }
  };

  Labeller& strip(int i) { return strips_[static_cast<std::size_t>(i)]; }
  auto& component(const Root& at) { return strip(at.strip).component(at.label); }

  // Even, so that no pair of rows is divided.
  int first_row(const Mask& mask, int strip) const {
    const std::int64_t pairs = (std::int64_t{mask.height} + 1) / 2;
    return std::min(static_cast<int>(2 * (pairs * strip / count_)), mask.height);
  }

  // Joins strip i to the one above it.
  template <int Connectivity, bool Polygon>
  void join(const Mask& mask, int i) {
    const auto contact = [&](std::uint32_t above, std::uint32_t below, std::int64_t windows2) {
      auto& joined = unite({i - 1, above}, {i, below});
      if constexpr (Polygon) {
        joined.area2 += windows2;
        --joined.euler;
      }
    };
    strip(i - 1).template for_each_contact_below<Connectivity>(strip(i), mask, first_row(mask, i), contact);
  }

  // Adds the later component to the earlier one, and leaves a reference to that one, marked by a negative pixel count.
  auto& unite(Root a, Root b) {
    a = find(a);
    b = find(b);
    if (b.before(a)) std::swap(a, b);
    auto& to = component(a);
    if (a == b) return to;
    auto& from = component(b);
    merge(to, from);
    from.pixels = -1;
    from.x0 = a.strip;
    from.y0 = static_cast<std::int32_t>(a.label);
    return to;
  }

  Root find(Root at) {
    for (;;) {
      auto& from = component(at);
      if (from.pixels >= 0) return at;
      at = {from.x0, static_cast<std::uint32_t>(from.y0)};
      const auto& to = component(at);
      if (to.pixels >= 0) return at;
      from.x0 = to.x0;  // halves the path for the next search
      from.y0 = to.y0;
    }
  }

  std::unique_ptr<Labeller[]> strips_;
  int count_;
  Runner runner_;
};

}  // namespace fastcam::FASTCAM_ISA

// One large dense mask cut into strips of pairs of rows, which are labelled apart, on several threads where there are,
// and joined along their seams.
#pragma once

#include <memory>

#include "core.hpp"
#include "row_pairs.hpp"

namespace fastcam::FASTCAM_ISA {

class PairStrips {
 public:
  PairStrips(int strips, const Runner& runner)
      : strips_(new PairLabeller[static_cast<std::size_t>(strips)]), count_(strips), runner_(runner) {}

  void label(const Mask& mask) {
    runner_.each(count_, [&](int i) {
      const int y0 = first_row(mask, i), y1 = first_row(mask, i + 1);
      strip(i).label(mask.rows(y0, y1), y0);
    });
    for (int i = 1; i < count_; ++i) join(mask, i);
  }

  // As PairLabeller::for_each.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (int i = 0; i < count_; ++i)
      strips_[static_cast<std::size_t>(i)].for_each([&](const Gathered& c) {
        if (c.pixels >= 0) visit(c);
      });
  }

 private:
  struct Place {
    int strip;
    std::uint32_t label;
  };

  PairLabeller& strip(int i) { return strips_[static_cast<std::size_t>(i)]; }
  Gathered& component(const Place& at) { return strip(at.strip).component(at.label); }

  int first_row(const Mask& mask, int strip) const {
    const std::int64_t pairs = (std::int64_t{mask.height} + 1) / 2;
    return std::min(static_cast<int>(2 * (pairs * strip / count_)), mask.height);
  }

  // What has been added to another component keeps the place of that one, and fewer pixels than none.
  void move(const Place& from, const Place& to) {
    component(to).add(component(from));
    component(from) = {to.strip, static_cast<std::int32_t>(to.label), 0, 0, -1};
  }
  Place find(Place at) {
    for (;;) {
      const Gathered& c = component(at);
      if (c.pixels >= 0) return at;
      at = {c.x0, static_cast<std::uint32_t>(c.y0)};
    }
  }

  // Joins strip i to the one above it. The runs of a strip's first pair are labelled with their numbers.
  void join(const Mask& mask, int i) {
    const int words = mask.words(), y = first_row(mask, i);
    const std::uint64_t *row = mask.row(y), *next = y + 1 < mask.height ? mask.row(y + 1) : row;
    std::uint64_t* const both = both_.reserve(static_cast<std::size_t>(words));
    for (int k = 0; k < words; ++k) both[k] = row[k] | next[k];
    const PairLabeller::Pair& above = strip(i - 1).last();
    for_each_contact<8>({above.lower, above.both}, {row, both}, words, last_word_mask(mask.width), [&](int k, int j) {
      const Place upper = find({i - 1, strip(i - 1).root(above.labels[k])});
      const Place lower = find({i, strip(i).root(static_cast<std::uint32_t>(j))});
      if (upper.strip != lower.strip || upper.label != lower.label) move(lower, upper);
    });
  }

  std::unique_ptr<PairLabeller[]> strips_;
  int count_;
  Runner runner_;
  Buffer<std::uint64_t> both_;
};

}  // namespace fastcam::FASTCAM_ISA

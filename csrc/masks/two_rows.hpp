// CountedBox       a box and a pixel count
// TwoRowLabeller   8-connected components of dense masks, two rows at a time
//
// Set pixels in the same or in neighbouring columns of two adjacent rows touch, so a run of the union of both rows is
// connected. That makes half as many rows and, in noise, a third of the runs. Labels are not in the raster order of
// first pixels.
#pragma once

#include "masks/components.hpp"

namespace fastcam::FASTCAM_ISA {

// The box is half-open.
struct CountedBox {
  std::int32_t x0 = INT32_MAX, y0 = INT32_MAX, x1 = 0, y1 = 0, pixels = 0;

  void add(const CountedBox& other) {
    x0 = std::min(x0, other.x0);
    y0 = std::min(y0, other.y0);
    x1 = std::max(x1, other.x1);
    y1 = std::max(y1, other.y1);
    pixels += other.pixels;
  }
};

inline void merge(CountedBox& to, const CountedBox& from) {
  to.add(from);
}

class TwoRowLabeller {
 public:
  // Whether a mask's pixels can be counted in 32 bits.
  static bool fits(const Mask& mask) { return std::int64_t{mask.height} * mask.width <= INT32_MAX; }

  // Finds the components of rows [y0, y1) of the mask. An odd number of rows is for the end of the mask alone.
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask, int y0, int y1) {
    static_assert(Connectivity == 8 && !Polygon);
    label_rows(mask, y0, y1);
  }
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask) {
    label<Connectivity, Polygon>(mask, 0, mask.height);
  }

  // Calls visit(CountedBox) for every component, in no particular order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t label = 0; label < forest_.size(); ++label)
      if (forest_.parent(label) == label) visit(components_[label]);
  }

  CountedBox& component(std::uint32_t root) { return components_[root]; }

  // As Labeller::for_each_contact_below.
  template <int Connectivity, class Contact>
  void for_each_contact_below(TwoRowLabeller& below, const Mask& mask, int y, const Contact& contact) {
    const int words = mask.words();
    const std::uint64_t *row = mask.row(y), *next = y + 1 < mask.height ? mask.row(y + 1) : row;
    std::uint64_t* const both = seam_.reserve(static_cast<std::size_t>(words));
    for (int k = 0; k < words; ++k) both[k] = row[k] | next[k];
    for_each_contact<8>({last_.lower, last_.both}, {row, both}, words, last_word_mask(mask.width), [&](int i, int j) {
      const auto label = static_cast<std::uint32_t>(j);  // the first pair's runs are labelled by their numbers
      contact(forest_.find(last_.labels[i]), below.forest_.find(label), 0);
    });
  }

 private:
  // Two rows, and the labels of the runs of their union.
  struct Pair {
    std::uint64_t* both;         // the union
    const std::uint64_t* lower;  // the second row
    std::uint32_t* labels;
  };

  // A row of the mask, and how many of its pixels lie before each word.
  struct Counted {
    const std::uint64_t* row;
    std::int32_t* before;

    void count(const std::uint64_t* of, int words) {
      row = of;
      std::int32_t sum = 0;
      for (int k = 0; k < words; ++k) {
        before[k] = sum;
        sum += std::popcount(row[k]);
      }
    }
    // How many pixels are set from `begin` to `last`.
    std::int32_t between(unsigned begin, unsigned last) const {
      const std::uint64_t left = row[begin / 64] & ~(~std::uint64_t{0} << begin % 64);
      const std::uint64_t right = row[last / 64] & ~std::uint64_t{0} >> (63 - last % 64);
      return before[last / 64] - before[begin / 64] + std::popcount(right) - std::popcount(left);
    }
  };
  static constexpr std::uint32_t none = UINT32_MAX;

  void label_rows(const Mask& mask, int y0, int y1);
  void join(const Pair& above, const Pair& here, const std::uint64_t* upper, const Mask& mask);
  void gather(const Pair& here, const Runs& runs, const Counted& upper, const Counted& lower, int y);

  Forest forest_;
  Buffer<CountedBox> components_;
  Buffer<std::int32_t> begins_, ends_, before_[2];
  Buffer<std::uint64_t> both_[2], empty_, seam_;
  Buffer<std::uint32_t> labels_[2];
  Pair last_{};
};

// Gives each run the label of what it touches above, or none.
inline void TwoRowLabeller::join(const Pair& above, const Pair& here, const std::uint64_t* upper, const Mask& mask) {
  for_each_contact<8>({above.lower, above.both}, {upper, here.both}, mask.words(), last_word_mask(mask.width),
                      [&](int i, int j) {
                        const std::uint32_t label = above.labels[i];
                        const std::uint32_t known = chosen(here.labels[j] == none, label, here.labels[j]);
                        here.labels[j] = known == label ? label : forest_.unite(known, label);
                      });
}

// Adds the runs of rows y and y + 1 to their labels.
inline void TwoRowLabeller::gather(const Pair& here, const Runs& runs, const Counted& upper, const Counted& lower,
                                   int y) {
  forest_.reserve(static_cast<std::size_t>(runs.count) + 1);
  components_.reserve(forest_.size() + static_cast<std::size_t>(runs.count) + 1);
  for (int j = 0; j < runs.count; ++j) {
    const auto begin = static_cast<unsigned>(runs.begins[j]), last = static_cast<unsigned>(runs.ends[j]) - 1;
    const std::int32_t above = upper.between(begin, last), below = lower.between(begin, last);
    const std::uint32_t known = here.labels[j], fresh = forest_.add_if(known == none);
    components_[fresh] = {};
    const std::uint32_t label = chosen(known == none, fresh, known);
    components_[label].add({runs.begins[j], y + (above == 0), runs.ends[j], y + 1 + (below > 0), above + below});
    here.labels[j] = label;
  }
}

inline void TwoRowLabeller::label_rows(const Mask& mask, int y0, int y1) {
  const int words = mask.words();
  const auto size = static_cast<std::size_t>(words);
  const std::uint64_t tail = last_word_mask(mask.width);
  const std::size_t capacity = Runs::capacity(mask.width);
  const RunFinder finder(mask.width);
  Runs runs{begins_.reserve(capacity), ends_.reserve(capacity)};
  std::uint64_t* const empty = empty_.reserve(size);
  std::fill(empty, empty + words, std::uint64_t{0});
  Pair above{both_[0].reserve(size), empty, labels_[0].reserve(capacity)};
  Pair here{both_[1].reserve(size), nullptr, labels_[1].reserve(capacity)};
  std::fill(above.both, above.both + words, std::uint64_t{0});
  Counted upper{nullptr, before_[0].reserve(size)}, lower{nullptr, before_[1].reserve(size)};
  Pace pace;
  forest_.clear();

  for (int y = y0; y < y1; y += 2) {
    pace.add(2 * std::int64_t{mask.width});
    upper.count(mask.row(y), words);
    lower.count(y + 1 < y1 ? mask.row(y + 1) : empty, words);
    here.lower = lower.row;
    for (int k = 0; k < words; ++k) here.both[k] = upper.row[k] | lower.row[k];
    here.both[words - 1] &= tail;
    runs.count = finder.find_many(here.both, 0, runs.begins, runs.ends);
    std::fill(here.labels, here.labels + runs.count, none);
    join(above, here, upper.row, mask);
    gather(here, runs, upper, lower, y);
    std::swap(above, here);
  }
  last_ = above;
  forest_.fold([&](std::uint32_t to, std::uint32_t from) { components_[to].add(components_[from]); });
}

}  // namespace fastcam::FASTCAM_ISA

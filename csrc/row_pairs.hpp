// 8-connected components of dense masks by pairs of rows. Pixels in neighbouring columns of two adjacent rows touch, so
// a run of the two rows' union is connected: half as many rows, and in noise a third of the runs. Labels do not come in
// the raster order of first pixels.
#pragma once

#include "components.hpp"

namespace fastcam::FASTCAM_ISA {

// What a label has gathered: its box, half-open, and its pixels.
struct Gathered {
  std::int32_t x0 = INT32_MAX, y0 = INT32_MAX, x1 = 0, y1 = 0, pixels = 0;

  void add(const Gathered& other) {
    x0 = std::min(x0, other.x0);
    y0 = std::min(y0, other.y0);
    x1 = std::max(x1, other.x1);
    y1 = std::max(y1, other.y1);
    pixels += other.pixels;
  }
};

class PairLabeller {
 public:
  // Two rows whose union's runs are labelled.
  struct Pair {
    std::uint64_t* both;         // the union
    const std::uint64_t* lower;  // the second row
    std::uint32_t* labels;       // of the union's runs
  };

  // Rows count from `top`.
  void label(const Mask& mask, int top = 0);

  const Pair& last() const { return last_; }
  std::uint32_t root(std::uint32_t label) { return forest_.find(label); }
  Gathered& component(std::uint32_t root) { return gathered_[root]; }

  // Calls visit(Gathered) for every component, in no particular order.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t label = 0; label < forest_.size(); ++label)
      if (forest_.parent(label) == label) visit(gathered_[label]);
  }

 private:
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
    // Pixels from `begin` to `last`.
    std::int32_t between(unsigned begin, unsigned last) const {
      const std::uint64_t left = row[begin / 64] & ~(~std::uint64_t{0} << begin % 64);
      const std::uint64_t right = row[last / 64] & ~std::uint64_t{0} >> (63 - last % 64);
      return before[last / 64] - before[begin / 64] + std::popcount(right) - std::popcount(left);
    }
  };
  static constexpr std::uint32_t none = UINT32_MAX;

  void join(const Pair& above, const Pair& here, const std::uint64_t* upper, const Mask& mask);
  void gather(const Pair& here, const Runs& runs, const Counted& upper, const Counted& lower, int y);

  Forest forest_;
  Buffer<Gathered> gathered_;
  Buffer<std::int32_t> begins_, ends_, before_[2];
  Buffer<std::uint64_t> both_[2], empty_;
  Buffer<std::uint32_t> labels_[2];
  Pair last_{};
};

// Gives the runs the labels of what they touch above, none where they touch nothing.
inline void PairLabeller::join(const Pair& above, const Pair& here, const std::uint64_t* upper, const Mask& mask) {
  for_each_contact<8>({above.lower, above.both}, {upper, here.both}, mask.words(), last_word_mask(mask.width),
                      [&](int i, int j) {
                        const std::uint32_t label = above.labels[i];
                        const std::uint32_t known = chosen(here.labels[j] == none, label, here.labels[j]);
                        here.labels[j] = known == label ? label : forest_.unite(known, label);
                      });
}

// Adds the runs of rows y and y + 1 to their labels.
inline void PairLabeller::gather(const Pair& here, const Runs& runs, const Counted& upper, const Counted& lower,
                                 int y) {
  forest_.reserve(static_cast<std::size_t>(runs.count) + 1);
  gathered_.reserve(forest_.size() + static_cast<std::size_t>(runs.count) + 1);
  for (int j = 0; j < runs.count; ++j) {
    const auto begin = static_cast<unsigned>(runs.begins[j]), last = static_cast<unsigned>(runs.ends[j]) - 1;
    const std::int32_t above = upper.between(begin, last), below = lower.between(begin, last);
    const std::uint32_t known = here.labels[j], fresh = forest_.add_if(known == none);
    gathered_[fresh] = {};
    const std::uint32_t label = chosen(known == none, fresh, known);
    gathered_[label].add({runs.begins[j], y + (above == 0), runs.ends[j], y + 1 + (below > 0), above + below});
    here.labels[j] = label;
  }
}

inline void PairLabeller::label(const Mask& mask, int top) {
  const int words = mask.words();
  const auto size = static_cast<std::size_t>(words);
  const std::uint64_t tail = last_word_mask(mask.width);
  const std::size_t places = Runs::places(mask.width);
  const RunFinder finder(mask.width);
  Runs runs{begins_.reserve(places), ends_.reserve(places)};
  std::uint64_t* const empty = empty_.reserve(size);
  std::fill(empty, empty + words, std::uint64_t{0});
  Pair above{both_[0].reserve(size), empty, labels_[0].reserve(places)};
  Pair here{both_[1].reserve(size), nullptr, labels_[1].reserve(places)};
  std::fill(above.both, above.both + words, std::uint64_t{0});
  Counted upper{nullptr, before_[0].reserve(size)}, lower{nullptr, before_[1].reserve(size)};
  forest_.clear();

  for (int y = 0; y < mask.height; y += 2) {
    upper.count(mask.row(y), words);
    lower.count(y + 1 < mask.height ? mask.row(y + 1) : empty, words);
    here.lower = lower.row;
    for (int k = 0; k < words; ++k) here.both[k] = upper.row[k] | lower.row[k];
    here.both[words - 1] &= tail;
    runs.count = finder.find_many(here.both, 0, runs.begins, runs.ends);
    std::fill(here.labels, here.labels + runs.count, none);
    join(above, here, upper.row, mask);
    gather(here, runs, upper, lower, top + y);
    std::swap(above, here);
  }
  last_ = above;
  forest_.fold([&](std::uint32_t to, std::uint32_t from) { gathered_[to].add(gathered_[from]); });
}

}  // namespace fastcam::FASTCAM_ISA

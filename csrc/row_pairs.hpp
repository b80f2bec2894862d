// 8-connected components of dense masks by pairs of rows. Pixels in neighbouring columns of two adjacent rows touch, so
// a run of the two rows' union is connected: half as many rows, and in noise a third of the runs. Labels do not come in
// the raster order of first pixels; components carry theirs.
#pragma once

#include "components.hpp"

namespace fastcam::FASTCAM_ISA {

class PairLabeller {
 public:
  void label(const Mask& mask);

  // Calls visit(Component) for every component, in no particular order; only boxes, pixels and first_x are set.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t label = 0; label < forest_.size(); ++label)
      if (forest_.parent(label) == label) visit(components_[label]);
  }

 private:
  struct Pair {
    std::uint64_t* both;         // the union of the two rows
    const std::uint64_t* lower;  // the second row
    std::uint32_t* labels;       // of the union's runs
  };

  Component run(const std::uint64_t* upper, const std::uint64_t* lower, int begin, int end, int y) const;
  static void merge(Component& to, const Component& from);

  Forest forest_;
  Buffer<Component> components_;
  Buffer<std::int32_t> begins_, ends_;
  Buffer<std::uint64_t> both_[2], empty_;
  Buffer<std::uint32_t> labels_[2], counts_[2];
};

// Whether a's first pixel comes before b's in raster order.
inline bool comes_before(const Component& a, const Component& b) {
  return a.y0 != b.y0 ? a.y0 < b.y0 : a.first_x < b.first_x;
}

// Set bits of a row before position x, from the counts before each word.
inline std::int32_t count_before(const std::uint64_t* row, const std::uint32_t* counts, int x) {
  const int k = x / 64;
  const std::uint64_t before = x % 64 == 0 ? 0 : row[k] & last_word_mask(x);
  return static_cast<std::int32_t>(counts[k]) + std::popcount(before);
}

inline int first_set(const std::uint64_t* row, int x) {
  int k = x / 64;
  std::uint64_t word = row[k] & ~std::uint64_t{0} << (x % 64);
  while (word == 0) word = row[++k];
  return 64 * k + std::countr_zero(word);
}

// What the run [begin, end) of the union of rows y and y + 1 adds to its component.
inline Component PairLabeller::run(const std::uint64_t* upper, const std::uint64_t* lower, int begin, int end,
                                   int y) const {
  const std::int32_t above =
      count_before(upper, counts_[0].data(), end) - count_before(upper, counts_[0].data(), begin);
  const std::int32_t below =
      count_before(lower, counts_[1].data(), end) - count_before(lower, counts_[1].data(), begin);
  return {begin, above > 0 ? y : y + 1, end, below > 0 ? y + 2 : y + 1, above + below, 0, 0, begin};
}

inline void PairLabeller::merge(Component& to, const Component& from) {
  if (comes_before(from, to)) to.first_x = from.first_x;
  to.x0 = std::min(to.x0, from.x0);
  to.y0 = std::min(to.y0, from.y0);
  to.x1 = std::max(to.x1, from.x1);
  to.y1 = std::max(to.y1, from.y1);
  to.pixels += from.pixels;
}

inline void PairLabeller::label(const Mask& mask) {
  constexpr std::uint32_t none = UINT32_MAX;
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
  for (auto& counts : counts_) counts.reserve(size + 1);
  forest_.clear();

  for (int y = 0; y < mask.height; y += 2) {
    const std::uint64_t* const upper = mask.row(y);
    here.lower = y + 1 < mask.height ? mask.row(y + 1) : empty;
    std::uint32_t sums[2] = {0, 0};
    for (int k = 0; k < words; ++k) {
      here.both[k] = (upper[k] | here.lower[k]) & (k + 1 < words ? ~std::uint64_t{0} : tail);
      counts_[0][static_cast<std::size_t>(k)] = sums[0];
      counts_[1][static_cast<std::size_t>(k)] = sums[1];
      sums[0] += static_cast<std::uint32_t>(std::popcount(upper[k]));
      sums[1] += static_cast<std::uint32_t>(std::popcount(here.lower[k]));
    }
    counts_[0][size] = sums[0];
    counts_[1][size] = sums[1];
    runs.count = finder.find_many(here.both, 0, runs.begins, runs.ends);
    forest_.reserve(static_cast<std::size_t>(runs.count));
    components_.reserve(forest_.size() + static_cast<std::size_t>(runs.count));
    std::fill(here.labels, here.labels + runs.count, none);
    for_each_contact<8>({above.lower, above.both}, {upper, here.both}, words, tail, [&](int i, int j) {
      const std::uint32_t label = above.labels[i], known = here.labels[j];
      here.labels[j] = known == none || known == label ? label : forest_.unite(known, label);
    });
    for (int j = 0; j < runs.count; ++j) {
      const Component part = run(upper, here.lower, runs.begins[j], runs.ends[j], y);
      if (here.labels[j] != none) {
        merge(components_[here.labels[j]], part);
        continue;
      }
      here.labels[j] = forest_.add();
      components_[here.labels[j]] = part;
      components_[here.labels[j]].first_x = first_set(part.y0 == y ? upper : here.lower, part.x0);
    }
    std::swap(above, here);
  }
  for (std::uint32_t label = forest_.size(); label-- > 0;)
    if (forest_.parent(label) != label) merge(components_[forest_.parent(label)], components_[label]);
}

}  // namespace fastcam::FASTCAM_ISA

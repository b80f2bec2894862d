// The polygon area of components that have holes: fill them, then count 2x2 windows.
#pragma once

#include "components.hpp"

namespace fastcam::FASTCAM_ISA {

// Twice the area of the 2x2 windows between two adjacent rows of bits: 2 where all four pixels are set, 1 where three.
inline std::int64_t windows2(const std::uint64_t* above, const std::uint64_t* below, int words) {
  std::int64_t total = 0;
  for (int k = 0; k < words; ++k) {
    const std::uint64_t a = above[k], b = below[k];
    const bool more = k + 1 < words;
    const std::uint64_t a_right = a >> 1 | (more ? above[k + 1] << 63 : 0);
    const std::uint64_t b_right = b >> 1 | (more ? below[k + 1] << 63 : 0);
    const std::uint64_t left = a & b, right = a_right & b_right;
    total += std::popcount(left & (a_right | b_right)) + std::popcount((a | b) & right);
  }
  return total;
}

class PolygonFiller {
 public:
  // Gathers the runs of every component; the mask stays in use until the last call of area2.
  template <int Connectivity>
  void prepare(const Mask& mask);

  // Twice the polygon area of the component `root`, holes filled.
  template <int Connectivity>
  std::int64_t area2(std::uint32_t root, const Component& component);

 private:
  Labeller runs_, outside_;
  Buffer<std::uint32_t> first_;  // of a root's runs in order_
  Buffer<std::uint32_t> order_;
  Buffer<std::uint64_t> bits_;
};

template <int Connectivity>
void PolygonFiller::prepare(const Mask& mask) {
  runs_.label<Connectivity, false, true>(mask);
  const std::size_t count = runs_.recorded();
  std::uint32_t* const first = first_.reserve(std::size_t{runs_.labels()} + 1);
  std::uint32_t* const order = order_.reserve(count);
  std::fill(first, first + runs_.labels() + 1, 0u);
  for (std::size_t i = 0; i < count; ++i) ++first[runs_.root(runs_.run(i).label)];
  std::uint32_t sum = 0;
  for (std::uint32_t label = 0; label < runs_.labels(); ++label) first[label] = sum += first[label];
  first[runs_.labels()] = sum;
  for (std::size_t i = count; i-- > 0;) order[--first[runs_.root(runs_.run(i).label)]] = static_cast<std::uint32_t>(i);
}

template <int Connectivity>
std::int64_t PolygonFiller::area2(std::uint32_t root, const Component& c) {
  const int width = c.x1 - c.x0 + 2, height = c.y1 - c.y0 + 2, words = words_in_row(width);
  const std::size_t row = static_cast<std::size_t>(words);
  std::uint64_t* const bits = bits_.reserve(row * static_cast<std::size_t>(height));
  const auto paint = [&](int y, int begin, int end) { set_bits(bits + row * static_cast<std::size_t>(y), begin, end); };

  std::fill(bits, bits + row * static_cast<std::size_t>(height), std::uint64_t{0});
  for (std::uint32_t i = first_[root]; i < first_[root + 1]; ++i) {
    const Run& run = runs_.run(order_[i]);
    paint(run.y - c.y0 + 1, run.begin - c.x0 + 1, run.end - c.x0 + 1);
  }
  for (std::size_t k = 0; k < row * static_cast<std::size_t>(height); ++k) bits[k] = ~bits[k];

  // The background is connected the other way; what its first component (the frame's) cannot reach is filled.
  outside_.label<12 - Connectivity, false, true>({bits, height, width});
  std::fill(bits, bits + row * static_cast<std::size_t>(height), std::uint64_t{0});
  for (std::size_t i = 0; i < outside_.recorded(); ++i) {
    const Run& run = outside_.run(i);
    if (outside_.root(run.label) == 0) paint(run.y, run.begin, run.end);
  }
  std::int64_t total = 0;
  for (int y = 0; y < height; ++y) {
    std::uint64_t* const here = bits + row * static_cast<std::size_t>(y);
    for (int k = 0; k < words; ++k) here[k] = ~here[k];
    here[words - 1] &= last_word_mask(width);
    if (y > 0) total += windows2(here - row, here, words);
  }
  return total;
}

}  // namespace fastcam::FASTCAM_ISA

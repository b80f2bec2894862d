// What the threshold needs to know of a resized map: its range, its order statistics, and which values exceed a cutoff.
// Of order statistics a sample of the rows first gives a bracket, so that one pass keeps only the few values that
// matter.
#pragma once

#include "cells.hpp"

namespace fastcam::FASTCAM_ISA {

class MapStatistics {
 public:
  // Looks at the map that the rows stand for, without NaN; within cells where `bounded` (see Cells).
  void start(ResizedRows& rows, const float* map, int height, int width, bool bounded) {
    rows_ = &rows;
    height_ = height;
    width_ = width;
    bounded_ = bounded;
    range_known_ = false;
    if (bounded) cells_.start(rows, map);
  }

  // Found once, for the 100th percentile and for the normalization.
  Range range() {
    if (!range_known_) range_ = find_range();
    range_known_ = true;
    return range_;
  }

  // The k-th smallest of all values and the next.
  Neighbours select(std::int64_t k) {
    const std::int64_t count = std::int64_t{height_} * width_;
    if (k + 1 >= count) {
      const float most = range().high;
      return {most, most};
    }
    Range bracket = guess(static_cast<double>(k) / static_cast<double>(count));
    for (;;) {
      Collector inside{bracket.low, bracket.high, kept_.reserve(static_cast<std::size_t>(count) + 32)};
      collect(inside);
      if (k < inside.below)
        bracket.low = -std::numeric_limits<float>::infinity();
      else if (k + 1 >= inside.below + inside.count)
        bracket.high = std::numeric_limits<float>::infinity();
      else
        return fastcam::FASTCAM_ISA::select(kept_.data(), inside.count, k - inside.below, scratch_);
    }
  }

  // Packs which values exceed the cutoff.
  void binarize(float cutoff, std::uint64_t* bits, int words) {
    if (bounded_) return cells_.binarize(cutoff, bits, words);
    for (int y = 0; y < height_; ++y) {
      const float* row = rows_->row(y);
      for (int k = 0; k < words; ++k) *bits++ = compare_bits<Comparison::greater>(row + 64 * k, cutoff);
    }
  }

 private:
  Range find_range() const {
    if (bounded_) return cells_.range();
    Range range = nothing;
    for (int y = 0; y < height_; ++y) range = range_of(rows_->row(y), rows_->padded(), range);
    return range;
  }

  void collect(Collector& into) {
    if (bounded_) return cells_.collect(into);
    for (int y = 0; y < height_; ++y) {
      const float* row = rows_->row(y);
      for (int x = 0; x < width_; x += 16) into.add(Floats16::at(row + x), 0xffff);
    }
  }

  // A bracket that most likely holds the value at `rank`, a fraction, from a sample of the pixels.
  Range guess(double rank) {
    constexpr double near = 0.005, far = 0.02;
    const std::int64_t count = take_sample(), padded = (count + 15) / 16 * 16;
    float* const sample = sample_.data();
    for (std::int64_t i = count; i < padded; ++i) sample[i] = std::numeric_limits<float>::quiet_NaN();
    const auto at = [&](double fraction) { return static_cast<std::int64_t>(fraction * static_cast<double>(count)); };
    const Range all = range_of(sample, padded, nothing);
    Range bracket{-std::numeric_limits<float>::infinity(), std::numeric_limits<float>::infinity()};
    if (rank > far) bracket.low = near_rank(sample, padded, at(rank - far), at(rank - near), {all, 0, count});
    if (rank + far < 1)
      bracket.high = near_rank(sample, padded, at(rank + near), at(rank + far),
                               {{std::max(bracket.low, all.low), all.high}, 0, count});
    return bracket;
  }

  // Copies some of the pixels, spread evenly, and returns how many: a lattice, or rows of what is not resized.
  std::int64_t take_sample() {
    constexpr int wanted = 1024, widest = 8;  // pixels, and from one to the next: cells of large maps are large
    const auto copy = [&](ResizedRows& from, int y, int to, int width) {
      std::memcpy(sample_.data() + std::int64_t{to} * width, from.row(y),
                  sizeof(float) * static_cast<std::size_t>(width));
    };
    const auto reserve = [&](std::int64_t count) { sample_.reserve(static_cast<std::size_t>(count) + 16); };
    if (rows_->identity()) {
      const int taken = std::min(height_, wanted / width_ + 1);
      reserve(std::int64_t{taken} * width_);
      for (int i = 0; i < taken; ++i)
        copy(*rows_, static_cast<int>((2 * std::int64_t{i} + 1) * height_ / (2 * taken)), i, width_);
      return std::int64_t{taken} * width_;
    }
    const double pixels = static_cast<double>(height_) * width_;
    const int stride = std::max(1, std::min({static_cast<int>(std::sqrt(pixels / wanted)), widest, height_, width_}));
    lattice_.start_sample(*rows_, stride);
    const int taken = lattice_.height(), width = lattice_.width();
    reserve(std::int64_t{taken} * width);
    for (int y = 0; y < taken; ++y) copy(lattice_, y, y, width);
    return std::int64_t{taken} * width;
  }

  ResizedRows* rows_ = nullptr;
  ResizedRows lattice_;
  int height_ = 0, width_ = 0;
  bool bounded_ = false, range_known_ = false;
  Range range_ = nothing;
  Cells cells_;
  Buffer<float> sample_, kept_, scratch_;
};

}  // namespace fastcam::FASTCAM_ISA

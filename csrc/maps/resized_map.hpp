// ResizedMap            a map at its full size, of which only small parts are ever computed at once
//   range               the smallest and the largest pixel
//   collect             the pixels in a range of values
//   binarize            which pixels exceed a cutoff, as bits
//   sample              some of the pixels, spread evenly
//
// A bilinear map is taken by cells where that is faster, else row by row.
#pragma once

#include "maps/bilinear_cells.hpp"

namespace fastcam::FASTCAM_ISA {

class ResizedMap {
 public:
  void start(const float* map, const Maps& maps, Interpolation interpolation) {
    map_ = map;
    height_ = maps.height;
    width_ = maps.width;
    by_cells_ = range_known_ = false;
    rows_.start(map, maps.h, maps.w, maps.height, maps.width, interpolation);
  }

  // Takes the map by cells from now on; its values must be small enough for their differences not to overflow.
  void use_cells() {
    by_cells_ = true;
    cells_.start(rows_, map_);
  }

  std::int64_t pixels() const { return std::int64_t{height_} * width_; }
  // Row y. The next call overwrites it.
  const float* row(int y) { return rows_.row(y); }

  bool has_nan() {
    for (int y = 0; y < height_; ++y) {
      const float* row = rows_.row(y);
      for (int x = 0; x < width_; ++x)
        if (row[x] != row[x]) return true;
    }
    return false;
  }

  // Computed once, for the 100th percentile and the normalization.
  Range range() {
    if (!range_known_) range_ = find_range();
    range_known_ = true;
    return range_;
  }

  // Whether range() takes less than reading the map.
  bool range_is_cheap() const { return by_cells_ || range_known_; }

  void collect(Collector& into) {
    if (by_cells_) return cells_.collect(into);
    for (int y = 0; y < height_; ++y) {
      const float* row = rows_.row(y);
      for (int x = 0; x < width_; x += 16) into.add(Block<float>::at(row + x), 0xffff);
    }
  }

  // How many words binarize writes.
  static std::size_t words(const Maps& maps) {
    return static_cast<std::size_t>(words_in_row(maps.width)) * static_cast<std::size_t>(maps.height) +
           BilinearCells::words_beyond;
  }

  void binarize(float cutoff, std::uint64_t* bits) {
    const int words = words_in_row(width_);
    if (by_cells_) return cells_.binarize(cutoff, bits, words);
    for (int y = 0; y < height_; ++y) {
      const float* row = rows_.row(y);
      for (int k = 0; k < words; ++k) *bits++ = compare_bits<Comparison::greater>(row + 64 * k, cutoff);
    }
  }

  // Copies about a thousand pixels, padded with NaN to a multiple of 16, and returns how many: a lattice of
  // a map that is really resized, whole rows of one that has its size already.
  std::int64_t sample(Buffer<float>& out) {
    const std::int64_t count = rows_.identity() ? sample_rows(out) : sample_lattice(out);
    for (std::int64_t i = count; i < (count + 15) / 16 * 16; ++i)
      out[static_cast<std::size_t>(i)] = std::numeric_limits<float>::quiet_NaN();
    return count;
  }

 private:
  static constexpr int wanted = 1024;  // pixels of a sample

  Range find_range() {
    if (by_cells_) return cells_.range();
    Range range = empty_range;
    for (int y = 0; y < height_; ++y) range = range_of(rows_.row(y), rows_.padded(), range);
    return range;
  }

  std::int64_t sample_rows(Buffer<float>& out) {
    const int taken = std::min(height_, wanted / width_ + 1);
    out.reserve(static_cast<std::size_t>(taken) * static_cast<std::size_t>(width_) + 16);
    for (int i = 0; i < taken; ++i)
      copy(rows_.row(static_cast<int>((2 * std::int64_t{i} + 1) * height_ / (2 * taken))), i, width_, out);
    return std::int64_t{taken} * width_;
  }

  std::int64_t sample_lattice(Buffer<float>& out) {
    constexpr int widest =
        8;  // pixels from one to the next: the cells of a large map are large, and none may be missed
    const double count = static_cast<double>(height_) * width_;
    const int stride = std::max(1, std::min({static_cast<int>(std::sqrt(count / wanted)), widest, height_, width_}));
    lattice_.start_sample(rows_, stride);
    const int taken = lattice_.height(), width = lattice_.width();
    out.reserve(static_cast<std::size_t>(taken) * static_cast<std::size_t>(width) + 16);
    for (int y = 0; y < taken; ++y) copy(lattice_.row(y), y, width, out);
    return std::int64_t{taken} * width;
  }

  static void copy(const float* row, int to, int width, Buffer<float>& out) {
    std::memcpy(out.data() + std::int64_t{to} * width, row, sizeof(float) * static_cast<std::size_t>(width));
  }

  const float* map_ = nullptr;
  int height_ = 0, width_ = 0;
  bool by_cells_ = false, range_known_ = false;
  Range range_ = empty_range;
  ResizedRows rows_, lattice_;
  BilinearCells cells_;
};

}  // namespace fastcam::FASTCAM_ISA

// RunTable   the runs of a block of rows as one increasing sequence
//
// Positions are those of a raster with `pitch` columns. A run lies below another one where its position minus the pitch
// does, so vectors can compare the runs of several rows at once.
#pragma once

#include <algorithm>

#include "masks/runs.hpp"
#include "vector/buffer.hpp"
#include "vector/lanes.hpp"

namespace fastcam::FASTCAM_ISA {

class RunTable {
 public:
  // Whether positions, and twice the area of a block's rows, fit in 32 bits.
  static bool fits(int width) { return width < INT32_MAX / 8; }

  void start(int width) {
    const int capacity = std::max(1, std::min(256, (1 << 22) / (width + 1)));
    const std::size_t most_runs = static_cast<std::size_t>(capacity + 1) * (static_cast<std::size_t>(width) / 2 + 1);
    first_.reserve(static_cast<std::size_t>(capacity) + 3 + lanes<int>);
    begins_.reserve(most_runs + Runs::capacity(width));
    ends_.reserve(most_runs + Runs::capacity(width));
    width_ = width;
    capacity_ = capacity;
    rows_ = 0;
    first_[0] = first_[1] = 0;
  }

  // How many rows a block can hold.
  int capacity() const { return capacity_; }

  // Fills rows 1 to `rows` of the table from the mask's rows from `y` on. Row 0 becomes the last row of the block
  // before.
  void find(const Mask& mask, int y, int rows) {
    first_[1] = keep_last_row();
    rows_ = rows;
    const int total = RunFinder(width_).find_rows(mask.row(y), rows, pitch(), begins_.data(), ends_.data(), &first_[1]);
    first_[static_cast<std::size_t>(rows) + 1] = total;
    first_[static_cast<std::size_t>(rows) + 2] = -1;  // a count that matches no other row's
    begins_[static_cast<std::size_t>(total)] = ends_[static_cast<std::size_t>(total)] = INT_MAX;
  }

  std::int32_t pitch() const { return width_ + 1; }
  int first(int row) const { return first_[static_cast<std::size_t>(row)]; }
  int count(int row) const { return first(row + 1) - first(row); }
  // How many rows from `row` on have `count` runs each; at most as many as a vector has lanes. `count` is not 0.
  int rows_with(int count, int row) const {
    const int* first = first_.data() + row;
    return std::countr_one(lanes_set(minus(load(first + 1), load(first)) == all_lanes(count)));
  }
  const std::int32_t* begins() const { return begins_.data(); }
  const std::int32_t* ends() const { return ends_.data(); }

 private:
  // Moves the last row to row 0 and returns how many runs it has.
  int keep_last_row() {
    const int from = first(rows_), kept = count(rows_), base = rows_ * pitch();
    for (int i = 0; i < kept; ++i) {
      begins_[static_cast<std::size_t>(i)] = begins_[static_cast<std::size_t>(from + i)] - base;
      ends_[static_cast<std::size_t>(i)] = ends_[static_cast<std::size_t>(from + i)] - base;
    }
    return kept;
  }

  int width_ = 0, capacity_ = 0, rows_ = 0;
  Buffer<int> first_;  // of each row's runs
  Buffer<std::int32_t> begins_, ends_;
};

}  // namespace fastcam::FASTCAM_ISA

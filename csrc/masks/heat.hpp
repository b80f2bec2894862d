// Heat          the peak and the sum of the values under a component, and its pixels
// HeatFinder    those of all components of a mask
//   find, for_each
//
// Which component a pixel belongs to is no longer known when a labeller is done. So rows are joined once more, with the
// values of the pixels at hand. Only rows with set pixels are asked for theirs.
#pragma once

#include <algorithm>

#include "masks/runs.hpp"
#include "masks/union_find.hpp"
#include "vector/buffer.hpp"
#include "vector/pace.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

template <class T>
struct Heat {
  T peak;
  double sum;
  std::int64_t pixels;

  void add(const Heat& other) {
    peak = std::max(peak, other.peak);
    sum += other.sum;
    pixels += other.pixels;
  }
};

// The largest of `count` values, at least one, none of them NaN.
inline float peak_of(const float* values, int count) {
  constexpr int step = lanes<float>;
  if (count < step) return *std::max_element(values, values + count);
  Vector<float> high = load(values + count - step);  // which may overlap the vectors before
  for (int i = 0; i + step < count; i += step) high = larger(load(values + i), high);
  float peak = high[0];
  for (int i = 1; i < step; ++i) peak = std::max(peak, high[i]);
  return peak;
}
inline double peak_of(const double* values, int count) {
  return *std::max_element(values, values + count);
}

// Their sum, in eight lanes that are then folded in a fixed order.
template <class T>
double sum_of(const T* values, int count) {
  double sums[8] = {};
  int i = 0;
  for (; i + 8 <= count; i += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += static_cast<double>(values[i + lane]);
  for (int lane = 0; i < count; ++i, ++lane) sums[lane] += static_cast<double>(values[i]);
  return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

template <class T>
class HeatFinder {
 public:
  // `row(y)` gives the values of row y. With Sum, their sums too.
  template <int Connectivity, bool Sum, class Row>
  void find(const Mask& mask, const Row& row) {
    Line above = line(0, mask.width), here = line(1, mask.width);
    forest_.clear();
    const RunFinder finder(mask.width);
    Pace pace;
    for (int y = 0; y < mask.height; ++y) {
      pace.add(mask.width);
      here.count = finder.find_many(mask.row(y), 0, here.begins, here.ends);
      if (here.count > 0) {
        forest_.reserve(static_cast<std::size_t>(here.count));
        heats_.reserve(forest_.size() + static_cast<std::size_t>(here.count));
        join<Connectivity, Sum>(above, here, row(y));
      }
      std::swap(above, here);
    }
    forest_.fold([&](std::uint32_t to, std::uint32_t from) { heats_[to].add(heats_[from]); });
  }

  // Calls visit(Heat) for every component, in the raster order of first pixels.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t label = 0; label < forest_.size(); ++label)
      if (forest_.parent(label) == label) visit(heats_[label]);
  }

 private:
  struct Line : Runs {
    std::uint32_t* labels;  // of the runs
  };

  Line line(int i, int width) {
    const std::size_t capacity = Runs::capacity(width);
    return {{begins_[i].reserve(capacity), ends_[i].reserve(capacity)}, labels_[i].reserve(capacity)};
  }

  // Gives each run of a row the label of a run above that it touches, or a new one, and adds its heat to the label's.
  template <int Connectivity, bool Sum>
  void join(const Line& above, const Line& here, const T* values) {
    constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
    int first = 0;  // of the runs above that do not end before this one
    for (int i = 0; i < here.count; ++i) {
      const std::int32_t begin = here.begins[i], end = here.ends[i];
      const int pixels = end - begin;
      const Heat<T> heat{peak_of(values + begin, pixels), Sum ? sum_of(values + begin, pixels) : 0, pixels};
      while (first < above.count && above.ends[first] + reach <= begin) ++first;
      if (first == above.count || above.begins[first] >= end + reach) {
        here.labels[i] = forest_.add();
        heats_[here.labels[i]] = heat;
        continue;
      }
      std::uint32_t label = above.labels[first];
      for (int j = first + 1; j < above.count && above.begins[j] < end + reach; ++j)
        label = forest_.unite(label, above.labels[j]);
      heats_[label].add(heat);
      here.labels[i] = label;
    }
  }

  Buffer<std::int32_t> begins_[2], ends_[2];
  Buffer<std::uint32_t> labels_[2];
  Forest forest_;
  Buffer<Heat<T>> heats_;
};

}  // namespace fastcam::FASTCAM_ISA

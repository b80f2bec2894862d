// Connected components of a bit mask without a label image: each row becomes runs, runs of adjacent rows are joined by
// union-find, and every label carries the box, the pixel count and what the polygon area needs.
//
// Polygon area is cv2.contourArea of the outer contour: over the 2x2 windows of the component with its holes filled,
// the count of full ones plus half the count of those that miss one pixel. For a component without holes the windows
// are counted run by run, and whether there are holes follows from Euler's number, runs minus contacts between runs.
#pragma once

#include <algorithm>
#include <climits>

#include "bitmask.hpp"
#include "buffer.hpp"

namespace fastcam::FASTCAM_ISA {

struct Component {
  std::int32_t x0, y0, x1, y1;  // half-open
  std::int32_t pixels;
  std::int32_t euler;  // components minus holes: 1 - holes
  std::int64_t area2;  // twice the polygon area, holes not filled
};

struct Mask {
  const std::uint64_t* bits;
  int height, width;
};

struct Run {
  std::int32_t y, begin, end;
  std::uint32_t label;
};

class Labeller {
 public:
  // Labels the mask's components. Afterwards a label is a component where is_root(label), and roots are in the raster
  // order of their components' first pixels.
  template <int Connectivity, bool Polygon, bool Record>
  void label(const Mask& mask);

  std::uint32_t labels() const { return labels_; }
  bool is_root(std::uint32_t label) const { return parent_[label] == label; }
  std::uint32_t root(std::uint32_t label) const {
    while (parent_[label] != label) label = parent_[label];
    return label;
  }
  const Component& component(std::uint32_t label) const { return components_[label]; }
  std::size_t recorded() const { return recorded_; }
  const Run& run(std::size_t i) const { return runs_[i]; }

 private:
  static int find_edges(const std::uint64_t* row, int words, std::uint64_t tail, int width, std::int32_t* edges);
  template <int Reach>
  static bool one_to_one(const std::int32_t* above, const std::int32_t* here, int edges);
  std::uint32_t find(std::uint32_t label);
  std::uint32_t unite(std::uint32_t a, std::uint32_t b);
  void fold();

  Buffer<std::int32_t> edges_[2];  // of two rows: begin, end, begin, end, ..., then two sentinels
  Buffer<std::uint32_t> run_labels_[2];
  Buffer<std::uint32_t> parent_;
  Buffer<Component> components_;
  Buffer<Run> runs_;
  std::uint32_t labels_ = 0;
  std::size_t recorded_ = 0;
};

inline std::uint32_t Labeller::find(std::uint32_t label) {
  while (parent_[label] != label) {
    parent_[label] = parent_[parent_[label]];
    label = parent_[label];
  }
  return label;
}

// The smaller label becomes the root, which keeps roots in raster order.
inline std::uint32_t Labeller::unite(std::uint32_t a, std::uint32_t b) {
  a = find(a);
  b = find(b);
  if (a > b) std::swap(a, b);
  parent_[b] = a;
  return a;
}

// Adds every label to its parent, from the last: a parent is always smaller, so no root has to be searched.
inline void Labeller::fold() {
  for (std::uint32_t label = labels_; label-- > 0;) {
    const std::uint32_t parent = parent_[label];
    if (parent == label) continue;
    const Component& from = components_[label];
    Component& to = components_[parent];
    to.x0 = std::min(to.x0, from.x0);
    to.y0 = std::min(to.y0, from.y0);
    to.x1 = std::max(to.x1, from.x1);
    to.y1 = std::max(to.y1, from.y1);
    to.pixels += from.pixels;
    to.euler += from.euler;
    to.area2 += from.area2;
  }
}

// Writes where the row changes between 0 and 1; returns how often, always even.
inline int Labeller::find_edges(const std::uint64_t* row, int words, std::uint64_t tail, int width,
                                std::int32_t* edges) {
  std::int32_t* out = edges;
  std::uint64_t carry = 0;
  for (int k = 0; k < words; ++k) {
    const std::uint64_t x = k + 1 < words ? row[k] : row[k] & tail;
    std::uint64_t changes = x ^ (x << 1 | carry);
    carry = x >> 63;
    for (; changes != 0; changes &= changes - 1) *out++ = 64 * k + std::countr_zero(changes);
  }
  if (carry != 0) *out++ = width;
  out[0] = out[1] = INT_MAX;
  return static_cast<int>(out - edges);
}

// Twice the 2x2 windows' area that two touching runs of adjacent rows enclose.
inline std::int64_t windows2(std::int32_t a0, std::int32_t a1, std::int32_t b0, std::int32_t b1) {
  const std::int32_t overlap = std::min(a1, b1) - std::max(a0, b0) - 1;
  return overlap < 0 ? 0 : 2 * static_cast<std::int64_t>(overlap) + (a0 != b0) + (a1 != b1);
}

// Whether each run touches exactly the run of the same number above, the usual case in smooth masks.
template <int Reach>
bool Labeller::one_to_one(const std::int32_t* above, const std::int32_t* here, int edges) {
  bool broken = false;
  for (int i = 0; i < edges; i += 2) {
    broken |= (here[i] >= above[i + 1] + Reach) | (above[i] >= here[i + 1] + Reach);
    broken |= (here[i + 2] < above[i + 1] + Reach) | (above[i + 2] < here[i + 1] + Reach);
  }
  return !broken;
}

template <int Connectivity, bool Polygon, bool Record>
void Labeller::label(const Mask& mask) {
  constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
  constexpr int short_row = 16;
  const int words = words_in_row(mask.width);
  const std::uint64_t tail = last_word_mask(mask.width);
  const std::size_t most_runs = static_cast<std::size_t>(mask.width) / 2 + 1;
  std::int32_t *prev = edges_[0].reserve(2 * most_runs + 2), *cur = edges_[1].reserve(2 * most_runs + 2);
  std::uint32_t *labels_above = run_labels_[0].reserve(most_runs), *labels_here = run_labels_[1].reserve(most_runs);
  prev[0] = prev[1] = INT_MAX;
  int edges_above = 0;
  labels_ = 0;
  recorded_ = 0;

  for (int y = 0; y < mask.height; ++y) {
    const int edges = find_edges(mask.bits + static_cast<std::size_t>(y) * words, words, tail, mask.width, cur);

    if (!Record && edges == edges_above && edges <= short_row && one_to_one<reach>(prev, cur, edges)) {
      for (int i = 0; i < edges; i += 2) {
        Component& c = components_[labels_above[i / 2]];
        c.x0 = std::min(c.x0, cur[i]);
        c.x1 = std::max(c.x1, cur[i + 1]);
        c.y1 = y + 1;
        c.pixels += cur[i + 1] - cur[i];
        if constexpr (Polygon) c.area2 += windows2(prev[i], prev[i + 1], cur[i], cur[i + 1]);
      }
      std::swap(prev, cur);
      continue;
    }

    const std::size_t runs = static_cast<std::size_t>(edges) / 2;
    std::uint32_t* const parent = parent_.reserve(labels_ + runs);
    Component* const components = components_.reserve(labels_ + runs);
    int j = 0;
    for (int i = 0; i < edges; i += 2) {
      const std::int32_t begin = cur[i], end = cur[i + 1];
      while (prev[j + 1] <= begin - reach) j += 2;
      std::uint32_t label;
      if (prev[j] >= end + reach) {
        label = labels_++;
        parent[label] = label;
        components[label] = {begin, y, end, y + 1, end - begin, 1, 0};
      } else {
        label = labels_above[j / 2];
        std::int32_t contacts = 1;
        std::int64_t area2 = Polygon ? windows2(prev[j], prev[j + 1], begin, end) : 0;
        while (prev[j + 1] < end) {
          j += 2;
          if (prev[j] >= end + reach) break;
          if (labels_above[j / 2] != label) label = unite(label, labels_above[j / 2]);
          if constexpr (Polygon) {
            ++contacts;
            area2 += windows2(prev[j], prev[j + 1], begin, end);
          }
        }
        Component& c = components[label];
        c.x0 = std::min(c.x0, begin);
        c.x1 = std::max(c.x1, end);
        c.y1 = y + 1;
        c.pixels += end - begin;
        if constexpr (Polygon) {
          c.euler += 1 - contacts;
          c.area2 += area2;
        }
      }
      labels_here[i / 2] = label;
      if constexpr (Record) {
        runs_.reserve(recorded_ + 1);
        runs_[recorded_++] = {y, begin, end, label};
      }
    }
    std::swap(prev, cur);
    std::swap(labels_above, labels_here);
    edges_above = edges;
  }
  fold();
}

}  // namespace fastcam::FASTCAM_ISA

// Connected components of a bit mask without a label image: each row becomes runs, runs of adjacent rows are joined by
// union-find, and every label carries the box, the pixel count and what the polygon area needs.
//
// Polygon area is cv2.contourArea of the outer contour: over the 2x2 windows of the component with its holes filled,
// the count of full ones plus half the count of those that miss one pixel. For a component without holes the windows
// are counted run by run; whether there are holes follows from Euler's number, runs minus contacts between runs.
#pragma once

#include <algorithm>

#include "buffer.hpp"
#include "runs.hpp"

namespace fastcam::FASTCAM_ISA {

struct Component {
  std::int32_t x0, y0, x1, y1;  // half-open
  std::int32_t pixels;
  std::int32_t euler;    // components minus holes: 1 - holes
  std::int64_t area2;    // twice the polygon area, holes not filled
  std::int32_t first_x;  // of the first pixel in raster order, which lies in row y0
};

// Union-find in which a parent is always smaller than its children: roots stay in the order of creation.
class Forest {
 public:
  void clear() { size_ = 0; }
  std::uint32_t size() const { return size_; }
  void reserve(std::size_t more) { parent_.reserve(size_ + more); }
  std::uint32_t add() {
    parent_[size_] = size_;
    return size_++;
  }
  std::uint32_t parent(std::uint32_t label) const { return parent_[label]; }

  std::uint32_t find(std::uint32_t label) {
    while (parent_[label] != label) {
      parent_[label] = parent_[parent_[label]];
      label = parent_[label];
    }
    return label;
  }
  std::uint32_t unite(std::uint32_t a, std::uint32_t b) {
    a = find(a);
    b = find(b);
    if (a > b) std::swap(a, b);
    parent_[b] = a;
    return a;
  }

 private:
  Buffer<std::uint32_t> parent_;
  std::uint32_t size_ = 0;
};

// Twice the 2x2 windows' area that two touching runs of adjacent rows enclose.
inline std::int64_t windows2(std::int32_t a0, std::int32_t a1, std::int32_t b0, std::int32_t b1) {
  const std::int32_t overlap = std::min(a1, b1) - std::max(a0, b0) - 1;
  return overlap < 0 ? 0 : 2 * static_cast<std::int64_t>(overlap) + (a0 != b0) + (a1 != b1);
}

class Labeller {
 public:
  // Labels the mask's components. Afterwards a label is a component where is_root(label), and roots are in the raster
  // order of their components' first pixels.
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask);

  std::uint32_t labels() const { return forest_.size(); }
  bool is_root(std::uint32_t label) const { return forest_.parent(label) == label; }
  const Component& component(std::uint32_t label) const { return components_[label]; }

 private:
  struct Row {
    std::int32_t* edges;    // begin, end, begin, end, ..., then two sentinels
    std::uint32_t* labels;  // of the runs
    int count = 0;          // of the edges
  };

  template <int Connectivity>
  static bool one_to_one(const Row& above, const Row& here);
  template <bool Polygon>
  void continue_runs(const Row& above, const Row& here, int y);
  template <int Connectivity, bool Polygon>
  void join_runs(const Row& above, const Row& here, int y);
  template <int Connectivity, bool Polygon>
  void join_by_words(const Mask& mask, const Row& above, const Row& here, int y);
  std::uint32_t start(std::int32_t begin, std::int32_t end, int y);
  void extend(std::uint32_t label, std::int32_t begin, std::int32_t end, int y);
  void fold();

  Buffer<std::int32_t> edges_[2];
  Buffer<std::uint32_t> run_labels_[2];
  Forest forest_;
  Buffer<Component> components_;
};

inline std::uint32_t Labeller::start(std::int32_t begin, std::int32_t end, int y) {
  const std::uint32_t label = forest_.add();
  components_[label] = {begin, y, end, y + 1, end - begin, 1, 0, begin};
  return label;
}

inline void Labeller::extend(std::uint32_t label, std::int32_t begin, std::int32_t end, int y) {
  Component& c = components_[label];
  c.x0 = std::min(c.x0, begin);
  c.x1 = std::max(c.x1, end);
  c.y1 = y + 1;
  c.pixels += end - begin;
}

// Adds every label to its parent, from the last: a parent is always smaller, so no root has to be searched.
inline void Labeller::fold() {
  for (std::uint32_t label = forest_.size(); label-- > 0;) {
    const std::uint32_t parent = forest_.parent(label);
    if (parent == label) continue;
    const Component& from = components_[label];
    Component& to = components_[parent];
    to.x0 = std::min(to.x0, from.x0);
    to.x1 = std::max(to.x1, from.x1);
    to.y1 = std::max(to.y1, from.y1);
    to.pixels += from.pixels;
    to.euler += from.euler;
    to.area2 += from.area2;
  }
}

// Whether each run touches exactly the run of the same number above, the usual case in smooth masks.
template <int Connectivity>
bool Labeller::one_to_one(const Row& above, const Row& here) {
  constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
  constexpr int short_row = 16;
  if (here.count != above.count || here.count > short_row) return false;
  bool broken = false;
  for (int i = 0; i < here.count; i += 2) {
    broken |= (here.edges[i] >= above.edges[i + 1] + reach) | (above.edges[i] >= here.edges[i + 1] + reach);
    broken |= (here.edges[i + 2] < above.edges[i + 1] + reach) | (above.edges[i + 2] < here.edges[i + 1] + reach);
  }
  return !broken;
}

template <bool Polygon>
void Labeller::continue_runs(const Row& above, const Row& here, int y) {
  for (int i = 0; i < here.count; i += 2) {
    const std::uint32_t label = above.labels[i / 2];
    extend(label, here.edges[i], here.edges[i + 1], y);
    if constexpr (Polygon)
      components_[label].area2 += windows2(above.edges[i], above.edges[i + 1], here.edges[i], here.edges[i + 1]);
  }
}

template <int Connectivity, bool Polygon>
void Labeller::join_runs(const Row& above, const Row& here, int y) {
  constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
  const std::int32_t* const prev = above.edges;
  int j = 0;
  for (int i = 0; i < here.count; i += 2) {
    const std::int32_t begin = here.edges[i], end = here.edges[i + 1];
    while (prev[j + 1] <= begin - reach) j += 2;
    if (prev[j] >= end + reach) {
      here.labels[i / 2] = start(begin, end, y);
      continue;
    }
    std::uint32_t label = above.labels[j / 2];
    std::int32_t contacts = 1;
    std::int64_t area2 = Polygon ? windows2(prev[j], prev[j + 1], begin, end) : 0;
    while (prev[j + 1] < end) {
      j += 2;
      if (prev[j] >= end + reach) break;
      if (above.labels[j / 2] != label) label = forest_.unite(label, above.labels[j / 2]);
      if constexpr (Polygon) {
        ++contacts;
        area2 += windows2(prev[j], prev[j + 1], begin, end);
      }
    }
    extend(label, begin, end, y);
    if constexpr (Polygon) {
      components_[label].euler += 1 - contacts;
      components_[label].area2 += area2;
    }
    here.labels[i / 2] = label;
  }
}

template <int Connectivity, bool Polygon>
void Labeller::join_by_words(const Mask& mask, const Row& above, const Row& here, int y) {
  constexpr std::uint32_t none = UINT32_MAX;
  std::fill(here.labels, here.labels + here.count / 2, none);
  if (above.count > 0)
    for_each_contact<Connectivity>({mask.row(y - 1), mask.row(y - 1)}, {mask.row(y), mask.row(y)}, mask.words(),
                                   last_word_mask(mask.width), [&](int i, int j) {
                                     std::uint32_t label = above.labels[i];
                                     const std::uint32_t known = here.labels[j];
                                     if (known != none && known != label) label = forest_.unite(known, label);
                                     here.labels[j] = label;
                                     if constexpr (Polygon) {
                                       const std::int32_t *a = above.edges + 2 * i, *b = here.edges + 2 * j;
                                       components_[label].area2 += windows2(a[0], a[1], b[0], b[1]);
                                       --components_[label].euler;
                                     }
                                   });
  for (int i = 0; i < here.count; i += 2) {
    std::uint32_t& label = here.labels[i / 2];
    if (label == none) {
      label = start(here.edges[i], here.edges[i + 1], y);
      continue;
    }
    extend(label, here.edges[i], here.edges[i + 1], y);
    if constexpr (Polygon) ++components_[label].euler;
  }
}

template <int Connectivity, bool Polygon>
void Labeller::label(const Mask& mask) {
  const int words = mask.words();
  const std::uint64_t tail = last_word_mask(mask.width);
  const std::size_t most_runs = static_cast<std::size_t>(mask.width) / 2 + 1;
  Row above{edges_[0].reserve(2 * most_runs + edges_margin), run_labels_[0].reserve(most_runs)};
  Row here{edges_[1].reserve(2 * most_runs + edges_margin), run_labels_[1].reserve(most_runs)};
  above.edges[0] = above.edges[1] = INT_MAX;
  forest_.clear();
  const bool dense = is_dense(mask);
  for (int y = 0; y < mask.height; ++y) {
    here.count = find_edges(mask.row(y), words, tail, mask.width, here.edges);
    if (!dense && one_to_one<Connectivity>(above, here)) {
      continue_runs<Polygon>(above, here, y);
      std::swap(above.edges, here.edges);
      continue;
    }
    const std::size_t runs = static_cast<std::size_t>(here.count) / 2;
    forest_.reserve(runs);
    components_.reserve(forest_.size() + runs);
    if (dense)
      join_by_words<Connectivity, Polygon>(mask, above, here, y);
    else
      join_runs<Connectivity, Polygon>(above, here, y);
    std::swap(above, here);
  }
  fold();
}

}  // namespace fastcam::FASTCAM_ISA

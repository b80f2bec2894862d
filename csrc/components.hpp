// Connected components of a bit mask without a label image: each row becomes runs, runs of adjacent rows are joined by
// union-find, and every label carries the box, the pixel count and what the polygon area needs.
//
// Polygon area is cv2.contourArea of the outer contour: over the 2x2 windows of the component with its holes filled,
// the count of full ones plus half the count of those that miss one pixel. The windows are counted run by run, without
// the holes. Where runs are few, each hole is filled when the run is met that closes it, below two that were connected
// before; else Euler's number, runs minus contacts between runs, tells that there are holes.
#pragma once

#include <algorithm>

#include "buffer.hpp"
#include "chain.hpp"
#include "outline.hpp"

namespace fastcam::FASTCAM_ISA {

struct Component {
  std::int32_t x0, y0, x1, y1;  // half-open
  std::int32_t pixels;
  std::int32_t euler;    // components minus holes that are not filled: 1 where area2 is that of the polygon
  std::int64_t area2;    // twice the polygon area, but for those holes
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
  // The number of the next tree, which is there afterwards if it is wanted. There must be room for it.
  std::uint32_t add_if(bool wanted) {
    const std::uint32_t next = size_;
    parent_[next] = next;
    size_ += wanted;
    return next;
  }
  std::uint32_t parent(std::uint32_t label) const { return parent_[label]; }
  // Calls add(parent, label) for every label that has one, from the last: a parent is always smaller, so what reaches a
  // root is complete, and no root has to be searched.
  template <class Add>
  void fold(const Add& add) const {
    for (std::uint32_t label = size_; label-- > 0;)
      if (parent_[label] != label) add(parent_[label], label);
  }

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

// yes ? a : b, never by a branch: in noise, whether a run has touched something before is anyone's guess.
inline std::uint32_t chosen(bool yes, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & -std::uint32_t{yes});
}

// Twice the 2x2 windows' area that two touching runs of adjacent rows enclose.
inline std::int64_t windows2(std::int32_t a0, std::int32_t a1, std::int32_t b0, std::int32_t b1) {
  const std::int32_t overlap = std::min(a1, b1) - std::max(a0, b0) - 1;
  return overlap < 0 ? 0 : 2 * static_cast<std::int64_t>(overlap) + (a0 != b0) + (a1 != b1);
}

// Adds what another label of the same component, which begins later, has gathered.
inline void merge(Component& to, const Component& from) {
  to.x0 = std::min(to.x0, from.x0);
  to.x1 = std::max(to.x1, from.x1);
  to.y1 = std::max(to.y1, from.y1);
  to.pixels += from.pixels;
  to.euler += from.euler;
  to.area2 += from.area2;
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

  std::uint32_t root(std::uint32_t label) const {
    while (!is_root(label)) label = forest_.parent(label);
    return label;
  }
  // The components that hold run i of the first row, whose labels are their numbers, and of the last.
  std::uint32_t root_in_first_row(int i) const { return root(static_cast<std::uint32_t>(i)); }
  std::uint32_t root_in_last_row(int i) const { return root(above_[i]); }

 private:
  struct Row : Runs {
    std::uint32_t* labels;  // of the runs
  };

  template <int Connectivity, bool Polygon>
  void join_runs(const Mask& mask, const RunTable& table, int row, int y);
  template <int Connectivity, bool Polygon>
  void join_by_words(const Mask& mask, const Row& above, const Row& here, int y);
  template <int Connectivity, bool Polygon>
  void label_sparse(const Mask& mask);
  template <int Connectivity, bool Polygon>
  void label_dense(const Mask& mask);
  void make_room(int runs);
  std::uint32_t start(std::int32_t begin, std::int32_t end, int y);
  void extend(std::uint32_t label, std::int32_t begin, std::int32_t end, int y);

  RunTable table_;                            // of sparse masks
  Buffer<std::int32_t> begins_[2], ends_[2];  // of the rows of dense ones
  Buffer<std::uint32_t> labels_[2];
  std::uint32_t *above_ = nullptr, *here_ = nullptr;  // the labels of the last row that was joined, and of the next
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

// Joins the row's runs to those of the row above, which lie in order: first those that end before the run, then those
// that it touches. What follows in the table, moved on by a pitch, lies beyond all the row's runs.
template <int Connectivity, bool Polygon>
void Labeller::join_runs(const Mask& mask, const RunTable& table, int row, int y) {
  constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
  const std::int32_t pitch = table.pitch(), base = row * pitch;
  const std::int32_t *begins = table.begins() + table.first(row), *ends = table.ends() + table.first(row);
  const std::int32_t *begins_above = table.begins() + table.first(row - 1),
                     *ends_above = table.ends() + table.first(row - 1);
  const int count = table.count(row);
  int j = 0;
  for (int i = 0; i < count; ++i) {
    const std::int32_t begin = begins[i] - pitch, end = ends[i] - pitch;
    j += count_while(ends_above + j, [&](const Lanes& e) { return e <= begin - reach; });
    const int contacts = count_while(begins_above + j, [&](const Lanes& b) { return b < end + reach; });
    if (contacts == 0) {
      here_[i] = start(begins[i] - base, ends[i] - base, y);
      continue;
    }
    std::uint32_t label = above_[j];
    std::int64_t area2 = Polygon ? windows2(begins_above[j], ends_above[j], begin, end) : 0;
    int united = 0;
    for (int more = 1; more < contacts; ++more) {
      ++j;  // the last one may touch the next run too
      if (Polygon && forest_.find(label) == forest_.find(above_[j])) {
        area2 += hole_area2<Connectivity>(mask, begins_above[j] - base + pitch, y);
      } else if (above_[j] != label) {
        label = forest_.unite(label, above_[j]);
        ++united;
      }
      if constexpr (Polygon) area2 += windows2(begins_above[j], ends_above[j], begin, end);
    }
    extend(label, begins[i] - base, ends[i] - base, y);
    if constexpr (Polygon) {
      components_[label].euler -= united;
      components_[label].area2 += area2;
    }
    here_[i] = label;
  }
}

template <int Connectivity, bool Polygon>
void Labeller::join_by_words(const Mask& mask, const Row& above, const Row& here, int y) {
  constexpr std::uint32_t none = UINT32_MAX;
  std::fill(here.labels, here.labels + here.count, none);
  if (above.count > 0)
    for_each_contact<Connectivity>({mask.row(y - 1), mask.row(y - 1)}, {mask.row(y), mask.row(y)}, mask.words(),
                                   last_word_mask(mask.width), [&](int i, int j) {
                                     std::uint32_t label = above.labels[i];
                                     const std::uint32_t known = chosen(here.labels[j] == none, label, here.labels[j]);
                                     if (known != label) label = forest_.unite(known, label);
                                     here.labels[j] = label;
                                     if constexpr (Polygon) {
                                       components_[label].area2 +=
                                           windows2(above.begins[i], above.ends[i], here.begins[j], here.ends[j]);
                                       --components_[label].euler;
                                     }
                                   });
  for (int i = 0; i < here.count; ++i) {
    const std::uint32_t known = here.labels[i], fresh = forest_.add_if(known == none);
    components_[fresh] = {here.begins[i], y, here.ends[i], y + 1, 0, 0, 0, here.begins[i]};
    const std::uint32_t label = here.labels[i] = chosen(known == none, fresh, known);
    extend(label, here.begins[i], here.ends[i], y);
    if constexpr (Polygon) ++components_[label].euler;
  }
}

inline void Labeller::make_room(int runs) {
  forest_.reserve(static_cast<std::size_t>(runs) + 1);
  components_.reserve(forest_.size() + static_cast<std::size_t>(runs) + 1);
}

template <int Connectivity, bool Polygon>
void Labeller::label_dense(const Mask& mask) {
  const RunFinder finder(mask.width);
  const std::size_t places = Runs::places(mask.width);
  Row above{{begins_[0].reserve(places), ends_[0].reserve(places)}, above_};
  Row here{{begins_[1].reserve(places), ends_[1].reserve(places)}, here_};
  for (int y = 0; y < mask.height; ++y) {
    here.count = finder.find_many(mask.row(y), 0, here.begins, here.ends);
    make_room(here.count);
    join_by_words<Connectivity, Polygon>(mask, above, here, y);
    std::swap(above, here);
  }
  above_ = above.labels;
}

template <int Connectivity, bool Polygon>
void Labeller::label_sparse(const Mask& mask) {
  using Rows = Chain<Connectivity, Polygon>;
  table_.start(mask.width);
  int rows;
  for (int top = 0; top < mask.height; top += rows) {
    rows = std::min(table_.capacity(), mask.height - top);
    table_.find(mask, top, rows);
    for (int row = 1; row <= rows;) {
      const int count = table_.count(row);
      if (count == 0) {
        ++row;
        continue;
      }
      make_room(count);
      join_runs<Connectivity, Polygon>(mask, table_, row, top + row - 1);
      std::swap(above_, here_);
      if (table_.count(++row) != count || count > Rows::most_runs) continue;
      Rows chain;
      row += chain.follow(table_, row);
      // Its rows keep the labels of the row above it.
      chain.finish([&](int i, const ChainSum& sum) {
        Component& c = components_[above_[i]];
        c.x0 = std::min(c.x0, sum.x0);
        c.x1 = std::max(c.x1, sum.x1);
        c.y1 = std::max(c.y1, top + row - 1);
        c.pixels += sum.pixels;
        c.area2 += sum.area2;
      });
    }
  }
}

template <int Connectivity, bool Polygon>
void Labeller::label(const Mask& mask) {
  above_ = labels_[0].reserve(Runs::places(mask.width));
  here_ = labels_[1].reserve(Runs::places(mask.width));
  forest_.clear();
  if (is_dense(mask) || !RunTable::fits(mask.width))
    label_dense<Connectivity, Polygon>(mask);
  else
    label_sparse<Connectivity, Polygon>(mask);
  forest_.fold([&](std::uint32_t to, std::uint32_t from) { merge(components_[to], components_[from]); });
}

}  // namespace fastcam::FASTCAM_ISA

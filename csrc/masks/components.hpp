// Component   what is known of a connected component
// Labeller    the components of a mask, 4- or 8-connected, without a label image
//
// Each row becomes runs of set pixels. Runs of adjacent rows that touch are joined by union-find, and every label
// gathers its box, its pixel count and what the polygon area needs.
//
// The polygon area is cv2.contourArea of the outer contour. That is, over the 2x2 windows of the component with its
// holes filled, the count of full windows plus half the count of those with three pixels. The windows are counted run
// by run, without the holes. Where runs are few, a hole is filled when the run that closes it is met: it touches two
// runs that are connected already. Where runs are many, Euler's number (runs minus contacts) tells whether there are
// holes.
#pragma once

#include <algorithm>

#include "masks/aligned_rows.hpp"
#include "masks/outline.hpp"
#include "masks/union_find.hpp"
#include "vector/buffer.hpp"
#include "vector/pace.hpp"

namespace fastcam::FASTCAM_ISA {

struct Component {
  std::int32_t x0, y0, x1, y1;  // half-open
  std::int32_t first_x;         // the column of the first pixel in raster order, which lies in row y0
  std::int32_t euler;           // 1 minus the number of holes that are not filled; where it is 1, area2 is exact
  std::int64_t pixels;
  std::int64_t area2;  // twice the polygon area, without those holes
};

// Twice the polygon area of the 2x2 windows that two touching runs of adjacent rows share.
inline std::int64_t windows2(std::int32_t a0, std::int32_t a1, std::int32_t b0, std::int32_t b1) {
  const std::int32_t overlap = std::min(a1, b1) - std::max(a0, b0) - 1;
  return overlap < 0 ? 0 : 2 * static_cast<std::int64_t>(overlap) + (a0 != b0) + (a1 != b1);
}

// Adds a later label of the same component.
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
  // Finds the components of rows [y0, y1) of the mask; with Polygon, what their polygon area needs too.
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask, int y0, int y1);
  template <int Connectivity, bool Polygon>
  void label(const Mask& mask) {
    label<Connectivity, Polygon>(mask, 0, mask.height);
  }

  // Calls visit(Component) in the raster order of first pixels.
  template <class Visit>
  void for_each(const Visit& visit) const {
    for (std::uint32_t label = 0; label < forest_.size(); ++label)
      if (forest_.parent(label) == label) visit(components_[label]);
  }

  // The component of a root; roots are in the raster order of first pixels.
  Component& component(std::uint32_t root) { return components_[root]; }

  // Calls contact(root, root of the other labeller, windows2) for every run of the last row that touches a run of row
  // y, the first one of the rows that `below` has labelled.
  template <int Connectivity, class Contact>
  void for_each_contact_below(Labeller& below, const Mask& mask, int y, const Contact& contact);

 private:
  struct Row : Runs {
    std::uint32_t* labels;  // of the runs
  };

  template <int Connectivity, bool Polygon>
  void join_runs(const Mask& mask, const RunTable& table, int row, int y);
  template <int Connectivity, bool Polygon>
  void join_by_words(const Mask& mask, const Row& above, const Row& here, int y);
  template <int Connectivity, bool Polygon>
  void label_sparse(const Mask& mask, int y0, int y1);
  template <int Connectivity, bool Polygon>
  void label_dense(const Mask& mask, int y0, int y1);
  Runs runs_of(const Mask& mask, int y);
  void reserve(int runs);
  std::uint32_t start(std::int32_t begin, std::int32_t end, int y);
  void extend(std::uint32_t label, std::int32_t begin, std::int32_t end, int y);

  RunTable table_;                            // for sparse masks
  Buffer<std::int32_t> begins_[2], ends_[2];  // of two rows, for dense masks
  Buffer<std::uint32_t> labels_[2];
  std::uint32_t *above_ = nullptr, *here_ = nullptr;  // labels of the row joined last, and of the next one
  Forest forest_;
  Buffer<Component> components_;
};

inline std::uint32_t Labeller::start(std::int32_t begin, std::int32_t end, int y) {
  const std::uint32_t label = forest_.add();
  components_[label] = {begin, y, end, y + 1, begin, 1, end - begin, 0};
  return label;
}

inline void Labeller::extend(std::uint32_t label, std::int32_t begin, std::int32_t end, int y) {
  Component& c = components_[label];
  c.x0 = std::min(c.x0, begin);
  c.x1 = std::max(c.x1, end);
  c.y1 = y + 1;
  c.pixels += end - begin;
}

// Joins the row's runs to those of the row above. For each run, the runs above are skipped that end before it, then
// those it touches are counted. The table's next row bounds the search: moved by a pitch, its runs lie behind this
// row's.
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
      ++j;  // and not further: the last run above may touch the next run too
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
    components_[fresh] = {here.begins[i], y, here.ends[i], y + 1, here.begins[i], 0, 0, 0};
    const std::uint32_t label = here.labels[i] = chosen(known == none, fresh, known);
    extend(label, here.begins[i], here.ends[i], y);
    if constexpr (Polygon) ++components_[label].euler;
  }
}

inline void Labeller::reserve(int runs) {
  forest_.reserve(static_cast<std::size_t>(runs) + 1);
  components_.reserve(forest_.size() + static_cast<std::size_t>(runs) + 1);
}

template <int Connectivity, bool Polygon>
void Labeller::label_dense(const Mask& mask, int y0, int y1) {
  const RunFinder finder(mask.width);
  const std::size_t capacity = Runs::capacity(mask.width);
  Row above{{begins_[0].reserve(capacity), ends_[0].reserve(capacity)}, above_};
  Row here{{begins_[1].reserve(capacity), ends_[1].reserve(capacity)}, here_};
  Pace pace;
  for (int y = y0; y < y1; ++y) {
    pace.add(mask.width);
    here.count = finder.find_many(mask.row(y), 0, here.begins, here.ends);
    reserve(here.count);
    join_by_words<Connectivity, Polygon>(mask, above, here, y);
    std::swap(above, here);
  }
  above_ = above.labels;
}

template <int Connectivity, bool Polygon>
void Labeller::label_sparse(const Mask& mask, int y0, int y1) {
  using Rows = AlignedRows<Connectivity, Polygon>;
  table_.start(mask.width);
  Pace pace;
  int rows;
  for (int top = y0; top < y1; top += rows) {
    pace.add(std::int64_t{mask.width} * table_.capacity());
    rows = std::min(table_.capacity(), y1 - top);
    table_.find(mask, top, rows);
    for (int row = 1; row <= rows;) {
      const int count = table_.count(row);
      if (count == 0) {
        ++row;
        continue;
      }
      reserve(count);
      join_runs<Connectivity, Polygon>(mask, table_, row, top + row - 1);
      std::swap(above_, here_);
      if (table_.count(++row) != count || count > Rows::most_runs) continue;
      Rows aligned;
      row += aligned.follow(table_, row);
      // Aligned rows keep the labels of the row above them.
      aligned.finish([&](int i, const AlignedSum& sum) {
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
void Labeller::label(const Mask& mask, int y0, int y1) {
  above_ = labels_[0].reserve(Runs::capacity(mask.width));
  here_ = labels_[1].reserve(Runs::capacity(mask.width));
  forest_.clear();
  if (is_dense(mask.rows(y0, y1)) || !RunTable::fits(mask.width))
    label_dense<Connectivity, Polygon>(mask, y0, y1);
  else
    label_sparse<Connectivity, Polygon>(mask, y0, y1);
  forest_.fold([&](std::uint32_t to, std::uint32_t from) { merge(components_[to], components_[from]); });
}

inline Runs Labeller::runs_of(const Mask& mask, int y) {
  const std::size_t capacity = Runs::capacity(mask.width);
  Runs runs{begins_[0].reserve(capacity), ends_[0].reserve(capacity)};
  runs.count = RunFinder(mask.width).find_many(mask.row(y), 0, runs.begins, runs.ends);
  return runs;
}

template <int Connectivity, class Contact>
void Labeller::for_each_contact_below(Labeller& below, const Mask& mask, int y, const Contact& contact) {
  constexpr std::int32_t reach = Connectivity == 8 ? 1 : 0;
  const Runs upper = runs_of(mask, y - 1), lower = below.runs_of(mask, y);
  for (int i = 0, j = 0; i < upper.count && j < lower.count;) {
    const std::int32_t a0 = upper.begins[i], a1 = upper.ends[i], b0 = lower.begins[j], b1 = lower.ends[j];
    if (a0 < b1 + reach && b0 < a1 + reach) {
      const auto label = static_cast<std::uint32_t>(j);  // the first row's runs are labelled by their numbers
      contact(forest_.find(above_[i]), below.forest_.find(label), windows2(a0, a1, b0, b1));
    }
    if (a1 < b1)
      ++i;
    else
      ++j;
  }
}

}  // namespace fastcam::FASTCAM_ISA

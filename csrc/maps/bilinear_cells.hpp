// BilinearCells                  a bilinear map by cells, which are mostly handled as a whole
//   range, collect, binarize     the smallest and largest pixel; the pixels in a range of values; those above a cutoff
//
// A cell is the block of pixels between the same four values of the small map. Each of its pixels lies between the
// least and the greatest of the four, in floating point too: a + (b - a) f stays in [a, b] because the fractions f are
// multiples of half the reciprocal of the size, so they are 0 or well below 1. Most cells are therefore counted,
// skipped or filled as a whole; pixels are computed only where the cell's bounds do not decide.
#pragma once

#include <algorithm>

#include "core/core.hpp"
#include "maps/percentile_select.hpp"
#include "maps/resize.hpp"
#include "masks/bitmask.hpp"
#include "vector/block.hpp"

namespace fastcam::FASTCAM_ISA {

class BilinearCells {
 public:
  // Whether cells are faster than rows. Those of a few pixels are not; in huge maps f may come too close to 1.
  static bool worthwhile(const Maps& maps, Interpolation interpolation) {
    constexpr int largest_safe = 1 << 20;
    return interpolation == Interpolation::bilinear && maps.width >= 4 * maps.w && maps.height >= 4 * maps.h &&
           std::max(maps.width, maps.height) <= largest_safe;
  }

  void start(const ResizedRows& rows, const float* map) {
    bounds_.reserve(static_cast<std::size_t>(rows.x().spans()) * static_cast<std::size_t>(rows.y().spans()));
    rows_ = &rows;
    across_ = rows.x().spans();
    down_ = rows.y().spans();
    for (int i = 0; i < down_; ++i) {
      const float* above = map + std::int64_t{rows.y().tap(rows.y().begin(i), 0)} * across_;
      const float* below = map + std::int64_t{rows.y().tap(rows.y().begin(i), 1)} * across_;
      for (int j = 0; j < across_; ++j) {
        const int next = std::min(j + 1, across_ - 1);
        bounds_[static_cast<std::size_t>(i * across_ + j)] = {
            std::min(std::min(above[j], above[next]), std::min(below[j], below[next])),
            std::max(std::max(above[j], above[next]), std::max(below[j], below[next]))};
      }
    }
  }

  // The smallest and the largest pixel. The most likely cells come first, which rules most others out.
  Range range() const {
    int lowest = 0, highest = 0;
    const int count = across_ * down_;
    for (int c = 1; c < count; ++c) {
      if (bounds(c).low < bounds(lowest).low) lowest = c;
      if (bounds(c).high > bounds(highest).high) highest = c;
    }
    Range range = empty_range;
    extend(range, lowest);
    extend(range, highest);
    for (int c = 0; c < count; ++c)
      if (bounds(c).low < range.low || bounds(c).high > range.high) extend(range, c);
    return range;
  }

  // Gives the collector every pixel that its range may hold.
  void collect(Collector& into) const {
    for (int c = 0; c < across_ * down_; ++c) {
      if (bounds(c).low > into.high) continue;
      if (bounds(c).high < into.low) {
        into.below += pixels(c);
        continue;
      }
      evaluate(c, [&](int, int, const Block<float>& v, std::uint32_t valid) { into.add(v, valid); });
    }
  }

  // Sixteen pixels may reach into the next word, so one word is written behind the last row.
  static constexpr std::size_t words_beyond = 1;
  void binarize(float cutoff, std::uint64_t* bits, int words) const {
    const int height = rows_->y().begin(down_);
    std::fill(bits, bits + static_cast<std::int64_t>(words) * height, std::uint64_t{0});
    for (int c = 0; c < across_ * down_; ++c) {
      if (bounds(c).high <= cutoff) continue;
      const int i = c / across_, j = c % across_;
      if (bounds(c).low > cutoff) {
        int last = j;
        while (last + 1 < across_ && bounds(c + last + 1 - j).low > cutoff) ++last;
        for (int y = rows_->y().begin(i); y < rows_->y().begin(i + 1); ++y)
          set_bits(bits + std::int64_t{y} * words, rows_->x().begin(j), rows_->x().begin(last + 1));
        c += last - j;
        continue;
      }
      evaluate(c, [&](int x, int y, const Block<float>& v, std::uint32_t valid) {
        const std::uint64_t above = compare_bits<Comparison::greater>(v, cutoff) & valid;
        std::uint64_t* const word = bits + std::int64_t{y} * words + x / 64;
        word[0] |= above << (x % 64);
        if (x % 64 > 48) word[1] |= above >> (64 - x % 64);
      });
    }
  }

 private:
  const Range& bounds(int c) const { return bounds_[static_cast<std::size_t>(c)]; }

  std::int64_t pixels(int c) const {
    const int i = c / across_, j = c % across_;
    return std::int64_t{rows_->y().begin(i + 1) - rows_->y().begin(i)} *
           (rows_->x().begin(j + 1) - rows_->x().begin(j));
  }

  // Calls use(x, y, the sixteen pixels from (x, y) on, bits of those that lie in the cell).
  template <class Use>
  FASTCAM_INLINE void evaluate(int c, const Use& use) const {
    const ResizedRows::Axis &xs = rows_->x(), &ys = rows_->y();
    const int i = c / across_, j = c % across_, top = ys.begin(i), bottom = ys.begin(i + 1), right = xs.begin(j + 1);
    const float *above = rows_->wide(ys.tap(top, 0)), *below = rows_->wide(ys.tap(top, 1)), *f = ys.factors(0);
    for (int x = xs.begin(j); x < right; x += 16) {
      const std::uint32_t valid = right - x >= 16 ? 0xffffu : (1u << (right - x)) - 1;
      const Block<float> a = Block<float>::at(above + x), b = Block<float>::at(below + x);
      Block<float> difference;
      for (int p = 0; p < a.parts; ++p) difference.part[p] = b.part[p] - a.part[p];
#pragma GCC unroll 4
      for (int y = top; y < bottom; ++y) {
        Block<float> v;
        for (int p = 0; p < a.parts; ++p) v.part[p] = a.part[p] + difference.part[p] * f[y];
        use(x, y, v, valid);
      }
    }
  }

  // Extends the range by the cell's pixels. The pixels beside the cell are pixels of the map too, or NaN, so they may
  // be included.
  void extend(Range& range, int c) const {
    auto low = Block<float>::all(range.low), high = Block<float>::all(range.high);
    evaluate(c, [&](int, int, const Block<float>& v, std::uint32_t) {
      for (int p = 0; p < v.parts; ++p) {
        low.part[p] = v.part[p] < low.part[p] ? v.part[p] : low.part[p];
        high.part[p] = larger(v.part[p], high.part[p]);
      }
    });
    float values[32];
    low.to(values);
    high.to(values + 16);
    range = {*std::min_element(values, values + 16), *std::max_element(values + 16, values + 32)};
  }

  const ResizedRows* rows_ = nullptr;
  int across_ = 0, down_ = 0;
  Buffer<Range> bounds_;
};

}  // namespace fastcam::FASTCAM_ISA

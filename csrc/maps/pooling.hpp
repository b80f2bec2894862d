// tap_forward_of     thresholded average pooling (Eq. 4): the mean of a plane's values above a fraction of its maximum
//
// A plane is read from memory once: a small one stays in registers between the search for the maximum and the sum, a
// larger one in the cache. Sums run in sixteen lanes on every processor, so results are the same on all.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/core.hpp"
#include "vector/block.hpp"
#include "vector/buffer.hpp"
#include "vector/dtype.hpp"

namespace fastcam::FASTCAM_ISA {

// A count in lanes as wide as T's, since comparisons of T give such integers.
template <class T>
using Count = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

// threshold * max, which kept values exceed. Where the maximum is infinite, only infinities are kept.
template <class T>
T cutoff_of(T max, T threshold) {
  if (max == std::numeric_limits<T>::infinity()) return std::numeric_limits<T>::max();
  if (max == -std::numeric_limits<T>::infinity()) return max;
  return max * threshold;
}

// The maximum so far, and a sum that is not finite if any value was not.
template <class T>
struct Maximum {
  Block<T> max = Block<T>::all(-std::numeric_limits<T>::infinity());
  Block<T> sum = Block<T>::all(0);

  FASTCAM_INLINE void add(const Block<T>& v) {
    for (int i = 0; i < v.parts; ++i) {
      max.part[i] = larger(v.part[i], max.part[i]);
      sum.part[i] += v.part[i];
    }
  }
};

// The sum and count so far of the values above a cutoff.
template <class T>
struct Kept {
  Block<T> sum = Block<T>::all(0);
  Block<Count<T>> count = Block<Count<T>>::all(0);

  FASTCAM_INLINE void add(const Block<T>& v, const Block<T>& cutoff) {
    for (int i = 0; i < v.parts; ++i) {
      const auto keep = v.part[i] > cutoff.part[i];
      sum.part[i] += keep ? v.part[i] : Vector<T>{};
      count.part[i] -= keep;
    }
  }
};

template <class Element>
class Pool {
 public:
  using T = Work<Element>;

  Pool(const Planes& planes, double threshold, const Pooled& out)
      : channels_(planes.channels), positions_(planes.positions), threshold_(static_cast<T>(threshold)), out_(out) {
    Count<T> is_new[16];
    for (int i = 0; i < 16; ++i) is_new[i] = i >= 16 - positions_ % 16 ? -1 : 0;
    is_new_ = Block<Count<T>>::at(is_new);
  }

  // Pools plane i, which starts at `plane`, and prefetches the one that starts at `next`.
  void plane(const Element* plane, std::int64_t i, const Element* next) const {
    const auto add = [](const auto& a, const auto& b) { return a + b; };
    Maximum<T> seen[2];
    for_each_block<false>(plane, [&](const Block<T>& v, int turn) { seen[turn].add(v); });
    for (int p = 0; p < seen[0].max.parts; ++p) {
      seen[0].max.part[p] = larger(seen[0].max.part[p], seen[1].max.part[p]);
      seen[0].sum.part[p] += seen[1].sum.part[p];
    }
    const T top = fold(seen[0].max, [](const auto& a, const auto& b) { return larger(a, b); });
    const T sum = fold(seen[0].sum, add);
    if (!std::isfinite(sum) && has_nan(plane, 1)) return write(i, std::numeric_limits<T>::quiet_NaN(), 0, 0, plane, 1);
    const T cutoff = cutoff_of(top, threshold_);
    const auto limit = Block<T>::all(cutoff);
    Kept<T> kept[2];
    for_each_block<true>(plane, [&](const Block<T>& v, int turn) {
      __builtin_prefetch(next);
      next += 16;
      kept[turn].add(v, limit);
    });
    for (int p = 0; p < limit.parts; ++p) {
      kept[0].sum.part[p] += kept[1].sum.part[p];
      kept[0].count.part[p] += kept[1].count.part[p];
    }
    write(i, cutoff, fold(kept[0].sum, add), fold(kept[0].count, add), plane, 1);
  }

  // channels_last: pools Blocks times sixteen channels, position by position. The first of them is plane i.
  template <int Blocks>
  void channels(const Element* first, std::int64_t i) const {
    Maximum<T> seen[Blocks];
    const Element* from = first;
    for (std::int64_t p = 0; p < positions_; ++p, from += channels_)
      for (int b = 0; b < Blocks; ++b) seen[b].add(Block<T>::at(from + 16 * b));
    T cutoffs[16 * Blocks], sums[16 * Blocks];
    Count<T> counts[16 * Blocks];
    for (int b = 0; b < Blocks; ++b) {
      seen[b].max.to(cutoffs + 16 * b);
      seen[b].sum.to(sums + 16 * b);
    }
    for (int c = 0; c < 16 * Blocks; ++c)
      cutoffs[c] = !std::isfinite(sums[c]) && has_nan(first + c, channels_) ? std::numeric_limits<T>::quiet_NaN()
                                                                            : cutoff_of(cutoffs[c], threshold_);
    Kept<T> kept[Blocks];
    from = first;
    for (std::int64_t p = 0; p < positions_; ++p, from += channels_)
      for (int b = 0; b < Blocks; ++b) kept[b].add(Block<T>::at(from + 16 * b), Block<T>::at(cutoffs + 16 * b));
    for (int b = 0; b < Blocks; ++b) {
      kept[b].sum.to(sums + 16 * b);
      kept[b].count.to(counts + 16 * b);
    }
    for (int c = 0; c < 16 * Blocks; ++c) write(i + c, cutoffs[c], sums[c], counts[c], first + c, channels_);
  }

  // channels_last: pools one channel, where fewer than sixteen are left.
  void channel(const Element* first, std::int64_t i, Buffer<Element>& scratch) const {
    Element* const copy = scratch.reserve(static_cast<std::size_t>(positions_));
    for (std::int64_t p = 0; p < positions_; ++p) copy[p] = first[p * channels_];
    plane(copy, i, copy);
  }

 private:
  // Calls use(sixteen positions, 0 and 1 in turn), so that two sums run side by side and wait less.
  // Where sixteen do not divide the positions, the last block overlaps the one before. A maximum may see a value twice;
  // with Once, -infinity replaces what was seen already.
  template <bool Once, class Use>
  FASTCAM_INLINE void for_each_block(const Element* plane, const Use& use) const {
    std::int64_t p = 0;
    for (; p + 32 <= positions_; p += 32) {
      use(Block<T>::at(plane + p), 0);
      use(Block<T>::at(plane + p + 16), 1);
    }
    if (p + 16 <= positions_) {
      use(Block<T>::at(plane + p), 0);
      p += 16;
    }
    if (p == positions_) return;
    if (positions_ < 16) {
      T few[16];
      for (int i = 0; i < 16; ++i)
        few[i] = i < positions_ ? static_cast<T>(widen(plane[i]))
                                : (Once ? -std::numeric_limits<T>::infinity() : static_cast<T>(widen(plane[0])));
      return use(Block<T>::at(few), 1);
    }
    Block<T> last = Block<T>::at(plane + positions_ - 16);
    if constexpr (Once) {
      for (int i = 0; i < last.parts; ++i)
        last.part[i] = is_new_.part[i] ? last.part[i] : all_lanes(-std::numeric_limits<T>::infinity());
    }
    use(last, 1);
  }

  bool has_nan(const Element* from, std::int64_t stride) const {
    bool nan = false;
    for (std::int64_t p = 0; p < positions_; ++p) nan |= widen(from[p * stride]) != widen(from[p * stride]);
    return nan;
  }

  // The mean of kept values whose sum overflows. It is at most the largest number, whatever the sum was rounded to.
  T mean_of_large(const Element* from, std::int64_t stride, T cutoff, Count<T> count) const {
    constexpr double scale = 0x1p-32;
    double sum = 0;
    for (std::int64_t p = 0; p < positions_; ++p) {
      const auto value = static_cast<T>(widen(from[p * stride]));
      if (value > cutoff) sum += value * scale;
    }
    return static_cast<T>(std::min(sum / static_cast<double>(count), std::numeric_limits<T>::max() * scale) / scale);
  }

  // `from` and `stride` are where the values were read.
  void write(std::int64_t i, T cutoff, T sum, Count<T> count, const Element* from, std::int64_t stride) const {
    constexpr T top = std::numeric_limits<T>::max();
    T mean = cutoff != cutoff ? cutoff : count > 0 ? sum / static_cast<T>(count) : T{0};
    if (sum > top && cutoff < top) mean = mean_of_large(from, stride, cutoff, count);
    static_cast<Element*>(out_.values)[i] = narrow<Element>(mean);
    if (out_.counts == nullptr) return;
    out_.counts[i] = static_cast<std::int32_t>(count);
    static_cast<T*>(out_.cutoffs)[i] = cutoff;
  }

  std::int64_t channels_, positions_;
  T threshold_;
  Pooled out_;
  Block<Count<T>> is_new_;  // lanes of the last block that no block before it holds
};

// Calls use(i, the i of the next call) for [begin, end). Four parts of it take turns, because several streams of memory
// arrive in less time side by side than one after the other.
template <class Use>
FASTCAM_INLINE void in_turn(std::int64_t begin, std::int64_t end, const Use& use) {
  constexpr std::int64_t streams = 4;
  const std::int64_t each = (end - begin) / streams;
  for (std::int64_t i = begin; i < begin + each; ++i)
    for (std::int64_t k = 0; k < streams; ++k) use(i + k * each, k + 1 < streams ? i + (k + 1) * each : i + 1);
  for (std::int64_t i = begin + streams * each; i < end; ++i) use(i, i + 1 < end ? i + 1 : i);
}

template <class Element>
void pool_planes(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  const Pool<Element> pool(planes, threshold, out);
  in_turn(begin, end, [&](std::int64_t i, std::int64_t next) {
    const auto* const from = static_cast<const Element*>(planes.data);
    pool.plane(from + i * planes.positions, i, from + next * planes.positions);
  });
}

template <class Element>
void pool_images(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  constexpr int blocks = 4;
  const Pool<Element> pool(planes, threshold, out);
  const std::int64_t channels = planes.channels;
  Buffer<Element> scratch;
  for (std::int64_t n = begin; n < end; ++n) {
    const Element* image = static_cast<const Element*>(planes.data) + n * channels * planes.positions;
    std::int64_t c = 0;
    for (; c + 16 * blocks <= channels; c += 16 * blocks) pool.template channels<blocks>(image + c, n * channels + c);
    for (; c + 16 <= channels; c += 16) pool.template channels<1>(image + c, n * channels + c);
    for (; c < channels; ++c) pool.channel(image + c, n * channels + c, scratch);
  }
}

template <class Element>
void tap_forward_of(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  (planes.interleaved ? pool_images<Element> : pool_planes<Element>)(planes, threshold, begin, end, out);
}

}  // namespace fastcam::FASTCAM_ISA

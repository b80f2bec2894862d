// Thresholded average pooling (Eq. 4): the mean of a plane's values above a fraction of its maximum.
//
// A plane is read from memory once: small ones stay in registers between the search for the maximum and the sum, larger
// ones in the cache. Sums run in sixteen lanes whatever the processor's vectors hold, so results are the same on all.
#pragma once

#include <cmath>
#include <limits>

#include "buffer.hpp"
#include "core.hpp"
#include "sixteen.hpp"

namespace fastcam::FASTCAM_ISA {

template <class Element>
using Work = std::conditional_t<std::is_same_v<Element, double>, double, float>;

// The kept values exceed this: threshold * max; where the maximum is infinite, all finite numbers fall short.
template <class T>
T cutoff_of(T max, T threshold) {
  if (max == std::numeric_limits<T>::infinity()) return std::numeric_limits<T>::max();
  if (max == -std::numeric_limits<T>::infinity()) return max;
  return max * threshold;
}

// Running maximum, and a sum that is not finite if any value was not.
template <class T>
struct Maximum {
  Sixteen<T> max{-std::numeric_limits<T>::infinity()};
  Sixteen<T> sum{0};

  FASTCAM_INLINE void add(const Sixteen<T>& v) {
    for (int i = 0; i < v.parts; ++i) {
      max.part[i] = larger(v.part[i], max.part[i]);
      sum.part[i] += v.part[i];
    }
  }
};

// Running sum and count of the values above a cutoff.
template <class T>
struct Kept {
  Sixteen<T> sum{0};
  Sixteen<Count<T>> count{0};

  FASTCAM_INLINE void add(const Sixteen<T>& v, const Sixteen<T>& cutoff) {
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
    Count<T> unseen[16];
    for (int i = 0; i < 16; ++i) unseen[i] = i >= 16 - positions_ % 16 ? -1 : 0;
    unseen_ = Sixteen<Count<T>>(static_cast<const Count<T>*>(unseen));
  }

  // Plane i, sixteen positions at a time; `plane` is where it starts, and `next` where the one that comes after it
  // does.
  void plane(const Element* plane, std::int64_t i, const Element* next) const {
    const auto add = [](const auto& a, const auto& b) { return a + b; };
    Maximum<T> seen[2];
    each<false>(plane, [&](const Sixteen<T>& v, int turn) { seen[turn].add(v); });
    for (int p = 0; p < seen[0].max.parts; ++p) {
      seen[0].max.part[p] = larger(seen[0].max.part[p], seen[1].max.part[p]);
      seen[0].sum.part[p] += seen[1].sum.part[p];
    }
    const T top = fold(seen[0].max, [](const auto& a, const auto& b) { return larger(a, b); });
    const T sum = fold(seen[0].sum, add);
    if (!std::isfinite(sum) && has_nan(plane, 1)) return write(i, std::numeric_limits<T>::quiet_NaN(), 0, 0);
    const T cutoff = cutoff_of(top, threshold_);
    const Sixteen<T> limit(cutoff);
    Kept<T> kept[2];
    each<true>(plane, [&](const Sixteen<T>& v, int turn) {
      __builtin_prefetch(next);
      next += 16;
      kept[turn].add(v, limit);
    });
    for (int p = 0; p < limit.parts; ++p) {
      kept[0].sum.part[p] += kept[1].sum.part[p];
      kept[0].count.part[p] += kept[1].count.part[p];
    }
    write(i, cutoff, fold(kept[0].sum, add), fold(kept[0].count, add));
  }

  // channels_last: Blocks times sixteen channels, position by position; the first is number i of all.
  template <int Blocks>
  void channels(const Element* first, std::int64_t i) const {
    Maximum<T> seen[Blocks];
    const Element* from = first;
    for (std::int64_t p = 0; p < positions_; ++p, from += channels_)
      for (int b = 0; b < Blocks; ++b) seen[b].add(Sixteen<T>(from + 16 * b));
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
      for (int b = 0; b < Blocks; ++b)
        kept[b].add(Sixteen<T>(from + 16 * b), Sixteen<T>(static_cast<const T*>(cutoffs + 16 * b)));
    for (int b = 0; b < Blocks; ++b) {
      kept[b].sum.to(sums + 16 * b);
      kept[b].count.to(counts + 16 * b);
    }
    for (int c = 0; c < 16 * Blocks; ++c) write(i + c, cutoffs[c], sums[c], counts[c]);
  }

  // channels_last: one channel, where fewer than sixteen are left.
  void channel(const Element* first, std::int64_t i, Buffer<Element>& scratch) const {
    Element* const copy = scratch.reserve(static_cast<std::size_t>(positions_));
    for (std::int64_t p = 0; p < positions_; ++p) copy[p] = first[p * channels_];
    plane(copy, i, copy);
  }

 private:
  // Calls use(sixteen positions, 0 or 1 in turn): two sums side by side wait less for one another.
  // Positions that sixteen do not divide end with the last sixteen of all: some are then seen twice, which a maximum
  // does not mind. Where each may be seen `once`, -infinity takes their place.
  template <bool Once, class Use>
  FASTCAM_INLINE void each(const Element* plane, const Use& use) const {
    std::int64_t p = 0;
    for (; p + 32 <= positions_; p += 32) {
      use(Sixteen<T>(plane + p), 0);
      use(Sixteen<T>(plane + p + 16), 1);
    }
    if (p + 16 <= positions_) {
      use(Sixteen<T>(plane + p), 0);
      p += 16;
    }
    if (p == positions_) return;
    if (positions_ < 16) {
      T few[16];
      for (int i = 0; i < 16; ++i)
        few[i] = i < positions_ ? static_cast<T>(widen(plane[i]))
                                : (Once ? -std::numeric_limits<T>::infinity() : static_cast<T>(widen(plane[0])));
      return use(Sixteen<T>(static_cast<const T*>(few)), 1);
    }
    Sixteen<T> last(plane + positions_ - 16);
    if constexpr (Once) {
      for (int i = 0; i < last.parts; ++i)
        last.part[i] = unseen_.part[i] ? last.part[i] : all_lanes(-std::numeric_limits<T>::infinity());
    }
    use(last, 1);
  }

  bool has_nan(const Element* from, std::int64_t stride) const {
    bool nan = false;
    for (std::int64_t p = 0; p < positions_; ++p) nan |= widen(from[p * stride]) != widen(from[p * stride]);
    return nan;
  }

  void write(std::int64_t i, T cutoff, T sum, Count<T> count) const {
    const T mean = cutoff != cutoff ? cutoff : count > 0 ? sum / static_cast<T>(count) : T{0};
    out_.counts[i] = static_cast<std::int32_t>(count);
    static_cast<T*>(out_.cutoffs)[i] = cutoff;
    static_cast<Element*>(out_.values)[i] = narrow<Element>(mean);
  }

  std::int64_t channels_, positions_;
  T threshold_;
  Pooled out_;
  Sixteen<Count<T>> unseen_{0};  // lanes of the last sixteen positions that no full sixteen before them holds
};

// Calls use(i, the i that comes after it) for [begin, end), four parts of it in turn: memory brings several streams in
// less time than one after the other.
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

// Each kept value's share of its plane's gradient; NaN where the plane has a NaN.
template <class Element>
Element share_of(Element grad, Work<Element> cutoff, std::int32_t count) {
  using T = Work<Element>;
  if (cutoff != cutoff) return narrow<Element>(cutoff);
  return narrow<Element>(static_cast<T>(widen(grad)) / static_cast<T>(count > 0 ? count : 1));
}

// Whether x takes part in the gradient. Not "exceeds": a cutoff of NaN keeps everything, for the NaN to spread.
template <class Element>
FASTCAM_INLINE bool keeps(Element x, Work<Element> cutoff) {
  return !(static_cast<Work<Element>>(widen(x)) <= cutoff);
}

// dx = share where x is kept, else 0, of one plane. Two-byte elements are compared as floats and chosen as words, which
// the compiler does not find by itself.
template <class Element>
void spread(const Element* x, std::int64_t positions, Work<Element> cutoff, Element share, Element* dx) {
  std::int64_t p = 0;
  if constexpr (sizeof(Element) == 2) {
    for (; p + lanes<float> <= positions; p += lanes<float>) {
      const auto kept = __builtin_convertvector(~(load_wide(x + p) <= cutoff), Words);
      *reinterpret_cast<Words*>(dx + p) = kept & share.bits;
    }
  }
  for (; p < positions; ++p) dx[p] = keeps(x[p], cutoff) ? share : Element{};
}

// The same of one position's channels, each with its own cutoff and share.
template <class Element>
void spread(const Element* x, std::int64_t channels, const Work<Element>* cutoffs, const Element* shares, Element* dx) {
  std::int64_t c = 0;
  if constexpr (sizeof(Element) == 2) {
    for (; c + lanes<float> <= channels; c += lanes<float>) {
      const auto kept = __builtin_convertvector(~(load_wide(x + c) <= load(cutoffs + c)), Words);
      *reinterpret_cast<Words*>(dx + c) = kept & *reinterpret_cast<const Words*>(shares + c);
    }
  }
  for (; c < channels; ++c) dx[c] = keeps(x[c], cutoffs[c]) ? shares[c] : Element{};
}

template <class Element>
void tap_backward_of(const Planes& planes, const void* grads, std::int64_t begin, std::int64_t end, const Pooled& saved,
                     void* out) {
  using T = Work<Element>;
  const std::int64_t channels = planes.channels, positions = planes.positions;
  const auto* x = static_cast<const Element*>(planes.data);
  auto* dx = static_cast<Element*>(out);
  const auto* grad = static_cast<const Element*>(grads);
  const auto* cutoffs = static_cast<const T*>(saved.cutoffs);
  if (!planes.interleaved) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Element share = share_of<Element>(grad[i], cutoffs[i], saved.counts[i]);
      spread(x + i * positions, positions, cutoffs[i], share, dx + i * positions);
    }
    return;
  }
  Buffer<Element> shares;
  Element* const share = shares.reserve(static_cast<std::size_t>(channels));
  for (std::int64_t n = begin; n < end; ++n) {
    const std::int64_t first = n * channels;
    for (std::int64_t c = 0; c < channels; ++c)
      share[c] = share_of<Element>(grad[first + c], cutoffs[first + c], saved.counts[first + c]);
    for (std::int64_t p = 0; p < positions; ++p) {
      const std::int64_t at = (n * positions + p) * channels;
      spread(x + at, channels, cutoffs + first, static_cast<const Element*>(share), dx + at);
    }
  }
}

}  // namespace fastcam::FASTCAM_ISA

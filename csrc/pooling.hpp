// Thresholded average pooling (Eq. 4): the mean of a plane's values above a fraction of its maximum.
//
// A plane is read from memory once: small ones stay in registers between the search for the maximum and the sum, larger
// ones in the cache. Sums run in sixteen lanes whatever the processor's vectors hold, so results are the same on all.
#pragma once

#include <limits>
#include <type_traits>

#include "buffer.hpp"
#include "core.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

template <class Element>
using Work = std::conditional_t<std::is_same_v<Element, double>, double, float>;

template <class T>
using Count = std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>;

// Sixteen lanes, in as many vectors as that takes.
template <class T>
struct Sixteen {
  static constexpr int parts = 16 / lanes<T>;
  Vector<T> part[parts];

  FASTCAM_INLINE explicit Sixteen(T x) {
    for (auto& p : part) p = all_lanes(x);
  }
  template <class Element>
  FASTCAM_INLINE explicit Sixteen(const Element* from) {
    if constexpr (std::is_same_v<Element, T>) {
      for (int i = 0; i < parts; ++i) part[i] = load(from + i * lanes<T>);
    } else {
      T wide[16];
      for (int i = 0; i < 16; ++i) wide[i] = widen(from[i]);
      for (int i = 0; i < parts; ++i) part[i] = load(wide + i * lanes<T>);
    }
  }
  FASTCAM_INLINE void to(T* out) const {
    for (int i = 0; i < parts; ++i) store(out + i * lanes<T>, part[i]);
  }
};

// Running maximum, and whether there was a NaN.
template <class T>
struct Maximum {
  Sixteen<T> max{-std::numeric_limits<T>::infinity()};
  Sixteen<Count<T>> nan{0};

  FASTCAM_INLINE void add(const Sixteen<T>& v) {
    for (int i = 0; i < v.parts; ++i) {
      max.part[i] = v.part[i] > max.part[i] ? v.part[i] : max.part[i];
      nan.part[i] |= v.part[i] != v.part[i];
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

// The kept values exceed this: threshold * max; where the maximum is infinite, all finite numbers fall short.
template <class T>
T cutoff_of(T max, T threshold) {
  if (max == std::numeric_limits<T>::infinity()) return std::numeric_limits<T>::max();
  if (max == -std::numeric_limits<T>::infinity()) return max;
  return max * threshold;
}

// One plane at a time, sixteen positions at a time.
template <class Element>
class PlanePool {
 public:
  using T = Work<Element>;

  PlanePool(std::int64_t positions, T threshold) : positions_(positions), threshold_(threshold) {}

  void run(const Element* plane, Element& value, T& cutoff, std::int32_t& count) const {
    Maximum<T> seen;
    each(plane, [&](const Sixteen<T>& v) { seen.add(v); });
    T max[16], sum[16];
    Count<T> nan[16], kept[16];
    seen.max.to(max);
    seen.nan.to(nan);
    T top = max[0];
    bool any_nan = false;
    for (int i = 0; i < 16; ++i) {
      top = max[i] > top ? max[i] : top;
      any_nan |= nan[i] != 0;
    }
    count = 0;
    if (any_nan) {
      cutoff = std::numeric_limits<T>::quiet_NaN();
      value = narrow<Element>(cutoff);
      return;
    }
    cutoff = cutoff_of(top, threshold_);
    const Sixteen<T> limit(cutoff);
    Kept<T> above;
    each(plane, [&](const Sixteen<T>& v) { above.add(v, limit); });
    above.sum.to(sum);
    above.count.to(kept);
    for (int i = 0; i < 16; ++i) count += static_cast<std::int32_t>(kept[i]);
    for (int width = 8; width > 0; width /= 2)
      for (int i = 0; i < width; ++i) sum[i] += sum[i + width];
    value = narrow<Element>(count > 0 ? sum[0] / static_cast<T>(count) : T{0});
  }

 private:
  template <class Use>
  FASTCAM_INLINE void each(const Element* plane, const Use& use) const {
    std::int64_t p = 0;
    for (; p + 16 <= positions_; p += 16) use(Sixteen<T>(plane + p));
    if (p == positions_) return;
    T last[16];
    for (int i = 0; i < 16; ++i)
      last[i] = i < positions_ - p ? static_cast<T>(widen(plane[p + i])) : -std::numeric_limits<T>::infinity();
    use(Sixteen<T>(static_cast<const T*>(last)));
  }

  std::int64_t positions_;
  T threshold_;
};

template <class Element>
void pool_planes(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  using T = Work<Element>;
  const PlanePool<Element> pool(planes.positions, static_cast<T>(threshold));
  for (std::int64_t i = begin; i < end; ++i)
    pool.run(static_cast<const Element*>(planes.data) + i * planes.positions, static_cast<Element*>(out.values)[i],
             static_cast<T*>(out.cutoffs)[i], out.counts[i]);
}

// channels_last: sixteen channels at a time, position by position.
template <class Element>
class ImagePool {
 public:
  using T = Work<Element>;

  ImagePool(const Planes& planes, T threshold, const Pooled& out)
      : channels_(planes.channels), positions_(planes.positions), threshold_(threshold), out_(out) {
    copy_.reserve(static_cast<std::size_t>(16 * positions_));
  }

  // Pools `count` channels from `from` on, which lie `first` values into the output.
  void run(const Element* from, int count, std::int64_t first) {
    Maximum<T> seen;
    for (std::int64_t p = 0; p < positions_; ++p, from += channels_) {
      const Sixteen<T> v = count == 16 ? Sixteen<T>(from) : some(from, count);
      v.to(copy_.data() + 16 * p);
      seen.add(v);
    }
    T cutoff[16], sum[16];
    Count<T> nan[16], kept[16];
    seen.max.to(cutoff);
    seen.nan.to(nan);
    for (T& c : cutoff) c = cutoff_of(c, threshold_);
    const Sixteen<T> limit(static_cast<const T*>(cutoff));
    Kept<T> above;
    for (std::int64_t p = 0; p < positions_; ++p)
      above.add(Sixteen<T>(static_cast<const T*>(copy_.data() + 16 * p)), limit);
    above.sum.to(sum);
    above.count.to(kept);
    for (int i = 0; i < count; ++i) {
      constexpr T missing = std::numeric_limits<T>::quiet_NaN();
      const T mean = kept[i] > 0 ? sum[i] / static_cast<T>(kept[i]) : T{0};
      out_.counts[first + i] = nan[i] != 0 ? 0 : static_cast<std::int32_t>(kept[i]);
      static_cast<T*>(out_.cutoffs)[first + i] = nan[i] != 0 ? missing : cutoff[i];
      static_cast<Element*>(out_.values)[first + i] = narrow<Element>(nan[i] != 0 ? missing : mean);
    }
  }

 private:
  static Sixteen<T> some(const Element* from, int count) {
    T wide[16] = {};
    for (int i = 0; i < count; ++i) wide[i] = widen(from[i]);
    return Sixteen<T>(static_cast<const T*>(wide));
  }

  std::int64_t channels_, positions_;
  T threshold_;
  Pooled out_;
  Buffer<T> copy_;
};

template <class Element>
void pool_images(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  ImagePool<Element> pool(planes, static_cast<Work<Element>>(threshold), out);
  for (std::int64_t n = begin; n < end; ++n) {
    const Element* image = static_cast<const Element*>(planes.data) + n * planes.channels * planes.positions;
    for (std::int64_t c = 0; c < planes.channels; c += 16)
      pool.run(image + c, static_cast<int>(std::min<std::int64_t>(16, planes.channels - c)), n * planes.channels + c);
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

template <class Element>
void tap_backward_of(const Planes& planes, const void* grads, std::int64_t begin, std::int64_t end, const Pooled& saved,
                     void* out) {
  using T = Work<Element>;
  const std::int64_t channels = planes.channels, positions = planes.positions;
  const auto* grad = static_cast<const Element*>(grads);
  const auto* cutoffs = static_cast<const T*>(saved.cutoffs);
  // Not "exceeds": a cutoff of NaN keeps everything, for the NaN to spread.
  const auto keeps = [](Element x, T cutoff) { return !(static_cast<T>(widen(x)) <= cutoff); };
  if (!planes.interleaved) {
    for (std::int64_t i = begin; i < end; ++i) {
      const Element* x = static_cast<const Element*>(planes.data) + i * positions;
      Element* dx = static_cast<Element*>(out) + i * positions;
      const T cutoff = cutoffs[i];
      const Element share = share_of<Element>(grad[i], cutoff, saved.counts[i]);
      for (std::int64_t p = 0; p < positions; ++p) dx[p] = keeps(x[p], cutoff) ? share : Element{};
    }
    return;
  }
  Buffer<T> cutoff_row;
  Buffer<Element> share_row;
  T* const cutoff = cutoff_row.reserve(static_cast<std::size_t>(channels));
  Element* const share = share_row.reserve(static_cast<std::size_t>(channels));
  for (std::int64_t n = begin; n < end; ++n) {
    for (std::int64_t c = 0; c < channels; ++c) {
      cutoff[c] = cutoffs[n * channels + c];
      share[c] = share_of<Element>(grad[n * channels + c], cutoff[c], saved.counts[n * channels + c]);
    }
    for (std::int64_t p = 0; p < positions; ++p) {
      const Element* x = static_cast<const Element*>(planes.data) + (n * positions + p) * channels;
      Element* dx = static_cast<Element*>(out) + (n * positions + p) * channels;
      for (std::int64_t c = 0; c < channels; ++c) dx[c] = keeps(x[c], cutoff[c]) ? share[c] : Element{};
    }
  }
}

}  // namespace fastcam::FASTCAM_ISA

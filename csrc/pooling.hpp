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
using Lanes = Vector<T, 16>;
template <class T>
using LaneMask = Vector<std::conditional_t<sizeof(T) == 8, std::int64_t, std::int32_t>, 16>;

template <class Element>
[[gnu::always_inline]] inline void load_wide(Lanes<Work<Element>>& v, const Element* p) {
  if constexpr (std::is_same_v<Element, Work<Element>>) {
    load(v, p);
  } else {
    for (int i = 0; i < 16; ++i) v[i] = widen(p[i]);
  }
}

// The kept values exceed this: threshold * max; where the maximum is infinite, all finite numbers fall short.
template <class T>
T cutoff_of(T max, T threshold) {
  if (max == std::numeric_limits<T>::infinity()) return std::numeric_limits<T>::max();
  if (max == -std::numeric_limits<T>::infinity()) return max;
  return max * threshold;
}

template <class T>
T horizontal_sum(Lanes<T> v) {
  for (int width = 8; width > 0; width /= 2)
    for (int i = 0; i < width; ++i) v[i] += v[i + width];
  return v[0];
}

// Of one plane: lanes of the maximum, of whether a NaN was seen, of the sum and of the count.
template <class Element>
class PlanePool {
 public:
  using T = Work<Element>;

  PlanePool(std::int64_t positions, T threshold) : positions_(positions), threshold_(threshold) {
    for (int i = 0; i < 16; ++i) rest_[i] = i < positions % 16 ? -1 : 0;
  }

  void run(const Element* plane, Element& value, T& cutoff, std::int32_t& count) {
    Lanes<T> max = -std::numeric_limits<T>::infinity() - Lanes<T>{};
    LaneMask<T> nan = {};
    each(plane, [&](const Lanes<T>& v) {
      max = v > max ? v : max;
      nan |= v != v;
    });
    T top = max[0];
    bool any_nan = false;
    for (int i = 0; i < 16; ++i) {
      top = max[i] > top ? max[i] : top;
      any_nan |= nan[i] != 0;
    }
    if (any_nan) {
      cutoff = std::numeric_limits<T>::quiet_NaN();
      value = narrow<Element>(cutoff);
      count = 0;
      return;
    }
    cutoff = cutoff_of(top, threshold_);
    Lanes<T> sum = {};
    LaneMask<T> kept = {};
    each(plane, [&](const Lanes<T>& v) {
      const LaneMask<T> keep = v > cutoff;
      sum += keep ? v : Lanes<T>{};
      kept -= keep;
    });
    count = 0;
    for (int i = 0; i < 16; ++i) count += static_cast<std::int32_t>(kept[i]);
    value = narrow<Element>(count > 0 ? horizontal_sum<T>(sum) / static_cast<T>(count) : T{0});
  }

 private:
  template <class Use>
  [[gnu::always_inline]] void each(const Element* plane, const Use& use) const {
    Lanes<T> v = {};
    std::int64_t p = 0;
    for (; p + 16 <= positions_; p += 16) {
      load_wide(v, plane + p);
      use(v);
    }
    if (p == positions_) return;
    Element last[16];
    for (int i = 0; i < 16; ++i) last[i] = plane[i < positions_ - p ? p + i : p];
    load_wide(v, last);
    use(rest_ ? v : -std::numeric_limits<T>::infinity() - Lanes<T>{});
  }

  std::int64_t positions_;
  T threshold_;
  LaneMask<T> rest_;
};

template <class Element>
void pool_planes(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  using T = Work<Element>;
  PlanePool<Element> pool(planes.positions, static_cast<T>(threshold));
  for (std::int64_t i = begin; i < end; ++i)
    pool.run(static_cast<const Element*>(planes.data) + i * planes.positions, static_cast<Element*>(out.values)[i],
             static_cast<T*>(out.cutoffs)[i], out.counts[i]);
}

// channels_last: sixteen channels at a time, position by position.
template <class Element>
void pool_images(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  using T = Work<Element>;
  const std::int64_t channels = planes.channels, positions = planes.positions;
  Buffer<T> rows;
  for (std::int64_t n = begin; n < end; ++n) {
    const Element* image = static_cast<const Element*>(planes.data) + n * channels * positions;
    for (std::int64_t c = 0; c < channels; c += 16) {
      const int count = static_cast<int>(std::min<std::int64_t>(16, channels - c));
      T* const copy = rows.reserve(static_cast<std::size_t>(16 * positions));
      Lanes<T> max = -std::numeric_limits<T>::infinity() - Lanes<T>{};
      LaneMask<T> nan = {};
      for (std::int64_t p = 0; p < positions; ++p) {
        Lanes<T> v = {};
        if (count == 16)
          load_wide(v, image + p * channels + c);
        else
          for (int i = 0; i < count; ++i) v[i] = widen(image[p * channels + c + i]);
        store(copy + 16 * p, v);
        max = v > max ? v : max;
        nan |= v != v;
      }
      Lanes<T> cutoff, sum = {};
      for (int i = 0; i < 16; ++i) cutoff[i] = cutoff_of(max[i], static_cast<T>(threshold));
      LaneMask<T> kept = {};
      for (std::int64_t p = 0; p < positions; ++p) {
        Lanes<T> v;
        load(v, copy + 16 * p);
        const LaneMask<T> keep = v > cutoff;
        sum += keep ? v : Lanes<T>{};
        kept -= keep;
      }
      for (int i = 0; i < count; ++i) {
        const std::int64_t at = n * channels + c + i;
        constexpr T missing = std::numeric_limits<T>::quiet_NaN();
        const T mean = kept[i] > 0 ? sum[i] / static_cast<T>(kept[i]) : T{0};
        out.counts[at] = nan[i] != 0 ? 0 : static_cast<std::int32_t>(kept[i]);
        static_cast<T*>(out.cutoffs)[at] = nan[i] != 0 ? missing : cutoff[i];
        static_cast<Element*>(out.values)[at] = narrow<Element>(nan[i] != 0 ? missing : mean);
      }
    }
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

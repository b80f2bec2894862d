// tap_backward_of    the gradient of thresholded average pooling, in equal shares over the values a plane keeps
#pragma once

#include "core/core.hpp"
#include "vector/block.hpp"
#include "vector/buffer.hpp"
#include "vector/dtype.hpp"

namespace fastcam::FASTCAM_ISA {

// The gradient of each kept value: the plane's, divided by how many are kept. NaN where the plane has a NaN.
template <class Element>
Element share_of(Element grad, Work<Element> cutoff, std::int32_t count) {
  using T = Work<Element>;
  if (cutoff != cutoff) return narrow<Element>(cutoff);
  return narrow<Element>(static_cast<T>(widen(grad)) / static_cast<T>(count > 0 ? count : 1));
}

// Whether x has a gradient. Written as not-at-most, so that a cutoff of NaN keeps all, and the gradient's NaN spreads.
template <class Element>
FASTCAM_INLINE bool keeps(Element x, Work<Element> cutoff) {
  return !(static_cast<Work<Element>>(widen(x)) <= cutoff);
}

// One plane's gradient: `share` where x is kept, else 0. Two-byte elements are compared as floats and selected as
// 16-bit words, which compilers do not find by themselves.
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

// The same for the channels of one position, each with its own cutoff and share.
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

// ActivationMaps   class activation maps (Eq. 2, 5): the weighted sum over the channels, read once from memory
//   run            a few maps of the batch
//
// Every position adds its products in the order of the channels, one rounding each, so the result is the same on every
// processor, for every batch size and any number of threads. Channels of weight 0 are read like the others, because a
// gap in the stream of memory costs more than the read. If a NaN comes of that, the map is summed again without them.
#pragma once

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include "core/core.hpp"
#include "vector/block.hpp"
#include "vector/buffer.hpp"
#include "vector/dtype.hpp"

namespace fastcam::FASTCAM_ISA {

// Adds the products of Count images to Count rows of `positions` sums. The sums stay in the cache, which is faster than
// the memory that holds the features. The images take turns, because several streams of memory arrive in less time
// side by side than one after the other.
template <int Count, class Element, class T>
void accumulate_streams(const Element* const* images, std::int64_t stride, const T* const* weights, int channels,
                        std::int64_t positions, T* sums) {
  constexpr std::int64_t turn = 256 / static_cast<std::int64_t>(sizeof(Element));
  for (int c = 0; c < channels; ++c) {
    for (std::int64_t begin = 0; begin < positions; begin += turn) {
      const std::int64_t end = std::min(begin + turn, positions);
      for (int k = 0; k < Count; ++k) {
        const Element* const plane = images[k] + c * stride;
        T* const sum = sums + k * positions;
        const T weight = weights[k][c];
        std::int64_t i = begin;
        for (; i + lanes<T> <= end; i += lanes<T>) store(sum + i, load(sum + i) + load_wide(plane + i) * weight);
        for (; i < end; ++i) sum[i] += static_cast<T>(widen(plane[i])) * weight;
      }
    }
  }
}

template <class Element, class T, std::size_t... Count>
void accumulate_images(int count, const Element* const* images, std::int64_t stride, const T* const* weights,
                       int channels, std::int64_t positions, T* sums, std::index_sequence<Count...>) {
  static constexpr std::array by_count{accumulate_streams<Count + 1, Element, T>...};
  by_count[static_cast<std::size_t>(count - 1)](images, stride, weights, channels, positions, sums);
}

// The sums where channels are adjacent in memory and positions `step` apart, at least a vector of them. Each vector of
// positions reads one stream of memory per position. The last vector may overlap the one before: its sums are computed
// twice.
template <class Element, class T>
void sum_columns(const Element* image, std::int64_t step, const T* weights, int channels, std::int64_t positions,
                 T* sums) {
  for (std::int64_t p = 0; p < positions; p += lanes<T>) {
    const std::int64_t first = std::min(p, positions - lanes<T>);
    const Element* const rows = image + first * step;
    Vector<T> total{};
    int c = 0;
    for (; c + lanes<T> <= channels; c += lanes<T>) {
      Vector<T> tile[lanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < lanes<T>; ++i) tile[i] = load_wide(rows + i * step + c);
      transpose<T>(tile);
#pragma GCC unroll 16
      for (int i = 0; i < lanes<T>; ++i) total += tile[i] * weights[c + i];
    }
    for (; c < channels; ++c)
      for (int i = 0; i < lanes<T>; ++i) total[i] += static_cast<T>(widen(rows[i * step + c])) * weights[c];
    store(sums + first, total);
  }
}

// Adds the products where neither positions nor channels are adjacent in memory.
template <class Element, class T>
void accumulate_scattered(const Features& f, const Element* image, const T* weights, T* sums) {
  for (std::int64_t c = 0; c < f.channels; ++c) {
    for (std::int64_t y = 0; y < f.height; ++y) {
      const Element* const from = image + c * f.stride_c + y * f.stride_h;
      T* const sum = sums + y * f.width;
      for (std::int64_t x = 0; x < f.width; ++x) sum[x] += static_cast<T>(widen(from[x * f.stride_w])) * weights[c];
    }
  }
}

template <class Element, class T>
class ActivationMaps {
 public:
  ActivationMaps(const Features& features, const Classes& classes)
      : f_(features), classes_(classes), positions_(std::int64_t{f_.height} * f_.width) {}

  std::int64_t positions() const { return positions_; }

  // `count` maps from i on, at most images_at_once. A map is NaN where its class does not exist.
  void run(std::int64_t i, int count, T* maps) {
    const Element* images[images_at_once];
    const T* weights[images_at_once];
    T* const clamped = clamped_.reserve(images_at_once * static_cast<std::size_t>(f_.channels));
    for (int k = 0; k < count; ++k) {
      images[k] = static_cast<const Element*>(f_.data) + (i + k) / classes_.per_image * f_.stride_n;
      weights[k] = weights_of(row(i + k), clamped + std::int64_t{k} * f_.channels);
    }
    std::fill_n(maps, count * positions_, T{0});
    if (f_.stride_w == 1 && (f_.stride_h == f_.width || f_.height == 1))
      accumulate_images(count, images, f_.stride_c, weights, f_.channels, positions_, maps,
                        std::make_index_sequence<images_at_once>{});
    else
      for (int k = 0; k < count; ++k) sum_other(images[k], weights[k], maps + k * positions_);
    for (int k = 0; k < count; ++k) {
      T* const map = maps + k * positions_;
      if (exists(row(i + k)))
        repair_unread(images[k], weights[k], map);
      else
        std::fill_n(map, positions_, std::numeric_limits<T>::quiet_NaN());
    }
  }

 private:
  std::int64_t row(std::int64_t i) const { return classes_.index == nullptr ? i : classes_.index[i]; }
  bool exists(std::int64_t row) const { return row >= 0 && row < classes_.rows; }

  // The weights of a map, which are zeros where the class does not exist. Where they are not the classifier's own row,
  // they are written to `scratch`.
  const T* weights_of(std::int64_t row, T* scratch) const {
    if (!exists(row)) return std::fill_n(scratch, f_.channels, T{0}), scratch;
    const T* const weights = static_cast<const T*>(classes_.weight) + row * f_.channels;
    if (!classes_.clamp_negative) return weights;
    for (int c = 0; c < f_.channels; ++c) scratch[c] = weights[c] < 0 ? T{0} : weights[c];
    return scratch;
  }

  void sum_other(const Element* image, const T* weights, T* map) const {
    if (f_.stride_c == 1 && f_.stride_h == f_.width * f_.stride_w && positions_ >= lanes<T>)
      sum_columns(image, f_.stride_w, weights, f_.channels, positions_, map);
    else
      accumulate_scattered(f_, image, weights, map);
  }

  // A channel of weight 0 counts as not read, but 0 times a NaN or an infinity is NaN: sums such a map again without
  // those channels.
  void repair_unread(const Element* image, const T* weights, T* map) const {
    T sum = 0;
    for (std::int64_t i = 0; i < positions_; ++i) sum += map[i] - map[i];
    if (sum == 0) return;
    for (std::int64_t i = 0; i < positions_; ++i) {
      const Element* at = image + i / f_.width * f_.stride_h + i % f_.width * f_.stride_w;
      T total = 0;
      for (std::int64_t c = 0; c < f_.channels; ++c)
        if (weights[c] != 0) total += weights[c] * static_cast<T>(widen(at[c * f_.stride_c]));
      map[i] = total;
    }
  }

  Features f_;
  Classes classes_;
  std::int64_t positions_;
  Buffer<T> clamped_;
};

}  // namespace fastcam::FASTCAM_ISA

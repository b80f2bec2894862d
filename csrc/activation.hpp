// Class activation maps: the weighted sum over the channels, streamed once from memory with the sums in registers.
//
// Every position adds its products in the order of the channels, one rounding each, so the result is the same on every
// processor, for every batch size and any number of threads. Channels of weight 0 are read like the others, since a
// break in the stream costs more than the read; where that brought in a NaN, the map is summed again without them.
#pragma once

#include <array>
#include <cmath>
#include <utility>

#include "buffer.hpp"
#include "core.hpp"
#include "dtype.hpp"
#include "sixteen.hpp"

namespace fastcam::FASTCAM_ISA {

// Adds the channels' products to `Count` vectors of sums, the last of which may overlap the one before it.
template <class T, std::size_t Count>
void accumulate_vectors(const T* plane, std::int64_t stride, const T* weights, int channels, std::int64_t last,
                        T* sums) {
  const auto offset = [last](std::size_t i) { return i + 1 < Count ? lanes<T> * static_cast<std::int64_t>(i) : last; };
  Vector<T> total[Count];
#pragma GCC unroll 32
  for (std::size_t i = 0; i < Count; ++i) total[i] = load(sums + offset(i));
  for (int c = 0; c < channels; ++c, plane += stride) {
    const T weight = weights[c];
#pragma GCC unroll 32
    for (std::size_t i = 0; i < Count; ++i) total[i] += load(plane + offset(i)) * weight;
  }
#pragma GCC unroll 32
  for (std::size_t i = 0; i < Count; ++i) store(sums + offset(i), total[i]);
}

template <class T>
using AccumulateVectors = void (*)(const T*, std::int64_t, const T*, int, std::int64_t, T*);

template <class T, std::size_t... Count>
constexpr auto accumulate_table(std::index_sequence<Count...>) {
  return std::array<AccumulateVectors<T>, sizeof...(Count)>{accumulate_vectors<T, Count + 1>...};
}

// Adds the channels' products to `count` sums in memory, which are more than the registers hold. Reading goes straight
// ahead, for to read each plane in several parts takes twice the time; the processor does not see across a page, so it
// is told what comes.
template <class T>
void accumulate_stream(const T* plane, std::int64_t stride, const T* weights, int channels, std::int64_t count,
                       T* sums) {
  constexpr std::int64_t ahead = 4096 / static_cast<std::int64_t>(sizeof(T));
  const std::int64_t whole = count / lanes<T> * lanes<T>;
  for (int c = 0; c < channels; ++c, plane += stride) {
    const T weight = weights[c];
    for (std::int64_t i = 0; i < whole; i += lanes<T>) {
      __builtin_prefetch(plane + i + ahead);
      store(sums + i, load(sums + i) + load(plane + i) * weight);
    }
    for (std::int64_t i = whole; i < count; ++i) sums[i] += plane[i] * weight;
  }
}

// sums[i] += weights[c] * plane[c * stride + i] for c = 0, 1, ..., for `count` positions.
template <class T>
void accumulate(const T* plane, std::int64_t stride, const T* weights, int channels, std::int64_t count, T* sums) {
  constexpr std::int64_t most = vector_registers - 4;
  static constexpr auto table = accumulate_table<T>(std::make_index_sequence<static_cast<std::size_t>(most)>{});
  const std::int64_t vectors = (count + lanes<T> - 1) / lanes<T>;
  if (count < lanes<T> || vectors > most) return accumulate_stream(plane, stride, weights, channels, count, sums);
  table[static_cast<std::size_t>(vectors - 1)](plane, stride, weights, channels, count - lanes<T>, sums);
}

template <class Element, class T>
void widen_row(const Element* from, std::int64_t count, T* to) {
  std::int64_t i = 0;
  for (; i + lanes<T> <= count; i += lanes<T>) store(to + i, load_wide(from + i));
  for (; i < count; ++i) to[i] = widen(from[i]);
}

// The same of `count` channels that lie next to each other, `positions` of them `step` apart: in square tiles, since
// single values would be written one row after the other.
template <class Element, class T>
void widen_columns(const Element* from, std::int64_t step, std::int64_t positions, int count, T* rows) {
  std::int64_t p = 0;
  for (; p + lanes<T> <= positions; p += lanes<T>) {
    int c = 0;
    for (; c + lanes<T> <= count; c += lanes<T>) {
      Vector<T> tile[lanes<T>];
#pragma GCC unroll 16
      for (int i = 0; i < lanes<T>; ++i) tile[i] = load_wide(from + (p + i) * step + c);
      transpose<T>(tile);
#pragma GCC unroll 16
      for (int i = 0; i < lanes<T>; ++i) store(rows + (c + i) * positions + p, tile[i]);
    }
    for (; c < count; ++c)
      for (std::int64_t i = p; i < p + lanes<T>; ++i) rows[c * positions + i] = widen(from[i * step + c]);
  }
  for (; p < positions; ++p)
    for (int c = 0; c < count; ++c) rows[c * positions + p] = widen(from[p * step + c]);
}

// Widens `count` channels from `channel` on into rows of h * w positions.
template <class Element, class T>
void gather(const Features& f, const Element* image, std::int64_t channel, int count, T* rows) {
  const std::int64_t positions = std::int64_t{f.height} * f.width;
  if (f.stride_c == 1 && f.stride_h == f.width * f.stride_w)
    return widen_columns(image + channel, f.stride_w, positions, count, rows);
  const bool whole_planes = f.stride_w == 1 && f.stride_h == f.width;
  for (int c = 0; c < count; ++c) {
    if (whole_planes) {
      widen_row(image + (channel + c) * f.stride_c, positions, rows + c * positions);
      continue;
    }
    for (int y = 0; y < f.height; ++y) {
      const Element* from = image + (channel + c) * f.stride_c + y * f.stride_h;
      T* to = rows + c * positions + std::int64_t{y} * f.width;
      for (int x = 0; x < f.width; ++x) to[x] = widen(from[x * f.stride_w]);
    }
  }
}

template <class Element, class T>
class WeightedSum {
 public:
  explicit WeightedSum(const Features& features) : f_(features), positions_(std::int64_t{f_.height} * f_.width) {}

  // The map of image n under the weights (C).
  void run(std::int64_t n, const T* weights, T* map) {
    const Element* image = static_cast<const Element*>(f_.data) + n * f_.stride_n;
    for (std::int64_t i = 0; i < positions_; ++i) map[i] = 0;
    if constexpr (std::is_same_v<Element, T>) {
      if (f_.stride_w == 1 && (f_.stride_h == f_.width || f_.height == 1)) {
        accumulate(image, f_.stride_c, weights, f_.channels, positions_, map);
        return finish(image, weights, map);
      }
    }
    constexpr int block = 32;
    T* const rows = rows_.reserve(static_cast<std::size_t>(block * positions_));
    for (int c = 0; c < f_.channels; c += block) {
      const int count = std::min(block, f_.channels - c);
      gather(f_, image, c, count, rows);
      accumulate(rows, positions_, weights + c, count, positions_, map);
    }
    finish(image, weights, map);
  }

 private:
  // What a channel of weight 0 holds must not be seen, and 0 times a NaN or an infinity is.
  void finish(const Element* image, const T* weights, T* map) {
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
  std::int64_t positions_;
  Buffer<T> rows_;
};

// The maps of a batch, one after the other.
template <class Element, class T>
class ActivationMaps {
 public:
  ActivationMaps(const Features& features, const Classes& classes)
      : f_(features), classes_(classes), positions_(std::int64_t{f_.height} * f_.width), sum_(features) {}

  std::int64_t positions() const { return positions_; }

  // Map i; NaN where its class does not exist.
  void run(std::int64_t i, T* map) {
    const std::int64_t row = classes_.index == nullptr ? i : classes_.index[i];
    if (row < 0 || row >= classes_.rows) {
      for (std::int64_t p = 0; p < positions_; ++p) map[p] = std::nan("");
      return;
    }
    const T* weights = static_cast<const T*>(classes_.weight) + row * f_.channels;
    if (classes_.clamp_negative) {
      T* const to = clamped_.reserve(static_cast<std::size_t>(f_.channels));
      for (int c = 0; c < f_.channels; ++c) to[c] = weights[c] < 0 ? T{0} : weights[c];
      weights = to;
    }
    sum_.run(i / classes_.per_image, weights, map);
  }

  // Where the features of map i begin, and how many bytes they take, none where they do not lie together.
  const Element* features(std::int64_t i) const {
    return static_cast<const Element*>(f_.data) + i / classes_.per_image * f_.stride_n;
  }
  std::size_t bytes() const {
    const std::int64_t values = f_.channels * positions_;
    return f_.stride_n == values ? static_cast<std::size_t>(values) * sizeof(Element) : 0;
  }

 private:
  Features f_;
  Classes classes_;
  std::int64_t positions_;
  WeightedSum<Element, T> sum_;
  Buffer<T> clamped_;
};

}  // namespace fastcam::FASTCAM_ISA

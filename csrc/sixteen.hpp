// Sixteen lanes in as many vectors as that takes: what is computed in them is the same on every processor.
#pragma once

#include <type_traits>
#include <utility>

#include "dtype.hpp"
#include "simd.hpp"

namespace fastcam::FASTCAM_ISA {

// A vector of elements, widened as widen() does one.
template <class T>
FASTCAM_INLINE Vector<T> load_wide(const T* p) {
  return load(p);
}

// As many 16-bit words as there are floats in a vector.
typedef std::uint16_t Words __attribute__((vector_size(vector_bytes / 2), aligned(1), may_alias));

// GCC converts them in two halves.
FASTCAM_INLINE Vector<std::uint32_t> load_16_bits(const void* p) {
#if defined(__AVX512F__)
  return (Vector<std::uint32_t>)_mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
#elif defined(__AVX2__)
  return (Vector<std::uint32_t>)_mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
#else
  return __builtin_convertvector(*static_cast<const Words*>(p), Vector<std::uint32_t>);
#endif
}
FASTCAM_INLINE Vector<float> load_wide(const BFloat* p) {
  return (Vector<float>)(load_16_bits(p) << 16);
}
FASTCAM_INLINE Vector<float> load_wide(const Half* p) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
#elif defined(__F16C__)
  return (Vector<float>)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
#else
  const Vector<std::uint32_t> bits = load_16_bits(p), magnitude = (bits & 0x7fffu) << 13;
  const auto special = (Vector<std::uint32_t>)(magnitude >= 0x0f800000u) & 0x7f800000u;
  const auto scaled = (Vector<std::uint32_t>)((Vector<float>)magnitude * 0x1p112f);
  return (Vector<float>)(scaled | special | (bits & 0x8000u) << 16);
#endif
}

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
    for (int i = 0; i < parts; ++i) part[i] = load_wide(from + i * lanes<T>);
  }
  FASTCAM_INLINE void to(T* out) const {
    for (int i = 0; i < parts; ++i) store(out + i * lanes<T>, part[i]);
  }
};

// Blocks of Width lanes change places with their neighbours.
template <class T, std::size_t Width, std::size_t... I>
FASTCAM_INLINE Vector<T> swapped(const Vector<T>& v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (I ^ Width)...);
}

// One step of a transposition: of two rows, blocks of Width lanes change places across the diagonal.
template <class T, std::size_t Width, std::size_t... I>
FASTCAM_INLINE void exchange(Vector<T>& a, Vector<T>& b, std::index_sequence<I...>) {
  constexpr std::size_t all = sizeof...(I);
  const Vector<T> first = __builtin_shufflevector(a, b, ((I & Width) != 0 ? all + I - Width : I)...);
  b = __builtin_shufflevector(a, b, ((I & Width) != 0 ? all + I : I + Width)...);
  a = first;
}

// Transposes as many rows as a vector has lanes.
template <class T, int Width = lanes<T> / 2>
FASTCAM_INLINE void transpose(Vector<T>* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < lanes<T>; ++i)
    if ((i & Width) == 0) exchange<T, Width>(rows[i], rows[i + Width], std::make_index_sequence<lanes<T>>{});
  if constexpr (Width > 1) transpose<T, Width / 2>(rows);
}

// Combines the sixteen lanes, i with i + 8, then with i + 4, i + 2 and i + 1.
template <class T, class Combine>
FASTCAM_INLINE T fold(Sixteen<T> v, const Combine& combine) {
  for (int n = v.parts / 2; n > 0; n /= 2)
    for (int i = 0; i < n; ++i) v.part[i] = combine(v.part[i], v.part[i + n]);
  constexpr auto all = std::make_index_sequence<lanes<T>>{};
  Vector<T> x = v.part[0];
  if constexpr (lanes<T> > 8) x = combine(x, swapped<T, 8>(x, all));
  if constexpr (lanes<T> > 4) x = combine(x, swapped<T, 4>(x, all));
  if constexpr (lanes<T> > 2) x = combine(x, swapped<T, 2>(x, all));
  return combine(x, swapped<T, 1>(x, all))[0];
}

}  // namespace fastcam::FASTCAM_ISA

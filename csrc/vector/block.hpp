// Block<T>                       sixteen values, in as many vectors as that takes
// Block::at, Block::all, to      from memory, widened; one value in all lanes; to memory
// fold                           all lanes combined in one
// compare_bits, compress         which lanes compare with a limit, as bits; the lanes whose bits are set
// transpose                      a square of vectors
//
// What is computed in sixteen lanes has one order of operations on every processor, however long its vectors are.
#pragma once

#include <bit>
#include <cstdint>
#include <utility>

#include "vector/dtype.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

template <class T>
struct Block {
  static constexpr int parts = 16 / lanes<T>;
  Vector<T> part[parts];

  FASTCAM_INLINE static Block all(T x) {
    Block v;
    for (auto& p : v.part) p = all_lanes(x);
    return v;
  }
  template <class Element>
  FASTCAM_INLINE static Block at(const Element* from) {
    Block v;
    for (int i = 0; i < parts; ++i) v.part[i] = load_wide(from + i * lanes<T>);
    return v;
  }
  FASTCAM_INLINE void to(T* out) const {
    for (int i = 0; i < parts; ++i) store(out + i * lanes<T>, part[i]);
  }
};

enum class Comparison { less, at_most, greater };

// For which of the sixteen lanes the comparison with t holds; for a NaN none does.
template <Comparison C>
FASTCAM_INLINE std::uint32_t compare_bits(const Block<float>& v, float t) {
  std::uint32_t bits = 0;
#if defined(__AVX__)
  constexpr int predicate = C == Comparison::less ? _CMP_LT_OQ : C == Comparison::at_most ? _CMP_LE_OQ : _CMP_GT_OQ;
#endif
#if defined(__AVX512F__)
  bits = _mm512_cmp_ps_mask((__m512)v.part[0], _mm512_set1_ps(t), predicate);
#elif defined(__AVX__)
  for (int i = 0; i < 2; ++i) {
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps((__m256)v.part[i], _mm256_set1_ps(t), predicate));
    bits |= static_cast<std::uint32_t>(mask) << (8 * i);
  }
#elif defined(__SSE2__)
  for (int i = 0; i < 4; ++i) {
    const auto x = (__m128)v.part[i], limit = _mm_set1_ps(t);
    const __m128 holds = C == Comparison::less      ? _mm_cmplt_ps(x, limit)
                         : C == Comparison::at_most ? _mm_cmple_ps(x, limit)
                                                    : _mm_cmpgt_ps(x, limit);
    bits |= static_cast<std::uint32_t>(_mm_movemask_ps(holds)) << (4 * i);
  }
#else
  float x[16];
  v.to(x);
  for (int i = 0; i < 16; ++i) {
    const bool holds = C == Comparison::less ? x[i] < t : C == Comparison::at_most ? x[i] <= t : x[i] > t;
    bits |= static_cast<std::uint32_t>(holds) << i;
  }
#endif
  return bits;
}

// The same for the 64 values at p.
template <Comparison C>
FASTCAM_INLINE std::uint64_t compare_bits(const float* p, float t) {
  std::uint64_t bits = 0;
  for (int i = 0; i < 4; ++i)
    bits |= static_cast<std::uint64_t>(compare_bits<C>(Block<float>::at(p + 16 * i), t)) << (16 * i);
  return bits;
}

// Writes the lanes whose bits are set to `out`, one after the other; up to sixteen elements are overwritten.
FASTCAM_INLINE void compress(const Block<float>& v, std::uint32_t bits, float* out) {
#if defined(__AVX512F__)
  _mm512_storeu_ps(out, _mm512_maskz_compress_ps(static_cast<__mmask16>(bits), (__m512)v.part[0]));
#elif defined(__AVX2__)
  const auto low = static_cast<std::uint8_t>(bits), high = static_cast<std::uint8_t>(bits >> 8);
  _mm256_storeu_ps(out, _mm256_permutevar8x32_ps((__m256)v.part[0], to_the_front(low)));
  _mm256_storeu_ps(out + std::popcount(low), _mm256_permutevar8x32_ps((__m256)v.part[1], to_the_front(high)));
#else
  float x[16];
  v.to(x);
  for (; bits != 0; bits &= bits - 1) *out++ = x[std::countr_zero(bits)];
#endif
}

// Swaps each group of Width lanes with the group beside it.
template <class T, std::size_t Width, std::size_t... I>
FASTCAM_INLINE Vector<T> swapped(const Vector<T>& v, std::index_sequence<I...>) {
  return __builtin_shufflevector(v, v, (I ^ Width)...);
}

// One step of a transposition: groups of Width lanes of two rows are swapped across the diagonal.
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

// Combines the sixteen lanes in one: i with i + 8, then with i + 4, i + 2 and i + 1.
template <class T, class Combine>
FASTCAM_INLINE T fold(Block<T> v, const Combine& combine) {
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

// Vectors as GCC and Clang know them on every processor, so that one source serves all instruction sets. A comparison
// gives a vector of integers, -1 where it holds.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fastcam::FASTCAM_ISA {

// Always inlined: an instance compiled for one instruction set must not be the one that all of them call.
#define FASTCAM_INLINE [[gnu::always_inline]] inline

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
inline constexpr int vector_registers = 32;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
inline constexpr int vector_registers = 16;
#else
inline constexpr int vector_bytes = 16;
inline constexpr int vector_registers = 16;
#endif

// Memory is read and written through these types, at any alignment: a memcpy may become two halves.
template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(vector_bytes), aligned(1), may_alias));
};
template <class T>
using Vector = typename VectorOf<T>::type;
template <class T>
inline constexpr int lanes = vector_bytes / static_cast<int>(sizeof(T));

template <class T>
FASTCAM_INLINE Vector<T> load(const T* p) {
  return *reinterpret_cast<const Vector<T>*>(p);
}
template <class T>
FASTCAM_INLINE void store(T* p, const Vector<T>& v) {
  *reinterpret_cast<Vector<T>*>(p) = v;
}
template <class T>
FASTCAM_INLINE Vector<T> all_lanes(T x) {
  return x - Vector<T>{};
}

enum class Comparison { less, at_most, greater };

// For which of the 64 numbers at p the comparison with t holds; for a NaN none does.
template <Comparison C>
inline std::uint64_t compare_bits(const float* p, float t) {
  std::uint64_t bits = 0;
#if defined(__AVX__)
  constexpr int predicate = C == Comparison::less ? _CMP_LT_OQ : C == Comparison::at_most ? _CMP_LE_OQ : _CMP_GT_OQ;
#endif
#if defined(__AVX512F__)
  const __m512 limit = _mm512_set1_ps(t);
  for (int i = 0; i < 4; ++i)
    bits |= static_cast<std::uint64_t>(_mm512_cmp_ps_mask(_mm512_loadu_ps(p + 16 * i), limit, predicate)) << (16 * i);
#elif defined(__AVX__)
  const __m256 limit = _mm256_set1_ps(t);
  for (int i = 0; i < 8; ++i) {
    const int mask = _mm256_movemask_ps(_mm256_cmp_ps(_mm256_loadu_ps(p + 8 * i), limit, predicate));
    bits |= static_cast<std::uint64_t>(mask) << (8 * i);
  }
#elif defined(__SSE2__)
  const __m128 limit = _mm_set1_ps(t);
  for (int i = 0; i < 16; ++i) {
    const __m128 v = _mm_loadu_ps(p + 4 * i);
    const __m128 holds = C == Comparison::less      ? _mm_cmplt_ps(v, limit)
                         : C == Comparison::at_most ? _mm_cmple_ps(v, limit)
                                                    : _mm_cmpgt_ps(v, limit);
    bits |= static_cast<std::uint64_t>(_mm_movemask_ps(holds)) << (4 * i);
  }
#else
  for (int i = 0; i < 64; ++i) {
    const bool holds = C == Comparison::less ? p[i] < t : C == Comparison::at_most ? p[i] <= t : p[i] > t;
    bits |= static_cast<std::uint64_t>(holds) << i;
  }
#endif
  return bits;
}

}  // namespace fastcam::FASTCAM_ISA

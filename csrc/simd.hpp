// Vectors as GCC and Clang know them on every processor, so that one source serves all instruction sets. A comparison
// gives a vector of integers, -1 where it holds.
#pragma once

#include <array>
#include <bit>
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

// a where it is greater than b, else b; b for a NaN. One instruction on x86, which compilers do not see in the choice.
FASTCAM_INLINE Vector<float> larger(const Vector<float>& a, const Vector<float>& b) {
#if defined(__AVX512F__)
  return (Vector<float>)_mm512_max_ps((__m512)a, (__m512)b);
#elif defined(__AVX__)
  return (Vector<float>)_mm256_max_ps((__m256)a, (__m256)b);
#elif defined(__SSE2__)
  return (Vector<float>)_mm_max_ps((__m128)a, (__m128)b);
#else
  return a > b ? a : b;
#endif
}
FASTCAM_INLINE Vector<double> larger(const Vector<double>& a, const Vector<double>& b) {
#if defined(__AVX512F__)
  return (Vector<double>)_mm512_maskz_max_pd(0xff, (__m512d)a, (__m512d)b);
#elif defined(__AVX__)
  return (Vector<double>)_mm256_max_pd((__m256d)a, (__m256d)b);
#else
  return a > b ? a : b;
#endif
}

// As many signed bytes as there are lanes of 64 bits. GCC converts them one by one.
FASTCAM_INLINE Vector<std::int64_t> widen_bytes(const std::uint8_t* p) {
#if defined(__AVX512F__)
  return (Vector<std::int64_t>)_mm512_maskz_cvtepi8_epi64(0xff, _mm_loadl_epi64(reinterpret_cast<const __m128i*>(p)));
#elif defined(__AVX2__)
  return (Vector<std::int64_t>)_mm256_cvtepi8_epi64(_mm_loadu_si32(p));
#else
  typedef std::int8_t Bytes __attribute__((vector_size(lanes<std::int64_t>), aligned(1), may_alias));
  return __builtin_convertvector(*reinterpret_cast<const Bytes*>(p), Vector<std::int64_t>);
#endif
}

enum class Comparison { less, at_most, greater };

// Sixteen floats, in as many vectors as that takes.
struct Floats16 {
  static constexpr int parts = 16 / lanes<float>;
  Vector<float> part[parts];

  FASTCAM_INLINE static Floats16 at(const float* p) {
    Floats16 v;
    for (int i = 0; i < parts; ++i) v.part[i] = load(p + i * lanes<float>);
    return v;
  }
  FASTCAM_INLINE void to(float* p) const {
    for (int i = 0; i < parts; ++i) store(p + i * lanes<float>, part[i]);
  }
};

// For which of the sixteen numbers the comparison with t holds; for a NaN none does.
template <Comparison C>
FASTCAM_INLINE std::uint32_t compare_bits(const Floats16& v, float t) {
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

// The same for the 64 numbers at p.
template <Comparison C>
FASTCAM_INLINE std::uint64_t compare_bits(const float* p, float t) {
  std::uint64_t bits = 0;
  for (int i = 0; i < 4; ++i)
    bits |= static_cast<std::uint64_t>(compare_bits<C>(Floats16::at(p + 16 * i), t)) << (16 * i);
  return bits;
}

#if defined(__AVX2__)
// For a permutation that moves the lanes whose bits are set to the front, in their order.
FASTCAM_INLINE __m256i to_the_front(std::uint8_t bits) {
  static constexpr auto order = [] {
    std::array<std::array<std::uint8_t, 8>, 256> all{};
    for (unsigned set = 0; set < 256; ++set)
      for (unsigned i = 0, at = 0; i < 8; ++i)
        if ((set >> i & 1) != 0) all[set][at++] = static_cast<std::uint8_t>(i);
    return all;
  }();
  return _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(order[bits].data())));
}
#endif

// Writes the numbers whose bits are set to `out`, one after the other; up to sixteen places are overwritten.
FASTCAM_INLINE void compress(const Floats16& v, std::uint32_t bits, float* out) {
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

}  // namespace fastcam::FASTCAM_ISA

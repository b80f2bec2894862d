// Vector<T>, lanes<T>      a vector register of T, and how many T it holds
// load, store, all_lanes   from and to memory at any alignment; one value in every lane
// larger                   the greater of two, lane by lane
// widen_bytes              signed bytes as 64-bit integers
// to_the_front             the permutation that moves chosen lanes to the front (AVX2 and later)
//
// These are the vector extensions of GCC and Clang, which exist on every processor, so one source serves all
// instruction sets. A comparison of vectors gives a vector of integers: -1 where it holds, else 0.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace fastcam::FASTCAM_ISA {

// Always inlined: the linker must not keep the copy of one instruction set for all of them.
#define FASTCAM_INLINE [[gnu::always_inline]] inline

#if defined(__AVX512F__)
inline constexpr int vector_bytes = 64;
#elif defined(__AVX__)
inline constexpr int vector_bytes = 32;
#else
inline constexpr int vector_bytes = 16;
#endif

// Memory is read and written through this type, at any alignment; compilers may split a memcpy in two.
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

// a > b ? a : b, so b where either is NaN. On x86 that is one instruction, which compilers do not find by themselves.
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

// The signed bytes at p, as many as there are 64-bit lanes. Without intrinsics GCC converts them one by one.
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

#if defined(__AVX2__)
// The permutation that moves the lanes whose bits are set to the front and keeps their order.
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

}  // namespace fastcam::FASTCAM_ISA

// Half, BFloat   the two-byte element types; float and double are the others
// Work<Element>  the type in which an element takes part in sums: double for double, else float
// widen, narrow  an element to its work type, exactly; and back, rounded to nearest, ties to even
// load_wide      a vector of elements, widened
#pragma once

#include <bit>
#include <cstdint>
#include <type_traits>

#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

struct Half {
  std::uint16_t bits;
};
struct BFloat {
  std::uint16_t bits;
};

template <class Element>
using Work = std::conditional_t<std::is_same_v<Element, double>, double, float>;

inline float widen(float x) {
  return x;
}
inline double widen(double x) {
  return x;
}
inline float widen(BFloat x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}

// The fields are shifted into place; a multiplication then corrects the exponent's bias and normalizes subnormals.
inline float widen(Half x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  const std::uint32_t special = magnitude >= 0x0f800000u ? 0x7f800000u : 0u;
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) * 0x1p112f) | special |
                              sign);
}

template <class T>
inline T narrow(float x) {
  return x;
}
template <class T>
inline T narrow(double x) {
  return x;
}

template <>
inline BFloat narrow<BFloat>(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x);
  if (x != x) return {static_cast<std::uint16_t>(bits >> 16 | 0x40u)};
  return {static_cast<std::uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16)};
}

template <>
inline Half narrow<Half>(float x) {
  const std::uint32_t bits = std::bit_cast<std::uint32_t>(x), magnitude = bits & 0x7fffffffu;
  const auto sign = static_cast<std::uint16_t>(bits >> 16 & 0x8000u);
  std::uint32_t half;
  if (magnitude > 0x7f800000u) {
    half = 0x7e00u;
  } else if (magnitude >= 0x477ff000u) {  // 65520 and above round to infinity
    half = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: the sum with 1/2 is rounded to the last place of a subnormal
    half = std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    half = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
  }
  return {static_cast<std::uint16_t>(sign | half)};
}

// A vector of elements, each widened as widen() does it.
template <class T>
FASTCAM_INLINE Vector<T> load_wide(const T* p) {
  return load(p);
}

// As many 16-bit words as there are floats in a vector.
typedef std::uint16_t Words __attribute__((vector_size(vector_bytes / 2), aligned(1), may_alias));

// As many 16-bit words as 32-bit integers. Without intrinsics GCC converts them in two halves.
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

}  // namespace fastcam::FASTCAM_ISA

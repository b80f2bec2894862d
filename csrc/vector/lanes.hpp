// Lanes            a vector of 32-bit integers, such as positions of runs
// lesser, greater  lane by lane
// plus, minus      sums and differences that may wrap around
// lanes_set        which lanes are not zero, as bits
// count_while      how many numbers from the first on pass a test
// moved_down       every lane takes the value of a later one
#pragma once

#include <array>
#include <bit>

#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

using Lanes = Vector<std::int32_t>;

FASTCAM_INLINE Lanes lesser(const Lanes& a, const Lanes& b) {
  return a < b ? a : b;
}
FASTCAM_INLINE Lanes greater(const Lanes& a, const Lanes& b) {
  return a > b ? a : b;
}

// Lanes that hold no run may overflow, so these wrap around.
using UnsignedLanes = Vector<std::uint32_t>;
FASTCAM_INLINE Lanes plus(const Lanes& a, const Lanes& b) {
  return (Lanes)((UnsignedLanes)a + (UnsignedLanes)b);
}
FASTCAM_INLINE Lanes minus(const Lanes& a, const Lanes& b) {
  return (Lanes)((UnsignedLanes)a - (UnsignedLanes)b);
}

// A bit for each lane that is not zero.
FASTCAM_INLINE std::uint32_t lanes_set(const Lanes& v) {
#if defined(__AVX512F__)
  return _mm512_test_epi32_mask((__m512i)v, (__m512i)v);
#elif defined(__AVX__)
  return static_cast<std::uint32_t>(_mm256_movemask_ps((__m256)(v != 0)));
#elif defined(__SSE2__)
  return static_cast<std::uint32_t>(_mm_movemask_ps((__m128)(v != 0)));
#else
  std::uint32_t bits = 0;
  for (int i = 0; i < lanes<std::int32_t>; ++i) bits |= static_cast<std::uint32_t>(v[i] != 0) << i;
  return bits;
#endif
}

// How many numbers from p on pass the test before the first one that fails it.
template <class Test>
FASTCAM_INLINE int count_while(const std::int32_t* p, const Test& test) {
  constexpr int at_once = lanes<std::int32_t>;
  for (int count = 0;; count += at_once) {
    const int held = std::countr_one(lanes_set(test(load(p + count))));
    if (held < at_once) return count + held;
  }
}

// Lane i takes the value of lane i + shift; the last `shift` lanes are undefined.
FASTCAM_INLINE Lanes moved_down(const Lanes& v, int shift) {
  constexpr auto count = static_cast<std::size_t>(lanes<std::int32_t>);
#if defined(__AVX2__)
  static constexpr auto number = [] {
    std::array<std::int32_t, count> all{};
    for (std::size_t i = 0; i < count; ++i) all[i] = static_cast<std::int32_t>(i);
    return all;
  }();
  const Lanes from = load(number.data()) + shift;
#if defined(__AVX512F__)
  return (Lanes)_mm512_permutexvar_epi32((__m512i)from, (__m512i)v);
#else
  return (Lanes)_mm256_permutevar8x32_epi32((__m256i)v, (__m256i)from);
#endif
#else
  std::int32_t twice[2 * count];
  store(twice, v);
  store(twice + count, v);
  return load(twice + shift);
#endif
}

}  // namespace fastcam::FASTCAM_ISA

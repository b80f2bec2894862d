// Mask                         a mask, one bit a pixel
// words_in_row, last_word_mask the layout of a row
// pack_row                     a row of bytes as bits
// set_bits, is_set             a range of a row; one pixel
//
// Pixel x of a row is bit x % 64 (least significant first) of word x / 64. Every row starts at a word. The bits beyond
// the width are zero in what is packed here, and not read in what comes from outside.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>

#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

static_assert(std::endian::native == std::endian::little, "eight bytes are read as one little-endian word");

inline int words_in_row(int width) {
  return (width + 63) / 64;
}

// The bits of a row's last word that lie inside the width.
inline std::uint64_t last_word_mask(int width) {
  return ~std::uint64_t{0} >> (-width & 63);
}

struct Mask {
  const std::uint64_t* bits;
  int height, width;

  int words() const { return words_in_row(width); }
  const std::uint64_t* row(int y) const {
    return bits + static_cast<std::size_t>(y) * static_cast<std::size_t>(words());
  }
  Mask rows(int y0, int y1) const { return {row(y0), y1 - y0, width}; }
};

// False outside of the mask.
inline bool is_set(const Mask& mask, int x, int y) {
  if (x < 0 || y < 0 || x >= mask.width || y >= mask.height) return false;
  return mask.row(y)[x / 64] >> (x % 64) & 1;
}

// Which of the 64 bytes at p are not zero.
inline std::uint64_t nonzero_bits(const std::uint8_t* p) {
#if defined(__AVX512BW__)
  const __m512i v = _mm512_loadu_si512(p);
  return _mm512_test_epi8_mask(v, v);
#elif defined(__AVX2__)
  std::uint64_t bits = 0;
  for (int i = 0; i < 2; ++i) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 32 * i));
    const int zero = _mm256_movemask_epi8(_mm256_cmpeq_epi8(v, _mm256_setzero_si256()));
    bits |= static_cast<std::uint64_t>(static_cast<std::uint32_t>(~zero)) << (32 * i);
  }
  return bits;
#elif defined(__SSE2__)
  std::uint64_t bits = 0;
  for (int i = 0; i < 4; ++i) {
    const __m128i v = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p + 16 * i));
    const int zero = _mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_setzero_si128()));
    bits |= static_cast<std::uint64_t>(static_cast<std::uint16_t>(~zero)) << (16 * i);
  }
  return bits;
#else
  std::uint64_t bits = 0;
  for (int i = 0; i < 8; ++i) {
    std::uint64_t x;
    std::memcpy(&x, p + 8 * i, 8);
    constexpr std::uint64_t low = 0x7f7f7f7f7f7f7f7full;
    x = ((((x & low) + low) | x) & ~low) >> 7;               // 1 in every byte that is not zero
    bits |= ((x * 0x0102040810204080ull) >> 56) << (8 * i);  // gathered in eight bits
  }
  return bits;
#endif
}

// Packs one row of bytes, set where not zero.
inline void pack_row(const std::uint8_t* row, int width, std::uint64_t* words) {
  constexpr int ahead = 8192;  // bytes: the processor's own prefetching stops at the end of a page
  int x = 0;
  for (; x + 64 <= width; x += 64) {
    __builtin_prefetch(row + x + ahead);
    *words++ = nonzero_bits(row + x);
  }
  if (x < width) {
    std::uint8_t rest[64] = {};
    std::memcpy(rest, row + x, static_cast<std::size_t>(width - x));
    *words = nonzero_bits(rest);
  }
}

// Sets bits [begin, end) of a row.
inline void set_bits(std::uint64_t* row, int begin, int end) {
  const int first = begin / 64, last = (end - 1) / 64;
  const std::uint64_t head = ~std::uint64_t{0} << (begin & 63), tail = last_word_mask(end);
  if (first == last) {
    row[first] |= head & tail;
    return;
  }
  row[first] |= head;
  for (int k = first + 1; k < last; ++k) row[k] = ~std::uint64_t{0};
  row[last] |= tail;
}

}  // namespace fastcam::FASTCAM_ISA

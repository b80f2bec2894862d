// Rows of a bit mask as runs of set pixels, and which runs of two adjacent rows touch.
#pragma once

#include <array>
#include <climits>

#include "bitmask.hpp"

namespace fastcam::FASTCAM_ISA {

struct Mask {
  const std::uint64_t* bits;
  int height, width;

  int words() const { return words_in_row(width); }
  const std::uint64_t* row(int y) const {
    return bits + static_cast<std::size_t>(y) * static_cast<std::size_t>(words());
  }
};

// Writes the positions of the set bits, each plus `offset`; up to 64 places after the last are overwritten.
inline std::int32_t* write_positions(std::uint64_t bits, std::int32_t offset, std::int32_t* out) {
#if defined(__AVX512VBMI2__)
  alignas(64) static constexpr auto numbers = [] {
    std::array<std::uint8_t, 64> all{};
    for (std::size_t i = 0; i < 64; ++i) all[i] = static_cast<std::uint8_t>(i);
    return all;
  }();
  const __m512i found = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(numbers.data()));
  const auto write = [&](__m128i sixteen, int at) {
    const __m512i wide = _mm512_cvtepu8_epi32(sixteen);
    _mm512_storeu_si512(out + at, _mm512_add_epi32(_mm512_set1_epi32(offset), wide));
  };
  const int count = std::popcount(bits);
  write(_mm512_castsi512_si128(found), 0);
  if (count > 16) {
    alignas(64) std::uint8_t positions[64];
    _mm512_store_si512(positions, found);
    for (int i = 16; i < 64; i += 16) write(_mm_load_si128(reinterpret_cast<const __m128i*>(positions + i)), i);
  }
  return out + count;
#else
  for (; bits != 0; bits &= bits - 1) *out++ = offset + std::countr_zero(bits);
  return out;
#endif
}

// How many places find_edges needs beyond a row's edges.
inline constexpr std::size_t edges_margin = 66;

// Writes where the row changes between 0 and 1, and two sentinels; returns how often, always even.
inline int find_edges(const std::uint64_t* row, int words, std::uint64_t tail, int width, std::int32_t* edges) {
  std::int32_t* out = edges;
  std::uint64_t carry = 0;
  for (int k = 0; k < words; ++k) {
    const std::uint64_t x = k + 1 < words ? row[k] : row[k] & tail;
    const std::uint64_t changes = x ^ (x << 1 | carry);
    carry = x >> 63;
    out = write_positions(changes, 64 * k, out);
  }
  if (carry != 0) *out++ = width;
  out[0] = out[1] = INT_MAX;
  return static_cast<int>(out - edges);
}

// A row of pixels, and the row whose runs they belong to: the same, or the union with the row's neighbour.
struct Pixels {
  const std::uint64_t* row;
  const std::uint64_t* runs;
};

// Calls contact(i, j) for every run i of the upper row that touches run j of the lower one, in the order of the lower
// runs. The words tell: a pixel of one row meets the other's, itself or a neighbour, where F is set; a contact begins
// where F begins, and where a run begins inside it. Cheap where runs are many and short, for it never guesses.
template <int Connectivity, class Contact>
void for_each_contact(const Pixels& upper, const Pixels& lower, int words, std::uint64_t tail, const Contact& contact) {
  struct Word {
    std::uint64_t row, row1, starts;  // the pixels, the same one further, where runs start
  };
  struct Reader {
    const Pixels& from;
    std::uint64_t carry_row = 0, carry_runs = 0;

    Word next(int k, std::uint64_t inside) {
      const std::uint64_t row = from.row[k] & inside, runs = from.runs[k] & inside;
      const Word word{row, row << 1 | carry_row, runs & ~(runs << 1 | carry_runs)};
      carry_row = row >> 63;
      carry_runs = runs >> 63;
      return word;
    }
  };
  Reader read_upper{upper}, read_lower{lower};
  std::uint64_t carry = 0;
  int runs_above = -1, runs_here = -1;  // number of the last run that began before this word
  for (int k = 0; k < words; ++k) {
    const std::uint64_t inside = k + 1 < words ? ~std::uint64_t{0} : tail;
    const Word u = read_upper.next(k, inside), d = read_lower.next(k, inside);
    const std::uint64_t f = Connectivity == 8 ? (u.row | u.row1) & (d.row | d.row1) : u.row & d.row;
    const std::uint64_t f1 = f << 1 | carry;
    std::uint64_t events = Connectivity == 8 ? f & (~f1 | u.starts | d.starts) : f & ~f1;
    for (; events != 0; events &= events - 1) {
      const std::uint64_t up_to = events ^ (events - 1);
      contact(runs_above + std::popcount(u.starts & up_to), runs_here + std::popcount(d.starts & up_to));
    }
    runs_above += std::popcount(u.starts);
    runs_here += std::popcount(d.starts);
    carry = f >> 63;
  }
}

// Whether rows have so many runs that contacts are better found by words than by comparing runs one after the other.
inline bool is_dense(const Mask& mask) {
  constexpr int many_runs = 10, step = 8;
  std::int64_t runs = 0, rows = 0;
  for (int y = step / 2; y < mask.height; y += step, ++rows) {
    const std::uint64_t* row = mask.row(y);
    for (int k = 0; k < mask.words(); ++k) runs += std::popcount(row[k] & ~(row[k] << 1));
  }
  return runs > many_runs * rows;
}

}  // namespace fastcam::FASTCAM_ISA

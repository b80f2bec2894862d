// Runs, RunFinder        the runs of set pixels of a row; what finds them
// write_positions        the positions of the set bits of a word
// for_each_contact       which runs of two adjacent rows touch
// is_dense               whether a mask has many runs in a row
#pragma once

#include <array>
#include <climits>

#include "masks/bitmask.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

// How much longer than its positions an array must be that write_positions writes to.
inline constexpr std::size_t positions_margin = 66;

// Writes the positions of the set bits, each plus `offset`, and returns where they end. Up to 64 elements after the end
// are overwritten.
inline std::int32_t* write_positions(std::uint64_t bits, std::int32_t offset, std::int32_t* out) {
#if defined(__AVX512VBMI2__)
  alignas(64) static constexpr auto numbers = [] {
    std::array<std::uint8_t, 64> all{};
    for (std::size_t i = 0; i < 64; ++i) all[i] = static_cast<std::uint8_t>(i);
    return all;
  }();
  const __m512i found = _mm512_maskz_compress_epi8(bits, _mm512_load_si512(numbers.data()));
  const auto write = [&](__m128i bytes, int at) {
    const __m512i wide = _mm512_cvtepu8_epi32(bytes);
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

// The runs of set pixels of one row, [begins[i], ends[i]) from left to right.
struct Runs {
  std::int32_t *begins, *ends;
  int count = 0;

  // How long arrays for the begins and ends of a row must be. Vectors overwrite some elements after the last one.
  static std::size_t capacity(int width) { return static_cast<std::size_t>(width) / 2 + positions_margin; }
};

// Finds the runs of rows of one width.
class RunFinder {
 public:
  explicit RunFinder(int width) : width_(width), words_(words_in_row(width)), tail_(last_word_mask(width)) {
#if defined(__AVX2__)
    const int last = (words_ - 1) % 4;
    alignas(32) std::int64_t exists[4], inside[4];
    for (int i = 0; i < 4; ++i) {
      exists[i] = i <= last ? -1 : 0;
      inside[i] = i < last ? -1 : i == last ? static_cast<std::int64_t>(tail_) : 0;
    }
    last_exists_ = _mm256_load_si256(reinterpret_cast<const __m256i*>(exists));
    last_inside_ = _mm256_load_si256(reinterpret_cast<const __m256i*>(inside));
#endif
  }

  // Finds the runs of rows that have few, all in one sequence. The positions of row i count from (i + 1) * pitch. Its
  // runs begin at number first[i] of the sequence; first[0] is given. Returns the number after the last run.
  int find_rows(const std::uint64_t* row, int rows, std::int32_t pitch, std::int32_t* begins, std::int32_t* ends,
                int* first) const {
    constexpr int vector = 256;  // bits; the end of a run may lie one bit after the row
    const auto find = width_ >= vector  ? find_rows_of<Shape::wide>
                      : words_ % 4 != 0 ? find_rows_of<Shape::narrow>
                                        : find_rows_of<Shape::four_words>;
    return find(*this, row, rows, pitch, begins, ends, first);
  }

  // Finds the runs of a row that may have many. Positions count from `offset`. Returns how many runs there are.
  int find_many(const std::uint64_t* row, std::int32_t offset, std::int32_t* begins, std::int32_t* ends) const {
    std::int32_t* const from = begins;
    std::uint64_t carry = 0;
    for (int k = 0; k < words_; ++k) {
      const std::uint64_t x = k + 1 < words_ ? row[k] : row[k] & tail_, shifted = x << 1 | carry;
      carry = x >> 63;
      begins = write_positions(x & ~shifted, offset + 64 * k, begins);
      ends = write_positions(shifted & ~x, offset + 64 * k, ends);
    }
    if (carry != 0) *ends = offset + width_;
    return static_cast<int>(begins - from);
  }

 private:
  // Rows that are not wide fit in one vector, and so does the end of their last run.
  enum class Shape { wide, narrow, four_words };

  template <Shape S>
  static int find_rows_of(RunFinder finder, const std::uint64_t* row, int rows, std::int32_t pitch,
                          std::int32_t* begins, std::int32_t* ends, int* first) {
    constexpr int ahead = 1024;  // words: so the next mask of a batch is prefetched before is_dense() reads it
    int total = first[0];
    for (int i = 0, offset = pitch; i < rows; ++i, offset += pitch, row += finder.words_) {
      first[i] = total;
      __builtin_prefetch(row + ahead);
#if defined(__AVX2__)
      total += finder.find<S>(row, offset, begins + total, ends + total);
#else
      total += finder.find_many(row, offset, begins + total, ends + total);
#endif
    }
    return total;
  }

#if defined(__AVX2__)
  // As find_many, but by vectors, which is faster as long as runs are few.
  template <Shape S>
  FASTCAM_INLINE int find(const std::uint64_t* row, std::int32_t offset, std::int32_t* begins,
                          std::int32_t* ends) const {
    __m256i before = _mm256_setzero_si256();  // its first part holds the bit before the next 256
    int begun = 0, ended = 0;
    for (int k = 0; k < (S == Shape::wide ? words_ : 1); k += 4) {
      const __m256i x = S == Shape::wide ? four_words(row, k) : last_words<S == Shape::four_words>(row);
      const __m256i shifted = shift_by_one(x, before);
      const __m256i first = _mm256_andnot_si256(shifted, x), end = _mm256_andnot_si256(x, shifted);
      const __m256i from = _mm256_set1_epi32(offset + 64 * k);
      if (is_empty(_mm256_or_si256(without_lowest(first), without_lowest(end)))) [[likely]] {
        begun += write_lowest(first, from, begins + begun);
        ended += write_lowest(end, from, ends + ended);
      } else if (is_empty(_mm256_or_si256(without_lowest_of_halves(first), without_lowest_of_halves(end)))) {
        begun += write_lowest_of_halves(first, from, begins + begun);
        ended += write_lowest_of_halves(end, from, ends + ended);
      } else {
        return find_many(row, offset, begins, ends);
      }
    }
    if constexpr (S == Shape::wide)
      ends[ended] = offset + width_;  // the end of a run that reaches the border; otherwise not read
    return begun;
  }

  // Words k to k + 3 of a row, zero beyond the width.
  __m256i four_words(const std::uint64_t* row, int k) const {
    return k + 4 < words_ ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + k)) : last_words<false>(row + k);
  }
  template <bool All>
  __m256i last_words(const std::uint64_t* from) const {
    const __m256i x = All ? _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))
                          : _mm256_maskload_epi64(reinterpret_cast<const long long*>(from), last_exists_);
    return _mm256_and_si256(x, last_inside_);
  }

  // The bits moved up by one place, across the eight parts of 32 bits. `before` carries the last bit to the next call.
  static __m256i shift_by_one(__m256i x, __m256i& before) {
    const __m256i from_the_left =
        _mm256_permutevar8x32_epi32(_mm256_srli_epi32(x, 31), _mm256_setr_epi32(7, 0, 1, 2, 3, 4, 5, 6));
    const __m256i carried = _mm256_blend_epi32(from_the_left, before, 1);
    before = from_the_left;
    return _mm256_or_si256(_mm256_slli_epi32(x, 1), carried);
  }

  // Without the lowest set bit of each part, or of each half of a part.
  static __m256i without_lowest(__m256i parts) {
    return _mm256_and_si256(parts, _mm256_add_epi32(parts, _mm256_set1_epi32(-1)));
  }
  static __m256i without_lowest_of_halves(__m256i parts) {
    return _mm256_and_si256(parts, _mm256_add_epi16(parts, _mm256_set1_epi16(-1)));
  }
  static bool is_empty(__m256i x) { return _mm256_testz_si256(x, x) != 0; }

  // Writes the positions of the set bits, at most one in each part. Part i begins i * Width after `from`. Eight
  // elements are overwritten. The position of a part's bit is the exponent of the part as a float.
  template <int Width = 32>
  static int write_lowest(__m256i parts, __m256i from, std::int32_t* out) {
    constexpr int bias = 127;
    const __m256i begins = _mm256_setr_epi32(0 * Width - bias, 1 * Width - bias, 2 * Width - bias, 3 * Width - bias,
                                             4 * Width - bias, 5 * Width - bias, 6 * Width - bias, 7 * Width - bias);
    const __m256i power = _mm256_castps_si256(_mm256_cvtepi32_ps(parts));
    const __m256i exponent = _mm256_and_si256(_mm256_srli_epi32(power, 23), _mm256_set1_epi32(0xff));
    const __m256i position = _mm256_add_epi32(exponent, _mm256_add_epi32(begins, from));
    const __m256 absent = _mm256_castsi256_ps(_mm256_cmpeq_epi32(parts, _mm256_setzero_si256()));
    const auto present = static_cast<std::uint8_t>(~_mm256_movemask_ps(absent));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_permutevar8x32_epi32(position, to_the_front(present)));
    return std::popcount(present);
  }

  // The same where each half of a part has at most one set bit.
  static int write_lowest_of_halves(__m256i parts, __m256i from, std::int32_t* out) {
    const __m256i low = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(parts));
    const __m256i high = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(parts, 1));
    const int count = write_lowest<16>(low, from, out);
    return count + write_lowest<16>(high, _mm256_add_epi32(from, _mm256_set1_epi32(128)), out + count);
  }

  __m256i last_exists_, last_inside_;
#endif
  int width_, words_;
  std::uint64_t tail_;
};

// A row of pixels, and the row whose runs they belong to: the same row, or its union with an adjacent one.
struct Pixels {
  const std::uint64_t* row;
  const std::uint64_t* runs;
};

// Calls contact(i, j) for every run i of the upper row that touches run j of the lower one, in the order of the lower
// runs. Bits of f are set where a pixel of one row touches a pixel of the other. A contact begins where a stretch of f
// begins, and where a run begins within the stretch. There are no branches to mispredict, so this is the faster way
// where runs are many and short.
template <int Connectivity, class Contact>
void for_each_contact(const Pixels& upper, const Pixels& lower, int words, std::uint64_t tail, const Contact& contact) {
  struct Word {
    std::uint64_t row, row1, starts;  // the pixels; the same moved up by one place; where runs start
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
  int runs_above = -1, runs_here = -1;  // the number of the last run that began before this word
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

// Whether rows have so many runs that their contacts are found faster by words than by comparing runs one by one.
inline bool is_dense(const Mask& mask) {
  constexpr int many_runs = 10, step = 16;
  const int words = mask.words();
  const std::uint64_t tail = last_word_mask(mask.width);
  std::int64_t runs = 0, rows = 0;
  for (int y = step / 2; y < mask.height; y += step, ++rows) {
    const std::uint64_t* row = mask.row(y);
    for (int k = 0; k + 1 < words; ++k) runs += std::popcount(row[k] & ~(row[k] << 1));
    const std::uint64_t last = row[words - 1] & tail;
    runs += std::popcount(last & ~(last << 1));
  }
  return runs > many_runs * rows;
}

}  // namespace fastcam::FASTCAM_ISA

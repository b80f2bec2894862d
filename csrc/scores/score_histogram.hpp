// ScoreHistogram   histograms of the scores of objects and of background, exact at the edges of the bins
//   start          for some maps of a batch
//   add, finish    one map; the end
#pragma once

#include <cstring>
#include <limits>

#include "scores/score_map.hpp"
#include "vector/lanes.hpp"

namespace fastcam::FASTCAM_ISA {

// Bins begin at i times a width, rounded as numpy.arange rounds, and at 1.
class ScoreHistogram {
 public:
  struct Valid {
    bool scores, mask;  // whether all scores lie in [0, 1]; whether all pixels of the mask are 0, 1 or 255
  };

  // Counts are added to the histogram of mask 0 and then that of mask 1 in `counts`, the last of them by finish().
  void start(const Edges& edges, std::int64_t* counts) {
    edges_ = edges;
    counts_ = counts;
    width_ = edges.values[1];
    per_bin_ = 1 / width_;
    const auto high = static_cast<std::uint32_t>(std::bit_cast<std::uint64_t>(std::max(1 - 2 * width_, 0.0)) >> 32);
    limit_ = std::max(high, 1u) - 1;
    for (shift_ = 1; 1 << shift_ < bins();) ++shift_;
    counted_ = table_.reserve(size()) + tables * stride();
    for (auto& slots : slots_) std::fill_n(slots, ScoreMap::block, nowhere());
    clear();
  }

  // Pixels with an invalid score or mask are not counted.
  Valid add(const ScoreMap& map, const std::uint8_t* mask) {
    if (map.pixels() > remaining_) fold();
    remaining_ -= map.pixels();
    Valid valid{true, true};
    std::int64_t *slots = slots_[0], *before = slots_[1];
    map.read([&](std::int64_t p, int n, const double* scores) {
      std::uint8_t rest[ScoreMap::block];
      const std::uint8_t* kinds = mask + p;
      if (n < ScoreMap::block) {
        std::fill(rest, rest + ScoreMap::block, ignored);
        std::memcpy(rest, kinds, static_cast<std::size_t>(n));
        kinds = rest;
      }
      if (!find_and_count(scores, kinds, slots, before)) find_by_edges(scores, kinds, slots, valid);
      std::swap(slots, before);
      return true;
    });
    if (before != slots_[1]) std::swap(slots_[0], slots_[1]);
    return valid;
  }

  void finish() {
    for (const std::int64_t slot : slots_[1]) ++counted_[entry(slot)];
    fold();
  }

 private:
  // Neighbouring pixels often fall into the same bin. They count in different tables, so as not to wait for each other.
  static constexpr std::int64_t tables = 2;
  static constexpr std::uint8_t ignored = 255;

  int bins() const { return edges_.thresholds + 2; }
  // A slot is bin + kind * stride. The kind is -1 for ignored pixels, 0 for background, 1 for objects.
  std::int64_t stride() const { return std::int64_t{1} << shift_; }
  std::int64_t nowhere() const { return -stride(); }
  std::size_t size() const { return static_cast<std::size_t>(3 * tables * stride()); }
  // Only the low half of a slot is meaningful.
  FASTCAM_INLINE static std::int64_t entry(std::int64_t slot) { return tables * static_cast<std::int32_t>(slot); }

  void clear() {
    std::fill_n(table_.data(), size(), std::uint32_t{0});
    remaining_ = std::numeric_limits<std::uint32_t>::max();
  }

  void fold() {
    for (int kind = 0; kind < 2; ++kind)
      for (int bin = 0; bin < bins(); ++bin)
        for (int k = 0; k < tables; ++k) counts_[kind * bins() + bin] += counted_[entry(kind * stride() + bin) + k];
    clear();
  }

  // Finds the slots of a block, and meanwhile counts those of the block before: one is bound by arithmetic, the other
  // by memory. False where the slots do not follow from the width alone.
  FASTCAM_INLINE bool find_and_count(const double* scores, const std::uint8_t* kinds, std::int64_t* slots,
                                     const std::int64_t* before) {
    constexpr int step = lanes<double>;
    constexpr double magic = 0x1.8p52;  // magic + x is rounded to an integer, which stands in the low bits
    const double width = width_, per_bin = per_bin_;
    const int shift = shift_;
    std::uint32_t* const counted = counted_;
    Vector<std::uint32_t> highest{};
    for (int i = 0; i < ScoreMap::block; i += step) {
      const auto score = load(scores + i);
      highest = (Vector<std::uint32_t>)score > highest ? (Vector<std::uint32_t>)score : highest;
      // The nearest edge; if the score is below it, the bin is the one before.
      const auto edge = score * per_bin + magic;
      const auto below = score < (edge - magic) * width;
      store(slots + i, (Vector<std::int64_t>)edge + below + (widen_bytes(kinds + i) << shift));
      for (int k = 0; k < step; k += 2) {
        ++counted[entry(before[i + k])];
        ++counted[entry(before[i + k + 1]) + 1];
      }
    }
    const auto limit = (Vector<std::uint32_t>)all_lanes(std::uint64_t{limit_} << 32 | 0xffffffff);
    const auto special = (Lanes)(highest > limit) | unknown(kinds);
    return lanes_set(special) == 0;
  }

  FASTCAM_INLINE static Lanes unknown(const std::uint8_t* kinds) {
    Vector<std::uint8_t> found{};
    for (int i = 0; i < ScoreMap::block; i += lanes<std::uint8_t>)
      found |= (Vector<std::uint8_t>)(load(kinds + i) + 1 > 2);
    return (Lanes)found;
  }

  // Just below 1, bins do not follow from the width.
  void find_by_edges(const double* scores, const std::uint8_t* kinds, std::int64_t* slots, Valid& valid) const {
    for (int i = 0; i < ScoreMap::block; ++i) {
      const bool inside = scores[i] >= 0 && scores[i] <= 1, known = kinds[i] <= 1 || kinds[i] == ignored;
      valid.scores &= inside;
      valid.mask &= known;
      if (!inside || !known) {
        slots[i] = nowhere();
      } else if (scores[i] > 1 - 2 * width_) {
        int bin = edges_.thresholds;
        while (scores[i] < edges_.values[bin]) --bin;
        slots[i] = static_cast<std::int8_t>(kinds[i]) * stride() + bin;
      }
    }
  }

  Edges edges_{};
  std::int64_t* counts_ = nullptr;
  double width_ = 0, per_bin_ = 0;
  // Doubles read as unsigned integers keep their order, with negative ones and NaN above all. Where the upper half of a
  // score exceeds this, the score may be outside of [0, 1] or less than two widths below 1.
  std::uint32_t limit_ = 0;
  int shift_ = 0;
  std::int64_t remaining_ = 0;
  alignas(64) std::int64_t slots_[2][ScoreMap::block] = {};
  Buffer<std::uint32_t> table_;
  std::uint32_t* counted_ = nullptr;  // the tables' entries for slot 0, side by side
};

}  // namespace fastcam::FASTCAM_ISA

// Compiled once for every instruction set, each time with another FASTCAM_ISA, the name of its namespace.
#include "core.hpp"

#include "activation.hpp"
#include "locate.hpp"
#include "pooling.hpp"
#include "score_map.hpp"
#include "sweep.hpp"

#define FASTCAM_QUOTE(x) #x
#define FASTCAM_NAME(x) FASTCAM_QUOTE(x)

namespace fastcam::FASTCAM_ISA {
namespace {

// Calls use(mask) with one mask of the batch, packed into `scratch` if it is not yet.
template <class Use>
void with_mask(const MaskBatch& masks, std::int64_t image, Buffer<std::uint64_t>& scratch, const Use& use) {
  const int words = words_in_row(masks.width);
  if (masks.packed) {
    const auto* bits = static_cast<const std::uint64_t*>(masks.data);
    use(Mask{bits + image * words * masks.height, masks.height, masks.width});
    return;
  }
  const auto* bytes = static_cast<const std::uint8_t*>(masks.data) + image * masks.height * masks.width;
  std::uint64_t* bits = scratch.reserve(static_cast<std::size_t>(words) * static_cast<std::size_t>(masks.height));
  for (std::int64_t y = 0; y < masks.height; ++y) pack_row(bytes + y * masks.width, masks.width, bits + y * words);
  use(Mask{bits, masks.height, masks.width});
}

template <int Connectivity>
RegionFinder<Connectivity>& finder() {
  static thread_local RegionFinder<Connectivity> instance;
  return instance;
}

template <int Connectivity>
void find_largest(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions) {
  Buffer<std::uint64_t> scratch;
  for (std::int64_t i = begin; i < end; ++i)
    with_mask(masks, i, scratch, [&](const Mask& m) { regions[i] = finder<Connectivity>().largest(m, masks.area); });
}

void largest(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions) {
  (masks.connectivity == 8 ? find_largest<8> : find_largest<4>)(masks, begin, end, regions);
}

template <int Connectivity>
void find_all(const MaskBatch& masks, std::int64_t image, void (*emit)(void*, const Region&), void* context) {
  Buffer<std::uint64_t> scratch;
  with_mask(masks, image, scratch, [&](const Mask& mask) {
    finder<Connectivity>().all(mask, masks.area, [&](const Region& region) { emit(context, region); });
  });
}

void all(const MaskBatch& masks, std::int64_t image, void (*emit)(void*, const Region&), void* context) {
  (masks.connectivity == 8 ? find_all<8> : find_all<4>)(masks, image, emit, context);
}

// Calls use(Element{}) with the element type that the dtype names.
template <class Use>
void with_element(Dtype dtype, const Use& use) {
  switch (dtype) {
    case Dtype::float32:
      return use(float{});
    case Dtype::float64:
      return use(double{});
    case Dtype::float16:
      return use(Half{});
    case Dtype::bfloat16:
      return use(BFloat{});
  }
}

void sums(const Features& features, const Classes& classes, std::int64_t begin, std::int64_t end, void* maps) {
  with_element(features.dtype, [&](auto element) {
    using Element = decltype(element);
    weighted_sums<Element, Work<Element>>(features, classes, begin, end, maps);
  });
}

void tap_forward(const Planes& planes, double threshold, std::int64_t begin, std::int64_t end, const Pooled& out) {
  with_element(planes.dtype,
               [&](auto element) { tap_forward_of<decltype(element)>(planes, threshold, begin, end, out); });
}

void tap_backward(const Planes& planes, const void* grad, std::int64_t begin, std::int64_t end, const Pooled& saved,
                  void* out) {
  with_element(planes.dtype,
               [&](auto element) { tap_backward_of<decltype(element)>(planes, grad, begin, end, saved, out); });
}

template <int Connectivity>
void find_boxes(const Maps& maps, const Protocol& protocol, std::int64_t begin, std::int64_t end, const Found& found) {
  static thread_local Locator<Connectivity> locator;
  locator.prepare(maps, protocol);
  for (std::int64_t i = begin; i < end; ++i) locator.run(i, found);
}

void locate(const Maps& maps, const Protocol& protocol, std::int64_t begin, std::int64_t end, const Found& found) {
  (protocol.connectivity == 8 ? find_boxes<8> : find_boxes<4>)(maps, protocol, begin, end, found);
}

void score_levels(const ScoreMaps& maps, std::int64_t begin, std::int64_t end, std::uint8_t* levels, bool* inside) {
  static thread_local ScoreMap map;
  for (std::int64_t i = begin; i < end; ++i) {
    map.start(maps, i);
    inside[i] = write_levels(map, levels + i * maps.height * maps.width);
  }
}

void score_histogram(const ScoreMaps& maps, const std::uint8_t* masks, const Edges& edges, std::int64_t begin,
                     std::int64_t end, std::int64_t* counts, bool* inside) {
  static thread_local ScoreMap map;
  static thread_local ScoreHistogram histogram;
  for (std::int64_t i = begin; i < end; ++i) {
    map.start(maps, i);
    inside[i] = histogram.add(map, masks + i * maps.height * maps.width, edges, counts);
  }
}

void sweep(const LevelMaps& maps, const TruthBoxes& truth, std::int64_t begin, std::int64_t end, const Swept& out) {
  static thread_local Sweeper sweeper;
  for (std::int64_t i = begin; i < end; ++i) sweeper.run(maps, truth, i, out);
}

}  // namespace

extern const Core core;
const Core core{FASTCAM_NAME(FASTCAM_ISA), largest, all, sums, locate, tap_forward, tap_backward, score_levels,
                score_histogram,           sweep};

}  // namespace fastcam::FASTCAM_ISA

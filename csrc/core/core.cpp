// Compiled once for each instruction set, each time with another FASTCAM_ISA: the name of its namespace.
#include "core/core.hpp"

#include "core/workspace.hpp"
#include "maps/activation.hpp"
#include "maps/locate.hpp"
#include "maps/pooling.hpp"
#include "maps/pooling_gradient.hpp"
#include "masks/finder.hpp"
#include "masks/objects.hpp"
#include "scores/score_histogram.hpp"
#include "scores/sweep.hpp"
#include "trees/box_tree.hpp"
#include "trees/stable.hpp"

#define FASTCAM_QUOTE(x) #x
#define FASTCAM_NAME(x) FASTCAM_QUOTE(x)

namespace fastcam::FASTCAM_ISA {
namespace {

// One mask of a batch. If it is not packed yet, pack() packs its rows into `scratch`.
class BatchedMask {
 public:
  BatchedMask(const MaskBatch& masks, std::int64_t image, Buffer<std::uint64_t>& scratch) : masks_(masks) {
    const std::int64_t words = words_in_row(masks.width), rows = image * masks.height;
    if (masks.packed) {
      mask_ = {static_cast<const std::uint64_t*>(masks.data) + rows * words, masks.height, masks.width};
      return;
    }
    bytes_ = static_cast<const std::uint8_t*>(masks.data) + rows * masks.width;
    packed_ = scratch.reserve(static_cast<std::size_t>(words * masks.height));
    mask_ = {packed_, masks.height, masks.width};
  }

  void pack(int y0, int y1) const {
    if (masks_.packed) return;
    for (std::int64_t y = y0; y < y1; ++y)
      pack_row(bytes_ + y * masks_.width, masks_.width, packed_ + y * words_in_row(masks_.width));
  }

  const Mask& mask() const { return mask_; }

 private:
  const MaskBatch& masks_;
  const std::uint8_t* bytes_ = nullptr;
  std::uint64_t* packed_ = nullptr;
  Mask mask_{};
};

// Calls use(mask) with one mask of the batch, packed.
template <class Use>
void with_mask(const MaskBatch& masks, std::int64_t image, Buffer<std::uint64_t>& scratch, const Use& use) {
  const BatchedMask one(masks, image, scratch);
  one.pack(0, masks.height);
  use(one.mask());
}

// The same, but packed on several threads.
template <class Use>
void with_large_mask(const MaskBatch& masks, std::int64_t image, int strips, const Runner& runner, const Use& use) {
  Buffer<std::uint64_t> scratch;
  const BatchedMask one(masks, image, scratch);
  const Mask& mask = one.mask();
  if (!masks.packed)
    runner.each(strips, [&](int i) {
      const auto row = [&](int strip) { return static_cast<int>(std::int64_t{mask.height} * strip / strips); };
      one.pack(row(i), row(i + 1));
    });
  use(mask);
}

template <int Connectivity>
void find_largest(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions) {
  const Workspace<ComponentFinder<Connectivity>> workspace;
  auto& finder = *workspace;
  Buffer<std::uint64_t> scratch;
  for (std::int64_t i = begin; i < end; ++i)
    with_mask(masks, i, scratch, [&](const Mask& mask) { regions[i] = finder.largest(mask, masks.area); });
}

void largest(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions) {
  (masks.connectivity == 8 ? find_largest<8> : find_largest<4>)(masks, begin, end, regions);
}

template <int Connectivity>
void find_all(const MaskBatch& masks, std::int64_t image, void (*emit)(void*, const Region&), void* context) {
  Buffer<std::uint64_t> scratch;
  with_mask(masks, image, scratch, [&](const Mask& mask) {
    const Workspace<ComponentFinder<Connectivity>> workspace;
    (*workspace).all(mask, masks.area, [&](const Region& region) { emit(context, region); });
  });
}

void all(const MaskBatch& masks, std::int64_t image, void (*emit)(void*, const Region&), void* context) {
  (masks.connectivity == 8 ? find_all<8> : find_all<4>)(masks, image, emit, context);
}

template <int Connectivity>
void strips_largest(const MaskBatch& masks, std::int64_t image, int strips, const Runner& runner, Region* region) {
  with_large_mask(masks, image, strips, runner, [&](const Mask& mask) {
    *region = StripFinder<Connectivity>(strips, runner).largest(mask, masks.area);
  });
}

void largest_in_strips(const MaskBatch& masks, std::int64_t image, int strips, const Runner& runner, Region* region) {
  (masks.connectivity == 8 ? strips_largest<8> : strips_largest<4>)(masks, image, strips, runner, region);
}

template <int Connectivity>
void strips_all(const MaskBatch& masks, std::int64_t image, int strips, const Runner& runner,
                void (*emit)(void*, const Region&), void* context) {
  with_large_mask(masks, image, strips, runner, [&](const Mask& mask) {
    StripFinder<Connectivity>(strips, runner).all(mask, masks.area, [&](const Region& region) {
      emit(context, region);
    });
  });
}

void all_in_strips(const MaskBatch& masks, std::int64_t image, int strips, const Runner& runner,
                   void (*emit)(void*, const Region&), void* context) {
  (masks.connectivity == 8 ? strips_all<8> : strips_all<4>)(masks, image, strips, runner, emit, context);
}

template <int Connectivity>
void find_objects(const MaskBatch& masks, const double* values, std::int64_t image, const Objects& objects) {
  Buffer<std::uint64_t> scratch;
  with_mask(masks, image, scratch, [&](const Mask& mask) {
    const Workspace<ObjectFinder<Connectivity, double>> workspace;
    const double* const map = values + image * masks.height * masks.width;
    (*workspace).label(mask, masks.area);
    (*workspace)
        .template measure<true>(
            mask, [&](int y) { return map + std::int64_t{y} * masks.width; },
            [&](const Object& object) { objects.emit(objects.context, image, object); });
  });
}

void objects(const MaskBatch& masks, const double* values, std::int64_t image, const Objects& objects) {
  (masks.connectivity == 8 ? find_objects<8> : find_objects<4>)(masks, values, image, objects);
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

// How many of the images that are left are read side by side.
int at_once(std::int64_t left) {
  return static_cast<int>(std::min(left, std::int64_t{images_at_once}));
}

void sums(const Features& features, const Classes& classes, std::int64_t begin, std::int64_t end, void* maps) {
  with_element(features.dtype, [&](auto element) {
    using Element = decltype(element);
    ActivationMaps<Element, Work<Element>> activation(features, classes);
    for (std::int64_t i = begin; i < end; i += images_at_once)
      activation.run(i, at_once(end - i), static_cast<Work<Element>*>(maps) + i * activation.positions());
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
  const Workspace<Locator<Connectivity>> workspace;
  Locator<Connectivity>& boxes = *workspace;
  boxes.prepare(maps, protocol);
  for (std::int64_t i = begin; i < end; ++i) boxes.run(i, maps.data + i * maps.h * maps.w, found);
}

void locate(const Maps& maps, const Protocol& protocol, std::int64_t begin, std::int64_t end, const Found& found) {
  (protocol.connectivity == 8 ? find_boxes<8> : find_boxes<4>)(maps, protocol, begin, end, found);
}

template <int Connectivity, class Element>
void find_boxes_of(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
                   std::int64_t begin, std::int64_t end, const Found& found) {
  const Workspace<Locator<Connectivity>> workspace;
  Locator<Connectivity>& boxes = *workspace;
  boxes.prepare(maps, protocol);
  ActivationMaps<Element, Work<Element>> activation(features, classes);
  const std::int64_t positions = activation.positions();
  Buffer<Work<Element>> sums;
  Buffer<float> narrow;
  sums.reserve(static_cast<std::size_t>(images_at_once * positions));
  narrow.reserve(static_cast<std::size_t>(images_at_once * positions));
  for (std::int64_t i = begin; i < end; i += images_at_once) {
    const int count = at_once(end - i);
    activation.run(i, count, sums.data());
    std::transform(sums.data(), sums.data() + count * positions, narrow.data(),
                   [](auto x) { return static_cast<float>(x); });
    for (int k = 0; k < count; ++k) boxes.run(i + k, narrow.data() + k * positions, found);
  }
}

void localize(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
              std::int64_t begin, std::int64_t end, const Found& found) {
  with_element(features.dtype, [&](auto element) {
    using Element = decltype(element);
    (protocol.connectivity == 8 ? find_boxes_of<8, Element> : find_boxes_of<4, Element>)(features, classes, maps,
                                                                                         protocol, begin, end, found);
  });
}

void score_levels(const ScoreMaps& maps, std::int64_t begin, std::int64_t end, std::uint8_t* levels, bool* inside) {
  const Workspace<ScoreMap> workspace;
  ScoreMap& map = *workspace;
  for (std::int64_t i = begin; i < end; ++i) {
    map.start(maps, i);
    inside[i] = write_levels(map, levels + i * maps.height * maps.width);
  }
}

void score_histogram(const ScoreMaps& maps, const std::uint8_t* masks, const Edges& edges, std::int64_t begin,
                     std::int64_t end, std::int64_t* counts, bool* inside, bool* known) {
  const Workspace<ScoreMap> map_workspace;
  const Workspace<ScoreHistogram> histogram_workspace;
  ScoreMap& map = *map_workspace;
  ScoreHistogram& histogram = *histogram_workspace;
  histogram.start(edges, counts);
  for (std::int64_t i = begin; i < end; ++i) {
    map.start(maps, i);
    const auto valid = histogram.add(map, masks + i * maps.height * maps.width);
    inside[i] = valid.scores;
    known[i] = valid.mask;
  }
  histogram.finish();
}

void sweep(const LevelMaps& maps, const TruthBoxes& truth, std::int64_t begin, std::int64_t end, const Swept& out) {
  const Workspace<Sweeper> workspace;
  Sweeper& sweeper = *workspace;
  for (std::int64_t i = begin; i < end; ++i) sweeper.run(maps, truth, i, out);
}

void box_trees(const LevelMaps& maps, std::int64_t begin, std::int64_t end, const Nodes& to) {
  const Workspace<BoxTree> workspace;
  BoxTree& tree = *workspace;
  for (std::int64_t i = begin; i < end; ++i) tree.run(maps, i, to);
}

void stable_levels(const LevelMaps& maps, std::int64_t begin, std::int64_t end, std::int64_t* thresholds) {
  const Workspace<StableThreshold> workspace;
  for (std::int64_t i = begin; i < end; ++i)
    thresholds[i] = (*workspace).find(maps.data + i * maps.height * maps.width, maps.height, maps.width);
}

}  // namespace

extern const Core core;
const Core core{FASTCAM_NAME(FASTCAM_ISA),
                largest,
                all,
                largest_in_strips,
                all_in_strips,
                objects,
                sums,
                locate,
                localize,
                tap_forward,
                tap_backward,
                score_levels,
                score_histogram,
                sweep,
                box_trees,
                stable_levels};

}  // namespace fastcam::FASTCAM_ISA

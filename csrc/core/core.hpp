// Core                     the functions that each instruction set offers, as a table
// core(), choose_core()    the table in use; another one
//
// and, before them, what these functions take and give. core.cpp fills one table for each instruction set; dispatch.cpp
// chooses one at run time; schedule.hpp calls it on several threads. All are plain structs, which know no Python.
#pragma once

#include <cstdint>

#include "core/protocol.hpp"

namespace fastcam {

// The element types of tensors.
enum class Dtype { float32, float64, float16, bfloat16 };

struct Region {
  std::int32_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // half-open; all 0 where the mask is empty
  double area = 0;
};

// A component of a thresholded map, with the values of the map under it.
struct Object {
  Region region;
  double peak, mean;  // the mean is NaN unless it was asked for
};

// Where objects go, one map's after the other: in the raster order of first pixels.
struct Objects {
  void (*emit)(void* context, std::int64_t map, const Object&);
  void* context;
};

// N masks of one size, one after the other: packed (bitmask.hpp), or bytes that are set where not zero.
struct MaskBatch {
  const void* data;
  bool packed;
  int height, width;
  Area area;
  int connectivity;
};

// What core functions may run tasks on: calls task(i) for i in [0, count), on several threads where there are.
struct Runner {
  void (*run)(void* pool, int count, void (*task)(const void* state, int i), const void* state);
  void* pool;

  template <class Task>
  void each(int count, const Task& task) const {
    run(pool, count, [](const void* state, int i) { (*static_cast<const Task*>(state))(i); }, &task);
  }
};

// Feature maps (N, C, h, w); strides in elements.
struct Features {
  const void* data;
  Dtype dtype;
  int channels, height, width;
  std::int64_t stride_n, stride_c, stride_h, stride_w;
};

// How many images' features are read side by side.
inline constexpr int images_at_once = 4;

// Weights (rows, C), and which row each map takes: index[i], or row i where index is null. Map i belongs to image
// i / per_image. Weights and maps are float, or double where the features are float64.
struct Classes {
  const void* weight;
  std::int64_t rows;
  const std::int64_t* index;
  std::int64_t per_image;
  bool clamp_negative;
};

// What is pooled: N * C planes of `positions` values, one after the other; or, interleaved (channels_last), N images of
// `positions` times C values. One item of work is a plane, or an image where interleaved.
struct Planes {
  const void* data;
  Dtype dtype;
  bool interleaved;
  std::int64_t channels, positions;
};

// For every plane: the pooled value, in the planes' type; the cutoff that kept values exceed, float (double for
// float64), NaN where the plane has a NaN; and how many values are kept. Where counts is null, the values alone.
struct Pooled {
  void* values;
  void* cutoffs;
  std::int32_t* counts;
};

// Maps (N, h, w) float, and the size (height, width) that boxes refer to.
struct Maps {
  const float* data;
  int h, w, height, width;
};

struct Box {
  float x0, y0, x1, y1;
};

// Where to write what is found. Maps of full size (float, or uint8 levels) and masks are written where not null.
struct Found {
  Box* boxes;
  void* areas;  // double for polygon areas, else int64
  float* thresholds;
  void* maps;
  std::uint8_t* masks;
  Objects objects{};  // where it emits, all components go there, and no boxes and areas of the largest are written
};

// Score maps (N, h, w), float or double. Raw ones are resized to (height, width) and normalized; others are read as
// they are and must lie in [0, 1].
struct ScoreMaps {
  const void* data;
  Dtype dtype;
  bool raw;
  int h, w, height, width;
};

// The edges of a histogram's bins: the thresholds, in even steps from 0, then 1, 2, 3.
struct Edges {
  const double* values;
  int thresholds;
};

// A component of a map of levels that is there from threshold `level` - 1 down to its parent's level.
struct Node {
  Region region;
  std::int32_t peak, level;  // the highest and the lowest of its levels
  std::int32_t parent;       // the number of what it becomes part of, among the map's nodes; -1: nothing
};

// Where nodes go, one map's after the other: parents after their children.
struct Nodes {
  void (*emit)(void* context, std::int64_t map, const Node&);
  void* context;
};

// Levels (N, H, W).
struct LevelMaps {
  const std::uint8_t* data;
  int height, width;
};
// The ground truth of image i is boxes ends[i - 1] to ends[i], each x0, y0, x1, y1; x1 and y1 are the last pixels
// inside.
struct TruthBoxes {
  const double* boxes;
  const std::int64_t* ends;
};

// Where to write, for each of an image's 256 thresholds, the best IoU of the largest contour and its box (both null, or
// none), and the best IoU of any contour (or null).
struct Swept {
  double* of_largest;
  std::int32_t* largest;
  double* of_any;
};

struct Core {
  const char* name;
  // The largest component of masks [begin, end).
  void (*largest)(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions);
  // Every component of one mask, in the raster order of first pixels.
  void (*all)(const MaskBatch& masks, std::int64_t image, void (*emit)(void* context, const Region&), void* context);
  // The same two for one large mask, cut into strips of rows.
  void (*largest_in_strips)(const MaskBatch& masks, std::int64_t image, int strips, const Runner&, Region* region);
  void (*all_in_strips)(const MaskBatch& masks, std::int64_t image, int strips, const Runner&,
                        void (*emit)(void* context, const Region&), void* context);
  // Every component of one mask, with the values of its map (H, W) under it.
  void (*objects)(const MaskBatch& masks, const double* values, std::int64_t image, const Objects&);
  // Class activation maps [begin, end).
  void (*weighted_sums)(const Features&, const Classes&, std::int64_t begin, std::int64_t end, void* maps);
  // The boxes of maps [begin, end).
  void (*locate)(const Maps&, const Protocol&, std::int64_t begin, std::int64_t end, const Found&);
  // Both at once. Maps has no data then, only sizes: the maps are not kept.
  void (*localize)(const Features&, const Classes&, const Maps&, const Protocol&, std::int64_t begin, std::int64_t end,
                   const Found&);
  // Thresholded average pooling and its gradient, for items [begin, end) of Planes.
  void (*tap_forward)(const Planes&, double threshold, std::int64_t begin, std::int64_t end, const Pooled&);
  void (*tap_backward)(const Planes&, const void* grad, std::int64_t begin, std::int64_t end, const Pooled&, void* out);
  // The levels of score maps [begin, end), and whether each map lies in [0, 1].
  void (*score_levels)(const ScoreMaps&, std::int64_t begin, std::int64_t end, std::uint8_t* levels, bool* inside);
  // Adds the scores of maps [begin, end) to the histograms of background (mask 0) and objects (mask 1). Says whether
  // each map lies in [0, 1] and each mask has no values but 0, 1 and 255.
  void (*score_histogram)(const ScoreMaps&, const std::uint8_t* masks, const Edges&, std::int64_t begin,
                          std::int64_t end, std::int64_t* counts, bool* inside, bool* known);
  // The boxes of maps [begin, end) at every threshold.
  void (*sweep)(const LevelMaps&, const TruthBoxes&, std::int64_t begin, std::int64_t end, const Swept&);
  // The component trees of maps [begin, end).
  void (*box_trees)(const LevelMaps&, std::int64_t begin, std::int64_t end, const Nodes&);
  // The most stable thresholds of maps [begin, end).
  void (*stable_levels)(const LevelMaps&, std::int64_t begin, std::int64_t end, std::int64_t* thresholds);
};

// The instruction sets that this processor has, the oldest first. The last one is in use unless another is chosen.
int core_count();
const Core& core(int i);
const Core& core();
bool choose_core(const char* name);

}  // namespace fastcam

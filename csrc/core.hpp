// What the compiled core offers. core.cpp implements it once per instruction set; dispatch.cpp picks one at run time.
#pragma once

#include <cstdint>

#include "core/protocol.hpp"
#include "dtype.hpp"

namespace fastcam {

struct Region {
  std::int32_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // half-open; all 0 where the mask is empty
  double area = 0;
};

// N masks of one size, one after the other: packed words (bitmask.hpp), or bytes that are set where not zero.
struct MaskBatch {
  const void* data;
  bool packed;
  int height, width;
  Area area;
  int connectivity;
};

// Runs piece(state, i), or work(i), for i in [0, count), on several threads where there are.
struct Runner {
  void (*run)(void* pool, int count, void (*piece)(const void* state, int i), const void* state);
  void* pool;

  template <class Work>
  void each(int count, const Work& work) const {
    run(pool, count, [](const void* state, int i) { (*static_cast<const Work*>(state))(i); }, &work);
  }
};

// Feature maps (N, C, h, w); strides in elements.
struct Features {
  const void* data;
  Dtype dtype;
  int channels, height, width;
  std::int64_t stride_n, stride_c, stride_h, stride_w;
};

// Of so many images features are read together.
inline constexpr int images_at_once = 4;

// Which row of the weights (rows, C) each map takes: index[i], or row i where there is no index. Map i belongs to image
// i / per_image. Weights are float, or double for float64 features, and so are the maps.
struct Classes {
  const void* weight;
  std::int64_t rows;
  const std::int64_t* index;
  std::int64_t per_image;
  bool clamp_negative;
};

// What is pooled: N * C planes of `positions` values, one after the other; or, interleaved, N images of `positions`
// times C values (channels_last). Pieces of work are planes, or images where interleaved.
struct Planes {
  const void* data;
  Dtype dtype;
  bool interleaved;
  std::int64_t channels, positions;
};

// Of every plane the pooled value, in the planes' type; the cutoff that kept values exceed, float (double for
// float64), NaN where the plane has a NaN; and how many were kept.
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

// Where to write what was found for map i: full-size maps (float, or uint8 levels) and masks only where not null.
struct Found {
  Box* boxes;
  void* areas;  // double for polygon areas, else int64
  float* thresholds;
  void* maps;
  std::uint8_t* masks;
};

// Score maps (N, h, w), float or double: in [0, 1] and read as they are, or raw, to be resized to (height, width) and
// normalized.
struct ScoreMaps {
  const void* data;
  Dtype dtype;
  bool raw;
  int h, w, height, width;
};

// Edges of histograms: as many thresholds in even steps from 0, then 1, 2, 3.
struct Edges {
  const double* values;
  int thresholds;
};

// Levels (N, H, W); the ground truth of image i is boxes ends[i - 1] to ends[i], x0, y0, x1, y1.
struct LevelMaps {
  const std::uint8_t* data;
  int height, width;
};
struct TruthBoxes {
  const double* boxes;
  const std::int64_t* ends;
};

// Where to write, for 256 thresholds an image, the best IoU of the largest contour, its box, and the best IoU of any
// contour: the first two not null, or the last, or all.
struct Swept {
  double* of_largest;
  std::int32_t* largest;
  double* of_any;
};

struct Core {
  const char* name;
  // The largest region of masks [begin, end).
  void (*largest)(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions);
  // Every region of one mask, in the raster order of first pixels.
  void (*all)(const MaskBatch& masks, std::int64_t image, void (*emit)(void* context, const Region&), void* context);
  // The same two of one mask that is large, cut into strips of rows.
  void (*largest_in_strips)(const MaskBatch& masks, std::int64_t image, int strips, const Runner&, Region* region);
  void (*all_in_strips)(const MaskBatch& masks, std::int64_t image, int strips, const Runner&,
                        void (*emit)(void* context, const Region&), void* context);
  // Class activation maps [begin, end).
  void (*weighted_sums)(const Features&, const Classes&, std::int64_t begin, std::int64_t end, void* maps);
  // The boxes of maps [begin, end).
  void (*locate)(const Maps&, const Protocol&, std::int64_t begin, std::int64_t end, const Found&);
  // Both at once: of the maps only the size is given, for none is kept.
  void (*localize)(const Features&, const Classes&, const Maps&, const Protocol&, std::int64_t begin, std::int64_t end,
                   const Found&);
  // Thresholded average pooling and its gradient, of planes [begin, end).
  void (*tap_forward)(const Planes&, double threshold, std::int64_t begin, std::int64_t end, const Pooled&);
  void (*tap_backward)(const Planes&, const void* grad, std::int64_t begin, std::int64_t end, const Pooled&, void* out);
  // Levels of score maps [begin, end), and whether each lies in [0, 1].
  void (*score_levels)(const ScoreMaps&, std::int64_t begin, std::int64_t end, std::uint8_t* levels, bool* inside);
  // Adds the scores of maps [begin, end) to the histograms of background (mask 0) and objects (mask 1); whether each
  // lies in [0, 1], and each mask holds 0, 1 and 255 alone.
  void (*score_histogram)(const ScoreMaps&, const std::uint8_t* masks, const Edges&, std::int64_t begin,
                          std::int64_t end, std::int64_t* counts, bool* inside, bool* known);
  // The boxes of maps [begin, end) at every threshold.
  void (*sweep)(const LevelMaps&, const TruthBoxes&, std::int64_t begin, std::int64_t end, const Swept&);
};

// The builds that this processor runs, the plainest first; the last one is in use unless another was chosen.
int core_count();
const Core& core(int i);
const Core& core();
bool choose_core(const char* name);

}  // namespace fastcam

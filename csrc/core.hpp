// What the compiled core offers. core.cpp implements it once per instruction set; dispatch.cpp picks one at run time.
#pragma once

#include <cstdint>

namespace fastcam {

enum class Area { pixels, polygon };

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

struct Core {
  const char* name;
  // The largest region of masks [begin, end).
  void (*largest)(const MaskBatch& masks, std::int64_t begin, std::int64_t end, Region* regions);
  // Every region of one mask, in the raster order of first pixels.
  void (*all)(const MaskBatch& masks, std::int64_t image, void (*emit)(void* context, const Region&), void* context);
};

// The builds that this processor runs, the plainest first; the last one is in use unless another was chosen.
int core_count();
const Core& core(int i);
const Core& core();
bool choose_core(const char* name);

}  // namespace fastcam

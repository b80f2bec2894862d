// otsu   Otsu's threshold of a histogram of levels, in OpenCV's arithmetic
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastcam::FASTCAM_ISA {

inline constexpr int otsu_levels = 256;

// The level that parts `pixels` pixels into two classes, at most it and above it, with the largest variance between
// them: q1 q2 (mu1 - mu2)^2. The order of operations is cv2.threshold's, which decides ties.
inline int otsu(const std::int64_t (&counts)[otsu_levels], std::int64_t pixels) {
  constexpr double epsilon = 1.1920928955078125e-07;  // of float
  const double scale = 1 / static_cast<double>(pixels);
  double mean = 0;
  for (int level = 0; level < otsu_levels; ++level) mean += level * static_cast<double>(counts[level]);
  mean *= scale;
  double share = 0, below = 0, best = 0;  // of the lower class, and its mean
  int found = 0;
  for (int level = 0; level < otsu_levels; ++level) {
    const double part = static_cast<double>(counts[level]) * scale;
    below *= share;
    share += part;
    const double others = 1 - share;
    if (std::min(share, others) < epsilon || std::max(share, others) > 1 - epsilon) continue;
    below = (below + level * part) / share;
    const double above = (mean - share * below) / others;
    const double variance = share * others * (below - above) * (below - above);
    if (variance > best) {
      best = variance;
      found = level;
    }
  }
  return found;
}

}  // namespace fastcam::FASTCAM_ISA

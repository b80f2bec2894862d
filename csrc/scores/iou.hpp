// GroundTruth   the boxes of an image, and the best IoU of a box with any of them
#pragma once

#include <algorithm>
#include <cstdint>

namespace fastcam::FASTCAM_ISA {

// x1 and y1 are the last pixels inside, here and in the truth.
class GroundTruth {
 public:
  GroundTruth(const double* boxes, std::int64_t count) : boxes_(boxes), count_(count) {}

  double best_iou(double x0, double y0, double x1, double y1) const {
    const double area = (x1 - x0 + 1) * (y1 - y0 + 1);
    double best = 0;
    for (const double* t = boxes_; t != boxes_ + 4 * count_; t += 4) {
      const double width = std::max(0.0, std::min(x1, t[2]) - std::max(x0, t[0]) + 1);
      const double height = std::max(0.0, std::min(y1, t[3]) - std::max(y0, t[1]) + 1);
      const double both = width * height;
      const double all = area + (t[2] - t[0] + 1) * (t[3] - t[1] + 1) - both;
      if (all > 0) best = std::max(best, both / all);
    }
    return best;
  }

 private:
  const double* boxes_;
  std::int64_t count_;
};

}  // namespace fastcam::FASTCAM_ISA

// Pace   makes room for an interruption whenever about a million pixels have been worked on, a few milliseconds
#pragma once

#include <cstdint>

#include "core/interruption.hpp"

namespace fastcam::FASTCAM_ISA {

class Pace {
 public:
  void add(std::int64_t pixels) {
    done_ += pixels;
    if (done_ < step) return;
    done_ = 0;
    interruption_point();
  }

 private:
  static constexpr std::int64_t step = std::int64_t{1} << 20;
  std::int64_t done_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

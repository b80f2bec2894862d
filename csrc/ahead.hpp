// What will be read next, brought near piece by piece while something else is computed: memory would stand idle.
#pragma once

#include <cstddef>

namespace fastcam::FASTCAM_ISA {

class Ahead {
 public:
  // From now on every piece() is one of about `pieces`, which together bring `bytes` from `from` on.
  void start(const void* from, std::size_t bytes, int pieces) {
    next_ = static_cast<const char*>(from);
    lines_left_ = static_cast<std::ptrdiff_t>(bytes / line);
    lines_a_piece_ = lines_left_ / pieces + 1;
  }
  void stop() { lines_left_ = 0; }

  void piece() {
    if (lines_left_ <= 0) return;
    constexpr int reading = 0, second_level = 2;
    for (std::ptrdiff_t i = 0; i < lines_a_piece_; ++i, next_ += line) __builtin_prefetch(next_, reading, second_level);
    lines_left_ -= lines_a_piece_;
  }

 private:
  static constexpr std::size_t line = 64;

  const char* next_ = nullptr;
  std::ptrdiff_t lines_left_ = 0, lines_a_piece_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

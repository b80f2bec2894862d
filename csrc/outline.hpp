// The polygon area of one component, holes included, by walking once around it along the edges of its pixels.
#pragma once

#include "components.hpp"

namespace fastcam::FASTCAM_ISA {

inline bool is_set(const Mask& mask, int x, int y) {
  if (x < 0 || y < 0 || x >= mask.width || y >= mask.height) return false;
  const std::uint64_t* row = mask.bits + static_cast<std::size_t>(y) * words_in_row(mask.width);
  return row[x / 64] >> (x % 64) & 1;
}

// Twice the polygon area of the component whose first pixel in raster order is (x, y); set(x, y) tells the mask, also
// one pixel beyond it.
//
// The walk encloses n pixels. Around each corner of a pixel lie four; a 2x2 window counts for the polygon 1 if full and
// 1/2 if one is missing, and for n a quarter of its pixels. Windows on the walk have one pixel where it turns right,
// two where it goes straight, three where it turns left: the polygon has n - right/4 - straight/2 - left/4. Two pixels
// that touch diagonally make two visits to one window, whose sum comes out the same.
template <int Connectivity, class Set>
std::int64_t outline_area2(const Set& set, int x, int y) {
  // Eastwards, south, west, north: the step, and the pixels ahead on the left and on the right of a vertex.
  constexpr int dx[] = {1, 0, -1, 0}, dy[] = {0, 1, 0, -1};
  constexpr int left_x[] = {0, 0, -1, -1}, left_y[] = {-1, 0, 0, -1};
  constexpr int right_x[] = {0, -1, -1, 0}, right_y[] = {0, 0, -1, -1};
  const int start_x = x, start_y = y;
  int heading = 0;
  std::int64_t enclosed = 0, turns = 0, straight = 0;
  do {
    x += dx[heading];
    y += dy[heading];
    enclosed += dy[heading] * x;
    const bool left = set(x + left_x[heading], y + left_y[heading]);
    const bool right = set(x + right_x[heading], y + right_y[heading]);
    if (right && !left) {
      ++straight;
      continue;
    }
    ++turns;
    heading = (left && (right || Connectivity == 8) ? heading + 3 : heading + 1) % 4;
  } while (x != start_x || y != start_y || heading != 0);
  return (4 * enclosed - turns - 2 * straight) / 2;
}

template <int Connectivity>
std::int64_t outline_area2(const Mask& mask, int x, int y) {
  return outline_area2<Connectivity>([&](int at_x, int at_y) { return is_set(mask, at_x, at_y); }, x, y);
}

}  // namespace fastcam::FASTCAM_ISA

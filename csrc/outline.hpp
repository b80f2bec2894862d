// The polygon area of a component or of a hole, by walking once around it along the edges of its pixels.
#pragma once

#include "runs.hpp"

namespace fastcam::FASTCAM_ISA {

inline bool is_set(const Mask& mask, int x, int y) {
  if (x < 0 || y < 0 || x >= mask.width || y >= mask.height) return false;
  return mask.row(y)[x / 64] >> (x % 64) & 1;
}

struct Walk {
  std::int64_t enclosed = 0, turns = 0, straight = 0;  // pixels, and vertices of either kind
};

// Walks from the vertex (x, y) clockwise around what is connected, until it comes back; set(x, y) tells the pixels,
// also one beyond the mask. Headings are eastwards, south, west, north.
template <int Connectivity, class Set>
Walk walk_around(const Set& set, int x, int y, int heading) {
  // The step, and the pixels ahead on the left and on the right of a vertex.
  constexpr int dx[] = {1, 0, -1, 0}, dy[] = {0, 1, 0, -1};
  constexpr int left_x[] = {0, 0, -1, -1}, left_y[] = {-1, 0, 0, -1};
  constexpr int right_x[] = {0, -1, -1, 0}, right_y[] = {0, 0, -1, -1};
  const int start_x = x, start_y = y, start_heading = heading;
  Walk walk;
  do {
    x += dx[heading];
    y += dy[heading];
    walk.enclosed += dy[heading] * x;
    const bool left = set(x + left_x[heading], y + left_y[heading]);
    const bool right = set(x + right_x[heading], y + right_y[heading]);
    if (right && !left) {
      ++walk.straight;
      continue;
    }
    ++walk.turns;
    heading = (left && (right || Connectivity == 8) ? heading + 3 : heading + 1) % 4;
  } while (x != start_x || y != start_y || heading != start_heading);
  return walk;
}

// Twice the polygon area of the component whose first pixel in raster order is (x, y), holes included.
//
// Around each corner of a pixel lie four; a 2x2 window counts for the polygon 1 if full and 1/2 if one is missing, and
// for the n enclosed pixels a quarter of its own. Windows on the walk have one pixel where it turns right, two where it
// goes straight, three where it turns left: the polygon has n - right/4 - straight/2 - left/4. Two pixels that touch
// diagonally make two visits to one window, whose sum comes out the same.
template <int Connectivity, class Set>
std::int64_t outline_area2(const Set& set, int x, int y) {
  const Walk walk = walk_around<Connectivity>(set, x, y, 0);
  return (4 * walk.enclosed - walk.turns - 2 * walk.straight) / 2;
}

template <int Connectivity>
std::int64_t outline_area2(const Mask& mask, int x, int y) {
  return outline_area2<Connectivity>([&](int at_x, int at_y) { return is_set(mask, at_x, at_y); }, x, y);
}

// Twice the area that filling a hole adds to the polygon of the component around it. The vertex (x, y) is the right end
// of an edge below the hole's pixels. A window on the walk gains what it lacks to 1: 1/2 where one pixel of the hole
// lies in it, else 1. Counted as above, that is n + right/4 + straight/2 + left/4.
template <int Connectivity>
std::int64_t hole_area2(const Mask& mask, int x, int y) {
  constexpr int west = 2;
  const auto clear = [&](int at_x, int at_y) { return !is_set(mask, at_x, at_y); };
  const Walk walk = walk_around<12 - Connectivity>(clear, x, y, west);
  return (4 * walk.enclosed + walk.turns + 2 * walk.straight) / 2;
}

}  // namespace fastcam::FASTCAM_ISA

// outline_area2   twice the polygon area of a component, holes included
// hole_area2      twice the area that filling a hole adds to the component around it
//
// Both walk once around the component or the hole, along the edges of its pixels.
#pragma once

#include "masks/bitmask.hpp"

namespace fastcam::FASTCAM_ISA {

struct Walk {
  std::int64_t enclosed = 0, turns = 0, straight = 0;  // enclosed pixels; vertices where the walk turns, and not
};

// Walks clockwise around the pixels that are set and connected, from the vertex (x, y) until it is back there.
// set(x, y) is also asked for pixels just outside of the mask. Headings: 0 is east, 1 south, 2 west, 3 north.
template <int Connectivity, class Set>
Walk walk_around(const Set& set, int x, int y, int heading) {
  // For each heading the step, and the pixels ahead of a vertex on the left and on the right.
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
// Every vertex is the centre of a 2x2 window of pixels. The polygon's area counts a window 1 if all four pixels are set
// and 1/2 if three are; the number n of enclosed pixels counts it a quarter for each set pixel. The two differ on the
// walk only. There a window has one pixel where the walk turns right, two where it goes straight, three where it turns
// left, so the area is n - right/4 - straight/2 - left/4. A window with two diagonal pixels is visited twice, which
// gives the same sum.
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
// of an edge below the hole's pixels. Filling completes every window on the walk: it adds 1/2 where the window has one
// pixel of the hole, else 1. Counted as above, that is n + right/4 + straight/2 + left/4.
template <int Connectivity>
std::int64_t hole_area2(const Mask& mask, int x, int y) {
  constexpr int west = 2;
  const auto clear = [&](int at_x, int at_y) { return !is_set(mask, at_x, at_y); };
  const Walk walk = walk_around<12 - Connectivity>(clear, x, y, west);
  return (4 * walk.enclosed + walk.turns + 2 * walk.straight) / 2;
}

}  // namespace fastcam::FASTCAM_ISA

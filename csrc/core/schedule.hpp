// The functions of Core for a whole batch, on several threads: estimates of what they cost, how the work is cut into
// pieces, and how the pieces are put together. Nothing here knows Python.
#pragma once

#include <cstdint>
#include <vector>

#include "core/core.hpp"

namespace fastcam::schedule {

void largest(const MaskBatch& masks, std::int64_t count, int threads, Region* regions);
// The components of each mask, in the raster order of first pixels.
std::vector<std::vector<Region>> all(const MaskBatch& masks, std::int64_t count, int threads);

void weighted_sums(const Features& features, const Classes& classes, std::int64_t count, int threads, void* maps);
void locate(const Maps& maps, const Protocol& protocol, std::int64_t count, int threads, const Found& found);
void localize(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
              std::int64_t count, int threads, const Found& found);

// The same, but every component of each map, in the raster order of first pixels.
using ObjectsOfMaps = std::vector<std::vector<Object>>;
ObjectsOfMaps locate_all(const Maps& maps, const Protocol& protocol, std::int64_t count, int threads, Found found);
ObjectsOfMaps localize_all(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
                           std::int64_t count, int threads, Found found);
// Those of masks, with the values of their maps (N, H, W).
ObjectsOfMaps objects(const MaskBatch& masks, const double* values, std::int64_t count, int threads);

void tap_forward(const Planes& planes, double threshold, std::int64_t images, int threads, const Pooled& out);
void tap_backward(const Planes& planes, const void* grad, std::int64_t images, int threads, const Pooled& saved,
                  void* out);

void score_levels(const ScoreMaps& maps, std::int64_t count, int threads, std::uint8_t* levels, bool* inside);
void score_histogram(const ScoreMaps& maps, const std::uint8_t* masks, const Edges& edges, std::int64_t count,
                     int threads, std::int64_t* counts, bool* inside, bool* known);
void sweep(const LevelMaps& maps, const TruthBoxes& truth, std::int64_t count, int threads, const Swept& out);

// The component tree of each map, parents after their children.
std::vector<std::vector<Node>> box_trees(const LevelMaps& maps, std::int64_t count, int threads);
void stable_levels(const LevelMaps& maps, std::int64_t count, int threads, std::int64_t* thresholds);

}  // namespace fastcam::schedule

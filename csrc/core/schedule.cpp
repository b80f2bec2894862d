#include "core/schedule.hpp"

#include <algorithm>
#include <mutex>

#include "core/parallel.hpp"

namespace fastcam::schedule {

namespace {

// Costs are estimates for one item on one thread, in nanoseconds.
constexpr double bytes_per_ns = 20;

double element_size(Dtype dtype) {
  return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2;
}

// By rows and by words.
double mask_cost(const MaskBatch& masks) {
  return 8.0 * masks.height + 0.5 * masks.height * ((masks.width + 63) / 64);
}

double reading_cost(const Features& f) {
  return element_size(f.dtype) * f.channels * f.height * f.width / bytes_per_ns + 1;
}

double locating_cost(const Maps& maps) {
  return 0.4 * maps.height * maps.width + 100;
}

// One item is a plane, or an image where interleaved.
double pooling_cost(const Planes& planes) {
  const double values = static_cast<double>(planes.interleaved ? planes.channels * planes.positions : planes.positions);
  return element_size(planes.dtype) * values / bytes_per_ns + 1;
}
std::int64_t items(const Planes& planes, std::int64_t images) {
  return planes.interleaved ? images : images * planes.channels;
}

// How many strips each mask is cut into: one, except where large masks are fewer than the threads.
int strips_of(const MaskBatch& masks, std::int64_t count, int threads) {
  constexpr std::int64_t large = std::int64_t{1} << 22;
  constexpr int fewest_rows = 64;
  if (count >= threads || std::int64_t{masks.height} * masks.width < large) return 1;
  return std::max(1, std::min(threads, masks.height / fewest_rows));
}

Runner on_threads(int& threads) {
  return {[](void* pool, int count, void (*task)(const void*, int), const void* state) {
            ThreadPool::instance().run(count, 1, *static_cast<int*>(pool), [&](std::int64_t begin, std::int64_t end) {
              for (std::int64_t i = begin; i < end; ++i) task(state, static_cast<int>(i));
            });
          },
          &threads};
}

// As parallel_for, in pieces of images_at_once images; of fewer, where some threads would otherwise have nothing to do.
template <class Piece>
void parallel_for_images(std::int64_t count, double cost, int threads, const Piece& piece) {
  const std::int64_t each = (count + threads - 1) / threads;
  const std::int64_t together = std::clamp(each, std::int64_t{1}, std::int64_t{images_at_once});
  parallel_for((count + together - 1) / together, cost * static_cast<double>(together), threads,
               [&](std::int64_t begin, std::int64_t end) { piece(begin * together, std::min(end * together, count)); });
}

Objects into(ObjectsOfMaps& objects) {
  return {[](void* to, std::int64_t map, const Object& object) {
            (*static_cast<ObjectsOfMaps*>(to))[static_cast<std::size_t>(map)].push_back(object);
          },
          &objects};
}

}  // namespace

void largest(const MaskBatch& masks, std::int64_t count, int threads, Region* regions) {
  const int strips = strips_of(masks, count, threads);
  if (strips == 1)
    parallel_for(count, mask_cost(masks), threads,
                 [&](std::int64_t begin, std::int64_t end) { core().largest(masks, begin, end, regions); });
  else
    for (std::int64_t i = 0; i < count; ++i)
      core().largest_in_strips(masks, i, strips, on_threads(threads), regions + i);
}

std::vector<std::vector<Region>> all(const MaskBatch& masks, std::int64_t count, int threads) {
  std::vector<std::vector<Region>> found(static_cast<std::size_t>(count));
  const auto emit = [](void* to, const Region& region) { static_cast<std::vector<Region>*>(to)->push_back(region); };
  const int strips = strips_of(masks, count, threads);
  if (strips == 1)
    parallel_for(count, mask_cost(masks), threads, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t i = begin; i < end; ++i) core().all(masks, i, emit, &found[static_cast<std::size_t>(i)]);
    });
  else
    for (std::int64_t i = 0; i < count; ++i)
      core().all_in_strips(masks, i, strips, on_threads(threads), emit, &found[static_cast<std::size_t>(i)]);
  return found;
}

void weighted_sums(const Features& features, const Classes& classes, std::int64_t count, int threads, void* maps) {
  parallel_for_images(count, reading_cost(features), threads, [&](std::int64_t begin, std::int64_t end) {
    core().weighted_sums(features, classes, begin, end, maps);
  });
}

void locate(const Maps& maps, const Protocol& protocol, std::int64_t count, int threads, const Found& found) {
  parallel_for(count, locating_cost(maps), threads,
               [&](std::int64_t begin, std::int64_t end) { core().locate(maps, protocol, begin, end, found); });
}

void localize(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
              std::int64_t count, int threads, const Found& found) {
  const double cost = reading_cost(features) + locating_cost(maps);
  parallel_for_images(count, cost, threads, [&](std::int64_t begin, std::int64_t end) {
    core().localize(features, classes, maps, protocol, begin, end, found);
  });
}

ObjectsOfMaps locate_all(const Maps& maps, const Protocol& protocol, std::int64_t count, int threads, Found found) {
  ObjectsOfMaps objects(static_cast<std::size_t>(count));
  found.objects = into(objects);
  locate(maps, protocol, count, threads, found);
  return objects;
}

ObjectsOfMaps localize_all(const Features& features, const Classes& classes, const Maps& maps, const Protocol& protocol,
                           std::int64_t count, int threads, Found found) {
  ObjectsOfMaps objects(static_cast<std::size_t>(count));
  found.objects = into(objects);
  localize(features, classes, maps, protocol, count, threads, found);
  return objects;
}

ObjectsOfMaps objects(const MaskBatch& masks, const double* values, std::int64_t count, int threads) {
  ObjectsOfMaps objects(static_cast<std::size_t>(count));
  const double cost = mask_cost(masks) + 1.0 * masks.height * masks.width;
  parallel_for(count, cost, threads, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) core().objects(masks, values, i, into(objects));
  });
  return objects;
}

void tap_forward(const Planes& planes, double threshold, std::int64_t images, int threads, const Pooled& out) {
  parallel_for(items(planes, images), pooling_cost(planes), threads,
               [&](std::int64_t begin, std::int64_t end) { core().tap_forward(planes, threshold, begin, end, out); });
}

void tap_backward(const Planes& planes, const void* grad, std::int64_t images, int threads, const Pooled& saved,
                  void* out) {
  parallel_for(items(planes, images), 2 * pooling_cost(planes), threads, [&](std::int64_t begin, std::int64_t end) {
    core().tap_backward(planes, grad, begin, end, saved, out);
  });
}

void score_levels(const ScoreMaps& maps, std::int64_t count, int threads, std::uint8_t* levels, bool* inside) {
  parallel_for(count, 1.0 * maps.height * maps.width + 100, threads,
               [&](std::int64_t begin, std::int64_t end) { core().score_levels(maps, begin, end, levels, inside); });
}

void score_histogram(const ScoreMaps& maps, const std::uint8_t* masks, const Edges& edges, std::int64_t count,
                     int threads, std::int64_t* counts, bool* inside, bool* known) {
  const auto bins = 2 * (static_cast<std::size_t>(edges.thresholds) + 2);
  std::mutex guard;
  parallel_for(count, 2.0 * maps.height * maps.width + 1000, threads, [&](std::int64_t begin, std::int64_t end) {
    std::vector<std::int64_t> part(bins);
    core().score_histogram(maps, masks, edges, begin, end, part.data(), inside, known);
    const std::lock_guard lock(guard);
    for (std::size_t bin = 0; bin < bins; ++bin) counts[bin] += part[bin];
  });
}

void sweep(const LevelMaps& maps, const TruthBoxes& truth, std::int64_t count, int threads, const Swept& out) {
  parallel_for(count, 4.0 * maps.height * maps.width + 1000, threads,
               [&](std::int64_t begin, std::int64_t end) { core().sweep(maps, truth, begin, end, out); });
}

std::vector<std::vector<Node>> box_trees(const LevelMaps& maps, std::int64_t count, int threads) {
  using Trees = std::vector<std::vector<Node>>;
  Trees trees(static_cast<std::size_t>(count));
  const Nodes to{[](void* into, std::int64_t map, const Node& node) {
                   (*static_cast<Trees*>(into))[static_cast<std::size_t>(map)].push_back(node);
                 },
                 &trees};
  parallel_for(count, 4.0 * maps.height * maps.width + 1000, threads,
               [&](std::int64_t begin, std::int64_t end) { core().box_trees(maps, begin, end, to); });
  return trees;
}

void stable_levels(const LevelMaps& maps, std::int64_t count, int threads, std::int64_t* thresholds) {
  parallel_for(count, 4.0 * maps.height * maps.width + 1000, threads,
               [&](std::int64_t begin, std::int64_t end) { core().stable_levels(maps, begin, end, thresholds); });
}

}  // namespace fastcam::schedule

// The functions of fastcam.h that find boxes: they check what they are given, and nothing is thrown out of them.
#include <algorithm>
#include <new>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "c/protocol.hpp"
#include "core/schedule.hpp"

namespace {

using namespace fastcam;

// As fastcam/sizes.py: boxes are float32, and an index of a pixel has to fit in 31 bits, of a packed one in 32.
constexpr std::int64_t longest_side = 1 << 24, longest_side_of_levels = (1 << 16) - 1;
constexpr std::int64_t most_pixels = std::int64_t{1} << 30, most_pixels_of_mask = std::int64_t{1} << 32;

bool fits(std::int64_t height, std::int64_t width, std::int64_t most) {
  return height > 0 && width > 0 && height <= longest_side && width <= longest_side && height * width <= most;
}

// Whether `count` times `bytes` can lie in memory.
bool can_be(std::int64_t count, std::int64_t bytes) {
  return count <= INT64_MAX / std::max<std::int64_t>(bytes, 1);
}

fastcam_status check_maps(const float* maps, std::int64_t count, int map_height, int map_width, int height, int width,
                          const fastcam_protocol* protocol, int threads) {
  if (protocol == nullptr) return FASTCAM_NULL_POINTER;
  if (count < 0 || threads < 0) return FASTCAM_NEGATIVE_COUNT;
  if (!fits(map_height, map_width, most_pixels) || !fits(height, width, most_pixels)) return FASTCAM_BAD_SIZE;
  if (protocol->fields.threshold == stable_threshold && std::max(height, width) > longest_side_of_levels)
    return FASTCAM_BAD_SIZE;
  if (!can_be(count, std::int64_t{map_height} * map_width * 4)) return FASTCAM_TOO_MUCH_MEMORY;
  return maps == nullptr && count > 0 ? FASTCAM_NULL_POINTER : FASTCAM_OK;
}

// Runs what may throw.
template <class Work>
fastcam_status guarded(const Work& work) noexcept {
  try {
    work();
    return FASTCAM_OK;
  } catch (const std::bad_alloc&) {
    return FASTCAM_NO_MEMORY;
  } catch (const std::length_error&) {
    return FASTCAM_NO_MEMORY;
  } catch (...) {
    return FASTCAM_INTERNAL_ERROR;
  }
}

fastcam_box box_of(const Region& region) {
  return {static_cast<float>(region.x0), static_cast<float>(region.y0), static_cast<float>(region.x1),
          static_cast<float>(region.y1)};
}

fastcam_status boxes_from_masks(const void* masks, bool packed, std::int64_t count, int height, int width,
                                const char* area, int connectivity, int threads, fastcam_box* boxes, double* areas) {
  if (area == nullptr) return FASTCAM_NULL_POINTER;
  if (count < 0 || threads < 0) return FASTCAM_NEGATIVE_COUNT;
  if (!fits(height, width, most_pixels_of_mask)) return FASTCAM_BAD_SIZE;
  if (!can_be(count, std::int64_t{height} * (packed ? (width + 63) / 64 * 8 : width))) return FASTCAM_TOO_MUCH_MEMORY;
  if ((masks == nullptr || boxes == nullptr) && count > 0) return FASTCAM_NULL_POINTER;
  const auto* const word = std::find_if(std::begin(area_words), std::end(area_words),
                                        [&](const Word<Area>& one) { return std::string_view(area) == one.word; });
  if (word == std::end(area_words)) return FASTCAM_BAD_VALUE;
  if (connectivity != 4 && connectivity != 8) return FASTCAM_BAD_VALUE;
  return guarded([&] {
    std::vector<Region> regions(static_cast<std::size_t>(count));
    schedule::largest({masks, packed, height, width, word->value, connectivity}, count, std::max(threads, 1),
                      regions.data());
    std::transform(regions.begin(), regions.end(), boxes, box_of);
    if (areas != nullptr)
      std::transform(regions.begin(), regions.end(), areas, [](const Region& region) { return region.area; });
  });
}

}  // namespace

const char* fastcam_message(fastcam_status status) {
  switch (status) {
    case FASTCAM_OK:
      return "no error";
    case FASTCAM_NULL_POINTER:
      return "an argument that must not be null is null";
    case FASTCAM_NEGATIVE_COUNT:
      return "count, capacity and threads must not be negative";
    case FASTCAM_BAD_SIZE:
      return "each height and width must be at least 1 and at most 2^24 (65535 with threshold=stable), with at most "
             "2^30 pixels in all (2^32 of a mask)";
    case FASTCAM_TOO_MUCH_MEMORY:
      return "so many maps or masks of this size cannot lie in memory";
    case FASTCAM_UNKNOWN_PROTOCOL:
      return "a protocol is named paper, vanilla, authors or wsoleval";
    case FASTCAM_UNKNOWN_FIELD:
      return "a protocol has no field of this name";
    case FASTCAM_BAD_VALUE:
      return "a value that the field cannot have";
    case FASTCAM_OF_ALL_COMPONENTS:
      return "high_threshold acts on all components of a map: fastcam_objects_from_maps takes it";
    case FASTCAM_NO_MEMORY:
      return "scratch memory could not be had";
    case FASTCAM_INTERNAL_ERROR:
      return "a fault of this library";
  }
  return "no status of this library";
}

const char* fastcam_instruction_set(void) {
  return core().name;
}

fastcam_status fastcam_boxes_from_maps(const float* maps, int64_t count, int32_t map_height, int32_t map_width,
                                       int32_t height, int32_t width, const fastcam_protocol* protocol, int32_t threads,
                                       fastcam_box* boxes, double* areas, float* thresholds) {
  static_assert(sizeof(fastcam_box) == sizeof(Box));
  const fastcam_status status = check_maps(maps, count, map_height, map_width, height, width, protocol, threads);
  if (status != FASTCAM_OK) return status;
  if (boxes == nullptr && count > 0) return FASTCAM_NULL_POINTER;
  if (protocol->fields.high_threshold) return FASTCAM_OF_ALL_COMPONENTS;
  return guarded([&] {
    const auto room = static_cast<std::size_t>(count);
    std::vector<Box> found(room);
    std::vector<double> polygons(room);
    std::vector<std::int64_t> pixels(room);
    std::vector<float> limits(room);
    const bool polygon = protocol->fields.area == Area::polygon;
    void* const areas_found = polygon ? static_cast<void*>(polygons.data()) : pixels.data();
    schedule::locate({maps, map_height, map_width, height, width}, protocol->fields, count, std::max(threads, 1),
                     {found.data(), areas_found, limits.data(), nullptr, nullptr});
    std::transform(found.begin(), found.end(), boxes,
                   [](const Box& box) { return fastcam_box{box.x0, box.y0, box.x1, box.y1}; });
    if (areas != nullptr)
      for (std::size_t i = 0; i < room; ++i) areas[i] = polygon ? polygons[i] : static_cast<double>(pixels[i]);
    if (thresholds != nullptr) std::copy(limits.begin(), limits.end(), thresholds);
  });
}

fastcam_status fastcam_objects_from_maps(const float* maps, int64_t count, int32_t map_height, int32_t map_width,
                                         int32_t height, int32_t width, const fastcam_protocol* protocol,
                                         int32_t threads, int64_t capacity, fastcam_object* objects, int64_t* found) {
  const fastcam_status status = check_maps(maps, count, map_height, map_width, height, width, protocol, threads);
  if (status != FASTCAM_OK) return status;
  if (capacity < 0) return FASTCAM_NEGATIVE_COUNT;
  if (found == nullptr || (objects == nullptr && capacity > 0)) return FASTCAM_NULL_POINTER;
  *found = 0;
  return guarded([&] {
    std::vector<float> limits(static_cast<std::size_t>(count));
    const auto of_maps =
        schedule::locate_all({maps, map_height, map_width, height, width}, protocol->fields, count,
                             std::max(threads, 1), {nullptr, nullptr, limits.data(), nullptr, nullptr});
    const bool clipped = protocol->fields.box_end == BoxEnd::clipped, peak = protocol->fields.scores == Scores::peak;
    std::int64_t number = 0;
    for (std::size_t i = 0; i < of_maps.size(); ++i) {
      for (const Object& object : of_maps[i]) {
        if (number++ >= capacity) continue;
        fastcam_box box = box_of(object.region);
        if (clipped) {
          box.x1 = std::min(box.x1, static_cast<float>(width - 1));
          box.y1 = std::min(box.y1, static_cast<float>(height - 1));
        }
        objects[number - 1] = {box, object.region.area, peak ? object.peak : object.mean, static_cast<int64_t>(i)};
      }
    }
    *found = number;
  });
}

fastcam_status fastcam_boxes_from_masks(const uint8_t* masks, int64_t count, int32_t height, int32_t width,
                                        const char* area, int32_t connectivity, int32_t threads, fastcam_box* boxes,
                                        double* areas) {
  return boxes_from_masks(masks, false, count, height, width, area, connectivity, threads, boxes, areas);
}

fastcam_status fastcam_boxes_from_packed_masks(const uint64_t* masks, int64_t count, int32_t height, int32_t width,
                                               const char* area, int32_t connectivity, int32_t threads,
                                               fastcam_box* boxes, double* areas) {
  return boxes_from_masks(masks, true, count, height, width, area, connectivity, threads, boxes, areas);
}

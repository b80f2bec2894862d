/*
 * fastcam: object boxes from class activation maps, without Python and PyTorch. C99.
 *
 *   fastcam_message                what a status means, in English
 *   fastcam_instruction_set        the build of the core in use on this processor
 *   fastcam_protocol_create        a named protocol: how a map becomes a box
 *   fastcam_protocol_set           changes one of its fields
 *   fastcam_protocol_destroy       frees it
 *   fastcam_boxes_from_maps        the box of the largest component of each map
 *   fastcam_objects_from_maps      every component of each map, with its score
 *   fastcam_boxes_from_masks       the box of the largest component of each mask
 *   fastcam_boxes_from_packed_masks  the same, a bit for each pixel
 *
 * What is found equals what the Python package finds, bit for bit. Functions may be called from several threads at
 * once; a protocol may be shared by them as long as nobody changes it. Nothing is kept between calls but scratch memory
 * of each thread, and no function throws, ends the process or prints. Where a status other than FASTCAM_OK comes back,
 * what the outputs hold is undefined.
 *
 * Boxes are x0, y0, x1, y1 in pixels, half-open: x1 and y1 are the first pixels outside.
 */
#ifndef FASTCAM_H
#define FASTCAM_H

#include <stdint.h>

#if defined(_WIN32)
#define FASTCAM_API
#else
#define FASTCAM_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

typedef enum fastcam_status {
  FASTCAM_OK = 0,
  FASTCAM_NULL_POINTER = 1,      /* an argument that must not be null is null */
  FASTCAM_NEGATIVE_COUNT = 2,    /* count, capacity or threads is negative */
  FASTCAM_BAD_SIZE = 3,          /* a height or width is below 1 or too large */
  FASTCAM_TOO_MUCH_MEMORY = 4,   /* so many maps or masks of this size cannot lie in memory */
  FASTCAM_UNKNOWN_PROTOCOL = 5,  /* no protocol has this name */
  FASTCAM_UNKNOWN_FIELD = 6,     /* a protocol has no field of this name */
  FASTCAM_BAD_VALUE = 7,         /* a value that the field cannot have */
  FASTCAM_OF_ALL_COMPONENTS = 8, /* high_threshold is of fastcam_objects_from_maps */
  FASTCAM_NO_MEMORY = 9,         /* scratch memory could not be had */
  FASTCAM_INTERNAL_ERROR = 10    /* a fault of this library */
} fastcam_status;

typedef struct fastcam_box {
  float x0, y0, x1, y1;
} fastcam_box;

typedef struct fastcam_object {
  fastcam_box box;
  double area;   /* pixels, or of the polygon, as the protocol says */
  double score;  /* the map's peak under the component, or its mean */
  int64_t image; /* the number of the map */
} fastcam_object;

typedef struct fastcam_protocol fastcam_protocol;

/* What a status means, in English. Never null; the text is constant. */
FASTCAM_API const char* fastcam_message(fastcam_status status);

/* "baseline", "avx2" or "avx512". */
FASTCAM_API const char* fastcam_instruction_set(void);

/* Creates one of the protocols "paper", "vanilla", "authors" and "wsoleval", as fastcam.protocol defines them. */
FASTCAM_API fastcam_status fastcam_protocol_create(const char* name, fastcam_protocol** protocol);

/*
 * Sets a field of fastcam.Protocol by its name to a value in its words: ("threshold", "0.2"), ("threshold", "otsu"),
 * ("area", "polygon"), ("quantize", "true"), ("high_threshold", "none"). The fields are those that act between a map
 * and its boxes: interpolation, normalize, quantize, percentile, base_percentile, threshold, high_threshold, area,
 * connectivity, box_end, empty and scores. Numbers are written with a point, whatever the locale.
 */
FASTCAM_API fastcam_status fastcam_protocol_set(fastcam_protocol* protocol, const char* field, const char* value);

/* Frees a protocol; null is allowed. */
FASTCAM_API void fastcam_protocol_destroy(fastcam_protocol* protocol);

/*
 * The box of the largest component of each map.
 *
 *   maps         count maps of map_height times map_width floats, one after the other. May hold NaN and infinities.
 *   height, width  the size that the maps are resized to and that the boxes refer to.
 *   threads      how many threads may be used; 0 and 1: only this one.
 *   boxes        count boxes: 0, 0, 0, 0 where nothing is kept, or the whole image, as the protocol says.
 *   areas        count numbers, or null.
 *   thresholds   count numbers, what the pixels of each component exceed, or null.
 */
FASTCAM_API fastcam_status fastcam_boxes_from_maps(const float* maps, int64_t count, int32_t map_height,
                                                   int32_t map_width, int32_t height, int32_t width,
                                                   const fastcam_protocol* protocol, int32_t threads,
                                                   fastcam_box* boxes, double* areas, float* thresholds);

/*
 * Every component of each map, map by map, in the raster order of first pixels. The first `capacity` are written to
 * `objects`, which may be null where capacity is 0. `found` tells how many there are: if more, call again with room.
 */
FASTCAM_API fastcam_status fastcam_objects_from_maps(const float* maps, int64_t count, int32_t map_height,
                                                     int32_t map_width, int32_t height, int32_t width,
                                                     const fastcam_protocol* protocol, int32_t threads,
                                                     int64_t capacity, fastcam_object* objects, int64_t* found);

/*
 * The box of the largest component of each mask; 0, 0, 0, 0 and the area 0 where it has no pixel.
 *
 *   masks         count masks of height times width bytes, set where not 0.
 *   area          "pixels", or "polygon": the area of the outer contour through the pixel centres.
 *   connectivity  8 or 4.
 *   areas         count numbers, or null.
 */
FASTCAM_API fastcam_status fastcam_boxes_from_masks(const uint8_t* masks, int64_t count, int32_t height, int32_t width,
                                                    const char* area, int32_t connectivity, int32_t threads,
                                                    fastcam_box* boxes, double* areas);

/* The same for masks of height times (width + 63) / 64 words: pixel x of a row is bit x % 64 of word x / 64. */
FASTCAM_API fastcam_status fastcam_boxes_from_packed_masks(const uint64_t* masks, int64_t count, int32_t height,
                                                           int32_t width, const char* area, int32_t connectivity,
                                                           int32_t threads, fastcam_box* boxes, double* areas);

#ifdef __cplusplus
}
#endif

#endif

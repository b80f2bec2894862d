/*
 * Boxes from heat maps in C.
 *
 *   cc maps_to_boxes.c $(pkg-config --cflags --libs fastcam) -o maps_to_boxes && ./maps_to_boxes
 */
#include <fastcam.h>
#include <stdio.h>

static int failed(fastcam_status status) {
  if (status != FASTCAM_OK) fprintf(stderr, "fastcam: %s\n", fastcam_message(status));
  return status != FASTCAM_OK;
}

int main(void) {
  /* A map of 4x6, as the last layer of a classifier gives it, with two warm places. */
  static const float map[4 * 6] = {
      0.0f, 0.1f, 0.1f, 0.0f, 0.0f, 0.0f, /* */
      0.1f, 0.9f, 0.8f, 0.1f, 0.0f, 0.1f, /* */
      0.1f, 0.8f, 0.7f, 0.1f, 0.1f, 0.6f, /* */
      0.0f, 0.1f, 0.1f, 0.0f, 0.1f, 0.5f,
  };
  fastcam_protocol* protocol;
  fastcam_box box;
  fastcam_object objects[8];
  double area;
  float threshold;
  int64_t found, i;
  int wrong;

  if (failed(fastcam_protocol_create("paper", &protocol))) return 1;
  wrong = failed(fastcam_protocol_set(protocol, "threshold", "0.5")) ||
          failed(fastcam_boxes_from_maps(map, 1, 4, 6, 128, 192, protocol, 1, &box, &area, &threshold)) ||
          failed(fastcam_objects_from_maps(map, 1, 4, 6, 128, 192, protocol, 1, 8, objects, &found));
  fastcam_protocol_destroy(protocol);
  if (wrong) return 1;

  printf("largest: %g %g %g %g, %g pixels above %.4f\n", box.x0, box.y0, box.x1, box.y1, area, threshold);
  for (i = 0; i < found; ++i)
    printf("object: %g %g %g %g, score %.4f\n", objects[i].box.x0, objects[i].box.y0, objects[i].box.x1,
           objects[i].box.y1, objects[i].score);
  return 0;
}

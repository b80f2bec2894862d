// struct Protocol          the choices between a map and its box, with the names and words of fastcam.Protocol
// Protocol::visit(p, v)    calls v for every field of p
//
// The fields and their words stand here alone: the binding and its list of names are made from visit(). A new field is
// a member, a line of visit(), and the code that uses it.
#pragma once

#include <optional>

namespace fastcam {

enum class Interpolation { bilinear, bicubic };
enum class Normalize { none, minmax, max, percentile, pas, ivr };
enum class Area { pixels, polygon };
enum class BoxEnd { exclusive, clipped };
enum class Empty { zeros, image };
enum class Scores { peak, mean };

// A value of a field, and the word for it in Python.
template <class T>
struct Word {
  T value;
  const char* word;
};

inline constexpr Word<Interpolation> interpolation_words[] = {{Interpolation::bilinear, "bilinear"},
                                                              {Interpolation::bicubic, "bicubic"}};
inline constexpr Word<Normalize> normalize_words[] = {{Normalize::none, "none"}, {Normalize::minmax, "minmax"},
                                                      {Normalize::max, "max"},   {Normalize::percentile, "percentile"},
                                                      {Normalize::pas, "pas"},   {Normalize::ivr, "ivr"}};
inline constexpr Word<Area> area_words[] = {{Area::pixels, "pixels"}, {Area::polygon, "polygon"}};
inline constexpr Word<BoxEnd> box_end_words[] = {{BoxEnd::exclusive, "exclusive"}, {BoxEnd::clipped, "clipped"}};
inline constexpr Word<Empty> empty_words[] = {{Empty::zeros, "zeros"}, {Empty::image, "image"}};
inline constexpr Word<Scores> scores_words[] = {{Scores::peak, "peak"}, {Scores::mean, "mean"}};
inline constexpr int connectivities[] = {4, 8};

// In place of a threshold: the rule that finds it, from the map's levels.
inline constexpr double otsu_threshold = -1, stable_threshold = -2;

struct Protocol {
  bool clamp_negative;
  Interpolation interpolation;
  Normalize normalize;
  bool quantize;
  double percentile;
  double threshold;  // or otsu_threshold, stable_threshold
  Area area;
  int connectivity;
  BoxEnd box_end;
  Empty empty;
  Scores scores;
  std::optional<double> high_threshold;
  double base_percentile;  // of Normalize::ivr

  // Calls visitor(name, field), or visitor(name, field, its possible values).
  template <class Visitor>
  static void visit(Protocol& p, const Visitor& visitor) {
    visitor("clamp_negative", p.clamp_negative);
    visitor("interpolation", p.interpolation, interpolation_words);
    visitor("normalize", p.normalize, normalize_words);
    visitor("quantize", p.quantize);
    visitor("percentile", p.percentile);
    visitor("threshold", p.threshold);
    visitor("area", p.area, area_words);
    visitor("connectivity", p.connectivity, connectivities);
    visitor("box_end", p.box_end, box_end_words);
    visitor("empty", p.empty, empty_words);
    visitor("scores", p.scores, scores_words);
    visitor("high_threshold", p.high_threshold);
    visitor("base_percentile", p.base_percentile);
  }
};

}  // namespace fastcam

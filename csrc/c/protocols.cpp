// The named protocols of fastcam.protocol, and a protocol's fields from their words.
#include <algorithm>
#include <charconv>
#include <new>
#include <string_view>

#include "c/protocol.hpp"

namespace {

using namespace fastcam;

// The values of fastcam.Protocol; the tests compare all of them with those of the Python package.
constexpr Protocol paper{true, Interpolation::bilinear, Normalize::none, false,        90,           0.35, Area::pixels,
                         8,    BoxEnd::exclusive,       Empty::zeros,    Scores::peak, std::nullopt, 45};

constexpr Protocol vanilla = [] {
  Protocol p = paper;
  p.clamp_negative = false;
  p.percentile = 100;
  p.threshold = 0.2;
  return p;
}();

constexpr Protocol authors = [] {
  Protocol p = paper;
  p.interpolation = Interpolation::bicubic;
  p.normalize = Normalize::minmax;
  p.quantize = true;
  p.area = Area::polygon;
  p.empty = Empty::image;
  return p;
}();

constexpr Protocol wsoleval = [] {
  Protocol p = authors;
  p.clamp_negative = false;
  p.percentile = 100;
  p.threshold = 0.2;
  p.box_end = BoxEnd::clipped;
  p.empty = Empty::zeros;
  return p;
}();

struct Named {
  std::string_view name;
  const Protocol& protocol;
};
constexpr Named all_named[] = {{"paper", paper}, {"vanilla", vanilla}, {"authors", authors}, {"wsoleval", wsoleval}};

// Writes a value to a field, as Protocol::visit calls it for every field.
class FieldWriter {
 public:
  FieldWriter(std::string_view name, std::string_view value) : name_(name), value_(value) {}

  fastcam_status status() const { return status_; }

  void operator()(std::string_view name, bool& field) {
    if (name != name_) return;
    read(value_ == "true" || value_ == "false", field, value_ == "true");
  }
  void operator()(std::string_view name, double& field) {
    if (name != name_) return;
    const bool rule = name == "threshold" && (value_ == "otsu" || value_ == "stable");
    if (rule) return read(true, field, value_ == "otsu" ? otsu_threshold : stable_threshold);
    double number = 0;
    const double most = name == "threshold" || name == "high_threshold" ? 1 : 100;
    read(is_number(number) && number >= 0 && number <= most, field, number);
  }
  void operator()(std::string_view name, std::optional<double>& field) {
    if (name != name_) return;
    if (value_ == "none") return read(true, field, std::optional<double>());
    double number = 0;
    (*this)(name, number);
    if (status_ == FASTCAM_OK) field = number;
  }
  template <std::size_t N>
  void operator()(std::string_view name, int& field, const int (&choices)[N]) {
    if (name != name_) return;
    double number = 0;
    const bool known = is_number(number) && std::find(choices, choices + N, number) != choices + N;
    read(known, field, static_cast<int>(number));
  }
  template <class T, std::size_t N>
  void operator()(std::string_view name, T& field, const Word<T> (&words)[N]) {
    if (name != name_) return;
    const auto* word = std::find_if(words, words + N, [&](const Word<T>& one) { return value_ == one.word; });
    read(word != words + N, field, word != words + N ? word->value : field);
  }

 private:
  bool is_number(double& number) const {
    const auto [end, error] = std::from_chars(value_.data(), value_.data() + value_.size(), number);
    return error == std::errc() && end == value_.data() + value_.size();
  }
  template <class T>
  void read(bool valid, T& field, const T& value) {
    status_ = valid ? FASTCAM_OK : FASTCAM_BAD_VALUE;
    if (valid) field = value;
  }

  const std::string_view name_, value_;
  fastcam_status status_ = FASTCAM_UNKNOWN_FIELD;
};

}  // namespace

fastcam_status fastcam_protocol_create(const char* name, fastcam_protocol** protocol) {
  if (name == nullptr || protocol == nullptr) return FASTCAM_NULL_POINTER;
  *protocol = nullptr;
  for (const Named& one : all_named) {
    if (one.name != name) continue;
    *protocol = new (std::nothrow) fastcam_protocol{one.protocol};
    return *protocol == nullptr ? FASTCAM_NO_MEMORY : FASTCAM_OK;
  }
  return FASTCAM_UNKNOWN_PROTOCOL;
}

fastcam_status fastcam_protocol_set(fastcam_protocol* protocol, const char* field, const char* value) {
  if (protocol == nullptr || field == nullptr || value == nullptr) return FASTCAM_NULL_POINTER;
  FieldWriter writer(field, value);
  Protocol changed = protocol->fields;
  Protocol::visit(changed, [&](const char* name, auto& one, const auto&... words) { writer(name, one, words...); });
  if (writer.status() != FASTCAM_OK) return writer.status();
  if (changed.high_threshold && *changed.high_threshold < changed.threshold) return FASTCAM_BAD_VALUE;
  protocol->fields = changed;
  return FASTCAM_OK;
}

void fastcam_protocol_destroy(fastcam_protocol* protocol) {
  delete protocol;
}

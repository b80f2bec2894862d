// protocol_of      a Protocol from Python's keywords
// protocol_fields  the names of its fields
// area_of          an Area from its word
//
// All are made from Protocol::visit and the words in protocol.hpp. Errors name the field, what came and what is
// expected.
#pragma once

#include <pybind11/pybind11.h>

#include <optional>
#include <string>
#include <string_view>

#include "core/protocol.hpp"

namespace fastcam {

namespace py = pybind11;

template <class Error>
[[noreturn]] void refuse(const char* name, const std::string& expected, const py::handle& value) {
  throw Error(std::string(name) + " must be " + expected + ", got " + py::repr(value).cast<std::string>());
}

template <class T, std::size_t N>
T value_of(const char* name, std::string_view given, const Word<T> (&words)[N]) {
  std::string expected;
  for (const Word<T>& choice : words) {
    if (given == choice.word) return choice.value;
    expected += std::string(expected.empty() ? "'" : ", '") + choice.word + "'";
  }
  refuse<py::value_error>(name, "one of " + expected, py::str(given.data(), given.size()));
}

inline Area area_of(std::string_view word) {
  return value_of("area", word, area_words);
}

// Reads one field, as Protocol::visit calls it.
struct FieldReader {
  const py::kwargs& given;

  void operator()(const char* name, bool& field) const {
    const py::object value = of(name);
    if (!py::isinstance<py::bool_>(value)) refuse<py::type_error>(name, "a bool", value);
    field = value.cast<bool>();
  }
  void operator()(const char* name, double& field) const {
    const py::object value = of(name);
    if (!py::isinstance<py::float_>(value) && !py::isinstance<py::int_>(value))
      refuse<py::type_error>(name, "a number", value);
    field = value.cast<double>();
  }
  void operator()(const char* name, std::optional<double>& field) const {
    if (of(name).is_none()) return;
    (*this)(name, field.emplace());
  }
  template <std::size_t N>
  void operator()(const char* name, int& field, const int (&choices)[N]) const {
    const py::object value = of(name);
    std::string expected;
    for (const int choice : choices) {
      field = choice;
      if (py::isinstance<py::int_>(value) && value.equal(py::int_(choice))) return;
      expected += (expected.empty() ? "" : ", ") + std::to_string(choice);
    }
    refuse<py::value_error>(name, "one of " + expected, value);
  }
  template <class T, std::size_t N>
  void operator()(const char* name, T& field, const Word<T> (&words)[N]) const {
    const py::object value = of(name);
    if (!py::isinstance<py::str>(value)) refuse<py::type_error>(name, "a str", value);
    field = value_of(name, value.cast<std::string>(), words);
  }

 private:
  py::object of(const char* name) const {
    if (!given.contains(name)) throw py::type_error(std::string("Protocol needs the field ") + name);
    return given[name];
  }
};

inline py::tuple protocol_fields() {
  py::list names;
  Protocol protocol{};
  Protocol::visit(protocol, [&](const char* name, const auto&...) { names.append(name); });
  return py::tuple(names);
}

inline Protocol protocol_of(const py::kwargs& given) {
  Protocol protocol{};
  Protocol::visit(protocol, FieldReader{given});
  const py::tuple fields = protocol_fields();
  for (const auto& [name, value] : given)
    if (!fields.contains(name)) throw py::type_error("Protocol has no field " + name.cast<std::string>());
  return protocol;
}

}  // namespace fastcam

// at, require        addresses in place of tensors
// Working            the state in which the core works
// features_at, ...   the core's structs of what Python gives
// bind_ragged        the bindings of ragged.cpp
//
// What module.cpp and ragged.cpp share.
#pragma once

#include <pybind11/pybind11.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#else
#include <pthread.h>
#endif

#include <cstdint>
#include <string>
#include <tuple>

#include "core/core.hpp"
#include "core/interruption.hpp"

namespace fastcam {

namespace py = pybind11;

using Address = std::uintptr_t;
using Shape = std::tuple<int, int, int>;
using Strides = std::tuple<std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
using Size = std::tuple<int, int>;

template <class T>
T* at(Address address) {
  return reinterpret_cast<T*>(address);  // NOLINT: that is what an address is for
}

// A tensor that has elements has an address, unless its storage was freed.
inline void require(const char* name, Address address, bool elements) {
  if (elements && address == 0)
    throw py::value_error(std::string(name) + " must have its memory, got a tensor whose storage was freed");
}

// Python's handlers of signals run on its main thread alone: the first one of the process.
inline bool on_main_thread() {
#if defined(__linux__)
  return syscall(SYS_gettid) == getpid();
#else
  return pthread_main_np() != 0;
#endif
}

// Runs the handlers of the signals that have come. If one of them raises, so does the call: the error is set.
inline bool interrupted() {
  if (!on_main_thread()) return false;
  const py::gil_scoped_acquire held;
  return PyErr_CheckSignals() != 0;
}

// While the core works, other threads of Python may run, and a signal may end it.
struct Working {
  const py::gil_scoped_release released;
  const Call call{interrupted};
};

inline void write_box(const Region& region, float* box) {
  box[0] = static_cast<float>(region.x0);
  box[1] = static_cast<float>(region.y0);
  box[2] = static_cast<float>(region.x1);
  box[3] = static_cast<float>(region.y1);
}

inline Features features_at(Address data, int dtype, const Shape& shape, const Strides& strides) {
  const auto [channels, height, width] = shape;
  const auto [n, c, h, w] = strides;
  return {at<const void>(data), static_cast<Dtype>(dtype), channels, height, width, n, c, h, w};
}

inline void require_sums(Address data, const Shape& shape, Address weight, std::int64_t rows, std::int64_t count) {
  const bool channels = std::get<0>(shape) > 0;
  require("features", data, count > 0 && channels);
  require("weight", weight, rows > 0 && channels);
}

inline Found found_at(Address boxes, Address areas, Address thresholds, Address maps, Address masks) {
  return {at<Box>(boxes), at<void>(areas), at<float>(thresholds), at<void>(maps), at<std::uint8_t>(masks)};
}

void bind_ragged(py::module_& m);

}  // namespace fastcam

// Axis<Kernel>        where the output positions of a resize fall among the input positions, and with which factors
// TorchKernel         bilinear, or Keys' cubic with a = -0.75, in PyTorch's arithmetic
// OpenCVKernel        Keys' cubic in the arithmetic of OpenCV's INTER_CUBIC
// cubic_span          one span of output positions of a row
// cubic_row           one output row of four input rows
//
// Pixel centres lie half-way between the pixel's borders, and the border of the map is replicated. Both kernels mean
// the same positions and factors, and round them in different places.
#pragma once

#include <algorithm>
#include <cmath>

#include "core/protocol.hpp"
#include "vector/buffer.hpp"
#include "vector/simd.hpp"

namespace fastcam::FASTCAM_ISA {

// An output position: the input position at or before it, and the factors of the input positions around it.
template <class T>
struct Position {
  int first;
  T factors[4];
};

// Every stride-th of `to` output positions among `from` input positions.
struct TorchKernel {
  using Factor = float;
  int from = 0, to = 0, stride = 1;
  Interpolation interpolation = Interpolation::bilinear;

  bool operator==(const TorchKernel&) const = default;
  int count() const { return to / stride; }
  bool cubic() const { return interpolation == Interpolation::bicubic; }
  int factors() const { return cubic() ? 4 : 1; }

  Position<float> position(int i) const {
    double source = (i * stride + stride / 2 + 0.5) * from / to - 0.5;
    if (!cubic()) source = std::min(std::max(source, 0.0), from - 1.0);
    const double floor = std::floor(source), t = source - floor;
    if (!cubic()) return {static_cast<int>(floor), {static_cast<float>(t)}};
    return {static_cast<int>(floor),
            {static_cast<float>(outer(t + 1)), static_cast<float>(inner(t)), static_cast<float>(inner(1 - t)),
             static_cast<float>(outer(2 - t))}};
  }

 private:
  // Keys' kernel at a distance of up to 1, and of 1 to 2.
  static double inner(double d) { return ((-0.75 + 2) * d - (-0.75 + 3)) * d * d + 1; }
  static double outer(double d) { return ((-0.75 * d - 5 * -0.75) * d + 8 * -0.75) * d - 4 * -0.75; }
};

struct OpenCVKernel {
  using Factor = double;
  int from = 0, to = 0;

  bool operator==(const OpenCVKernel&) const = default;
  int count() const { return to; }
  int factors() const { return 4; }

  // OpenCV computes positions in double and factors in float.
  Position<double> position(int i) const {
    const auto source = static_cast<float>((i + 0.5) * (static_cast<double>(from) / to) - 0.5);
    const float floor = std::floor(source), t = source - floor;
    const float a = -0.75f, past = t + 1, rest = 1 - t;
    const float w0 = ((a * past - 5 * a) * past + 8 * a) * past - 4 * a;
    const float w1 = ((a + 2) * t - (a + 3)) * t * t + 1;
    const float w2 = ((a + 2) * rest - (a + 3)) * rest * rest + 1;
    const float w3 = 1 - w0 - w1 - w2;
    return {static_cast<int>(floor),
            {static_cast<double>(w0), static_cast<double>(w1), static_cast<double>(w2), static_cast<double>(w3)}};
  }
};

template <class Kernel>
class Axis {
 public:
  using T = typename Kernel::Factor;

  void prepare(const Kernel& kernel) {
    if (kernel == kernel_) return;
    const int count = kernel.count();
    first_.reserve(static_cast<std::size_t>(count));
    spans_.reserve(static_cast<std::size_t>(count) + 1);
    for (auto& factor : factors_) factor.reserve(static_cast<std::size_t>(count) + overrun);
    kernel_ = kernel;
    span_count_ = 0;
    for (int i = 0; i < count; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const Position<T> position = kernel.position(i);
      first_[at] = position.first;
      if (i == 0 || first_[at] != first_[at - 1]) spans_[static_cast<std::size_t>(span_count_++)] = i;
      for (int k = 0; k < kernel.factors(); ++k) factors_[k][at] = position.factors[k];
    }
    spans_[static_cast<std::size_t>(span_count_)] = count;
  }

  // Span s is the output positions [begin(s), begin(s + 1)), which lie between the same two input positions.
  int spans() const { return span_count_; }
  int begin(int s) const { return spans_[static_cast<std::size_t>(s)]; }
  int first(int i) const { return first_[static_cast<std::size_t>(i)]; }
  // The input position `offset` after the first one; beyond the border, the last one there is.
  int tap(int i, int offset) const { return std::min(std::max(first(i) + offset, 0), kernel_.from - 1); }
  // Factor k of all output positions. A vector may be read at any of them.
  const T* factors(int k) const { return factors_[k].data(); }

 private:
  static constexpr std::size_t overrun = 64;

  Kernel kernel_;
  int span_count_ = 0;
  Buffer<int> first_, spans_;
  Buffer<T> factors_[4];
};

// Writes output positions [begin, end) of one span, in whole vectors.
template <class Kernel, class T = typename Kernel::Factor>
FASTCAM_INLINE void cubic_span(const Axis<Kernel>& x, const T* from, int begin, int end, T* out) {
  const T p0 = from[x.tap(begin, -1)], p1 = from[x.tap(begin, 0)];
  const T p2 = from[x.tap(begin, 1)], p3 = from[x.tap(begin, 2)];
  for (int i = begin; i < end; i += lanes<T>) {
    const auto w0 = load(x.factors(0) + i), w1 = load(x.factors(1) + i);
    const auto w2 = load(x.factors(2) + i), w3 = load(x.factors(3) + i);
    store(out + i, ((p0 * w0 + p1 * w1) + p2 * w2) + p3 * w3);
  }
}

// Writes output row i, in whole vectors; row(y) gives input row y, already resized along its width.
template <class Kernel, class Row, class T = typename Kernel::Factor>
FASTCAM_INLINE void cubic_row(const Axis<Kernel>& y, int i, const Row& row, int width, T* out) {
  const T *p0 = row(y.tap(i, -1)), *p1 = row(y.tap(i, 0)), *p2 = row(y.tap(i, 1)), *p3 = row(y.tap(i, 2));
  const T w0 = y.factors(0)[i], w1 = y.factors(1)[i], w2 = y.factors(2)[i], w3 = y.factors(3)[i];
  for (int x = 0; x < width; x += lanes<T>)
    store(out + x, ((load(p0 + x) * w0 + load(p1 + x) * w1) + load(p2 + x) * w2) + load(p3 + x) * w3);
}

}  // namespace fastcam::FASTCAM_ISA

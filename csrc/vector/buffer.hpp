// Buffer<T>  a scratch array that grows
//
// It stands in for std::vector. The linker keeps one copy of a std::vector<T> for all builds of the core, and if that
// were the one for the newest instruction set, older processors would stop. This one is in each build's namespace.
//
// Where there is no memory, reserve() throws std::bad_alloc and the buffer is as it was. What owns buffers and keeps
// them from call to call reserves first and then records what they hold, so that after a failure it holds what it says.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <type_traits>

namespace fastcam::FASTCAM_ISA {

template <class T>
class Buffer {
  static_assert(std::is_trivially_copyable_v<T>);

 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { std::free(data_); }

  // Makes the buffer at least `count` elements long. The old ones stay; the new ones are undefined.
  T* reserve(std::size_t count) {
    if (count > capacity_) {
      const std::size_t grown = count > 2 * capacity_ ? count : 2 * capacity_;
      if (grown > SIZE_MAX / sizeof(T)) throw std::bad_alloc();
      void* moved = std::realloc(data_, grown * sizeof(T));
      if (moved == nullptr) throw std::bad_alloc();
      data_ = static_cast<T*>(moved);
      capacity_ = grown;
    }
    return data_;
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t capacity_ = 0;
};

}  // namespace fastcam::FASTCAM_ISA

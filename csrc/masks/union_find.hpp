// Forest   union-find over labels
// chosen   one of two labels, without a branch
#pragma once

#include <cstdint>
#include <utility>

#include "vector/buffer.hpp"

namespace fastcam::FASTCAM_ISA {

// A parent is always smaller than its children, so roots stay in the order in which they were added.
class Forest {
 public:
  void clear() { size_ = 0; }
  std::uint32_t size() const { return size_; }
  void reserve(std::size_t more) { parent_.reserve(size_ + more); }
  std::uint32_t add() {
    parent_[size_] = size_;
    return size_++;
  }
  // The label that add() would return. It is added only if wanted; space for it must be reserved either way.
  std::uint32_t add_if(bool wanted) {
    const std::uint32_t next = size_;
    parent_[next] = next;
    size_ += wanted;
    return next;
  }
  std::uint32_t parent(std::uint32_t label) const { return parent_[label]; }
  // Calls add(parent, label) for every label that is no root, from the last one down. A label has then received all
  // that its own children have, so in the end every root has the sum of its tree.
  template <class Add>
  void fold(const Add& add) const {
    for (std::uint32_t label = size_; label-- > 0;)
      if (parent_[label] != label) add(parent_[label], label);
  }

  std::uint32_t find(std::uint32_t label) {
    while (parent_[label] != label) {
      parent_[label] = parent_[parent_[label]];
      label = parent_[label];
    }
    return label;
  }
  std::uint32_t unite(std::uint32_t a, std::uint32_t b) {
    a = find(a);
    b = find(b);
    if (a > b) std::swap(a, b);
    parent_[b] = a;
    return a;
  }

 private:
  Buffer<std::uint32_t> parent_;
  std::uint32_t size_ = 0;
};

// yes ? a : b, without a branch, which in noise would be mispredicted every other time.
inline std::uint32_t chosen(bool yes, std::uint32_t a, std::uint32_t b) {
  return b ^ ((a ^ b) & -std::uint32_t{yes});
}

}  // namespace fastcam::FASTCAM_ISA

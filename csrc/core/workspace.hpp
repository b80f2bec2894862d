// Workspace<T>   a thread's instance of what keeps its buffers from call to call
#pragma once

#include <memory>

namespace fastcam::FASTCAM_ISA {

template <class T>
struct OfThread {
  T instance;
  bool in_use = false;
};

// If this were inlined, the compiler would look up its address again, by a call, wherever it lacks a register for it:
// in the innermost loops too.
template <class T>
[[gnu::noinline]] OfThread<T>& of_this_thread() {
  static thread_local OfThread<T> own;
  return own;
}

// What keeps its buffers from call to call: the thread's own instance. While that is in use, another one: a signal
// handler that runs where a call may be interrupted may call the core again.
template <class T>
class Workspace {
 public:
  Workspace() : own_(of_this_thread<T>()), other_(own_.in_use ? new T : nullptr) { own_.in_use = true; }
  ~Workspace() {
    if (other_ == nullptr) own_.in_use = false;
  }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  T& operator*() const { return other_ == nullptr ? own_.instance : *other_; }

 private:
  OfThread<T>& own_;
  const std::unique_ptr<T> other_;
};

}  // namespace fastcam::FASTCAM_ISA

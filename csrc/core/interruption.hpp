// Call                 a call into the core, which may be interrupted
// interruption_point   where that may happen: ends the call by throwing Interrupted
//
// Whether a call is interrupted is asked on the thread that made it, and not often, because the answer costs something.
// The threads that work for the call see its answer. Nothing is inline, because core.cpp is compiled several times.
#pragma once

#include <atomic>
#include <chrono>

namespace fastcam {

struct Interrupted {};

class Call {
 public:
  // This thread works for the call until it ends. `interrupted` may run anything, other calls into the core too.
  explicit Call(bool (*interrupted)());
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // The call that this thread works for, or null.
  static Call* current();

  // Another thread works for a call, which may be null; the one that made it works for it already.
  class Helper {
   public:
    explicit Helper(Call* call);
    ~Helper();
    Helper(const Helper&) = delete;
    Helper& operator=(const Helper&) = delete;

   private:
    Call* const before_;
    const bool made_before_;
  };

  // Whether this thread made the call that it works for.
  static bool made_here();

 private:
  friend void interruption_point();
  void check();

  bool (*const interrupted_)();
  Call* const before_;
  const bool made_before_;
  std::chrono::steady_clock::time_point next_{};  // when to ask again
  std::atomic<bool> ended_{false};
};

void interruption_point();

}  // namespace fastcam

#include "core/interruption.hpp"

namespace fastcam {

namespace {

constexpr auto between_questions = std::chrono::milliseconds(50);

thread_local Call* current_call = nullptr;
thread_local bool made = false;  // whether this thread made the current call

}  // namespace

Call::Call(bool (*interrupted)()) : interrupted_(interrupted), before_(current_call), made_before_(made) {
  current_call = this;
  made = true;
}

Call::~Call() {
  current_call = before_;
  made = made_before_;
}

Call* Call::current() {
  return current_call;
}

bool Call::made_here() {
  return made && current_call != nullptr;
}

Call::Helper::Helper(Call* call) : before_(current_call), made_before_(made) {
  if (call == current_call) return;
  current_call = call;
  made = false;
}

Call::Helper::~Helper() {
  current_call = before_;
  made = made_before_;
}

// The first time nothing is asked, so that a short call pays for nothing but a look at the clock.
void Call::check() {
  if (ended_.load(std::memory_order_relaxed)) throw Interrupted{};
  if (!made) return;
  const auto now = std::chrono::steady_clock::now();
  if (now < next_) return;
  const bool first = next_ == std::chrono::steady_clock::time_point{};
  next_ = now + between_questions;
  if (first || !interrupted_()) return;
  ended_ = true;
  throw Interrupted{};
}

void interruption_point() {
  if (current_call != nullptr) current_call->check();
}

}  // namespace fastcam

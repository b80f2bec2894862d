// An allocation that fails on demand. Loaded before all other libraries, it stands between the core and what allocates
// for it: realloc, from which every Buffer comes, and operator new. Calls from elsewhere pass through.
#include <dlfcn.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>

namespace {

std::atomic<std::uintptr_t> begin{0}, end{0};  // the code whose allocations are counted
std::atomic<long> left{-1}, failed{0};

bool fails(const void* caller) {
  const auto at = reinterpret_cast<std::uintptr_t>(caller);
  if (at < begin || at >= end) return false;
  if (left.fetch_sub(1) != 0) return false;
  ++failed;
  return true;
}

template <class Function>
Function next(const char* name) {
  return reinterpret_cast<Function>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

// The allocation number k from now on fails, of the code in [from, to). A negative k stands for none.
void fail_allocation(std::uintptr_t from, std::uintptr_t to, long k) {
  begin = end = 0;
  left = k;
  failed = 0;
  begin = from;
  end = to;
}

long failed_allocations() { return failed; }

void* realloc(void* old, std::size_t size) {
  static const auto real = next<void* (*)(void*, std::size_t)>("realloc");
  return fails(__builtin_return_address(0)) ? nullptr : real(old, size);
}

}  // extern "C"

void* operator new(std::size_t size) {
  static const auto real = next<void* (*)(std::size_t)>("_Znwm");
  if (fails(__builtin_return_address(0))) throw std::bad_alloc();
  return real(size);
}

void* operator new[](std::size_t size) {
  static const auto real = next<void* (*)(std::size_t)>("_Znam");
  if (fails(__builtin_return_address(0))) throw std::bad_alloc();
  return real(size);
}

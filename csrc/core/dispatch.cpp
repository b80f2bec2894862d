// Chooses the newest instruction set that the processor has.
#include <array>
#include <atomic>
#include <cstring>

#include "core/core.hpp"

namespace fastcam {

namespace baseline {
extern const Core core;
}
#if defined(FASTCAM_AVX2)
namespace avx2 {
extern const Core core;
}
#endif
#if defined(FASTCAM_AVX512)
namespace avx512 {
extern const Core core;
}
#endif

namespace {

struct Runnable {
  std::array<const Core*, 3> cores{};
  int count = 0;

  Runnable() {
    cores[count++] = &baseline::core;
#if defined(FASTCAM_AVX2) || defined(FASTCAM_AVX512)
    __builtin_cpu_init();
    const bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
                    __builtin_cpu_supports("popcnt") && __builtin_cpu_supports("f16c");
#endif
#if defined(FASTCAM_AVX2)
    if (v3) cores[count++] = &avx2::core;
#endif
#if defined(FASTCAM_AVX512)
    if (v3 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2"))
      cores[count++] = &avx512::core;
#endif
  }
};

const Runnable& runnable() {
  static const Runnable instance;
  return instance;
}

std::atomic<const Core*>& chosen() {
  static std::atomic<const Core*> instance{runnable().cores[runnable().count - 1]};
  return instance;
}

}  // namespace

int core_count() {
  return runnable().count;
}
const Core& core(int i) {
  return *runnable().cores[i];
}
const Core& core() {
  return *chosen().load(std::memory_order_relaxed);
}

bool choose_core(const char* name) {
  for (int i = 0; i < core_count(); ++i) {
    if (std::strcmp(core(i).name, name) == 0) {
      chosen() = &core(i);
      return true;
    }
  }
  return false;
}

}  // namespace fastcam

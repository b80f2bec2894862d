// ThreadPool     the threads of the process
// parallel_for   work on a range, cut into pieces where it is large enough
//
// The caller and the workers take pieces in turn. What a piece computes never depends on how many threads there are.
// Between pieces the call may be interrupted (interruption.hpp). What a piece throws, on whichever thread, comes out of
// the call, and the pool can be used again.
#pragma once

#include <dlfcn.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "core/interruption.hpp"

namespace fastcam {

// Calls piece(begin, end) over [0, count) in steps of `grain`, on this thread.
template <class Piece>
void in_steps(std::int64_t count, std::int64_t grain, const Piece& piece) {
  for (std::int64_t begin = 0; begin < count; begin += grain) {
    if (begin > 0) interruption_point();
    piece(begin, std::min(begin + grain, count));
  }
}

// The process that loaded this library.
inline const pid_t loaded_by = getpid();

// One pool for the process. Where PyTorch computes with OpenMP, work runs on OpenMP's threads. After an operator they
// keep their processors busy for some milliseconds, waiting for the next one, and would slow the threads of another
// pool.
class ThreadPool {
 public:
  using Piece = std::function<void(std::int64_t begin, std::int64_t end)>;

  // The pool is never destroyed: at exit its threads sleep, and the system ends them. A forked child has neither these
  // threads nor OpenMP's, and would wait for them forever, so it starts its own.
  static ThreadPool& instance() {
    static std::mutex guard;
    static ThreadPool* pool = nullptr;
    static pid_t owner = 0;
    const std::lock_guard lock(guard);
    if (owner != getpid()) {
      pool = new ThreadPool(getpid() == loaded_by ? openmp() : nullptr);
      owner = getpid();
    }
    return *pool;
  }

  // Runs piece(begin, end) over [0, count) in steps of `grain`, on at most `threads` threads including the caller's. If
  // the pool is busy, the caller works alone.
  void run(std::int64_t count, std::int64_t grain, int threads, const Piece& piece) {
    const std::int64_t pieces = (count + grain - 1) / grain;
    const int helpers = static_cast<int>(std::min<std::int64_t>(threads, pieces)) - 1;
    const Turn turn(busy_);
    if (!turn.taken || helpers < 1) return in_steps(count, grain, piece);
    job_ = {&piece, count, grain, Call::current()};
    next_ = 0;
    error_ = nullptr;
    if (team_ != nullptr)
      team_([](void* pool) { static_cast<ThreadPool*>(pool)->work(); }, this, static_cast<unsigned>(helpers) + 1, 0);
    else
      run_on_workers(helpers);
    if (error_) std::rethrow_exception(error_);
  }

 private:
  // GOMP_parallel, which GNU's and LLVM's OpenMP have: calls function(data) on so many threads.
  using Team = void (*)(void (*function)(void*), void* data, unsigned threads, unsigned flags);

  static Team openmp() { return reinterpret_cast<Team>(dlsym(RTLD_DEFAULT, "GOMP_parallel")); }

  explicit ThreadPool(Team team) : team_(team) {}

  struct Job {
    const Piece* piece = nullptr;
    std::int64_t count = 0;
    std::int64_t grain = 1;
    Call* call = nullptr;
  };

  // Takes the pool, if nobody has it. No mutex: the thread that has it may try again, in a signal handler.
  struct Turn {
    explicit Turn(std::atomic_flag& busy_flag)
        : busy(busy_flag), taken(!busy.test_and_set(std::memory_order_acquire)) {}
    ~Turn() {
      if (taken) busy.clear(std::memory_order_release);
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    std::atomic_flag& busy;
    const bool taken;
  };

  void run_on_workers(int helpers) {
    {
      const std::lock_guard lock(mutex_);
      while (static_cast<int>(workers_.size()) < helpers) {
        const int number = static_cast<int>(workers_.size());
        workers_.emplace_back([this, number] { serve(number); });
      }
      wanted_ = helpers;
      unfinished_ = helpers;
      ++generation_;
    }
    wake_.notify_all();
    work();
    spin_until([this] { return unfinished_ == 0; });
    std::unique_lock lock(mutex_);
    done_.wait(lock, [this] { return unfinished_ == 0; });
  }

  // Waits a little without going to sleep, because waking up takes as long as a small batch. Other threads may run.
  template <class Ready>
  static void spin_until(const Ready& ready) {
    constexpr auto patience = std::chrono::microseconds(50);
    const auto start = std::chrono::steady_clock::now();
    while (!ready() && std::chrono::steady_clock::now() - start < patience) std::this_thread::yield();
  }

  void serve(int number) {
    std::uint64_t seen = 0;
    for (;;) {
      spin_until([&] { return generation_ != seen; });
      {
        std::unique_lock lock(mutex_);
        wake_.wait(lock, [&] { return generation_ != seen; });
        seen = generation_;
        if (number >= wanted_) continue;
      }
      work();
      const std::lock_guard lock(mutex_);
      if (--unfinished_ == 0) done_.notify_one();
    }
  }

  void work() noexcept {
    const Call::Helper helper(job_.call);
    ++working_;
    for (;;) {
      const std::int64_t begin = next_.fetch_add(job_.grain);
      if (begin >= job_.count) break;
      try_to([&] {
        (*job_.piece)(begin, std::min(begin + job_.grain, job_.count));
        interruption_point();
      });
    }
    if (Call::made_here()) await_others();
    {
      const std::lock_guard lock(mutex_);
      --working_;
    }
    alone_.notify_one();
  }

  // The thread that made the call has nothing left to do, but it alone can see that the call is interrupted. It sleeps
  // rather than yield, which would cost it its turn on a busy processor.
  void await_others() noexcept {
    constexpr auto patience = std::chrono::microseconds(200);
    const auto start = std::chrono::steady_clock::now();
    while (working_ > 1 && std::chrono::steady_clock::now() - start < patience) continue;
    while (working_ > 1) {
      {
        std::unique_lock lock(mutex_);
        alone_.wait_for(lock, std::chrono::milliseconds(20), [this] { return working_ <= 1; });
      }
      try_to(interruption_point);
    }
  }

  // Keeps what is thrown, and leaves the pieces that nobody has taken yet. An interruption stands above all else: the
  // caller has been told of it already.
  template <class Task>
  void try_to(const Task& task) noexcept {
    try {
      task();
    } catch (const Interrupted&) {
      give_up(true);
    } catch (...) {
      give_up(false);
    }
  }
  void give_up(bool interrupted) {
    const std::lock_guard lock(mutex_);
    if (interrupted || !error_) error_ = std::current_exception();
    next_ = job_.count;
  }

  const Team team_;
  std::atomic_flag busy_;
  std::mutex mutex_;
  std::condition_variable wake_, done_, alone_;
  std::vector<std::thread> workers_;
  Job job_;
  std::atomic<std::int64_t> next_{0};
  std::atomic<int> working_{0};
  std::exception_ptr error_;
  int wanted_ = 0;
  std::atomic<int> unfinished_{0};
  std::atomic<std::uint64_t> generation_{0};
};

// As ThreadPool::run, but on the caller's thread alone where the work is too small to wake others for it. `cost` is
// about what one item takes, in nanoseconds.
template <class Piece>
void parallel_for(std::int64_t count, double cost, int threads, const Piece& piece) {
  constexpr double worth_waking = 100e3, worth_taking = 25e3, worth_a_look = 1e6;  // ns: of all work, of a piece
  if (count <= 1 || static_cast<double>(count) * cost < worth_waking) return piece(std::int64_t{0}, count);
  if (threads <= 1) return in_steps(count, static_cast<std::int64_t>(worth_a_look / cost) + 1, piece);
  const std::int64_t fair = (count + threads - 1) / threads;
  const auto grain = static_cast<std::int64_t>(worth_taking / cost) + 1;
  ThreadPool::instance().run(count, std::min(fair, grain), threads, piece);
}

}  // namespace fastcam

#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include "ventral/shape.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// A pool of threads that share out numbered chunks of one job at a time.
class ThreadPool {
 public:
  static ThreadPool& instance() {
    static ThreadPool pool;
    return pool;
  }

  int threads() const { return wanted_.load(std::memory_order_relaxed); }

  void set_threads(int n) {
    require(n >= 1, "cpu::set_threads: ", n, " threads; at least 1 is needed");
    require(!inside_job(), "cpu::set_threads: called inside a parallel job");
    const std::lock_guard hold(owner_);
    stop_workers();
    wanted_.store(n, std::memory_order_relaxed);
  }

  /// Runs job(context, i) for every i in [0, chunks), on this thread and the workers; rethrows the first exception.
  /// Inside a job, or while another thread owns the pool, runs on the calling thread alone.
  void run(Index chunks, void (*job)(void*, Index), void* context) {
    if (chunks <= 1 || threads() == 1 || inside_job() || !owner_.try_lock()) {
      for (Index i = 0; i < chunks; ++i) job(context, i);
      return;
    }
    const std::lock_guard hold(owner_, std::adopt_lock);
    if (workers_.empty()) start_workers();
    job_ = job;
    context_ = context;
    chunks_ = chunks;
    const Index n = threads();
    for (Index t = 0; t < n; ++t) shares_[static_cast<std::size_t>(t)].next.store(chunks * t / n, std::memory_order_relaxed);
    working_.store(static_cast<int>(workers_.size()), std::memory_order_relaxed);
    ticket_.fetch_add(1);  // sequentially consistent with sleepers_: either we see a sleeper or it sees the ticket
    if (sleepers_.load() > 0) {
      { const std::lock_guard wake(mutex_); }
      wake_.notify_all();
    }
    take_chunks(0);
    for (unsigned spin = 0; working_.load(std::memory_order_acquire) > 0; ++spin) pause(spin);
    if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
  }

  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

 private:
  static constexpr unsigned spins_before_sleep = 20000;

  ThreadPool() : wanted_(default_threads()) {}
  ~ThreadPool() { stop_workers(); }

  static int default_threads() {
    if (const char* text = std::getenv("VENTRAL_THREADS")) {
      const int n = std::atoi(text);
      require(n >= 1, "VENTRAL_THREADS is '", text, "'; a number of threads of at least 1 is needed");
      return n;
    }
    const unsigned n = std::thread::hardware_concurrency();
    return n ? static_cast<int>(n) : 1;
  }

  static bool& inside_job() {
    static thread_local bool inside = false;
    return inside;
  }

  static void pause(unsigned spin) {
#if defined(__x86_64__) || defined(__i386__)
    if (spin % 64 != 63) return __builtin_ia32_pause();
#endif
    if (spin % 64 == 63) std::this_thread::yield();
  }

  /// The thread's own share first, so that it meets the same data from job to job and finds it in its cache; then what others have left.
  void take_chunks(Index self) {
    inside_job() = true;
    const Index n = threads();
    try {
      for (Index k = 0; k < n; ++k) {
        const Index t = (self + k) % n, last = chunks_ * (t + 1) / n;
        std::atomic<Index>& next = shares_[static_cast<std::size_t>(t)].next;
        for (Index i; next.load(std::memory_order_relaxed) < last && (i = next.fetch_add(1, std::memory_order_relaxed)) < last;) job_(context_, i);
      }
    } catch (...) {
      for (Share& s : shares_) s.next.store(chunks_, std::memory_order_relaxed);
      const std::lock_guard hold(mutex_);
      if (!error_) error_ = std::current_exception();
    }
    inside_job() = false;
  }

  void worker(unsigned seen, Index self) {
    for (;;) {
      for (unsigned spin = 0; ticket_.load(std::memory_order_acquire) == seen && spin < spins_before_sleep; ++spin) pause(spin);
      if (ticket_.load(std::memory_order_acquire) == seen) {
        std::unique_lock hold(mutex_);
        sleepers_.fetch_add(1);
        wake_.wait(hold, [&] { return ticket_.load() != seen; });
        sleepers_.fetch_sub(1);
      }
      ++seen;
      if (stopping_.load(std::memory_order_relaxed)) return;
      take_chunks(self);
      working_.fetch_sub(1, std::memory_order_release);
    }
  }

  void start_workers() {
    const unsigned seen = ticket_.load();
    shares_ = std::vector<Share>(static_cast<std::size_t>(threads()));
    for (int i = 1; i < threads(); ++i) workers_.emplace_back([this, seen, i] { worker(seen, i); });
  }

  void stop_workers() {
    if (workers_.empty()) return;
    stopping_.store(true, std::memory_order_relaxed);
    ticket_.fetch_add(1);
    { const std::lock_guard wake(mutex_); }
    wake_.notify_all();
    for (std::thread& t : workers_) t.join();
    workers_.clear();
    stopping_.store(false, std::memory_order_relaxed);
  }

  std::mutex owner_, mutex_;
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
  std::atomic<int> wanted_;
  std::atomic<unsigned> ticket_{0};
  std::atomic<int> working_{0}, sleepers_{0};
  std::atomic<bool> stopping_{false};
  struct alignas(64) Share {
    std::atomic<Index> next{0};
  };
  std::vector<Share> shares_;  // of each thread, this one first
  Index chunks_ = 0;
  void (*job_)(void*, Index) = nullptr;
  void* context_ = nullptr;
  std::exception_ptr error_;
};

}  // namespace detail

/// Threads that CPU kernels use, the calling one included: VENTRAL_THREADS, else the number of cores.
inline int threads() { return detail::ThreadPool::instance().threads(); }
/// Sets it; results do not depend on it. Throws Error below 1 and inside a parallel job.
inline void set_threads(int n) { detail::ThreadPool::instance().set_threads(n); }

/// Calls body(i) for i in [0, chunks), in parallel and in no fixed order. Cut the work by shape, never by thread count, and combine
/// partial results in chunk order: then the result is the same bits for any number of threads.
template <class Body>
void parallel_for(Index chunks, Body&& body) {
  using Plain = std::remove_reference_t<Body>;
  detail::ThreadPool::instance().run(
      chunks, [](void* context, Index i) { (*static_cast<Plain*>(context))(i); }, const_cast<void*>(static_cast<const void*>(std::addressof(body))));
}

/// Cuts [0, n) into ranges of `grain` elements and calls body(first, last) for each, in parallel.
template <class Body>
void parallel_ranges(Index n, Index grain, Body&& body) {
  grain = grain < 1 ? 1 : grain;
  parallel_for((n + grain - 1) / grain, [&](Index i) { body(i * grain, n < (i + 1) * grain ? n : (i + 1) * grain); });
}

}  // namespace ventral::inline v0::cpu

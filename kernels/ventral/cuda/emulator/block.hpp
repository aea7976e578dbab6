#pragma once
/// A block of threads: one fiber each, all in one OS thread, which go on until they wait for each other.
#include <algorithm>
#include <exception>
#include <utility>

#include "ventral/cuda/emulator/async_queue.hpp"
#include "ventral/cuda/emulator/bulk_queue.hpp"
#include "ventral/cuda/emulator/context.hpp"
#include "ventral/cuda/emulator/grid.hpp"
#include "ventral/cuda/emulator/options.hpp"
#include "ventral/cuda/emulator/product_queue.hpp"
#include "ventral/cuda/emulator/shared_memory.hpp"
#include "ventral/cuda/emulator/stacks.hpp"
#include "ventral/cuda/emulator/vector_types.hpp"
#include "ventral/cuda/emulator/warp.hpp"
#include "ventral/cuda/launch.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

enum class State : unsigned char { fresh, running, at_barrier, in_warp, at_mbarrier, in_warpgroup, exited };

/// One thread of the block.
struct Thread {
  Context context;
  uint3 index{};
  State state = State::fresh;
  Site site{};  ///< where it waits
  Stack* stack = nullptr;
  void* tsan_fiber = nullptr;
  bool keeps_fiber = false;    ///< from block to block, under ThreadSanitizer
  int abandoned = 0;           ///< how often, under ThreadSanitizer
  void* fake_stack = nullptr;  ///< AddressSanitizer's
  AsyncQueue copies;
  const Mbarrier* awaited = nullptr;
  ProductQueue* products = nullptr;  ///< made when there is one
};

/// What __syncthreads_or, _and and _count give.
struct BarrierResult {
  int count = 0, all = 1;
};

class Block {
 public:
  static constexpr unsigned most_threads = 1024;

  /// The one that runs the blocks of even or odd number. ThreadSanitizer sees races between blocks when neighbours have different fibers.
  static Block& of_this_thread(Index number) {
    static thread_local Block even;
    if (!under_tsan || number % 2 == 0) return even;
    static thread_local Block odd;
    return odd;
  }
  /// The block whose kernel this OS thread runs; null outside of kernels.
  static inline constinit thread_local Block* current = nullptr;

  Block();
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  ~Block();

  /// A launch begins.
  void begin(const Launch& launch, void (*body)(void*), void* context, const Options& options);
  /// The blocks of the launch run side by side, and may meet there.
  void join(Grid& grid) { grid_ = &grid; }
  /// Runs one block to its end. Throws what the kernel threw, and CudaError when its threads wait for each other in vain.
  void run(Index number);
  /// The launch ends, also after an error.
  void end();

  // ---- called by kernels
  int barrier(Site site, int predicate);
  VENTRAL_EMULATOR_UNSEEN BarrierResult barrier_result(int which) const { return results_[which]; }
  void meet_grid(unsigned* arrivals, Site site);
  WarpBuffer& warp_operation(unsigned mask, const void* mine, std::size_t bytes, bool vote, Site site);
  void* shared_array(const void* place, std::size_t bytes, const char* name, Site site);
  void* dynamic_shared(Site site);
  VENTRAL_EMULATOR_UNSEEN bool in_shared(const void* p, std::size_t bytes) const { return shared_.holds(p, bytes); }
  VENTRAL_EMULATOR_UNSEEN AsyncQueue& copies() { return threads_[running_].copies; }
  Mbarrier& mbarrier(const void* place, bool for_copies, Site site);
  void init_mbarrier(void* place, unsigned arrivals, Site site);
  void arrive(const void* place, unsigned bytes, Site site);
  void await(const void* place, unsigned parity, Site site);
  void fence_async();
  void copy_box(void* to, const TensorMap& map, const int (&at)[4], const int (&offset)[2], void* place, Site site);
  void copy_pixels(void* to, const TensorMap& map, const int (&at)[4], int right, int down, void* place, Site site);
  ProductQueue& products();
  void meet_warpgroup(Site site);
  /// Whether work that may end now or later ends now.
  VENTRAL_EMULATOR_UNSEEN bool early() { return order_ == Order::lifo || (order_ == Order::random && draw(2)); }
  SharedMemory& shared() { return shared_; }
  VENTRAL_EMULATOR_UNSEEN unsigned thread() const { return running_; }
  VENTRAL_EMULATOR_UNSEEN unsigned lane() const { return running_ & 31; }
  VENTRAL_EMULATOR_UNSEEN bool has_lane(unsigned lane) const { return warps_[running_ / 32].lanes >> lane & 1; }
  /// Throws CudaError that names kernel, shapes, block, thread and, where there is one, the line.
  [[noreturn, gnu::cold]] void fail(const std::string& what, Site site) const;

 private:
  void name_fibers();
  void start(Index number);
  unsigned draw(unsigned n);
  unsigned next();
  unsigned pick();
  void advance(Mbarrier& b);
  void deliver();
  void resume(unsigned from, unsigned to);
  void switch_fiber(Thread& from, Thread& to);
  void suspend();
  void make_ready(unsigned thread);
  void call_kernel();
  void check_exit();
  void run_fiber();
  static void fiber_entry();
  [[gnu::cold]] void abandon_fibers();
  [[gnu::cold]] std::string name(unsigned thread) const;
  [[gnu::cold]] std::string waiters(const Mbarrier& b) const;
  [[gnu::cold]] std::string deadlock() const;
  unsigned find(State state) const;
  unsigned count(State state) const;

  Thread* const threads_;
  Warp* const warps_;
  Thread main_;
  Stack main_stack_;  ///< of the launch, known to AddressSanitizer
  Stacks stacks_;
  SharedMemory shared_;
  Mbarriers mbarriers_;
  BulkQueue in_flight_;
  Meeting meetings_[most_threads / 128];

  const Launch* launch_ = nullptr;
  Grid* grid_ = nullptr;  ///< of a cooperative launch
  void (*body_)(void*) = nullptr;
  void* context_ = nullptr;
  Order order_ = Order::fifo;
  std::uint64_t seed_ = 0, random_ = 0;
  std::exception_ptr error_;
  bool failed_ = false;

  Extent named_{0};  ///< the shape that ThreadSanitizer's fibers have their names from
  unsigned named_count_ = 0;
  unsigned count_ = 0, running_ = 0, exited_ = 0, waiting_ = 0, last_exited_ = 0;
  unsigned ready_[most_threads], ready_first_ = 0, ready_count_ = 0;
  Site barrier_site_{};
  unsigned phase_ = 0, syncs_ = 0;  ///< barriers that all have come to
  BarrierResult results_[2];
  char barrier_tags_[2] = {}, start_tag_ = 0, end_tag_ = 0;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator

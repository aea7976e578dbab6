#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ventral/error.hpp"
#include "ventral/scalar.hpp"
#include "ventral/space.hpp"

#if !defined(VENTRAL_CUDA_EMULATED) && !defined(VENTRAL_CUDA_DEVICE)
#error "link one of the CMake targets ventral::cuda, ventral::cuda_headers and ventral::cuda_emulated, and include ventral/cuda.hpp"
#endif

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// A queue of GPU work, run in order; the handle is a cudaStream_t. Null is CUDA's default stream. A name for a stream, not its owner: see OwnStream.
/// Its type picks `cuda::...::relu_forward(Stream, ...)` over its CPU twin; `math` tells kernels how to multiply, `provider`
/// whose kernels they are.
struct Stream {
  void* handle = nullptr;
  Math math = Math::exact;
  Provider provider = Provider::ventral;
};

/// Whether networks let layers take over those behind them: kernels of another library do nothing besides their own work.
inline bool fuses_epilogues(const Stream& stream) { return stream.provider == Provider::ventral; }

/// While it lives, products of floats that this thread starts are computed as `math` says: what Sequential::math does for one network.
class UseMath {
 public:
  explicit UseMath(Math math);
  ~UseMath();
  UseMath(const UseMath&) = delete;
  UseMath& operator=(const UseMath&) = delete;

 private:
  Math before_;
};

/// While it lives, this thread's layers run the kernels of this provider: what Sequential::provider does for one network. Throws CudaError when the program
/// does not have them.
class UseProvider {
 public:
  explicit UseProvider(Provider provider);
  ~UseProvider();
  UseProvider(const UseProvider&) = delete;
  UseProvider& operator=(const UseProvider&) = delete;

 private:
  Provider before_;
};

class Event;
class Graph;
class OwnStream;
class PinnedMemory;
struct BatchPlace;
struct QueuedLoss;
struct StepPlan;
struct StepReport;
struct StepState;
class StepUpdates;
template <class T>
class SmallNetwork;

/// The memory of the current GPU, or what the emulator has in its place. Allocations come from CUDA's stream-ordered pool and are reused without
/// asking the driver; copies within the device and clearing are queued, copies to and from main memory have ended on return.
/// Throws CudaError: out of memory says what was asked, what is free, and by whom the rest is held.
struct Space {
  using Stream = VENTRAL_CUDA_MODE::Stream;
  using UseMath = VENTRAL_CUDA_MODE::UseMath;
  using UseProvider = VENTRAL_CUDA_MODE::UseProvider;
  // What a captured training step is made of, see capture.hpp.
  using Graph = VENTRAL_CUDA_MODE::Graph;
  using BatchPlace = VENTRAL_CUDA_MODE::BatchPlace;
  using QueuedLoss = VENTRAL_CUDA_MODE::QueuedLoss;
  using StepPlan = VENTRAL_CUDA_MODE::StepPlan;
  using StepReport = VENTRAL_CUDA_MODE::StepReport;
  using StepState = VENTRAL_CUDA_MODE::StepState;
  using StepUpdates = VENTRAL_CUDA_MODE::StepUpdates;
  template <class T>
  using SmallNetwork = VENTRAL_CUDA_MODE::SmallNetwork<T>;
  // What batches come to the device by while it works on others, see data/streamed.hpp.
  using Event = VENTRAL_CUDA_MODE::Event;
  using OwnStream = VENTRAL_CUDA_MODE::OwnStream;
  using PinnedMemory = VENTRAL_CUDA_MODE::PinnedMemory;
  static constexpr const char* name = "cuda";
  /// Element types that kernels exist for; bytes and whole numbers hold masks, positions and labels.
  template <class T>
  static constexpr bool holds = is_one_of<T, float, double, bfloat16, half, unsigned char, signed char, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t>;

  /// The stream that this thread's tensors work on; the default one, or what UseStream, UseMath and UseProvider say.
  static Stream stream();
  static void* allocate(std::size_t bytes);
  static void deallocate(void* p, std::size_t bytes) noexcept;
  static void zero(void* p, std::size_t bytes);
  static void copy(void* to, const void* from, std::size_t bytes);
  static void copy_to_host(void* to, const void* from, std::size_t bytes);
  static void copy_from_host(void* to, const void* from, std::size_t bytes);
};

/// Waits until all work queued on a stream is done. Throws CudaError when a kernel has failed.
void synchronize(Stream stream = Space::stream());

/// A stream of its own, for work beside that of other streams.
class OwnStream {
 public:
  OwnStream();
  ~OwnStream();
  OwnStream(const OwnStream&) = delete;
  OwnStream& operator=(const OwnStream&) = delete;
  operator Stream() const { return stream_; }

 private:
  Stream stream_;
};

/// While it lives, this thread's tensors and layers work on the given stream; their math stays what it was. A tensor is allocated and freed on the stream in use at that moment:
/// what another stream still does with it must have ended (Event::hold, synchronize).
class UseStream {
 public:
  explicit UseStream(Stream stream);
  ~UseStream();
  UseStream(const UseStream&) = delete;
  UseStream& operator=(const UseStream&) = delete;

 private:
  void* before_;
};

/// A mark in a stream: to wait for, from the CPU or from another stream, and to measure time between two of them.
class Event {
 public:
  Event();
  ~Event();
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  /// Marks the work queued so far.
  void record(Stream stream = Space::stream());
  /// The CPU waits for the mark.
  void synchronize() const;
  /// The stream's later work waits for the mark.
  void hold(Stream stream) const;
  /// Milliseconds from one recorded mark to a later one, both passed.
  static double milliseconds(const Event& from, const Event& to);

 private:
  void* handle_ = nullptr;
};

/// Page-locked main memory: what the device copies from by itself, while the CPU and other streams go on. The system has less memory for everything else
/// as long as it is held.
class PinnedMemory {
 public:
  explicit PinnedMemory(std::size_t bytes);
  ~PinnedMemory();
  PinnedMemory(const PinnedMemory&) = delete;
  PinnedMemory& operator=(const PinnedMemory&) = delete;
  unsigned char* data() const { return static_cast<unsigned char*>(data_); }

 private:
  void* data_ = nullptr;
};

/// Queues a copy from page-locked memory to the device. Until the stream has come past it (Event), neither side may be used.
void queue_copy_from_host(Stream stream, void* to, const void* from, std::size_t bytes);

/// Work captured once and run again by one call, a CUDA graph: kernels, copies and clearing on the device, with the arguments they had when captured.
/// So what changes from run to run has to lie in device memory. While it is captured nothing runs, and what needs the CPU is a CudaError: copies to and
/// from main memory, and waiting. Arrays that the work allocates and frees are the graph's own; to keep one is an error: run the work once before, so
/// that it has all it needs, and its kernels are loaded. Arrays that it works on must outlive it and stay where they are.
class Graph {
 public:
  Graph();
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Captures what work() queues on Space::stream(), in place of what was captured before.
  template <class Work>
  void capture(Work&& work) {
    begin();
    try {
      work();
    } catch (...) {
      abandon();
      throw;
    }
    end();
  }
  /// Queues all of it.
  void launch(Stream stream = Space::stream()) const;
  /// How many kernels, copies and clearings; 0 before a capture.
  std::size_t size() const;
  /// Their names in the order of the capture: of kernels as in messages, "copy" and "clear". Kernels of cuBLAS and cuDNN are not among them.
  const std::vector<const char*>& nodes() const;

  struct State;  ///< what each mode keeps

 private:
  void begin();
  void end();
  void abandon() noexcept;
  State* state_;
};

/// Memory of the device in bytes: all of it, what no program holds, and what ventral's tensors hold in how many arrays.
struct MemoryUse {
  std::size_t total = 0, free = 0, tensors = 0, arrays = 0, most = 0;  ///< `most`: the largest value of `tensors` so far
};
MemoryUse memory_use();

/// Whether a device can be used, and its name or what is missing: `NVIDIA H200 (compute capability 9.0, 139.8 GiB)`, `no CUDA driver on this machine`.
struct DeviceStatus {
  bool usable = false;
  std::string text;
};
DeviceStatus device_status();

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

namespace ventral::inline v0 {
/// The namespace of CUDA in this mode, by a name that is the same in all.
namespace gpu = cuda::VENTRAL_CUDA_MODE;
}  // namespace ventral::inline v0

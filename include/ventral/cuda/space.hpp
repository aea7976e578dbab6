#pragma once
#include <cstddef>
#include <cstdint>
#include <string>

#include "ventral/error.hpp"
#include "ventral/scalar.hpp"
#include "ventral/space.hpp"

#if !defined(VENTRAL_CUDA_EMULATED) && !defined(VENTRAL_CUDA_DEVICE)
#error "link one of the CMake targets ventral::cuda, ventral::cuda_headers and ventral::cuda_emulated, and include ventral/cuda.hpp"
#endif

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// A queue of GPU work, run in order; the handle is a cudaStream_t. Null is CUDA's default stream. A name for a stream, not its owner: see OwnStream.
/// Its type picks `cuda::...::relu_forward(Stream, ...)` over its CPU twin; `math` tells kernels how to multiply.
struct Stream {
  void* handle = nullptr;
  Math math = Math::exact;
};

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

/// The memory of the current GPU, or what the emulator has in its place. Allocations come from CUDA's stream-ordered pool and are reused without
/// asking the driver; copies within the device and clearing are queued, copies to and from main memory have ended on return.
/// Throws CudaError: out of memory says what was asked, what is free, and by whom the rest is held.
struct Space {
  using Stream = VENTRAL_CUDA_MODE::Stream;
  using UseMath = VENTRAL_CUDA_MODE::UseMath;
  static constexpr const char* name = "cuda";
  /// Element types that kernels exist for; bytes and whole numbers hold masks, positions and labels.
  template <class T>
  static constexpr bool holds = is_one_of<T, float, double, bfloat16, half, unsigned char, signed char, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t>;

  /// The stream that this thread's tensors work on; the default one, or what UseStream and UseMath say.
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

#pragma once
/// The CUDA runtime behind space.hpp: memory, streams, events and the checks of every call. Included by runtime.cuh.
#include <cuda_runtime.h>

#include <atomic>
#include <cstdlib>
#include <map>
#include <mutex>
#include <utility>

#include "ventral/cuda/capturing.hpp"
#include "ventral/cuda/launch.hpp"
#include "ventral/cuda/provider.hpp"

namespace ventral::inline v0::cuda::device {

namespace detail {

/// What the process holds on the device, for messages.
struct Ledger {
  std::mutex mutex;
  std::map<std::size_t, std::size_t> arrays;  ///< how many of each size in bytes
  std::size_t tensors = 0, count = 0, most = 0;
  std::atomic<const char*> last_kernel{nullptr};

  static Ledger& instance() {
    static Ledger* const ledger = new Ledger;  // outlives tensors of static storage
    return *ledger;
  }
};

[[gnu::cold]] inline std::string mebibytes(std::size_t bytes) {
  return bytes < std::size_t{1} << 20 ? concat(bytes, " bytes") : concat(static_cast<double>(bytes) / 0x1p20, " MiB");
}

/// VENTRAL_SYNC_CHECKS=1: wait after each launch, so that a fault is reported by the kernel that made it.
inline bool sync_checks() {
  static const bool on = [] {
    const char* text = std::getenv("VENTRAL_SYNC_CHECKS");
    return text && *text && *text != '0';
  }();
  return on;
}

inline Stream& current_stream() {
  static thread_local Stream stream;
  return stream;
}

}  // namespace detail

inline cudaStream_t native(Stream stream) { return static_cast<cudaStream_t>(stream.handle); }

/// Throws CudaError unless a CUDA call went well. A fault of an earlier kernel shows here: say so, and how to find it.
inline void check(cudaError_t status, const char* call) {
  if (status == cudaSuccess) [[likely]] return;
  const char* last = detail::Ledger::instance().last_kernel;
  const bool sticky = status == cudaErrorIllegalAddress || status == cudaErrorLaunchFailure || status == cudaErrorMisalignedAddress ||
                      status == cudaErrorIllegalInstruction || status == cudaErrorAssert || status == cudaErrorHardwareStackError;
  throw CudaError(concat(call, ": ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")",
                         !sticky ? "" : concat("; a kernel launched before has failed, the last one was ", last ? last : "none of ventral's",
                                               ". Run again with VENTRAL_SYNC_CHECKS=1 to have it named, or under compute-sanitizer. The device must be started anew")));
}
inline void check(cudaError_t status, const Launch& l) {
  if (status != cudaSuccess) [[unlikely]] throw CudaError(concat("kernel ", to_string(l), " could not be launched: ", cudaGetErrorString(status)));
}
inline void check_launch(Stream stream, const Launch& l) {
  check(cudaPeekAtLastError() == cudaSuccess ? cudaSuccess : cudaGetLastError(), l);
  detail::Ledger::instance().last_kernel = l.kernel;
  detail::note_in_capture(l.kernel);
  if (!detail::sync_checks()) return;
  cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
  if (cudaStreamIsCapturing(native(stream), &capture) == cudaSuccess && capture != cudaStreamCaptureStatusNone) return;
  if (const cudaError_t status = cudaStreamSynchronize(native(stream)); status != cudaSuccess)
    throw CudaError(concat("kernel ", to_string(l), " failed: ", cudaGetErrorString(status), " (", cudaGetErrorName(status), ")"));
}

namespace detail {

/// Lets the pool of the current device keep what is freed, once for each device.
inline void prepare_pool() {
  static std::atomic<std::uint64_t> prepared{0};
  int device = 0;
  if (cudaGetDevice(&device) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    throw CudaError(concat("no GPU memory: ", device_status().text, "; choose_device(\"auto\") finds out before, and uses the CPU"));
  }
  const std::uint64_t bit = std::uint64_t{1} << (device & 63);
  if (prepared.load(std::memory_order_relaxed) & bit) return;
  cudaMemPool_t pool = nullptr;
  check(cudaDeviceGetDefaultMemPool(&pool, device), "cudaDeviceGetDefaultMemPool");
  std::uint64_t all = ~std::uint64_t{0};
  check(cudaMemPoolSetAttribute(pool, cudaMemPoolAttrReleaseThreshold, &all), "cudaMemPoolSetAttribute");
  prepared.fetch_or(bit);
}

/// Bytes that the pool holds beyond what is in use.
inline std::size_t pool_spare() {
  int device = 0;
  cudaMemPool_t pool = nullptr;
  std::uint64_t held = 0, used = 0;
  if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetDefaultMemPool(&pool, device) != cudaSuccess) return 0;
  if (cudaMemPoolGetAttribute(pool, cudaMemPoolAttrReservedMemCurrent, &held) != cudaSuccess) return 0;
  if (cudaMemPoolGetAttribute(pool, cudaMemPoolAttrUsedMemCurrent, &used) != cudaSuccess) return 0;
  return static_cast<std::size_t>(held - used);
}

[[noreturn, gnu::cold]] inline void out_of_memory(std::size_t bytes) {
  static_cast<void>(cudaGetLastError());
  const MemoryUse use = memory_use();
  const std::size_t spare = pool_spare(), held = use.total - use.free, others = held > use.tensors + spare ? held - use.tensors - spare : 0;
  std::string largest;
  {
    Ledger& ledger = Ledger::instance();
    const std::lock_guard hold(ledger.mutex);
    int shown = 0;
    for (auto it = ledger.arrays.rbegin(); it != ledger.arrays.rend() && shown < 3; ++it, ++shown)
      largest += concat(largest.empty() ? "" : ", ", it->second, " of ", mebibytes(it->first));
  }
  throw CudaError(concat("out of GPU memory: ", mebibytes(bytes), " asked, ", mebibytes(use.free), " of ", mebibytes(use.total), " free; ventral's tensors hold ",
                         mebibytes(use.tensors), " in ", use.arrays, " arrays", largest.empty() ? "" : concat(" (the largest: ", largest, ")"), ", its pool ",
                         mebibytes(spare), " to spare, CUDA and other programs ", mebibytes(others)));
}

}  // namespace detail

VENTRAL_CUDA_FUNCTION Stream Space::stream() { return detail::current_stream(); }

namespace detail {

inline void* allocate_on(Stream stream, std::size_t bytes) {
  prepare_pool();
  void* p = nullptr;
  const cudaError_t status = cudaMallocAsync(&p, bytes, native(stream));
  if (status == cudaErrorMemoryAllocation) out_of_memory(bytes);
  check(status, "cudaMallocAsync");
  Ledger& ledger = Ledger::instance();
  const std::lock_guard hold(ledger.mutex);
  ++ledger.arrays[bytes];
  ++ledger.count;
  ledger.tensors += bytes;
  ledger.most = ledger.tensors > ledger.most ? ledger.tensors : ledger.most;
  return p;
}

inline void free_on(Stream stream, void* p, std::size_t bytes) noexcept {
  static_cast<void>(cudaFreeAsync(p, native(stream)));  // fails only when the driver is gone already, at the end of the program
  Ledger& ledger = Ledger::instance();
  const std::lock_guard hold(ledger.mutex);
  if (const auto it = ledger.arrays.find(bytes); it != ledger.arrays.end() && --it->second == 0) ledger.arrays.erase(it);
  --ledger.count;
  ledger.tensors -= bytes;
}

/// An array of the graph's, from the stream outside: on the captured one it would become a part of the graph.
[[gnu::cold]] inline void* allocate_in(Capture& capture, std::size_t bytes) {
  if (void* const p = capture.reuse(bytes)) return p;
  cudaStreamCaptureMode mode = cudaStreamCaptureModeRelaxed;
  check(cudaThreadExchangeStreamCaptureMode(&mode), "cudaThreadExchangeStreamCaptureMode");
  const auto restore = [&] { static_cast<void>(cudaThreadExchangeStreamCaptureMode(&mode)); };
  try {
    capture.arrays.push_back({allocate_on(capture.before, bytes), bytes, true});
  } catch (...) {
    restore();
    throw;
  }
  restore();
  return capture.arrays.back().data;
}

}  // namespace detail

VENTRAL_CUDA_FUNCTION void* Space::allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  detail::Capture* const capture = detail::current_capture();
  return capture ? detail::allocate_in(*capture, bytes) : detail::allocate_on(stream(), bytes);
}
VENTRAL_CUDA_FUNCTION void Space::deallocate(void* p, std::size_t bytes) noexcept {
  if (!p) return;
  if (detail::Capture* const capture = detail::current_capture()) capture->release(p, bytes);
  else detail::free_on(stream(), p, bytes);
}

VENTRAL_CUDA_FUNCTION void Space::zero(void* p, std::size_t bytes) {
  if (!bytes) return;
  check(cudaMemsetAsync(p, 0, bytes, native(stream())), "cudaMemsetAsync");
  detail::note_in_capture("clear");
}
VENTRAL_CUDA_FUNCTION void Space::copy(void* to, const void* from, std::size_t bytes) {
  if (!bytes) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, native(stream())), "cudaMemcpyAsync (device to device)");
  detail::note_in_capture("copy");
}
VENTRAL_CUDA_FUNCTION void Space::copy_to_host(void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("copy_to_host");
  if (!bytes) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, native(stream())), "cudaMemcpyAsync (device to host)");
  check(cudaStreamSynchronize(native(stream())), "cudaStreamSynchronize");
}
VENTRAL_CUDA_FUNCTION void Space::copy_from_host(void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("copy_from_host");
  if (!bytes) return;
  check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, native(stream())), "cudaMemcpyAsync (host to device)");
  check(cudaStreamSynchronize(native(stream())), "cudaStreamSynchronize");
}

VENTRAL_CUDA_FUNCTION PinnedMemory::PinnedMemory(std::size_t bytes) {
  if (bytes) check(cudaMallocHost(&data_, bytes), "cudaMallocHost");
}
VENTRAL_CUDA_FUNCTION PinnedMemory::~PinnedMemory() {
  if (data_) static_cast<void>(cudaFreeHost(data_));
}
VENTRAL_CUDA_FUNCTION void queue_copy_from_host(Stream stream, void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("queue_copy_from_host");
  if (bytes) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, native(stream)), "cudaMemcpyAsync (page-locked to device)");
}

VENTRAL_CUDA_FUNCTION void synchronize(Stream stream) {
  detail::forbid_in_capture("synchronize");
  check(cudaStreamSynchronize(native(stream)), "cudaStreamSynchronize");
}

VENTRAL_CUDA_FUNCTION OwnStream::OwnStream() {
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "cudaStreamCreate");
  stream_.handle = stream;
}
VENTRAL_CUDA_FUNCTION OwnStream::~OwnStream() {
  static_cast<void>(cudaStreamSynchronize(native(stream_)));
  static_cast<void>(cudaStreamDestroy(native(stream_)));
}
VENTRAL_CUDA_FUNCTION UseStream::UseStream(Stream stream) : before_(std::exchange(detail::current_stream().handle, stream.handle)) {}
VENTRAL_CUDA_FUNCTION UseStream::~UseStream() { detail::current_stream().handle = before_; }
VENTRAL_CUDA_FUNCTION UseMath::UseMath(Math math) : before_(std::exchange(detail::current_stream().math, math)) {}
VENTRAL_CUDA_FUNCTION UseMath::~UseMath() { detail::current_stream().math = before_; }
VENTRAL_CUDA_FUNCTION UseProvider::UseProvider(Provider provider) : before_(detail::current_stream().provider) {
  detail::require_provider(provider);
  detail::current_stream().provider = provider;
}
VENTRAL_CUDA_FUNCTION UseProvider::~UseProvider() { detail::current_stream().provider = before_; }

VENTRAL_CUDA_FUNCTION Event::Event() {
  cudaEvent_t event = nullptr;
  check(cudaEventCreate(&event), "cudaEventCreate");
  handle_ = event;
}
VENTRAL_CUDA_FUNCTION Event::~Event() { static_cast<void>(cudaEventDestroy(static_cast<cudaEvent_t>(handle_))); }
VENTRAL_CUDA_FUNCTION void Event::record(Stream stream) { check(cudaEventRecord(static_cast<cudaEvent_t>(handle_), native(stream)), "cudaEventRecord"); }
VENTRAL_CUDA_FUNCTION void Event::synchronize() const {
  detail::forbid_in_capture("Event::synchronize");
  check(cudaEventSynchronize(static_cast<cudaEvent_t>(handle_)), "cudaEventSynchronize");
}
VENTRAL_CUDA_FUNCTION void Event::hold(Stream stream) const { check(cudaStreamWaitEvent(native(stream), static_cast<cudaEvent_t>(handle_), 0), "cudaStreamWaitEvent"); }
VENTRAL_CUDA_FUNCTION double Event::milliseconds(const Event& from, const Event& to) {
  float time = 0;
  check(cudaEventElapsedTime(&time, static_cast<cudaEvent_t>(from.handle_), static_cast<cudaEvent_t>(to.handle_)), "cudaEventElapsedTime");
  return static_cast<double>(time);
}

VENTRAL_CUDA_FUNCTION MemoryUse memory_use() {
  MemoryUse use;
  check(cudaMemGetInfo(&use.free, &use.total), "cudaMemGetInfo");
  detail::Ledger& ledger = detail::Ledger::instance();
  const std::lock_guard hold(ledger.mutex);
  use.tensors = ledger.tensors;
  use.arrays = ledger.count;
  use.most = ledger.most;
  return use;
}

VENTRAL_CUDA_FUNCTION DeviceStatus device_status() {
  int count = 0, driver = 0, pools = 0;
  const cudaError_t status = cudaGetDeviceCount(&count);  // without a driver: cudaErrorInsufficientDriver, and count is not written
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    const bool none = cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0;
    return {false, none ? "no NVIDIA driver on this machine" : concat("no GPU can be used: ", cudaGetErrorString(status))};
  }
  if (count == 0) return {false, "no NVIDIA GPU on this machine"};
  cudaDeviceProp properties{};
  if (const cudaError_t error = cudaGetDeviceProperties(&properties, 0); error != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return {false, concat("the GPU cannot be used: ", cudaGetErrorString(error))};
  }
  const std::string name = concat(static_cast<const char*>(properties.name), " (compute capability ", properties.major, ".", properties.minor, ", ",
                                  detail::mebibytes(properties.totalGlobalMem), ")");
  if (cudaDeviceGetAttribute(&pools, cudaDevAttrMemoryPoolsSupported, 0) != cudaSuccess || !pools)
    return {false, concat(name, " has no memory pools, which ventral allocates from")};
  return {true, name};
}

}  // namespace ventral::inline v0::cuda::device

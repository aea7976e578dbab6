#pragma once
/// What include/ventral/cuda/space.hpp declares, for the emulator: memory, streams and events. All work ends before its call returns.
#include <atomic>
#include <chrono>
#include <utility>

#include "ventral/cuda/emulator/arrays.hpp"

namespace ventral::inline v0::cuda::emulated {

namespace emulator {

inline Stream& current_stream() {
  static thread_local Stream stream;
  return stream;
}

}  // namespace emulator

inline Stream Space::stream() { return emulator::current_stream(); }

inline void* Space::allocate(std::size_t bytes) { return bytes ? emulator::Arrays::instance().allocate(bytes) : nullptr; }

/// Writes beside the array, found only now, end the program with their message: a destructor cannot throw.
inline void Space::deallocate(void* p, std::size_t bytes) noexcept {
  if (p) emulator::Arrays::instance().deallocate(p, bytes);
}

inline void Space::zero(void* p, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_range(p, bytes, "zero");
  std::memset(p, 0, bytes);
}
inline void Space::copy(void* to, const void* from, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_range(to, bytes, "copy, to");
  emulator::Arrays::instance().check_range(from, bytes, "copy, from");
  std::memmove(to, from, bytes);
}
inline void Space::copy_to_host(void* to, const void* from, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_host(to, "copy_to_host, to");
  emulator::Arrays::instance().check_range(from, bytes, "copy_to_host, from");
  std::memcpy(to, from, bytes);
}
inline void Space::copy_from_host(void* to, const void* from, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_range(to, bytes, "copy_from_host, to");
  emulator::Arrays::instance().check_host(from, "copy_from_host, from");
  std::memcpy(to, from, bytes);
}

inline void synchronize(Stream) {}

inline OwnStream::OwnStream() {
  static std::atomic<std::uintptr_t> made{0};
  stream_.handle = reinterpret_cast<void*>(++made);
}
inline OwnStream::~OwnStream() = default;
inline UseStream::UseStream(Stream stream) : before_(std::exchange(emulator::current_stream().handle, stream.handle)) {}
inline UseStream::~UseStream() { emulator::current_stream().handle = before_; }
inline UseMath::UseMath(Math math) : before_(std::exchange(emulator::current_stream().math, math)) {}
inline UseMath::~UseMath() { emulator::current_stream().math = before_; }

namespace emulator {

/// Nanoseconds of the steady clock when an event was recorded; 0 before.
using Mark = std::atomic<std::int64_t>;
inline Mark& mark(void* handle) { return *static_cast<Mark*>(handle); }

}  // namespace emulator

inline Event::Event() : handle_(new emulator::Mark(0)) {}
inline Event::~Event() { delete static_cast<emulator::Mark*>(handle_); }
inline void Event::record(Stream) {
  emulator::mark(handle_) = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline void Event::synchronize() const {}
inline void Event::hold(Stream) const {}
inline double Event::milliseconds(const Event& from, const Event& to) {
  const std::int64_t begin = emulator::mark(from.handle_), end = emulator::mark(to.handle_);
  require<CudaError>(begin && end, "cudaEventElapsedTime: an event has not been recorded");
  return static_cast<double>(end - begin) * 1e-6;
}

inline MemoryUse memory_use() { return emulator::Arrays::instance().use(); }
inline DeviceStatus device_status() { return {true, "emulated on the CPU (tests and debugging; slow)"}; }

}  // namespace ventral::inline v0::cuda::emulated

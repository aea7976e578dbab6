#pragma once
/// What include/ventral/cuda/space.hpp declares, for the emulator: memory, streams and events. All work ends before its call returns, but for copies queued
/// from page-locked memory.
#include <atomic>
#include <chrono>
#include <utility>

#include "ventral/cuda/emulator/graph.hpp"
#include "ventral/cuda/provider.hpp"

namespace ventral::inline v0::cuda::emulated {

namespace emulator {

inline Stream& current_stream() {
  static thread_local Stream stream;
  return stream;
}
/// What this thread's stream does next finds the copies that it has queued before.
inline void deliver_copies() { LateCopies::instance().deliver(current_stream()); }

}  // namespace emulator

inline Stream Space::stream() { return emulator::current_stream(); }

/// In a capture, an array of the graph's, which is fresh in each run.
inline void* Space::allocate(std::size_t bytes) {
  if (bytes == 0) return nullptr;
  detail::Capture* const capture = detail::current_capture();
  void* p = capture ? capture->reuse(bytes) : nullptr;
  if (p) emulator::recorded(nullptr, [=] { emulator::fill_fresh(p, bytes); });
  if (p) return p;
  p = emulator::Arrays::instance().allocate(bytes);
  if (emulator::recorded(nullptr, [=] { emulator::fill_fresh(p, bytes); })) capture->arrays.push_back({p, bytes, true});
  return p;
}

/// Writes beside the array, found only now, end the program with their message: a destructor cannot throw.
inline void Space::deallocate(void* p, std::size_t bytes) noexcept {
  if (!p) return;
  if (detail::Capture* const capture = detail::current_capture()) capture->release(p, bytes);
  else emulator::Arrays::instance().deallocate(p, bytes);
}

inline void Space::zero(void* p, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_range(p, bytes, "zero");
  emulator::deliver_copies();
  if (!emulator::recorded("clear", [=] { zero(p, bytes); })) std::memset(p, 0, bytes);
}
inline void Space::copy(void* to, const void* from, std::size_t bytes) {
  if (!bytes) return;
  emulator::Arrays::instance().check_range(to, bytes, "copy, to");
  emulator::Arrays::instance().check_range(from, bytes, "copy, from");
  emulator::deliver_copies();
  if (!emulator::recorded("copy", [=] { copy(to, from, bytes); })) std::memmove(to, from, bytes);
}
inline void Space::copy_to_host(void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("copy_to_host");
  if (!bytes) return;
  emulator::Arrays::instance().check_host(to, "copy_to_host, to");
  emulator::Arrays::instance().check_range(from, bytes, "copy_to_host, from");
  emulator::deliver_copies();
  std::memcpy(to, from, bytes);
}
inline void Space::copy_from_host(void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("copy_from_host");
  if (!bytes) return;
  emulator::Arrays::instance().check_range(to, bytes, "copy_from_host, to");
  emulator::Arrays::instance().check_host(from, "copy_from_host, from");
  emulator::deliver_copies();
  std::memcpy(to, from, bytes);
}

inline PinnedMemory::PinnedMemory(std::size_t bytes) : data_(::operator new (bytes)) { emulator::LateCopies::instance().lock(data_, bytes); }
inline PinnedMemory::~PinnedMemory() {
  emulator::LateCopies::instance().unlock(data_);
  ::operator delete (data_);
}
inline void queue_copy_from_host(Stream stream, void* to, const void* from, std::size_t bytes) {
  detail::forbid_in_capture("queue_copy_from_host");
  if (bytes) emulator::LateCopies::instance().queue(stream, to, from, bytes);
}

inline void synchronize(Stream stream) {
  detail::forbid_in_capture("synchronize");
  emulator::LateCopies::instance().deliver(stream);
}

inline OwnStream::OwnStream() {
  static std::atomic<std::uintptr_t> made{0};
  stream_.handle = reinterpret_cast<void*>(++made);
}
inline OwnStream::~OwnStream() { emulator::LateCopies::instance().deliver(stream_); }
inline UseStream::UseStream(Stream stream) : before_(std::exchange(emulator::current_stream().handle, stream.handle)) {}
inline UseStream::~UseStream() { emulator::current_stream().handle = before_; }
inline UseMath::UseMath(Math math) : before_(std::exchange(emulator::current_stream().math, math)) {}
inline UseMath::~UseMath() { emulator::current_stream().math = before_; }
inline UseProvider::UseProvider(Provider provider) : before_(emulator::current_stream().provider) {
  detail::require_provider(provider);
  emulator::current_stream().provider = provider;
}
inline UseProvider::~UseProvider() { emulator::current_stream().provider = before_; }

namespace emulator {

/// An event: when it was recorded, in nanoseconds of the steady clock, 0 before; and the last of the stream's copies that it marks.
struct Mark {
  std::atomic<std::int64_t> time{0};
  std::atomic<void*> stream{nullptr};
  std::atomic<std::uint64_t> copy{0};

  void wait() const { LateCopies::instance().deliver(stream, copy); }
};
inline Mark& mark(void* handle) { return *static_cast<Mark*>(handle); }

}  // namespace emulator

inline Event::Event() : handle_(new emulator::Mark) {}
inline Event::~Event() { delete static_cast<emulator::Mark*>(handle_); }
inline void Event::record(Stream stream) {
  emulator::Mark& mark = emulator::mark(handle_);
  mark.stream = stream.handle;
  mark.copy = emulator::LateCopies::instance().last();
  mark.time = std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
}
inline void Event::synchronize() const {
  detail::forbid_in_capture("Event::synchronize");
  emulator::mark(handle_).wait();
}
inline void Event::hold(Stream) const { emulator::mark(handle_).wait(); }
inline double Event::milliseconds(const Event& from, const Event& to) {
  const std::int64_t begin = emulator::mark(from.handle_).time, end = emulator::mark(to.handle_).time;
  require<CudaError>(begin && end, "cudaEventElapsedTime: an event has not been recorded");
  return static_cast<double>(end - begin) * 1e-6;
}

inline MemoryUse memory_use() { return emulator::Arrays::instance().use(); }
inline DeviceStatus device_status() { return {true, "emulated on the CPU (tests and debugging; slow)"}; }

}  // namespace ventral::inline v0::cuda::emulated

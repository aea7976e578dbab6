#pragma once
/// CUDA's functions, as kernels call them.
#include <atomic>
#include <bit>
#include <chrono>
#include <cmath>
#include <type_traits>

#include "ventral/cuda/emulator/waiting.hpp"

namespace ventral::inline v0::cuda::emulated {

namespace emulator {

/// Publishes each lane's value and returns those of the warp: 32 values, of lanes outside the mask NaN. Valid until the lane's next warp operation.
template <class T>
const T* warp_gather(const T& mine, unsigned mask, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= WarpBuffer::most_bytes && alignof(T) <= 16);
  return reinterpret_cast<const T*>(Block::current->warp_operation(mask, &mine, sizeof(T), false, {file, line}).values);
}

/// The value of a lane, which has to be in the mask.
template <class T>
T shuffle(unsigned mask, const T& value, unsigned from, const char* file, int line) {
  static_assert(sizeof(T) <= 16);
  Block& block = *Block::current;
  const unsigned mine = block.lane();
  if ((mask >> mine & 1) && (!(mask >> from & 1) || !block.has_lane(from))) [[unlikely]]
    block.fail(concat("shuffle by lane ", mine, " from lane ", from, ", which ",
                      block.has_lane(from) ? concat("is not in the mask ", mask_text(mask)) : "the block does not have"),
               {file, line});
  T result;
  copy_unseen(&result, warp_gather(value, mask, file, line) + from, sizeof(T));
  return result;
}

inline unsigned votes(unsigned mask, bool vote, const char* file, int line) {
  return Block::current->warp_operation(mask, &vote, sizeof vote, vote, {file, line}).votes;
}

inline void* shared_array(const void* place, std::size_t bytes, const char* name, const char* file, int line) {
  return Block::current->shared_array(place, bytes, name, {file, line});
}
inline void* dynamic_shared(const char* file, int line) { return Block::current->dynamic_shared({file, line}); }

template <class T>
concept Integer = is_one_of<T, int, unsigned, unsigned long long>;

}  // namespace emulator

// ---- products that are rounded by themselves: a call keeps the compiler from fusing them with a sum

[[gnu::noinline]] inline float __fmul_rn(float a, float b) { return a * b; }
[[gnu::noinline]] inline double __dmul_rn(double a, double b) { return a * b; }

// ---- barriers

inline void __syncthreads(const char* file = __builtin_FILE(), int line = __builtin_LINE()) { emulator::Block::current->barrier({file, line}, 0); }
inline int __syncthreads_count(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulator::Block& block = *emulator::Block::current;
  return block.barrier_result(block.barrier({file, line}, predicate)).count;
}
inline int __syncthreads_or(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return __syncthreads_count(predicate, file, line) != 0;
}
inline int __syncthreads_and(int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulator::Block& block = *emulator::Block::current;
  return block.barrier_result(block.barrier({file, line}, predicate)).all;
}

/// Waits for all threads of the grid, which has been launched by launch_together.
inline void grid_sync(unsigned* arrivals, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulator::Block::current->meet_grid(arrivals, {file, line});
}

/// A fence orders a thread's memory accesses for others; ThreadSanitizer is told as if all fences were one lock.
inline void __threadfence() {
#if defined(VENTRAL_EMULATOR_TSAN)
  static char tag;
  emulator::tsan_release(&tag);
  emulator::tsan_acquire(&tag);
#else
  std::atomic_thread_fence(std::memory_order_seq_cst);
#endif
}
inline void __threadfence_block() { __threadfence(); }

// ---- warp operations

inline void __syncwarp(unsigned mask = ~0u, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  emulator::Block::current->warp_operation(mask, nullptr, 0, false, {file, line});
}
/// From lane `lane` of each group of `width` lanes.
template <class T>
T __shfl_sync(unsigned mask, T value, auto lane, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const unsigned mine = emulator::Block::current->lane(), w = static_cast<unsigned>(width);
  return emulator::shuffle(mask, value, (mine & ~(w - 1)) + (static_cast<unsigned>(lane) & (w - 1)), file, line);
}
/// From the lane whose number differs in the bits of `lanes`; the own value where that is in a later group.
template <class T>
T __shfl_xor_sync(unsigned mask, T value, auto lanes, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const unsigned mine = emulator::Block::current->lane(), w = static_cast<unsigned>(width), from = mine ^ static_cast<unsigned>(lanes);
  return emulator::shuffle(mask, value, from < (mine & ~(w - 1)) + w ? from : mine, file, line);
}
/// From `delta` lanes before; the own value in the first `delta` lanes of each group.
template <class T>
T __shfl_up_sync(unsigned mask, T value, auto delta, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const unsigned mine = emulator::Block::current->lane(), w = static_cast<unsigned>(width), d = static_cast<unsigned>(delta);
  return emulator::shuffle(mask, value, (mine & (w - 1)) >= d ? mine - d : mine, file, line);
}
/// From `delta` lanes after; the own value in the last `delta` lanes of each group.
template <class T>
T __shfl_down_sync(unsigned mask, T value, auto delta, int width = 32, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  const unsigned mine = emulator::Block::current->lane(), w = static_cast<unsigned>(width), d = static_cast<unsigned>(delta);
  return emulator::shuffle(mask, value, (mine & (w - 1)) + d < w ? mine + d : mine, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return emulator::votes(mask, predicate != 0, file, line);
}
inline int __any_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return emulator::votes(mask, predicate != 0, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, const char* file = __builtin_FILE(), int line = __builtin_LINE()) {
  return emulator::votes(mask, predicate == 0, file, line) == 0;
}

// ---- atomics: they return what was there before

template <class T>
requires(emulator::Integer<T> || is_one_of<T, float, double>) T atomicAdd(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_add(value, std::memory_order_relaxed);
}
template <emulator::Integer T>
T atomicExch(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).exchange(value, std::memory_order_relaxed);
}
inline float atomicExch(float* p, float value) { return std::atomic_ref<float>(*p).exchange(value, std::memory_order_relaxed); }
/// Writes `value` where `expected` was.
template <emulator::Integer T>
T atomicCAS(T* p, std::type_identity_t<T> expected, std::type_identity_t<T> value) {
  std::atomic_ref<T>(*p).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}
template <emulator::Integer T>
T atomicMax(T* p, std::type_identity_t<T> value) {
  T before = std::atomic_ref<T>(*p).load(std::memory_order_relaxed);
  while (before < value && !std::atomic_ref<T>(*p).compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
  return before;
}
template <emulator::Integer T>
T atomicMin(T* p, std::type_identity_t<T> value) {
  T before = std::atomic_ref<T>(*p).load(std::memory_order_relaxed);
  while (value < before && !std::atomic_ref<T>(*p).compare_exchange_weak(before, value, std::memory_order_relaxed)) {
  }
  return before;
}
template <emulator::Integer T>
T atomicOr(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_or(value, std::memory_order_relaxed);
}
template <emulator::Integer T>
T atomicAnd(T* p, std::type_identity_t<T> value) {
  return std::atomic_ref<T>(*p).fetch_and(value, std::memory_order_relaxed);
}

// ---- loads, bits and arithmetic

template <class T>
T __ldg(const T* p) {
  return *p;
}
inline float __expf(float x) { return std::exp(x); }
inline float __logf(float x) { return std::log(x); }
inline float __powf(float x, float y) { return std::pow(x, y); }
inline float __fdividef(float x, float y) { return x / y; }
inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float rsqrt(float x) { return 1.0f / std::sqrt(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline float __saturatef(float x) { return x > 0 ? (x < 1 ? x : 1.0f) : 0.0f; }
inline int __popc(unsigned x) { return std::popcount(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
/// One more than the position of the lowest bit set; 0 when none is.
inline int __ffs(int x) { return x ? std::countr_zero(static_cast<unsigned>(x)) + 1 : 0; }
inline unsigned __umulhi(unsigned x, unsigned y) { return static_cast<unsigned>(static_cast<unsigned long long>(x) * y >> 32); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
/// Nanoseconds here.
inline long long clock64() { return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch()).count(); }

}  // namespace ventral::inline v0::cuda::emulated

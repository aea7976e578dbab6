#pragma once
/// How a kernel is written, launched and checked, on a GPU (nvcc) and on the emulator (any C++ compiler). The only file that knows the difference,
/// together with primitives.cuh, hopper.cuh and grid.cuh; kernels use CUDA's own names (threadIdx, __syncthreads(), __shfl_down_sync, atomicAdd, float4, ...) on both.
///
///     template <class T>
///     VENTRAL_KERNEL void scale_kernel(Index n, T factor, const T* x, T* y) {
///       for (Index i = first_element(); i < n; i += element_step()) y[i] = factor * x[i];
///     }
///     template <class T>
///     void scale(Stream stream, T factor, In<T> x, Out<T> y) {
///       launch(stream, {.kernel = "scale_kernel", .blocks = blocks_for(x.size()), .shape = x.shape}, scale_kernel<T>, x.size(), factor, x.data, y.data);
///     }
#include "ventral/cuda/launch.hpp"
#include "ventral/tensor.hpp"

#if defined(VENTRAL_CUDA_EMULATED)
// ---- the emulator: a kernel is a plain function
#define VENTRAL_KERNEL inline
#define VENTRAL_BOUNDED_KERNEL(...) inline
#define VENTRAL_DEVICE inline
#if defined(__clang__)  // not unrolled: kernels run no slower, and compile three times as fast
#define VENTRAL_DEVICE_UNROLL _Pragma("nounroll")
#else
#define VENTRAL_DEVICE_UNROLL _Pragma("GCC unroll 1")
#endif
#define VENTRAL_RESTRICT __restrict__
#define VENTRAL_SHARED(type, name, count)         \
  static constexpr char name##_place = 0;         \
  type* const name = static_cast<type*>(emulator::shared_array(&name##_place, sizeof(type) * static_cast<std::size_t>(count), #name, __FILE__, __LINE__))
#define VENTRAL_DYNAMIC_SHARED(type, name) type* const name = static_cast<type*>(emulator::dynamic_shared(__FILE__, __LINE__))
#elif defined(__CUDACC__)
// ---- a GPU
#include <cuda_runtime.h>
#define VENTRAL_KERNEL static __global__
/// A kernel launched with at most so many threads a block, so that the compiler may give each more registers; second, if any: blocks to a multiprocessor.
#define VENTRAL_BOUNDED_KERNEL(...) static __global__ __launch_bounds__(__VA_ARGS__)
/// A function called by kernels.
#define VENTRAL_DEVICE __device__ __forceinline__
#define VENTRAL_DEVICE_UNROLL _Pragma("unroll")
#define VENTRAL_RESTRICT __restrict__
/// An array in the memory that a block's threads share; count is a constant. Its contents are unspecified at first.
#define VENTRAL_SHARED(type, name, count) __shared__ __align__(16) type name[count]
/// The same, of the size given at launch (`.shared`, in bytes); aligned to 128 bytes. One in a kernel.
#define VENTRAL_DYNAMIC_SHARED(type, name)                              \
  extern __shared__ __align__(128) unsigned char ventral_dynamic_shared[]; \
  type* const name = reinterpret_cast<type*>(ventral_dynamic_shared)
#else
#error "ventral's kernels are compiled by nvcc, or by any C++20 compiler for the emulator: link ventral::cuda, ventral::cuda_headers or ventral::cuda_emulated"
#endif

/// A launcher that is no template. Libraries of kernels keep it, though they do not call it (a constructor that is inline and used clang leaves out).
#if defined(VENTRAL_CUDA_LIBRARY)
#define VENTRAL_CUDA_FUNCTION __attribute__((weak))
#else
#define VENTRAL_CUDA_FUNCTION inline
#endif

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

template <class T>
using In = ventral::In<T, Space>;
template <class T>
using Out = ventral::Out<T, Space>;

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#if defined(VENTRAL_CUDA_EMULATED)
#include "ventral/cuda/emulator/emulator.hpp"
#else
#include "ventral/cuda/device_graph.cuh"
#endif

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

#if defined(VENTRAL_CUDA_EMULATED)
/// Runs a kernel: kernel<<<blocks, threads, shared, stream>>>(arguments...). Throws CudaError that names kernel and shapes when it cannot be launched.
template <class... Parameters, class... Arguments>
void launch(Stream stream, const Launch& l, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (detail::current_capture()) [[unlikely]] {
    if (l.blocks.size()) emulator::recorded(l.kernel, emulator::RecordedLaunch<Parameters...>{l, kernel, {static_cast<Parameters>(arguments)...}});
    return;
  }
  emulator::LateCopies::instance().deliver(stream);
  auto body = [&] { kernel(static_cast<Parameters>(arguments)...); };
  emulator::run(l, [](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body);
}
#else
template <class... Parameters, class... Arguments>
void launch(Stream stream, const Launch& l, void (*kernel)(Parameters...), const Arguments&... arguments) {
  if (l.blocks.size() == 0) return;
  if (l.shared > 48 * 1024) check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(l.shared)), l);
  kernel<<<dim3(l.blocks.x, l.blocks.y, l.blocks.z), dim3(l.threads.x, l.threads.y, l.threads.z), l.shared, native(stream)>>>(static_cast<Parameters>(arguments)...);
  check_launch(stream, l);
}
#endif

// ---- for kernels

/// Element i = first_element(), then i + element_step(), ...: each thread's share of a flat array.
VENTRAL_DEVICE Index first_element() { return static_cast<Index>(blockIdx.x) * blockDim.x + threadIdx.x; }
VENTRAL_DEVICE Index element_step() { return static_cast<Index>(gridDim.x) * blockDim.x; }

/// A stored number as what is computed in, and back: bfloat16 and half are read as float.
template <class T>
VENTRAL_DEVICE Compute<T> load(const T* p) {
  return static_cast<Compute<T>>(*p);
}
template <class T>
VENTRAL_DEVICE void store(T* p, Compute<T> value) {
  *p = static_cast<T>(value);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

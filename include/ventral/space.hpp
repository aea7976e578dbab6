#pragma once
#include <concepts>
#include <cstddef>
#include <cstring>
#include <new>

#include "ventral/version.hpp"

namespace ventral::inline v0 {

/// How products of floats are computed on a GPU with tensor cores (compute capability 8.0 on): `exact` by ordinary arithmetic, no number is rounded before
/// it is multiplied; `tf32` rounds factors to tf32, 11 significant bits (about three digits); `tf32x3` multiplies each as the sum of two tf32 numbers, three
/// products for one, about as accurate as `exact`. The CPU, older GPUs and all other types compute `exact`. Errors: docs/numerics.md.
enum class Math { exact, tf32x3, tf32 };

/// Whose kernels a GPU runs: ventral's own, or for products, convolutions, mean pooling and softmax those of cuBLAS and cuDNN, where the program links
/// ventral::cudnn. The CPU runs its own.
enum class Provider { ventral, cudnn };

namespace cpu {

/// Where CPU work is queued. CPU kernels run at once on the calling thread and the pool of cpu/parallel.hpp, so it holds nothing;
/// its type is what picks `cpu::relu_forward(cpu::Stream, ...)` over its CUDA twin.
struct Stream {};
/// Whether networks let layers take over those behind them.
inline bool fuses_epilogues(const Stream&) { return true; }

}  // namespace cpu

/// Main memory, worked on by the CPU.
struct Cpu {
  using Stream = cpu::Stream;
  /// See UseMath of CUDA; here everything is exact.
  struct UseMath {
    explicit UseMath(Math) {}
  };
  struct UseProvider {
    explicit UseProvider(Provider) {}
  };
  static constexpr const char* name = "cpu";
  static constexpr std::size_t alignment = 64;

  static Stream stream() { return {}; }
  static void* allocate(std::size_t bytes) { return bytes ? ::operator new(bytes, std::align_val_t{alignment}) : nullptr; }
  static void deallocate(void* p, std::size_t) noexcept {
    if (p) ::operator delete(p, std::align_val_t{alignment});
  }
  static void zero(void* p, std::size_t bytes) {
    if (bytes) std::memset(p, 0, bytes);
  }
  static void copy(void* to, const void* from, std::size_t bytes) {
    if (bytes) std::memcpy(to, from, bytes);
  }
  static void copy_to_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
  static void copy_from_host(void* to, const void* from, std::size_t bytes) { copy(to, from, bytes); }
};

// `Cuda` is a different type in each include mode, so that mixing emulated and real units in one program is a link error.
// The macros are set by the CMake targets, never by a person; ventral/cuda.hpp completes the type.
#if defined(VENTRAL_CUDA_EMULATED)
#define VENTRAL_CUDA_MODE emulated
#elif defined(VENTRAL_CUDA_DEVICE)
#define VENTRAL_CUDA_MODE device
#else
#define VENTRAL_CUDA_MODE unavailable
#endif
namespace cuda::VENTRAL_CUDA_MODE {
struct Space;
}
/// The memory of an NVIDIA GPU. Incomplete without ventral/cuda.hpp and one of the targets ventral::cuda, ventral::cuda_headers, ventral::cuda_emulated.
using Cuda = cuda::VENTRAL_CUDA_MODE::Space;

namespace detail {

template <class S>
concept Complete = requires { sizeof(S); };

}  // namespace detail

/// A memory with its processor: allocation, clearing, copies within and to and from main memory, and a stream to queue work on.
template <class S>
concept Space = requires(void* p, const void* q, std::size_t bytes) {
  typename S::Stream;
  typename S::UseMath;
  typename S::UseProvider;
  { S::stream() } -> std::same_as<typename S::Stream>;
  { S::allocate(bytes) } -> std::same_as<void*>;
  S::deallocate(p, bytes);
  S::zero(p, bytes);
  S::copy(p, q, bytes);
  S::copy_to_host(p, q, bytes);
  S::copy_from_host(p, q, bytes);
};

}  // namespace ventral::inline v0

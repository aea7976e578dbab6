#pragma once
/// Where another library's kernels take the place of ventral's: the launchers of ops.hpp look here first when the stream says so (Stream::provider).
#include <type_traits>

#include "ventral/cuda/ops.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// What a library offers for numbers of type T: functions with the parameters of the launchers of the same names. Each returns whether it did the work; what
/// it declines (a padding that it does not know, an empty array), or does not have (null), is done by ventral's kernels.
template <class T>
struct ProviderTable {
  const char* name = nullptr;  ///< of the library, with its version; null: there is none
  bool (*linear_forward)(Stream, In<T> x, In<T> w, In<T> b, Out<T> y) = nullptr;
  bool (*linear_backward_input)(Stream, In<T> w, In<T> dy, Out<T> dx) = nullptr;
  bool (*linear_backward_weight)(Stream, In<T> x, In<T> dy, Out<T> dw) = nullptr;
  bool (*conv2d_forward)(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y) = nullptr;
  bool (*conv2d_backward_input)(Stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx) = nullptr;
  bool (*conv2d_backward_weight)(Stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw) = nullptr;
  bool (*mean_pool_forward)(Stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y) = nullptr;
  bool (*mean_pool_backward)(Stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx) = nullptr;
  bool (*softmax_forward)(Stream, int axis, In<T> x, Out<T> y) = nullptr;
  bool (*softmax_backward)(Stream, int axis, In<T> y, In<T> dy, Out<T> dx) = nullptr;
};

/// The table of this program, filled by the library that is linked before main() begins.
template <class T>
ProviderTable<T>& provider_table() {
  static ProviderTable<T> table;
  return table;
}

namespace detail {

/// Throws CudaError when there is no such provider.
[[gnu::cold]] inline void require_provider(Provider p) {
  if (p == Provider::ventral || provider_table<float>().name) return;
  throw CudaError(
      "no kernels of cuDNN in this program: link the CMake target ventral::cudnn (found when VENTRAL_CUDNN is not OFF and cuDNN and cuBLAS are installed)");
}

/// Whether the stream's provider did this work.
template <class T, class... Parameters>
bool provided(Stream stream, bool (*ProviderTable<T>::*function)(Stream, Parameters...), const std::type_identity_t<Parameters>&... arguments) {
  if (stream.provider == Provider::ventral) [[likely]]
    return false;
  auto* const f = provider_table<T>().*function;
  return f && f(stream, arguments...);
}

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

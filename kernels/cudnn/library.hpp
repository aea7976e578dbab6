#pragma once
/// cuBLAS and cuDNN as a provider: their state, their errors, and descriptors that end with their scope.
#include <cublas_v2.h>
#include <cudnn.h>

#include <limits>

#include "ventral/cuda/provider.hpp"

namespace ventral::inline v0::cuda::device::cudnn {

inline void check(cudnnStatus_t status, const char* call) {
  if (status != CUDNN_STATUS_SUCCESS) throw CudaError(concat(call, ": ", cudnnGetErrorString(status)));
}
inline void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw CudaError(concat(call, ": ", cublasGetStatusString(status)));
}

/// The libraries' state for this thread and its GPU, set to the stream; made at the first call, left to the end of the program.
inline cudnnHandle_t cudnn(Stream stream) {
  static thread_local const cudnnHandle_t handle = [] {
    cudnnHandle_t h = nullptr;
    check(cudnnCreate(&h), "cudnnCreate");
    return h;
  }();
  check(cudnnSetStream(handle, static_cast<cudaStream_t>(stream.handle)), "cudnnSetStream");
  return handle;
}
inline cublasHandle_t cublas(Stream stream) {
  static thread_local const cublasHandle_t handle = [] {
    cublasHandle_t h = nullptr;
    check(cublasCreate(&h), "cublasCreate");
    return h;
  }();
  check(cublasSetStream(handle, static_cast<cudaStream_t>(stream.handle)), "cublasSetStream");
  return handle;
}

template <class T>
inline constexpr cudnnDataType_t cudnn_type = std::is_same_v<T, float>  ? CUDNN_DATA_FLOAT
                                              : std::is_same_v<T, half> ? CUDNN_DATA_HALF
                                                                        : CUDNN_DATA_BFLOAT16;
template <class T>
inline constexpr cudaDataType_t cuda_type = std::is_same_v<T, float>  ? CUDA_R_32F
                                            : std::is_same_v<T, half> ? CUDA_R_16F
                                                                      : CUDA_R_16BF;

/// The libraries count in int.
inline bool fits_int(Index n) { return n <= std::numeric_limits<int>::max(); }
inline int to_int(Index n) { return static_cast<int>(n); }

/// A descriptor of cuDNN, made and destroyed by the given functions.
template <class Handle, cudnnStatus_t (*create)(Handle*), cudnnStatus_t (*destroy)(Handle)>
class Descriptor {
 public:
  Descriptor() { check(create(&handle_), "cudnnCreate...Descriptor"); }
  ~Descriptor() { static_cast<void>(destroy(handle_)); }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator Handle() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};

using WindowDescriptor = Descriptor<cudnnConvolutionDescriptor_t, cudnnCreateConvolutionDescriptor, cudnnDestroyConvolutionDescriptor>;
using PoolDescriptor = Descriptor<cudnnPoolingDescriptor_t, cudnnCreatePoolingDescriptor, cudnnDestroyPoolingDescriptor>;

template <class T>
struct TensorDescriptor : Descriptor<cudnnTensorDescriptor_t, cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor> {
  explicit TensorDescriptor(const Shape& s) {
    check(cudnnSetTensor4dDescriptor(*this, CUDNN_TENSOR_NCHW, cudnn_type<T>, to_int(s[0]), to_int(s[1]), to_int(s[2]), to_int(s[3])),
          "cudnnSetTensor4dDescriptor");
  }
};
template <class T>
struct FilterDescriptor : Descriptor<cudnnFilterDescriptor_t, cudnnCreateFilterDescriptor, cudnnDestroyFilterDescriptor> {
  explicit FilterDescriptor(const Shape& s) {
    check(cudnnSetFilter4dDescriptor(*this, cudnn_type<T>, CUDNN_TENSOR_NCHW, to_int(s[0]), to_int(s[1]), to_int(s[2]), to_int(s[3])),
          "cudnnSetFilter4dDescriptor");
  }
};

inline constexpr float zero = 0, one = 1;

/// Whether cuDNN's windows, with the same padding on both sides, are those of the plan; what remains at the end may differ, if no window reaches it.
inline bool knows(const WindowAxis& a) { return a.out == (a.in + 2 * a.before - a.span()) / a.stride + 1 && a.in + 2 * a.before >= a.span(); }
inline bool knows(const WindowPlan& plan) { return knows(plan.h) && knows(plan.w); }

}  // namespace ventral::inline v0::cuda::device::cudnn

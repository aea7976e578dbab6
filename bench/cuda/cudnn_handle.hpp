#pragma once
#include <cudnn.h>

#include "ventral/cuda.hpp"

/// What the benchmarks' calls of cuDNN share.
namespace bench::cudnn {

inline void require(cudnnStatus_t status, const char* call) { ventral::require(status == CUDNN_STATUS_SUCCESS, call, ": ", cudnnGetErrorString(status)); }

/// The library's state, on the current stream; made at the first call and left to the end of the program.
inline cudnnHandle_t handle() {
  static const cudnnHandle_t made = [] {
    cudnnHandle_t h = nullptr;
    require(cudnnCreate(&h), "cudnnCreate");
    return h;
  }();
  require(cudnnSetStream(made, static_cast<cudaStream_t>(ventral::Cuda::stream().handle)), "cudnnSetStream");
  return made;
}

}  // namespace bench::cudnn

// All kernels of a product, which several tests call. nvcc compiles them.
#include "ventral/cuda/gemm.cuh"

#include "gemm_product.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {
TEST_PRODUCTS()
}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

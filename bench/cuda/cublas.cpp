#include <cublas_v2.h>

#include "cuda/reference.hpp"

namespace bench::cublas {

namespace {

void require(cublasStatus_t status, const char* call) { ventral::require(status == CUBLAS_STATUS_SUCCESS, call, ": ", cublasGetStatusString(status)); }

/// The library's state, made at the first call and left to the end of the program.
cublasHandle_t handle() {
  static const cublasHandle_t made = [] {
    cublasHandle_t h = nullptr;
    require(cublasCreate(&h), "cublasCreate");
    require(cublasSetMathMode(h, CUBLAS_DEFAULT_MATH), "cublasSetMathMode");
    return h;
  }();
  return made;
}

template <class T>
constexpr cudaDataType_t type = CUDA_R_16BF;
template <>
inline constexpr cudaDataType_t type<float> = CUDA_R_32F;
template <>
inline constexpr cudaDataType_t type<ventral::half> = CUDA_R_16F;

}  // namespace

std::string version() {
  int part[3] = {};
  const libraryPropertyType names[] = {MAJOR_VERSION, MINOR_VERSION, PATCH_LEVEL};
  for (int i = 0; i < 3; ++i) require(cublasGetProperty(names[i], &part[i]), "cublasGetProperty");
  return ventral::concat("cuBLAS ", part[0], ".", part[1], ".", part[2]);
}

// cuBLAS counts by columns, so what it sees is c^T = b^T a^T.
template <class T>
void multiply(Index m, Index n, Index k, Matrix<T> a, Matrix<T> b, float beta, T* c, ventral::Math math) {
  const auto number = [](Index i) { return static_cast<int>(i); };
  const auto operation = [](const Matrix<T>& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const float one = 1;
  require(cublasSetStream(handle(), static_cast<cudaStream_t>(ventral::Cuda::stream().handle)), "cublasSetStream");
  const bool tf32 = std::is_same_v<T, float> && math == ventral::Math::tf32;
  require(cublasGemmEx(handle(), operation(b), operation(a), number(n), number(m), number(k), &one, b.data, type<T>, number(b.stride), a.data, type<T>,
                       number(a.stride), &beta, c, type<T>, number(n), tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT),
          "cublasGemmEx");
}
template void multiply(Index, Index, Index, Matrix<float>, Matrix<float>, float, float*, ventral::Math);
template void multiply(Index, Index, Index, Matrix<ventral::bfloat16>, Matrix<ventral::bfloat16>, float, ventral::bfloat16*, ventral::Math);
template void multiply(Index, Index, Index, Matrix<ventral::half>, Matrix<ventral::half>, float, ventral::half*, ventral::Math);

}  // namespace bench::cublas

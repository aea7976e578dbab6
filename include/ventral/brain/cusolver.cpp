// Part of ventral::brain where it is built with VENTRAL_CUSOLVER=ON: the eigen-decomposition on a GPU.
#include <cuda_runtime_api.h>
#include <cusolverDn.h>

#include <memory>

#include "ventral/brain/cusolver.hpp"

namespace ventral::inline v0::brain::detail {

namespace {

void check(cudaError_t status, const char* what) { require<CudaError>(status == cudaSuccess, "symmetric_eigen: ", what, ": ", cudaGetErrorString(status)); }
void check(cusolverStatus_t status, const char* what) { require<CudaError>(status == CUSOLVER_STATUS_SUCCESS, "symmetric_eigen: ", what, ": cuSOLVER status ", static_cast<int>(status)); }

template <class T, auto destroy>
struct Destroy {
  void operator()(T* p) const { destroy(p); }
};
using DeviceMemory = std::unique_ptr<void, Destroy<void, cudaFree>>;
using Handle = std::unique_ptr<cusolverDnContext, Destroy<cusolverDnContext, cusolverDnDestroy>>;
using Parameters = std::unique_ptr<cusolverDnParams, Destroy<cusolverDnParams, cusolverDnDestroyParams>>;

/// Memory on the device; null when there is not enough.
DeviceMemory allocate(std::size_t bytes) {
  void* p = nullptr;
  const cudaError_t status = cudaMalloc(&p, bytes > 0 ? bytes : 1);
  if (status == cudaErrorMemoryAllocation) {
    cudaGetLastError();  // clears it
    return nullptr;
  }
  check(status, "cudaMalloc");
  return DeviceMemory(p);
}

}  // namespace

bool gpu_is_there() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess && count > 0;
}

bool eigen_on_gpu(double* a, Index n, double* values) {
  if (!gpu_is_there()) return false;
  cusolverDnHandle_t created = nullptr;
  check(cusolverDnCreate(&created), "cusolverDnCreate");
  const Handle handle(created);
  cusolverDnParams_t created_parameters = nullptr;
  check(cusolverDnCreateParams(&created_parameters), "cusolverDnCreateParams");
  const Parameters parameters(created_parameters);

  // By columns the lower triangle of our rows is the upper one, and the eigenvectors in columns are our rows.
  constexpr cusolverEigMode_t vectors = CUSOLVER_EIG_MODE_VECTOR;
  constexpr cublasFillMode_t triangle = CUBLAS_FILL_MODE_UPPER;
  const std::size_t bytes = static_cast<std::size_t>(n * n) * sizeof(double), few = static_cast<std::size_t>(n) * sizeof(double);
  const DeviceMemory matrix = allocate(bytes), found = allocate(few), info = allocate(sizeof(int));
  if (!matrix || !found || !info) return false;
  std::size_t device_bytes = 0, host_bytes = 0;
  check(cusolverDnXsyevd_bufferSize(handle.get(), parameters.get(), vectors, triangle, n, CUDA_R_64F, matrix.get(), n, CUDA_R_64F, found.get(), CUDA_R_64F, &device_bytes, &host_bytes),
        "cusolverDnXsyevd_bufferSize");
  const DeviceMemory work = allocate(device_bytes);
  if (!work) return false;
  const auto host_work = std::make_unique<char[]>(host_bytes + 1);
  check(cudaMemcpy(matrix.get(), a, bytes, cudaMemcpyHostToDevice), "cudaMemcpy");
  check(cusolverDnXsyevd(handle.get(), parameters.get(), vectors, triangle, n, CUDA_R_64F, matrix.get(), n, CUDA_R_64F, found.get(), CUDA_R_64F, work.get(), device_bytes, host_work.get(),
                         host_bytes, static_cast<int*>(info.get())),
        "cusolverDnXsyevd");
  int status = 0;
  check(cudaMemcpy(&status, info.get(), sizeof status, cudaMemcpyDeviceToHost), "cudaMemcpy");
  require(status == 0, "symmetric_eigen: cuSOLVER did not converge on ", n, " rows (info ", status, ")");
  check(cudaMemcpy(a, matrix.get(), bytes, cudaMemcpyDeviceToHost), "cudaMemcpy");
  check(cudaMemcpy(values, found.get(), few, cudaMemcpyDeviceToHost), "cudaMemcpy");
  return true;
}

}  // namespace ventral::inline v0::brain::detail

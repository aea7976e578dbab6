#pragma once
#include "ventral/error.hpp"
#include "ventral/shape.hpp"

namespace ventral::inline v0::brain::detail {

/// Whether a GPU and its driver are there. Compiled in cusolver.cpp, as the next.
bool gpu_is_there();

/// symmetric_eigen_in_place by cuSOLVER's divide and conquer (cusolverDnXsyevd). False, and nothing done, without a GPU or enough memory on it
/// (about 3 n^2 numbers). Throws CudaError when a call fails, Error when it does not converge.
bool eigen_on_gpu(double* a, Index n, double* values);

}  // namespace ventral::inline v0::brain::detail

#pragma once
#include "ventral/cuda/gemm_problem.cuh"

/// The two products to start reading from: what a product is, and what shared memory does for it.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// c = activation(alpha a b + beta c + bias), a thread for each element of c, neighbours along a row of c. The reference for the other kernels.
/// Each thread reads a row of a and a column of b: 2 numbers for each multiplication, from memory or cache.
template <class T>
VENTRAL_KERNEL void gemm_naive_kernel(GemmProblem<T> p) {
  for (Index e = first_element(); e < p.m * p.n; e += element_step()) {
    const Index i = e / p.n, j = e % p.n;
    Compute<T> sum = 0;
    for (Index k = 0; k < p.k; ++k) sum += load(p.a.at(i, k)) * load(p.b.at(k, j));
    p.write(i, j, sum);
  }
}

namespace detail {

/// Brings a square of a matrix into shared memory, zeros outside, one number a thread: neighbouring threads read neighbours in memory, whichever way
/// the matrix is stored. A row of the square is one longer than it holds, so that its columns can be read without bank conflicts.
template <int side, class T>
VENTRAL_DEVICE void copy_square(Compute<T> (*square)[side + 1], const Matrix<T>& matrix, Index row, Index column, Index rows, Index columns) {
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y), i = matrix.transposed ? x : y, j = matrix.transposed ? y : x;
  square[i][j] = row + i < rows && column + j < columns ? load(matrix.at(row + i, column + j)) : Compute<T>(0);
}

}  // namespace detail

/// The same, a block of side x side threads for each square of c and each part of k: squares of a and b pass through shared memory, so that each
/// number read from global memory serves `side` multiplications. Two reads of shared memory for each multiplication. For few rows or columns.
template <class T, int side>
VENTRAL_BOUNDED_KERNEL(side* side) void gemm_tiled_kernel(GemmTask<T> task) {
  using Row = Compute<T>[side + 1];
  VENTRAL_SHARED(Row, a, side);
  VENTRAL_SHARED(Row, b, side);
  const GemmProblem<T>& p = task.problem;
  const Index across = (p.n + side - 1) / side, down = (p.m + side - 1) / side;
  const Index part = blockIdx.x / (across * down), square = blockIdx.x % (across * down);
  const Index row = square / across * side, column = square % across * side;
  const int x = static_cast<int>(threadIdx.x), y = static_cast<int>(threadIdx.y);
  Compute<T> sum = 0;
  const Index last = task.last(part);
  for (Index k = task.first(part); k < last; k += side) {
    detail::copy_square<side>(a, p.a, row, k, p.m, last);
    detail::copy_square<side>(b, p.b, k, column, last, p.n);
    __syncthreads();
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < side; ++i) sum += a[y][i] * b[i][x];
    __syncthreads();
  }
  if (row + y < p.m && column + x < p.n) task.write(part, row + y, column + x, sum);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

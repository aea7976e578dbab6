#pragma once
#include "cuda/harness.hpp"
#include "support/layer_contender.hpp"

/// The libraries that products and convolutions are compared with. Written in cublas.cpp and cudnn.cpp; no_cublas.cpp and no_cudnn.cpp stand in where they were
/// not found at configure time.
namespace bench::cublas {

/// A matrix in memory, row by row, `stride` elements from one row to the next, and whether it is read transposed.
template <class T>
struct Matrix {
  const T* data;
  Index stride;
  bool transposed = false;
};

/// Name and version; empty when there is none.
std::string version();
/// c [m,n] = a b + beta c, a [m,k], b [k,n]. float without TF32; bfloat16 and half with sums in float.
template <class T>
void multiply(Index m, Index n, Index k, Matrix<T> a, Matrix<T> b, float beta, T* c);

}  // namespace bench::cublas

namespace bench::cudnn {

struct Convolution {
  Shape x, w, y;
  Index stride, padding, groups;
};

/// Queues one pass: forward (x, w, y), data (w, dy, dx), weights (x, dy, dw), which adds to dw.
template <class T>
using Step = std::function<void(const T* first, const T* second, T* result)>;

/// Name and version; empty when there is none.
std::string version();
/// The fastest of cuDNN's algorithms by its own measurement, NCHW; float without TF32. Throws Error when it offers none.
template <class T>
Step<T> fastest(const Convolution& convolution, Part part);

}  // namespace bench::cudnn

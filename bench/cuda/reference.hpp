#pragma once
#include "cuda/harness.hpp"
#include "cuda/layer.hpp"
#include "support/layer_contender.hpp"

namespace bench {

/// One algorithm of a library for a piece of work: queues it on any arrays of its shapes.
template <class T>
struct Way {
  std::string algorithm;
  double workspace;  ///< bytes
  std::function<void(const T* first, const T* second, T* result)> run;
};

}  // namespace bench

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
/// c [m,n] = a b + beta c, a [m,k], b [k,n]. float with TF32 where `math` is tf32 only; bfloat16 and half with sums in float.
template <class T>
void multiply(Index m, Index n, Index k, Matrix<T> a, Matrix<T> b, float beta, T* c, ventral::Math math = ventral::Math::exact);

}  // namespace bench::cublas

namespace bench::cublaslt {

using cublas::Matrix;

/// The algorithms that cuBLASLt's heuristic recommends for cublas::multiply(m, n, k, a, b, beta, c, math), at most eight; none where it was not found.
template <class T>
std::vector<Way<T>> ways(Index m, Index n, Index k, Matrix<T> a, Matrix<T> b, float beta, ventral::Math math);

}  // namespace bench::cublaslt

namespace bench::cudnn {

struct Convolution {
  Shape x, w, y;
  Index stride, padding, groups;
};

/// Name and version; empty when there is none.
std::string version();
/// cuDNN's algorithms for a pass, NCHW: forward (x, w, y), data (w, dy, dx), weights (x, dy, dw), which adds to dw. float without TF32 unless math is tf32.
/// The fastest three of its legacy search by its own measurement; throws Error when it offers none.
template <class T>
std::vector<Way<T>> searched(const Convolution& convolution, Part part, ventral::Math math = ventral::Math::exact);
/// The same by its graph API: the plans that its heuristic names first, at most eight.
template <class T>
std::vector<Way<T>> planned(const Convolution& convolution, Part part, ventral::Math math = ventral::Math::exact);

/// What follows a convolution, by cuDNN's single operations: the bias [C] is added to y [N,C,H,W], which is rectified in place; its largest of each two by two
/// go to `pooled`, unless null. Empty where cuDNN was not found. Written in cudnn_layers.cpp.
template <class T>
std::function<void(const T* bias, T* y, T* pooled)> ending(const Shape& y);

/// Layers of cuDNN in float, NCHW, on the arrays of a Layer; empty where cuDNN was not found. Written in cudnn_layers.cpp.
struct Pooling {
  Shape x;
  int kernel, stride;
  bool max;
};
device::Rivals<float> pooling(const Pooling& p);
/// y = x / (k + alpha / size sum x^2)^beta over `size` channels.
struct ResponseNorm {
  Shape x;
  Index size;
  double alpha, beta, k;
};
device::Rivals<float> response_norm(const ResponseNorm& n);
enum class Function { relu, sigmoid };
device::Rivals<float> activation(const Shape& x, Function f);
/// Softmax of scores [rows,classes] and its backward pass by an output gradient, which is what cuDNN has in the place of a loss: no labels, so nothing is checked.
device::Side softmax_pair(const device::Sets<float>& x);

}  // namespace bench::cudnn

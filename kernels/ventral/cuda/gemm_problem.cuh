#pragma once
#include "ventral/activation_function.hpp"
#include "ventral/cuda/primitives.cuh"

/// What every GEMM kernel is given, and how every one ends.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// A row-major matrix to read: `stride` numbers from row to row. `transposed` multiplies by its transpose.
template <class T>
struct Matrix {
  const T* data;
  Index stride;
  bool transposed = false;

  /// Where element (row, column) of the matrix as multiplied lies.
  VENTRAL_DEVICE const T* at(Index row, Index column) const { return data + (transposed ? column * stride + row : row * stride + column); }
};

/// Which elements of c share a bias: those of a column (linear layers), or of a row (convolutions, whose rows are channels).
enum class BiasOf { column, row };
enum class GemmActivation { none, relu };

/// What is done to alpha a b + beta c before it is written: a bias is added, unless null, and an activation applied.
template <class T>
struct GemmEpilogue {
  const T* bias = nullptr;
  BiasOf bias_of = BiasOf::column;
  GemmActivation activation = GemmActivation::none;
};

/// c [m,n] = activation(alpha a [m,k] b [k,n] + beta c + bias).
template <class T>
struct GemmProblem {
  Index m, n, k;
  Compute<T> alpha;
  Matrix<T> a, b;
  Compute<T> beta;
  T* c;
  Index c_stride;
  GemmEpilogue<T> epilogue{};

  /// The value of element (i, j) of c, from the sum over k and what c held.
  VENTRAL_DEVICE Compute<T> finish(Index i, Index j, Compute<T> sum, const T* old) const {
    Compute<T> value = alpha * sum;
    if (beta != Compute<T>(0)) value += beta * load(old);
    if (epilogue.bias) value += load(epilogue.bias + (epilogue.bias_of == BiasOf::column ? j : i));
    return epilogue.activation == GemmActivation::relu ? activation::Relu<Compute<T>>{}.value(value) : value;
  }
  /// The same for n elements in a row, from (i, j): what there is to do is asked once.
  template <int n>
  VENTRAL_DEVICE void finish_run(Index i, Index j, Compute<T> (&v)[n], const T* old) const {
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < n; ++e) v[e] *= alpha;
    if (beta != Compute<T>(0))
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < n; ++e) v[e] += beta * load(old + e);
    if (epilogue.bias)
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < n; ++e) v[e] += load(epilogue.bias + (epilogue.bias_of == BiasOf::column ? j + e : i));
    if (epilogue.activation == GemmActivation::relu)
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < n; ++e) v[e] = activation::Relu<Compute<T>>{}.value(v[e]);
  }
  VENTRAL_DEVICE void write(Index i, Index j, Compute<T> sum) const {
    T* const out = c + i * c_stride + j;
    store(out, finish(i, j, sum, out));
  }
};

/// A problem cut along k: part p sums over [p depth, (p + 1) depth) and, when there are several, leaves its sums in `partial` [parts,m,n].
template <class T>
struct GemmTask {
  GemmProblem<T> problem;
  Index parts, depth;
  Compute<T>* partial;
  bool a_vectors, b_vectors, c_vectors;  ///< whether rows can be read, or written, in vectors

  VENTRAL_DEVICE Index first(Index part) const { return part * depth; }
  VENTRAL_DEVICE Index last(Index part) const { return part + 1 == parts ? problem.k : (part + 1) * depth; }
  VENTRAL_DEVICE void write(Index part, Index i, Index j, Compute<T> sum) const {
    if (parts == 1) problem.write(i, j, sum);
    else partial[(part * problem.m + i) * problem.n + j] = sum;
  }
};

/// Ends a problem cut along k: the parts' sums are added in order, for each element of c by one thread. Reads parts m n numbers.
template <class T>
VENTRAL_KERNEL void gemm_sum_parts_kernel(GemmTask<T> task) {
  const GemmProblem<T>& p = task.problem;
  for (Index e = first_element(); e < p.m * p.n; e += element_step()) {
    Compute<T> sum = task.partial[e];
    for (Index part = 1; part < task.parts; ++part) sum += task.partial[part * p.m * p.n + e];
    p.write(e / p.n, e % p.n, sum);
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

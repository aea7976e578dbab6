#pragma once
#include <cstdint>

#include "ventral/cuda/space.hpp"
#include "ventral/tensor.hpp"
#include "ventral/window.hpp"

/// The kernel ladders: five operations, each from a naive kernel to the product's in steps of one idea. docs/kernel_ladder.md goes with them.
/// A ladder is a task (what is computed, and where the arrays lie) and a list of rungs, each a way of doing it. X.cuh holds the kernels, rungs.cpp the lists.
namespace bench::ladder {

namespace gpu = ventral::cuda::VENTRAL_CUDA_MODE;
using gpu::Stream;
using ventral::Index;

/// A step of a ladder.
template <class Task>
struct Rung {
  const char* name;
  const char* idea;                  ///< what is new, in a few words
  void (*run)(Stream, const Task&);  ///< queues the work
  bool tf32 = false;                 ///< numbers are rounded to 10 bits of mantissa before they are multiplied
};

/// c [m,n] = a [m,k] b [k,n], all row-major.
struct Product {
  Index m, n, k;
  const float *a, *b;
  float* c;
};

/// y[n,o] = b[o] + sum over c, i, j of w[o,c,i,j] x[n,c](stride y + dilation (i,j) - padding); x [N,C,H,W], w [O,C,kh,kw], y [N,O,H',W'].
struct Convolution {
  ventral::WindowPlan plan;
  Index images, channels, outputs;
  const float *x, *w, *b;
  float* y;
};

/// y = the largest x under each window of each plane, winners = where in the plane the first of the largest lies. Every window covers a cell of the image.
struct Pooling {
  ventral::WindowPlan plan;
  Index planes;
  const float* x;
  float* y;
  std::int32_t* winners;
};

/// y[n,c,p] = x[n,c,p] / (k + alpha / (2 reach + 1) sum of x[n,c',p]^2)^beta, the sum over |c' - c| <= reach; x, y [N,C,P].
struct Normalization {
  Index images, channels, pixels;
  int reach;
  const float *k, *alpha, *beta;  ///< one number each, in the GPU's memory
  const float* x;
  float* y;
};

/// y[r,j] = exp(x[r,j] - max_r) / sum over i of exp(x[r,i] - max_r); x, y [rows,classes].
struct Softmax {
  Index rows, classes;
  const float* x;
  float* y;
};

// The lists, in the order of their ideas; the last rung, and those named so, call the product.
std::vector<Rung<Product>> gemm_rungs();
std::vector<Rung<Convolution>> convolution_rungs();
std::vector<Rung<Pooling>> max_pool_rungs();
std::vector<Rung<Normalization>> divisive_norm_rungs();
std::vector<Rung<Softmax>> softmax_rungs();

}  // namespace bench::ladder

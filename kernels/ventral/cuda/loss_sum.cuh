#pragma once
#include <algorithm>
#include <vector>

#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/quotient.cuh"
#include "ventral/cuda/reduce.cuh"

/// How losses add up: one launch, in which each block leaves one partial sum. These are copied to main memory together and added there in order, so
/// that the result depends on the shape alone. In a captured step they stay where they are, and `finish_step` adds them up in the same order.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

constexpr int loss_threads = 256;
/// Blocks that give each of n items a thread, up to what fills a GPU.
inline Index loss_blocks(Index items, Index threads = loss_threads) {
  return std::min(loss_room, (items + threads - 1) / threads);
}

/// Copies what the blocks of a loss have found to main memory.
inline std::vector<double> copy_to_host(const double* found, Index count) {
  std::vector<double> out(static_cast<std::size_t>(count));
  Space::copy_to_host(out.data(), found, out.size() * sizeof(double));
  return out;
}

/// Runs a loss's kernel with a thread for each item, `threads` a block, and returns the sum of its blocks' partial sums, or leaves them
/// where they are and notes their number.
template <int threads = loss_threads, class... Parameters, class... Arguments>
double run_loss(Stream stream, const char* name, Index items, const Shape& x, const LossCall& call, Out<double> sums, void (*kernel)(Parameters...),
                const Arguments&... arguments) {
  const Index blocks = loss_blocks(items, threads);
  if (call.left) *call.left = blocks;
  if (blocks == 0) return 0;
  launch(stream, {.kernel = name, .blocks = blocks, .threads = threads, .shape = x}, kernel, arguments..., sums.data);
  double sum = 0;
  if (!call.left)
    for (const double part : copy_to_host(sums.data, blocks)) sum += part;
  return sum;
}

/// The factor of a loss: known before, or one over the weight of the labels (0 when they have none).
VENTRAL_DEVICE double read_scale(const LossScale& s) {
  if (!s.weights) return s.value;
  double weight = 0;
  for (Index i = 0; i < s.count; ++i) weight += s.weights[2 * i];
  return weight == 0 ? 0 : 1 / weight;
}
/// The same for all threads of a block, one of which adds up.
VENTRAL_DEVICE double read_scale_together(const LossScale& s) {
  if (!s.weights) return s.value;
  VENTRAL_SHARED(double, found, 1);
  if (threadIdx.x == 0) *found = read_scale(s);
  __syncthreads();
  return *found;
}

/// Scores x [N,C,d1,..] seen by positions: C numbers, `stride` apart.
template <class T>
struct Scores {
  const T* x;
  const std::int32_t* labels;
  Index classes, stride, count;
  Scores(In<T> scores, In<std::int32_t> positions)
      : x(scores.data), labels(positions.data), classes(scores.shape[1]), stride(scores.shape.product(2, scores.shape.rank())),
        count(positions.size()) {}
  VENTRAL_DEVICE Index offset(Index i) const { return i + quotient(i, stride) * (classes - 1) * stride; }
};

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

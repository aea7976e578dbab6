#pragma once
#include <algorithm>
#include <vector>

#include "ventral/cpu/loss.hpp"
#include "ventral/cuda/quotient.cuh"
#include "ventral/cuda/reduce.cuh"

/// How losses add up: one launch, in which each block leaves one partial sum. These are copied to main memory together and added there in order, so
/// that the result depends on the shape alone.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

constexpr int loss_threads = 256;
/// Blocks that give each of n items a thread, up to what fills a GPU.
inline Index loss_blocks(Index items) { return std::min(Index{1024}, (items + loss_threads - 1) / loss_threads); }

/// Copies what the blocks of a loss have found to main memory.
inline std::vector<double> copy_to_host(const double* found, Index count) {
  std::vector<double> out(static_cast<std::size_t>(count));
  Space::copy_to_host(out.data(), found, out.size() * sizeof(double));
  return out;
}

/// Runs a loss's kernel with a thread for each item, and returns the sum of its blocks' partial sums. They lie in `sums`, or, where there are more
/// than `loss_sums`, in memory of their own.
template <class... Parameters, class... Arguments>
double run_loss(Stream stream, const char* name, Index items, const Shape& x, Out<double> sums, void (*kernel)(Parameters...),
                const Arguments&... arguments) {
  const Index blocks = loss_blocks(items);
  if (blocks == 0) return 0;
  Tensor<double, Space> more;
  if (blocks > loss_sums) more = Tensor<double, Space>::uninitialized({blocks});
  double* const partial = blocks > loss_sums ? more.data() : sums.data;
  launch(stream, {.kernel = name, .blocks = blocks, .threads = loss_threads, .shape = x}, kernel, arguments..., partial);
  double sum = 0;
  for (const double part : copy_to_host(partial, blocks)) sum += part;
  return sum;
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

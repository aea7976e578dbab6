#pragma once
#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/loss_sum.cuh"

/// What a captured training step has besides the network: its batch is gathered on the device, and it counts itself on. See capture.hpp.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// As a kernel's argument the state gets to the device in the order of the stream, without waiting for it.
VENTRAL_KERNEL void set_step_kernel(StepState value, StepState* state) { *state = value; }

/// Elements of `to`, rows of `row`, from the rows that the order names from state->position on. Reads and writes each element once.
template <class T>
VENTRAL_KERNEL void gather_rows_kernel(Index n, Index row, const StepState* state, const std::int64_t* order, const T* from, T* to) {
  const std::int64_t* const which = order + state->position;
  for (Index i = first_element(); i < n; i += element_step()) {
    const Index r = quotient(i, row);
    to[i] = from[which[r] * row + (i - r * row)];
  }
}

/// One block: the class of the largest score against the label for each example (as argmax in metrics.hpp), the loss from its parts in their order, the
/// report, and on to the next batch, or the first one again where the examples left are too few. Scores are read once, by a thread for each example.
template <class T>
VENTRAL_BOUNDED_KERNEL(loss_threads) void finish_step_kernel(QueuedLoss loss, Index classes, const T* scores, const std::int32_t* labels, StepPlan plan,
                                                             StepState* state) {
  Index right = 0;
  for (Index i = threadIdx.x; classes > 0 && i < plan.batch; i += loss_threads) {
    const T* const row = scores + i * classes;
    Index best = 0;
    for (Index c = 1; c < classes; ++c)
      if (const auto top = load(row + best); load(row + c) > top || top != top) best = c;
    right += best == labels[i];
  }
  right = block_sum<loss_threads>(right);
  if (threadIdx.x != 0) return;
  double sum = 0;
  for (Index i = 0; i < loss.parts; ++i) sum += loss.sums[i];
  const double scale = read_scale(loss.scale), value = loss.scale.weights && scale == 0 ? 0 : sum * scale;
  plan.reports[state->done++ % plan.room] = {value, static_cast<double>(right)};
  if (!(value - value == 0)) state->halted = 1;
  if (state->halted) return;
  ++state->step;
  state->position = state->position + 2 * plan.batch <= state->examples ? state->position + plan.batch : 0;
}

}  // namespace detail

VENTRAL_CUDA_FUNCTION void set_step(Stream stream, const StepState& value, StepState* state) {
  launch(stream, {.kernel = "set_step_kernel", .blocks = 1, .threads = 1}, detail::set_step_kernel, value, state);
}

/// to[i] = from[order[state->position + i]], row by row.
template <class T>
void gather_rows(Stream stream, const StepState* state, In<std::int64_t> order, In<T> from, Out<T> to) {
  const Index n = to.size(), row = to.shape.product(1, to.shape.rank());
  launch(stream, {.kernel = "gather_rows_kernel", .blocks = blocks_for(n), .shape = to.shape}, detail::gather_rows_kernel<T>, n, row, state, order.data,
         from.data, to.data);
}

/// Reports the step and counts it on. `labels` are empty where nothing is to be classified.
template <class T>
void finish_step(Stream stream, const QueuedLoss& loss, In<T> scores, In<std::int32_t> labels, const StepPlan& plan, StepState* state) {
  launch(stream, {.kernel = "finish_step_kernel", .blocks = 1, .threads = detail::loss_threads, .shape = scores.shape}, detail::finish_step_kernel<T>,
         loss, labels.data ? scores.shape[1] : Index{0}, scores.data, labels.data, plan, state);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include <algorithm>

#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/loss_sum.cuh"

/// What a captured training step has besides the network: its batch is gathered on the device, and it counts itself on. See capture.hpp.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// As a kernel's argument the state gets to the device in the order of the stream, without waiting for it.
VENTRAL_KERNEL void set_step_kernel(StepState value, StepState* state) { *state = value; }

/// Inputs as they are kept: numbers, or bytes that stand for numbers. `at` is the element, `within` its place in its example.
template <class T>
struct KeptNumbers {
  const T* x;
  VENTRAL_DEVICE T operator()(Index at, Index) const { return x[at]; }
};
template <class T>
struct KeptBytes {
  const unsigned char* x;
  const T* levels;  ///< tables of 256
  Index share;      ///< elements that share a table
  VENTRAL_DEVICE T operator()(Index at, Index within) const { return levels[quotient(within, share) * 256 + x[at]]; }
};

/// Inputs and targets of a batch from the examples that the order names from `first` on, or from state->position on; a thread for each element of x, then for
/// one of the target. Reads and writes each element once.
template <class Kept, class T, class Target>
VENTRAL_KERNEL void gather_batch_kernel(Index batch, Index row, Index target_row, BatchPlace place, Kept kept, const Target* targets, T* x, Target* target) {
  const std::int64_t* const which = place.order + (place.state ? place.state->position : 0);
  for (Index i = first_element(); i < batch * row; i += element_step()) {
    const Index r = quotient(i, row), within = i - r * row;
    x[i] = kept(which[r] * row + within, within);
  }
  for (Index i = first_element(); i < batch * target_row; i += element_step()) {
    const Index r = quotient(i, target_row);
    target[i] = targets[which[r] * target_row + (i - r * target_row)];
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
  state->position = state->position + 2 * plan.batch <= state->examples ? state->position + plan.batch : 0;  // others come to where a halted step's batch was
  if (!state->halted) ++state->step;
}

}  // namespace detail

VENTRAL_CUDA_FUNCTION void set_step(Stream stream, const StepState& value, StepState* state) {
  launch(stream, {.kernel = "set_step_kernel", .blocks = 1, .threads = 1}, detail::set_step_kernel, value, state);
}

namespace detail {

template <class Kept, class T, class Target>
void run_gather(Stream stream, const BatchPlace& place, const Kept& kept, In<Target> targets, Out<T> x, Out<Target> target) {
  const Index batch = x.shape[0], row = x.shape.product(1, x.shape.rank()), target_row = target.shape.product(1, target.shape.rank());
  const Launch l{.kernel = "gather_batch_kernel", .blocks = blocks_for(batch * std::max(row, target_row)), .shape = x.shape};
  launch(stream, l, gather_batch_kernel<Kept, T, Target>, batch, row, target_row, place, kept, targets.data, x.data, target.data);
}

}  // namespace detail

/// x[i] = kept[place.order[i]] and the target likewise, for the examples of a batch in one launch.
template <class T, class Target>
void gather_batch(Stream stream, const BatchPlace& place, In<T> kept, In<Target> targets, Out<T> x, Out<Target> target) {
  detail::run_gather(stream, place, detail::KeptNumbers<T>{kept.data}, targets, x, target);
}

/// The same of bytes: x = levels[table][byte]. levels [tables,256]; each table is for an equal share of an example, as of a channel.
template <class T, class Target>
void gather_batch_of_bytes(Stream stream, const BatchPlace& place, In<unsigned char> kept, In<T> levels, In<Target> targets, Out<T> x, Out<Target> target) {
  const Index row = x.shape.product(1, x.shape.rank());
  detail::run_gather(stream, place, detail::KeptBytes<T>{kept.data, levels.data, row / levels.shape[0]}, targets, x, target);
}

/// Reports the step and counts it on. `labels` are empty where nothing is to be classified.
template <class T>
void finish_step(Stream stream, const QueuedLoss& loss, In<T> scores, In<std::int32_t> labels, const StepPlan& plan, StepState* state) {
  launch(stream, {.kernel = "finish_step_kernel", .blocks = 1, .threads = detail::loss_threads, .shape = scores.shape}, detail::finish_step_kernel<T>,
         loss, labels.data ? scores.shape[1] : Index{0}, scores.data, labels.data, plan, state);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

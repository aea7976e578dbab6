#pragma once
#include <algorithm>

#include "ventral/activation_function.hpp"
#include "ventral/cuda/grid.cuh"
#include "ventral/cuda/optimizer.cuh"
#include "ventral/cuda/reduce.cuh"
#include "ventral/cuda/small_network.hpp"

/// Training steps of a network as small as LeNet-5 by one kernel, which stays on the device ("persistent"). A step of such a network is a few microseconds of
/// arithmetic; as a graph it is some twenty kernels, each with its start and end. Here it has two phases, and the grid waits for itself after each:
///   1. a block takes an image through the whole network and back, its activations and their gradients in shared memory;
///   2. a thread takes a parameter: it adds up the images' shares of its gradient, in their order, and updates it.
/// So the bits do not depend on how many blocks there are. They differ by rounding from those of other steps, which add in other orders.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

constexpr int small_threads = 512, small_warps = small_threads / 32;
/// Room for partial sums of weight gradients: of each thread, four outputs and two taps.
constexpr int small_outputs = 4, small_taps = 2, small_partials = small_threads * small_outputs * small_taps;

/// The place along an axis that tap k of window i reads, or, `back`, the window whose tap k reads place i; -1: none.
template <bool back>
VENTRAL_DEVICE int small_place(const SmallAxis& a, int i, int k) {
  if constexpr (!back) {
    const int at = i * a.stride - a.before + k * a.dilation;
    return at >= 0 && at < a.in ? at : -1;
  } else {
    const int from = i + a.before - k * a.dilation;
    if (from < 0) return -1;
    const int at = a.stride == 1 ? from : from / a.stride;
    return at < a.out && at * a.stride == from ? at : -1;
  }
}

/// Cells under window i that count in a mean.
VENTRAL_DEVICE int small_cells(const SmallAxis& a, int i, bool count_include_pad) {
  int n = 0;
  for (int k = 0; k < a.kernel; ++k) {
    const int at = i * a.stride - a.before + k * a.dilation;
    n += count_include_pad ? at < a.in + a.after : at >= 0 && at < a.in;
  }
  return n;
}

/// y = w * x + b of one image, or, `back`, dx = the correlation of dy with w turned round. A thread makes four rows of two channels at one column.
template <bool back, class T>
VENTRAL_DEVICE void small_correlate(const SmallLayer<T>& l, const T* from, T* to) {
  constexpr int rows = 4;
  const int taps = l.h.kernel * l.w.kernel, of_output = l.in_channels * taps;
  const int from_channels = back ? l.out_channels : l.in_channels, from_step = back ? of_output : taps, from_h = back ? l.h.out : l.h.in, from_w = back ? l.w.out : l.w.in;
  const int to_channels = back ? l.in_channels : l.out_channels, to_step = back ? taps : of_output, to_h = back ? l.h.in : l.h.out, to_w = back ? l.w.in : l.w.out;
  const int strips = (to_h + rows - 1) / rows, pairs = (to_channels + 1) / 2;
  for (int u = thread_in_block(); u < to_w * strips * pairs; u += small_threads) {
    const int column = u % to_w, row = u / to_w % strips * rows, first = u / to_w / strips * 2, second = first + 1 < to_channels ? first + 1 : first;
    const bool biased = !back && l.bias;
    T sum[2][rows];
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < rows; ++r) sum[0][r] = biased ? l.bias[first] : T(0), sum[1][r] = biased ? l.bias[second] : T(0);
    for (int c = 0; c < from_channels; ++c)
      for (int j = 0; j < l.w.kernel; ++j) {
        const int x = small_place<back>(l.w, column, j);
        if (x < 0) continue;
        const T *const plane = from + c * from_h * from_w + x, *const w = l.weight + c * from_step + j;
        for (int i = 0; i < l.h.kernel; ++i) {
          const T w0 = w[first * to_step + i * l.w.kernel], w1 = w[second * to_step + i * l.w.kernel];
          VENTRAL_DEVICE_UNROLL
          for (int r = 0; r < rows; ++r) {
            const int y = small_place<back>(l.h, row + r, i);
            const T v = y < 0 ? T(0) : plane[y * from_w];
            sum[0][r] += w0 * v, sum[1][r] += w1 * v;
          }
        }
      }
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < rows; ++r)
      if (row + r < to_h) {
        to[(second * to_h + row + r) * to_w + column] = sum[1][r];
        to[(first * to_h + row + r) * to_w + column] = sum[0][r];  // second may be first, with the same sum
      }
  }
}

/// The image's share of dw [out,in,kh,kw] and db, to its trace. A thread sums four outputs at two taps over some of the rows; `partials` holds the sums.
template <class T>
VENTRAL_DEVICE void small_weight_gradient(const SmallLayer<T>& l, const T* x, const T* dy, T* partials, T* trace) {
  constexpr int outputs = small_outputs, both = small_taps;
  const int pairs = (l.w.kernel + both - 1) / both, groups = (l.out_channels + outputs - 1) / outputs, taps = l.h.kernel * l.w.kernel;
  const int units = groups * l.in_channels * l.h.kernel * pairs, plane = l.h.out * l.w.out;
  const int wanted = small_threads / units, parts = wanted < 1 ? 1 : wanted < l.h.out ? wanted : l.h.out;
  for (int t = thread_in_block(); t < units * parts; t += small_threads) {
    const int u = t % units, part = t / units, j = u % pairs * both, i = u / pairs % l.h.kernel, c = u / pairs / l.h.kernel % l.in_channels;
    const int first = u / pairs / l.h.kernel / l.in_channels * outputs;
    T sum[outputs][both] = {};
    const T* of[outputs];
    VENTRAL_DEVICE_UNROLL
    for (int q = 0; q < outputs; ++q) of[q] = dy + (first + q < l.out_channels ? first + q : l.out_channels - 1) * plane;
    for (int row = part * l.h.out / parts; row < (part + 1) * l.h.out / parts; ++row) {
      const int y = small_place<false>(l.h, row, i);
      if (y < 0) continue;
      const T* const line = x + (c * l.h.in + y) * l.w.in;
      for (int column = 0; column < l.w.out; ++column) {
        T v[both];
        VENTRAL_DEVICE_UNROLL
        for (int k = 0; k < both; ++k) {
          const int at = small_place<false>(l.w, column, j + k);
          v[k] = at < 0 ? T(0) : line[at];
        }
        VENTRAL_DEVICE_UNROLL
        for (int q = 0; q < outputs; ++q) {
          const T g = of[q][row * l.w.out + column];
          VENTRAL_DEVICE_UNROLL
          for (int k = 0; k < both; ++k) sum[q][k] += g * v[k];
        }
      }
    }
    VENTRAL_DEVICE_UNROLL
    for (int q = 0; q < outputs; ++q)
      VENTRAL_DEVICE_UNROLL
      for (int k = 0; k < both; ++k) {
        if (parts > 1) partials[(q * both + k) * small_threads + t] = sum[q][k];
        else if (first + q < l.out_channels && j + k < l.w.kernel) trace[((first + q) * l.in_channels + c) * taps + i * l.w.kernel + j + k] = sum[q][k];
      }
  }
  if (parts > 1) {
    __syncthreads();
    for (int e = thread_in_block(); e < l.out_channels * l.in_channels * taps; e += small_threads) {
      const int j = e % l.w.kernel, i = e / l.w.kernel % l.h.kernel, c = e / taps % l.in_channels, o = e / taps / l.in_channels;
      const int u = ((o / outputs * l.in_channels + c) * l.h.kernel + i) * pairs + j / both;
      T sum = 0;
      for (int part = 0; part < parts; ++part) sum += partials[(o % outputs * both + j % both) * small_threads + part * units + u];
      trace[e] = sum;
    }
  }
  T* const db = trace + l.out_channels * l.in_channels * taps;
  for (int o = thread_in_block() / 32; o < l.out_channels; o += small_warps) {
    T sum = 0;
    for (int p = thread_in_block() % 32; p < plane; p += 32) sum += dy[o * plane + p];
    sum = warp_sum(sum);
    if (thread_in_block() % 32 == 0) db[o] = sum;
  }
}

template <class T>
VENTRAL_DEVICE void small_pool(const SmallLayer<T>& l, const T* x, T* y, int* winners) {
  const bool max = l.kind == SmallStage<T, Space>::Kind::max_pool;
  for (int u = thread_in_block(); u < l.out_channels * l.h.out * l.w.out; u += small_threads) {
    const int column = u % l.w.out, row = u / l.w.out % l.h.out;
    const T* const plane = x + u / (l.w.out * l.h.out) * l.h.in * l.w.in;
    int winner = -1;
    T sum = 0;
    for (int i = 0; i < l.h.kernel; ++i)
      for (int j = 0; j < l.w.kernel; ++j) {
        const int at_row = small_place<false>(l.h, row, i), at_column = small_place<false>(l.w, column, j);
        if (at_row < 0 || at_column < 0) continue;
        const T v = plane[at_row * l.w.in + at_column];
        if (!max) sum += v;
        else if (winner < 0 || v > sum || (v != v && sum == sum)) winner = at_row * l.w.in + at_column, sum = v;
      }
    if (max) winners[u] = winner, y[u] = sum;
    else y[u] = sum / static_cast<T>(small_cells(l.h, row, l.count_include_pad) * small_cells(l.w, column, l.count_include_pad));
  }
}

/// dx of a pooling: every cell adds up what the windows over it give it.
template <class T>
VENTRAL_DEVICE void small_pool_back(const SmallLayer<T>& l, const T* dy, const int* winners, T* dx) {
  const bool max = l.kind == SmallStage<T, Space>::Kind::max_pool;
  for (int u = thread_in_block(); u < l.in_channels * l.h.in * l.w.in; u += small_threads) {
    const int column = u % l.w.in, row = u / l.w.in % l.h.in, window = u / (l.w.in * l.h.in) * l.h.out * l.w.out;
    T sum = 0;
    for (int i = 0; i < l.h.kernel; ++i)
      for (int j = 0; j < l.w.kernel; ++j) {
        const int at_row = small_place<true>(l.h, row, i), at_column = small_place<true>(l.w, column, j);
        if (at_row < 0 || at_column < 0) continue;
        const int at = window + at_row * l.w.out + at_column;
        if (!max) sum += dy[at] / static_cast<T>(small_cells(l.h, at_row, l.count_include_pad) * small_cells(l.w, at_column, l.count_include_pad));
        else if (winners[at] == row * l.w.in + column) sum += dy[at];
      }
    dx[u] = sum;
  }
}

template <class T>
VENTRAL_DEVICE void small_forward(const SmallLayer<T>& l, T* numbers, int* winners) {
  using Kind = typename SmallStage<T, Space>::Kind;
  const T* const x = numbers + l.x;
  T* const y = numbers + l.y;
  const int thread = thread_in_block(), n = l.out_channels * l.h.out * l.w.out;
  switch (l.kind) {
    case Kind::convolution: small_correlate<false>(l, x, y); break;
    case Kind::linear:
      for (int o = thread / 32; o < l.out_channels; o += small_warps) {
        T sum = 0;
        for (int i = thread % 32; i < l.in_channels; i += 32) sum += l.weight[o * l.in_channels + i] * x[i];
        sum = warp_sum(sum);
        if (thread % 32 == 0) y[o] = l.bias ? sum + l.bias[o] : sum;
      }
      break;
    case Kind::max_pool:
    case Kind::mean_pool: small_pool(l, x, y, winners + l.winners); break;
    case Kind::relu:
      for (int i = thread; i < n; i += small_threads) y[i] = activation::Relu<T>{}.value(y[i]);
      break;
    case Kind::sigmoid:
      for (int i = thread; i < n; i += small_threads) y[i] = activation::Sigmoid<T>{}.value(y[i]);
      break;
    case Kind::tanh:
      for (int i = thread; i < n; i += small_threads) y[i] = activation::Tanh<T>{l.amplitude, l.gain}.value(y[i]);
      break;
    case Kind::view: break;
  }
}

/// The gradient by the layer's input, and what the image leaves for the gradients of its parameters.
template <class T>
VENTRAL_DEVICE void small_backward(const SmallLayer<T>& l, T* numbers, T* gradients, const int* winners, T* partials, T* trace) {
  using Kind = typename SmallStage<T, Space>::Kind;
  const T *const x = numbers + l.x, *const y = numbers + l.y;
  T *const dx = gradients + l.x, *const dy = gradients + l.y;
  const int thread = thread_in_block(), n = l.out_channels * l.h.out * l.w.out;
  switch (l.kind) {
    case Kind::convolution:
      if (l.weight_update >= 0 || l.bias_update >= 0) small_weight_gradient(l, x, dy, partials, trace + l.trace);
      if (l.gives_dx) small_correlate<true>(l, dy, dx);
      break;
    case Kind::linear:
      for (int i = thread; i < l.in_channels; i += small_threads) {
        trace[l.trace + i] = x[i];
        if (!l.gives_dx) continue;
        T sum = 0;
        for (int o = 0; o < l.out_channels; ++o) sum += l.weight[o * l.in_channels + i] * dy[o];
        dx[i] = sum;
      }
      for (int o = thread; o < l.out_channels; o += small_threads) trace[l.trace + l.in_channels + o] = dy[o];
      break;
    case Kind::max_pool:
    case Kind::mean_pool:
      if (l.gives_dx) small_pool_back(l, dy, winners + l.winners, dx);
      break;
    case Kind::relu:  // y says all that the slopes need
      for (int i = thread; i < n; i += small_threads) dy[i] *= activation::Relu<T>{}.slope(y[i], y[i]);
      break;
    case Kind::sigmoid:
      for (int i = thread; i < n; i += small_threads) dy[i] *= activation::Sigmoid<T>{}.slope(y[i], y[i]);
      break;
    case Kind::tanh:
      for (int i = thread; i < n; i += small_threads) dy[i] *= activation::Tanh<T>{l.amplitude, l.gain}.slope(y[i], y[i]);
      break;
    case Kind::view: break;
  }
}

/// Softmax cross-entropy of one image by one warp: its loss, whether the largest score is that of its label (argmax in metrics.hpp), and the gradient of the
/// batch's mean by the scores.
template <class T>
VENTRAL_DEVICE void small_loss(int classes, int label, Index batch, const T* scores, T* gradient, double* loss, std::int32_t* right) {
  const int lane = thread_in_block();
  if (lane >= 32) return;
  T top = scores[0], sum = 0;
  for (int c = lane; c < classes; c += 32) top = larger(top, scores[c]);
  top = warp_max(top);
  for (int c = lane; c < classes; c += 32) sum += std::exp(scores[c] - top);
  sum = warp_sum(sum);
  for (int c = lane; c < classes; c += 32) gradient[c] = (std::exp(scores[c] - top) / sum - T(c == label)) / static_cast<T>(batch);
  if (lane != 0) return;
  int best = 0;
  for (int c = 1; c < classes; ++c)
    if (scores[c] > scores[best] || scores[best] != scores[best]) best = c;
  *right = best == label;
  *loss = static_cast<double>(std::log(sum) - (scores[label] - top));
}

/// Parameter e of those updated, counted over all layers: the sum of the images' shares of its gradient, and its update.
template <class T>
VENTRAL_DEVICE void small_update(const SmallProgram<T>& net, Index batch, const T* traces, const UpdateEntry* table, int e) {
  for (int k = 0; k < net.layers; ++k) {
    const SmallLayer<T>& l = net.layer[k];
    const bool linear = l.kind == SmallStage<T, Space>::Kind::linear;
    const int window = l.h.kernel * l.w.kernel, weights = l.weight ? l.out_channels * l.in_channels * window : 0;
    const bool of_weight = l.weight_update >= 0 && e < weights;
    const int size = (l.weight_update >= 0 ? weights : 0) + (l.bias_update >= 0 ? l.out_channels : 0);
    if (e >= size) {
      e -= size;
      continue;
    }
    const int at = of_weight || l.weight_update < 0 ? e : e - weights;  // in its array
    const T *a = traces + l.trace, *b = nullptr;
    if (!linear) a += of_weight ? at : weights + at;
    else if (of_weight) b = a + at % l.in_channels, a += l.in_channels + at / l.in_channels;
    else a += l.in_channels + at;
    T gradient = 0;
    constexpr int ahead = 8;
    Index image = 0;
    for (; image + ahead <= batch; image += ahead, a += ahead * net.trace, b = b ? b + ahead * net.trace : nullptr) {
      T term[ahead];
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < ahead; ++i) term[i] = b ? a[i * net.trace] * b[i * net.trace] : a[i * net.trace];
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < ahead; ++i) gradient += term[i];
    }
    for (; image < batch; ++image, a += net.trace, b = b ? b + net.trace : nullptr) gradient += b ? *a * *b : *a;
    const UpdateEntry& entry = table[of_weight ? l.weight_update : l.bias_update];
    T c[SGDMethod::constants], velocity = 0, *const kept = static_cast<T*>(entry.state[0]), *const value = static_cast<T*>(entry.value);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < SGDMethod::constants; ++i) c[i] = static_cast<T>(entry.constant[i]);
    if (kept) velocity = kept[at];
    T p = value[at];
    SGDMethod::step(c, gradient, p, &velocity);
    value[at] = p;
    if (kept) kept[at] = velocity;
    return;
  }
}

/// So many training steps; see the top of this file. Every block comes to the same decisions from the same numbers. Weights are read by phase 1 and written
/// by phase 2, so no pointer to them may be promised to be read only.
template <class T>
VENTRAL_BOUNDED_KERNEL(small_threads, 1) void small_steps_kernel(SmallProgram<T> net, SmallData<T> data, StepPlan plan, Index steps, const UpdateEntry* table, T* traces,
                                                              double* losses, std::int32_t* right, unsigned* arrivals, StepState* state) {
  VENTRAL_DYNAMIC_SHARED(T, numbers);
  T *const gradients = numbers + net.activations, *const partials = gradients + net.activations;
  int* const winners = reinterpret_cast<int*>(partials + small_partials);
  const int thread = thread_in_block();
  if (state->halted) return;
  Index position = state->position;
  const Index examples = state->examples;
  for (; steps > 0; --steps) {
    for (Index image = blockIdx.x; image < plan.batch; image += gridDim.x) {
      const Index example = data.order[position + image];
      T* const trace = traces + image * net.trace;
      for (int i = thread; i < net.inputs; i += small_threads)
        numbers[i] = data.x ? data.x[example * net.inputs + i] : data.levels[i / data.share * 256 + data.bytes[example * net.inputs + i]];
      __syncthreads();
      for (int k = 0; k < net.layers; ++k) {
        small_forward(net.layer[k], numbers, winners);
        __syncthreads();
      }
      small_loss(net.classes, data.labels[example], plan.batch, numbers + net.output, gradients + net.output, losses + image, right + image);
      __syncthreads();
      for (int k = net.layers - 1; k >= 0; --k) {
        small_backward(net.layer[k], numbers, gradients, winners, partials, trace);
        __syncthreads();
      }
    }
    grid_sync(arrivals);

    double sum = 0;
    int hits = 0;
    for (Index i = thread; i < plan.batch; i += small_threads) sum += losses[i], hits += right[i];
    sum = block_sum<small_threads>(sum);
    hits = block_sum<small_threads>(hits);
    const double loss = sum / static_cast<double>(plan.batch);
    const bool finite = loss - loss == 0;
    position = position + 2 * plan.batch <= examples ? position + plan.batch : 0;
    if (blockIdx.x == 0 && thread == 0) {
      plan.reports[state->done++ % plan.room] = {loss, static_cast<double>(hits)};
      state->position = position;
      if (finite) ++state->step;
      else state->halted = 1;
    }
    if (!finite) return;  // all blocks: nothing more is updated
    for (int e = static_cast<int>(first_element()); e < net.updated; e += static_cast<int>(element_step())) small_update(net, plan.batch, traces, table, e);
    grid_sync(arrivals);
  }
}

[[gnu::cold]] inline SmallAxis small_axis(const WindowAxis& a) {
  const auto number = [](Index n) { return static_cast<int>(n); };
  return {number(a.in), number(a.out), number(a.kernel), number(a.stride), number(a.before), number(a.after), number(a.dilation)};
}

}  // namespace detail

template <class T>
SmallNetwork<T>::SmallNetwork(const std::vector<SmallStage<T, Space>>& stages, const Shape& x, Index classes, Index batch) : batch_(batch) {
  constexpr Index most_numbers = Index{1} << 24;  // far more than fit, and far from what an int holds
  require(x.product(1, x.rank()) <= most_numbers, "small network: ", x.product(1, x.rank()), " numbers an image");
  program_.inputs = program_.activations = static_cast<int>(x.product(1, x.rank()));
  program_.classes = static_cast<int>(classes);
  for (const auto& stage : stages) {
    if (stage.kind != SmallStage<T, Space>::Kind::view) add(stage);
    require(program_.activations <= most_numbers, "small network: too many activations for a block's shared memory");
  }
  const Extent threads = detail::small_threads;
  blocks_ = blocks_together(detail::small_steps_kernel<T>, threads, shared_bytes());
  require(blocks_ >= 1, "small network: its ", program_.activations, " activations, their gradients and room for sums, ", shared_bytes(),
          " bytes for each image, do not fit into the shared memory of a block; train it without `persistent`");
  blocks_ = std::min(blocks_, batch);
  traces_.resize({batch, program_.trace});
  losses_.resize({batch});
  right_.resize({batch});
  arrivals_ = Tensor<std::uint32_t, Space>({1});
}

template <class T>
std::size_t SmallNetwork<T>::shared_bytes() const {
  return (2 * static_cast<std::size_t>(program_.activations) + detail::small_partials) * sizeof(T) + static_cast<std::size_t>(program_.winners) * sizeof(int);
}

/// The layer that follows those before it, whose output is its input.
template <class T>
void SmallNetwork<T>::add(const SmallStage<T, Space>& stage) {
  using Kind = typename SmallStage<T, Space>::Kind;
  detail::SmallProgram<T>& p = program_;
  require(p.layers < p.most_layers, "small network: more than ", p.most_layers, " layers");
  detail::SmallLayer<T>& l = p.layer[p.layers];
  const detail::SmallLayer<T>* const before = p.layers ? &p.layer[p.layers - 1] : nullptr;
  const int numbers = before ? before->out_channels * before->h.out * before->w.out : p.inputs;
  const bool windows = stage.kind == Kind::convolution || stage.kind == Kind::max_pool || stage.kind == Kind::mean_pool;
  l.kind = stage.kind;
  l.count_include_pad = stage.count_include_pad;
  l.amplitude = static_cast<T>(stage.amplitude), l.gain = static_cast<T>(stage.gain);
  l.h = windows ? detail::small_axis(stage.window.h) : detail::SmallAxis{};
  l.w = windows ? detail::small_axis(stage.window.w) : detail::SmallAxis{};
  l.in_channels = l.out_channels = numbers / (l.h.in * l.w.in);
  if (stage.weight) l.out_channels = static_cast<int>(stage.weight->value.dim(0));
  l.weight = stage.weight ? stage.weight->value.data() : nullptr, l.bias = stage.bias ? stage.bias->value.data() : nullptr;
  l.weight_update = l.bias_update = -1;
  l.x = p.output;
  if (windows || stage.kind == Kind::linear) l.y = p.activations, p.activations += l.out_channels * l.h.out * l.w.out;
  else l.y = l.x;
  if (stage.kind == Kind::max_pool) l.winners = p.winners, p.winners += l.out_channels * l.h.out * l.w.out;
  l.gives_dx = p.output != 0;
  l.trace = p.trace;
  if (stage.kind == Kind::linear) p.trace += l.in_channels + l.out_channels;
  if (stage.kind == Kind::convolution) p.trace += l.out_channels * (l.in_channels * l.h.kernel * l.w.kernel + 1);
  p.output = l.y;
  ++p.layers;
}

template <class T>
void SmallNetwork<T>::run(Stream stream, const SmallData<T>& data, const StepPlan& plan, Index steps, const StepUpdates& updates, StepState* state) {
  const detail::UpdateTable& table = *static_cast<const detail::UpdateTable*>(updates.table());
  require(table.template runs<T, detail::SGDMethod>(), "small network: its kernel updates parameters by SGD alone; train it without `persistent`");
  program_.updated = 0;
  for (int k = 0; k < program_.layers; ++k) {
    detail::SmallLayer<T>& l = program_.layer[k];
    l.weight_update = table.find(l.weight), l.bias_update = table.find(l.bias);
    if (l.weight_update >= 0) program_.updated += l.out_channels * l.in_channels * l.h.kernel * l.w.kernel;
    if (l.bias_update >= 0) program_.updated += l.out_channels;
  }
  const Launch l{.kernel = "small_steps_kernel", .blocks = blocks_, .threads = detail::small_threads, .shared = shared_bytes(), .shape = {batch_, program_.inputs}};
  launch_together(stream, l, detail::small_steps_kernel<T>, program_, data, plan, steps, table.on_device(), traces_.data(), losses_.data(), right_.data(), arrivals_.data(), state);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include "ventral/cuda/loss_sum.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// What cross-entropies share: the targets' weights and what is written.
template <class T>
struct CrossEntropy {
  Scores<T> scores;
  double smoothing, each;  ///< the part of the target that is spread, and that of each class
  Index ignore;
  LossScale scale;
  const T* weights;
  T *values, *dx;

  CrossEntropy(In<T> x, In<std::int32_t> labels, double spread, Index left_out, const LossScale& gradient_scale, In<T> class_weights, Out<T> all_values,
               Out<T> gradient)
      : scores(x, labels), smoothing(spread), each(spread / static_cast<double>(x.shape[1])), ignore(left_out), scale(gradient_scale),
        weights(class_weights.data), values(all_values.data), dx(gradient.data) {}
  VENTRAL_DEVICE double weight(Index c) const { return weights ? static_cast<double>(load(weights + c)) : 1.0; }
  VENTRAL_DEVICE double own(Index label) const { return (1 - smoothing) * weight(label); }
};

/// Threads that share a row of scores, `lane` being this one's place: a thread alone, or a warp.
struct AloneOnRow {
  static constexpr int lanes = 1;
  template <class V>
  VENTRAL_DEVICE static V sum(V v) {
    return v;
  }
  template <class S>
  VENTRAL_DEVICE static S largest(S v) {
    return v;
  }
};
struct WarpOnRow {
  static constexpr int lanes = 32;
  template <class V>
  VENTRAL_DEVICE static V sum(V v) {
    return warp_sum(v);
  }
  template <class S>
  VENTRAL_DEVICE static S largest(S v) {
    return warp_max(v);
  }
};

/// Cross-entropy of one position, the same in all its threads; writes `scale` times the gradient to dx unless it is null.
/// With `softmax`, x are scores, else log-probabilities: p_c = exp(x_c - top) / total. Scores are read from memory once, then from cache.
template <bool softmax, class Row, class T>
VENTRAL_DEVICE double cross_entropy_row(const CrossEntropy<T>& e, double scale, Index label, const T* x, T* dx, int lane) {
  using S = Compute<T>;
  const Index classes = e.scores.classes, stride = e.scores.stride;
  S top = S(0);
  double total = 1, log_total = 0;
  if constexpr (softmax) {
    top = load(x);
    for (Index c = lane; c < classes; c += Row::lanes) {
      const S v = load(x + c * stride);
      top = v > top ? v : top;
    }
    top = Row::largest(top);
    total = 0;
    for (Index c = lane; c < classes; c += Row::lanes) total += static_cast<double>(std::exp(load(x + c * stride) - top));
    total = Row::sum(total);
    log_total = std::log(total);
  }
  const double own = e.own(label);
  double loss = 0, all = 0;  // `all`: how much probability the target holds, weighted
  if (e.smoothing > 0) {
    for (Index c = lane; c < classes; c += Row::lanes) {
      const double share = e.each * e.weight(c);
      loss -= share * (static_cast<double>(load(x + c * stride) - top) - log_total);
      all += share;
    }
    const Pair<double> sums = Row::sum(Pair<double>{loss, all});
    loss = sums.first, all = sums.second;
  }
  loss -= own * (static_cast<double>(load(x + label * stride) - top) - log_total);
  all += own;
  if (!dx) return loss;
  const double slope = scale * all / total;
  for (Index c = lane; c < classes; c += Row::lanes) {
    const double target = scale * (e.each * e.weight(c) + (c == label ? own : 0)),
                 exponential = softmax ? static_cast<double>(std::exp(load(x + c * stride) - top)) : 0;
    store(dx + c * stride, static_cast<S>((softmax ? slope * exponential : 0) - target));
  }
  return loss;
}

/// Sums the cross-entropy of all positions, with the gradient in the same pass. A thread for each position (neighbours read neighbouring positions of
/// a class), or a warp for each where a position's classes lie side by side. Two exponentials an element, the second for the gradient.
template <bool softmax, class Row, class T>
VENTRAL_BOUNDED_KERNEL(loss_threads) void cross_entropy_kernel(CrossEntropy<T> e, double* sums) {
  const int lane = static_cast<int>(threadIdx.x) % Row::lanes;
  const double scale = e.dx ? read_scale_together(e.scale) : 0;
  double sum = 0;
  for (Index i = first_element() / Row::lanes; i < e.scores.count; i += element_step() / Row::lanes) {
    const Index label = e.scores.labels[i], at = e.scores.offset(i);
    T* const dx = e.dx ? e.dx + at : nullptr;
    double loss = 0;
    if (label != e.ignore) {
      loss = cross_entropy_row<softmax, Row>(e, scale, label, e.scores.x + at, dx, lane);
    } else if (dx) {
      for (Index c = lane; c < e.scores.classes; c += Row::lanes) store(dx + c * e.scores.stride, Compute<T>(0));
    }
    if (lane != 0) continue;
    if (e.values) store(e.values + i, static_cast<Compute<T>>(loss));
    sum += loss;
  }
  sum = block_sum<loss_threads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// Classes side by side from which on a warp takes a position.
constexpr Index classes_for_warp = 32;

template <bool softmax, class T>
double cross_entropy(Stream stream, const CrossEntropy<T>& e, const Shape& x, const LossCall& call, Out<double> sums) {
  const auto run = [&](auto row) {
    using Row = decltype(row);
    return run_loss(stream, softmax ? "cross_entropy_kernel (of scores)" : "cross_entropy_kernel (of log-probabilities)", e.scores.count * Row::lanes,
                    x, call, sums, cross_entropy_kernel<softmax, Row, T>, e);
  };
  return e.scores.stride == 1 && e.scores.classes >= classes_for_warp ? run(WarpOnRow{}) : run(AloneOnRow{});
}

}  // namespace detail

/// Softmax cross-entropy of scores x [N,C,d1,..] with labels [N,d1,..], loss and gradient in one launch. 16-bit scores are computed with in float.
template <class T>
double softmax_cross_entropy(Stream stream, double smoothing, Index ignore, const LossCall& call, In<T> x, In<std::int32_t> labels, In<T> weights,
                             Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::cross_entropy<true>(stream, detail::CrossEntropy<T>(x, labels, smoothing, ignore, call.scale, weights, values, dx), x.shape, call, sums);
}

/// The same of log-probabilities x.
template <class T>
double negative_log_likelihood(Stream stream, double smoothing, Index ignore, const LossCall& call, In<T> x, In<std::int32_t> labels, In<T> weights,
                               Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::cross_entropy<false>(stream, detail::CrossEntropy<T>(x, labels, smoothing, ignore, call.scale, weights, values, dx), x.shape, call, sums);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include "ventral/cuda/kept_line.cuh"
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

/// Cross-entropy of one position, the same in all threads of its team; writes `scale` times the gradient to dx unless it is null.
/// With `softmax`, x are scores, else log-probabilities: p_c = exp(x_c - top) / total. A team that keeps numbers takes no smoothing.
template <bool softmax, class Team, class T>
VENTRAL_DEVICE double cross_entropy_row(const CrossEntropy<T>& e, double scale, Index label, const T* x, T* dx, const Team& team) {
  using S = Compute<T>;
  KeptLine<Team, T, 1> line(team, e.scores.classes, e.scores.stride, {x});
  const bool spread = Team::kept == 0 && e.smoothing > 0;
  const S top = softmax ? largest_number(team, line) : S(0);
  double total = 0, all = 0, loss = 0;  // `all`: how much probability the target holds, weighted
  if (softmax || spread)
    total = line.sum([&](auto& v, Index c, auto) {
      if (spread) {
        const double share = e.each * e.weight(c);
        loss -= share * static_cast<double>(v[0] - top);
        all += share;
      }
      return v[0] = softmax ? std::exp(v[0] - top) : S(0);
    });
  total = softmax ? team.sum(total) : 1;
  if (spread) {
    const Pair<double> sums = team.sum(Pair<double>{loss, all});
    loss = sums.first, all = sums.second;
  }
  const double log_total = std::log(total), own = e.own(label);
  const S of_label = load(x + line.offset(label)) - top;
  loss += all * log_total - own * (static_cast<double>(of_label) - log_total);
  all += own;
  if (!dx) return loss;
  const double slope = softmax ? scale * all / total : 0;
  const S rounded = static_cast<S>(slope);
  const auto gradient = [&](S exponential, Index c) {  // in double, since two numbers may cancel
    return static_cast<S>(slope * static_cast<double>(exponential) - scale * (e.each * e.weight(c) + (c == label ? own : 0)));
  };
  line.for_each([&](const auto& v, Index c, auto kept) {
    const S exponential = !softmax ? S(0) : kept ? v[0] : std::exp(v[0] - top);
    store(dx + line.offset(c), spread ? gradient(exponential, c) : rounded * exponential);
  });
  if (!spread && label % Team::size == team.rank()) store(dx + line.offset(label), gradient(softmax ? std::exp(of_label) : S(0), label));
  return loss;
}

/// Threads of a block in which teams share rows.
template <class Team>
constexpr int team_threads = Team::size > 128 ? Team::size : 128;

/// Sums the cross-entropy of all positions, with the gradient in the same pass: reads the scores once, as far as the team keeps them, and writes the gradient
/// once. A thread for each position (neighbours read neighbouring positions of a class), or a warp or block where a position's classes lie side by side.
template <bool softmax, class Team, class T>
VENTRAL_BOUNDED_KERNEL(team_threads<Team>) void cross_entropy_kernel(CrossEntropy<T> e, double* sums) {
  const Team team;
  const double scale = e.dx ? read_scale_together(e.scale) : 0;
  double sum = 0;
  for (Index i = first_element() / Team::size; i < e.scores.count; i += element_step() / Team::size) {
    const Index label = e.scores.labels[i], at = e.scores.offset(i);
    T* const dx = e.dx ? e.dx + at : nullptr;
    double loss = 0;
    if (label != e.ignore) {
      loss = cross_entropy_row<softmax>(e, scale, label, e.scores.x + at, dx, team);
    } else if (dx) {
      for (Index c = team.rank(); c < e.scores.classes; c += Team::size) store(dx + c * e.scores.stride, Compute<T>(0));
    }
    if (team.rank() != 0) continue;
    if (e.values) store(e.values + i, static_cast<Compute<T>>(loss));
    sum += loss;
  }
  sum = block_sum<team_threads<Team>>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// Who works on a row: a thread; from 32 classes side by side on a warp. Without smoothing the row stays in registers, from 1025 classes on in a block's.
template <bool softmax, class T>
double cross_entropy(Stream stream, const CrossEntropy<T>& e, const Shape& x, const LossCall& call, Out<double> sums) {
  const Index classes = e.scores.classes;
  const auto run = [&](auto team) {
    using Team = decltype(team);
    return run_loss<team_threads<Team>>(stream, softmax ? "cross_entropy_kernel (of scores)" : "cross_entropy_kernel (of log-probabilities)",
                                       e.scores.count * Team::size, x, call, sums, cross_entropy_kernel<softmax, Team, T>, e);
  };
  if (e.scores.stride > 1 || classes < 32) return run(Keeping<ThreadTeam, 0>{});
  if constexpr (softmax && sizeof(Compute<T>) == 4) {
    if (e.smoothing > 0) return run(Keeping<WarpTeam, 0>{});
    if (classes > 4096) return run(Keeping<BlockTeam<512>, 24>{});
    if (classes > 1024) return run(Keeping<BlockTeam<256>, 16>{});
    if (classes > 128) return run(Keeping<WarpTeam, 32>{});
  }
  return run(Keeping<WarpTeam, 0>{});
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

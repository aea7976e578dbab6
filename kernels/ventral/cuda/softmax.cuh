#pragma once
#include <cmath>
#include <limits>

#include "ventral/cuda/lines.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// The lines along an axis: n numbers, `inner` elements apart.
struct AxisLines {
  Index n, inner, lines;
  AxisLines(const Shape& s, int axis) : n(s[axis]), inner(s.product(axis + 1, s.rank())), lines(n > 0 ? s.size() / n : 0) {}
  VENTRAL_DEVICE Index first(Index line) const { return inner == 1 ? line * n : line / inner * inner * n + line % inner; }
  /// Short lines, and lines side by side in memory that are many, get a thread each; others a warp, or a block when they are long.
  LineTeam team() const { return n <= 8 || (inner > 1 && lines >= n) ? LineTeam::thread : n <= 1024 ? LineTeam::warp : LineTeam::block; }
};

/// The largest x of a line; NaN when one is.
template <class Team, class T>
VENTRAL_DEVICE Compute<T> line_max(const Team& team, const AxisLines& axis, const T* x) {
  Compute<T> largest = -std::numeric_limits<Compute<T>>::infinity();
  for (Index k = team.rank(); k < axis.n; k += Team::size) largest = larger(largest, load(x + k * axis.inner));
  return team.max(largest);
}

/// The sum of exp(x - largest) over a line, in double.
template <class Team, class T>
VENTRAL_DEVICE double line_exp_sum(const Team& team, const AxisLines& axis, const T* x, Compute<T> largest) {
  double sum = 0;
  for (Index k = team.rank(); k < axis.n; k += Team::size) sum += static_cast<double>(std::exp(load(x + k * axis.inner) - largest));
  return team.sum(sum);
}

template <class T>
struct SoftmaxLine {
  AxisLines axis;
  const T* x;
  T* y;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index line) const {
    const T* const from = x + axis.first(line);
    const Compute<T> largest = line_max(team, axis, from), scale = static_cast<Compute<T>>(1 / line_exp_sum(team, axis, from, largest));
    for (Index k = team.rank(); k < axis.n; k += Team::size)
      store(y + axis.first(line) + k * axis.inner, std::exp(load(from + k * axis.inner) - largest) * scale);
  }
};

template <class T>
struct SoftmaxGradientLine {
  AxisLines axis;
  const T *y, *dy;
  T* dx;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index line) const {
    const Index first = axis.first(line), last = first + axis.n * axis.inner, begin = first + team.rank() * axis.inner,
                step = Team::size * axis.inner;
    double dot = 0;
    for (Index i = begin; i < last; i += step) dot += static_cast<double>(load(dy + i)) * static_cast<double>(load(y + i));
    const Compute<T> mean = static_cast<Compute<T>>(team.sum(dot));
    for (Index i = begin; i < last; i += step) store(dx + i, load(y + i) * (load(dy + i) - mean));
  }
};

template <class T>
struct LogSoftmaxLine {
  AxisLines axis;
  const T* x;
  T* y;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index line) const {
    const T* const from = x + axis.first(line);
    const Compute<T> largest = line_max(team, axis, from), shift = static_cast<Compute<T>>(std::log(line_exp_sum(team, axis, from, largest)));
    for (Index k = team.rank(); k < axis.n; k += Team::size)
      store(y + axis.first(line) + k * axis.inner, load(from + k * axis.inner) - largest - shift);
  }
};

template <class T>
struct LogSoftmaxGradientLine {
  AxisLines axis;
  const T *y, *dy;
  T* dx;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index line) const {
    const Index first = axis.first(line), last = first + axis.n * axis.inner, begin = first + team.rank() * axis.inner,
                step = Team::size * axis.inner;
    double sum = 0;
    for (Index i = begin; i < last; i += step) sum += static_cast<double>(load(dy + i));
    const Compute<T> total = static_cast<Compute<T>>(team.sum(sum));
    for (Index i = begin; i < last; i += step) store(dx + i, load(dy + i) - std::exp(load(y + i)) * total);
  }
};

}  // namespace detail

/// y_k = exp(x_k - m) / sum_j exp(x_j - m) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x. A line with a
/// NaN becomes NaN. Reads x three times, from a cache when lines are not too long, and writes y once; AxisLines::team says who works on a line.
template <class T>
void softmax_forward(Stream stream, int axis, In<T> x, Out<T> y) {
  if (detail::provided(stream, &ProviderTable<T>::softmax_forward, axis, x, y)) return;
  const detail::AxisLines lines(x.shape, axis);
  detail::for_lines(stream, "softmax_forward", x.shape, lines.team(), lines.lines, detail::SoftmaxLine<T>{lines, x.data, y.data});
}

/// dx_k = y_k (dy_k - sum_j dy_j y_j). Reads y and dy twice and writes dx once.
template <class T>
void softmax_backward(Stream stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  if (detail::provided(stream, &ProviderTable<T>::softmax_backward, axis, y, dy, dx)) return;
  const detail::AxisLines lines(y.shape, axis);
  detail::for_lines(stream, "softmax_backward", y.shape, lines.team(), lines.lines, detail::SoftmaxGradientLine<T>{lines, y.data, dy.data, dx.data});
}

/// y_k = x_k - m - log(sum_j exp(x_j - m)) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x.
/// Reads x three times and writes y once, as softmax_forward.
template <class T>
void log_softmax_forward(Stream stream, int axis, In<T> x, Out<T> y) {
  const detail::AxisLines lines(x.shape, axis);
  detail::for_lines(stream, "log_softmax_forward", x.shape, lines.team(), lines.lines, detail::LogSoftmaxLine<T>{lines, x.data, y.data});
}

/// dx_k = dy_k - exp(y_k) sum_j dy_j. Reads dy twice and y once and writes dx once.
template <class T>
void log_softmax_backward(Stream stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  const detail::AxisLines lines(y.shape, axis);
  detail::for_lines(stream, "log_softmax_backward", y.shape, lines.team(), lines.lines,
                    detail::LogSoftmaxGradientLine<T>{lines, y.data, dy.data, dx.data});
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

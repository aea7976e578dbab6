#pragma once
#include <cmath>
#include <limits>

#include "ventral/cuda/kept_line.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// The lines along an axis: n numbers, `inner` elements apart.
struct AxisLines {
  Index n, inner, lines;
  AxisLines(const Shape& s, int axis) : n(s[axis]), inner(s.product(axis + 1, s.rank())), lines(n > 0 ? s.size() / n : 0) {}
  VENTRAL_DEVICE Index first(Index line) const { return inner == 1 ? line * n : line / inner * inner * n + line % inner; }
};

template <class T>
struct SoftmaxLine {
  using C = Compute<T>;
  AxisLines axis;
  const T* x;
  T* y;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index number) const {
    const Index first = axis.first(number);
    KeptLine<Team, T, 1> line(team, axis.n, axis.inner, {x + first});
    const C largest = largest_number(team, line);
    const double sum = line.sum([&](auto& v, Index, auto) { return v[0] = std::exp(v[0] - largest); });
    const C scale = static_cast<C>(1 / team.sum(sum));
    line.for_each([&](const auto& v, Index k, auto kept) { store(y + first + line.offset(k), (kept ? v[0] : std::exp(v[0] - largest)) * scale); });
  }
};

template <class T>
struct SoftmaxGradientLine {
  using C = Compute<T>;
  AxisLines axis;
  const T *y, *dy;
  T* dx;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index number) const {
    const Index first = axis.first(number);
    KeptLine<Team, T, 2> line(team, axis.n, axis.inner, {y + first, dy + first});
    double dot = 0;
    line.for_each([&](const auto& v, Index, auto) { dot += static_cast<double>(v[1]) * static_cast<double>(v[0]); });
    const C mean = static_cast<C>(team.sum(dot));
    line.for_each([&](const auto& v, Index k, auto) { store(dx + first + line.offset(k), v[0] * (v[1] - mean)); });
  }
};

template <class T>
struct LogSoftmaxLine {
  using C = Compute<T>;
  AxisLines axis;
  const T* x;
  T* y;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index number) const {
    const Index first = axis.first(number);
    KeptLine<Team, T, 1> line(team, axis.n, axis.inner, {x + first});
    const C largest = largest_number(team, line);
    const double sum = line.sum([&](const auto& v, Index, auto) { return std::exp(v[0] - largest); });
    const C shift = static_cast<C>(std::log(team.sum(sum)));
    line.for_each([&](const auto& v, Index k, auto) { store(y + first + line.offset(k), v[0] - largest - shift); });
  }
};

template <class T>
struct LogSoftmaxGradientLine {
  using C = Compute<T>;
  AxisLines axis;
  const T *y, *dy;
  T* dx;
  template <class Team>
  VENTRAL_DEVICE void operator()(const Team& team, Index number) const {
    const Index first = axis.first(number);
    KeptLine<Team, T, 2> line(team, axis.n, axis.inner, {y + first, dy + first});
    double sum = 0;
    line.for_each([&](const auto& v, Index, auto) { sum += static_cast<double>(v[1]); });
    const C total = static_cast<C>(team.sum(sum));
    line.for_each([&](const auto& v, Index k, auto) { store(dx + first + line.offset(k), v[1] - std::exp(v[0]) * total); });
  }
};

}  // namespace detail

/// y_k = exp(x_k - m) / sum_j exp(x_j - m) along an axis (0 <= axis < rank), m the largest x; sums are taken in double (KeptLine::sum). y may be x. A line with a
/// NaN becomes NaN. Reads x and writes y once; of lines of which for_kept_lines keeps only a part, the rest is read three times, from a cache.
template <class T>
void softmax_forward(Stream stream, int axis, In<T> x, Out<T> y) {
  if (detail::provided(stream, &ProviderTable<T>::softmax_forward, axis, x, y)) return;
  const detail::AxisLines lines(x.shape, axis);
  detail::for_kept_lines<T>(stream, "softmax_forward", x.shape, lines.n, lines.inner, lines.lines, detail::SoftmaxLine<T>{lines, x.data, y.data});
}

/// dx_k = y_k (dy_k - sum_j dy_j y_j). Reads y and dy and writes dx once, as softmax_forward.
template <class T>
void softmax_backward(Stream stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  if (detail::provided(stream, &ProviderTable<T>::softmax_backward, axis, y, dy, dx)) return;
  const detail::AxisLines lines(y.shape, axis);
  detail::for_kept_lines<T>(stream, "softmax_backward", y.shape, lines.n, lines.inner, lines.lines,
                            detail::SoftmaxGradientLine<T>{lines, y.data, dy.data, dx.data});
}

/// y_k = x_k - m - log(sum_j exp(x_j - m)) along an axis (0 <= axis < rank), m the largest x; sums are taken in double (KeptLine::sum). y may be x.
/// Reads x and writes y once, as softmax_forward.
template <class T>
void log_softmax_forward(Stream stream, int axis, In<T> x, Out<T> y) {
  const detail::AxisLines lines(x.shape, axis);
  detail::for_kept_lines<T>(stream, "log_softmax_forward", x.shape, lines.n, lines.inner, lines.lines, detail::LogSoftmaxLine<T>{lines, x.data, y.data});
}

/// dx_k = dy_k - exp(y_k) sum_j dy_j. Reads y and dy and writes dx once, as softmax_forward.
template <class T>
void log_softmax_backward(Stream stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  const detail::AxisLines lines(y.shape, axis);
  detail::for_kept_lines<T>(stream, "log_softmax_backward", y.shape, lines.n, lines.inner, lines.lines,
                            detail::LogSoftmaxGradientLine<T>{lines, y.data, dy.data, dx.data});
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

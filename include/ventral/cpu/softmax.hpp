#pragma once
#include <algorithm>
#include <cmath>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Calls body(first element, distance between elements) for each line along an axis, in parallel.
template <class Body>
void for_each_line(const Shape& shape, int axis, const Body& body) {
  const Index n = shape[axis], inner = shape.product(axis + 1, shape.rank()), lines = n > 0 ? shape.size() / n : 0;
  parallel_ranges(lines, std::max(Index{1}, (Index{1} << 11) / std::max(n, Index{1})), [&](Index first, Index last) {
    for (Index l = first; l < last; ++l) body(l / inner * inner * n + l % inner, inner);
  });
}

}  // namespace detail

/// y_k = exp(x_k - m) / sum_j exp(x_j - m) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x.
template <class T>
void softmax_forward(Stream, int axis, In<T> x, Out<T> y) {
  const Index n = x.shape[axis];
  detail::for_each_line(x.shape, axis, [&](Index at, Index step) {
    const T *from = x.data + at;
    T *to = y.data + at, largest = from[0];
    for (Index k = 1; k < n; ++k) largest = std::max(largest, from[k * step]);
    double sum = 0;
    for (Index k = 0; k < n; ++k) sum += static_cast<double>(to[k * step] = std::exp(from[k * step] - largest));
    const T scale = static_cast<T>(1 / sum);
    for (Index k = 0; k < n; ++k) to[k * step] *= scale;
  });
}

/// dx_k = y_k (dy_k - sum_j dy_j y_j).
template <class T>
void softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  const Index n = y.shape[axis];
  detail::for_each_line(y.shape, axis, [&](Index at, Index step) {
    double dot = 0;
    for (Index i = at; i < at + n * step; i += step) dot += static_cast<double>(dy.data[i]) * static_cast<double>(y.data[i]);
    for (Index i = at; i < at + n * step; i += step) dx.data[i] = y.data[i] * (dy.data[i] - static_cast<T>(dot));
  });
}

/// y_k = x_k - m - log(sum_j exp(x_j - m)) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x.
template <class T>
void log_softmax_forward(Stream, int axis, In<T> x, Out<T> y) {
  const Index n = x.shape[axis];
  detail::for_each_line(x.shape, axis, [&](Index at, Index step) {
    const T *from = x.data + at;
    T *to = y.data + at, largest = from[0];
    for (Index k = 1; k < n; ++k) largest = std::max(largest, from[k * step]);
    double sum = 0;
    for (Index k = 0; k < n; ++k) sum += static_cast<double>(std::exp(from[k * step] - largest));
    const T shift = static_cast<T>(std::log(sum));
    for (Index k = 0; k < n; ++k) to[k * step] = from[k * step] - largest - shift;
  });
}

/// dx_k = dy_k - exp(y_k) sum_j dy_j.
template <class T>
void log_softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  const Index n = y.shape[axis];
  detail::for_each_line(y.shape, axis, [&](Index at, Index step) {
    double sum = 0;
    for (Index i = at; i < at + n * step; i += step) sum += static_cast<double>(dy.data[i]);
    for (Index i = at; i < at + n * step; i += step) dx.data[i] = dy.data[i] - std::exp(y.data[i]) * static_cast<T>(sum);
  });
}

}  // namespace ventral::inline v0::cpu

#pragma once
#include <cmath>
#include <cstdint>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// Numbers of type double that a loss keeps in its space for partial sums. The work is cut into at most so many chunks.
constexpr Index loss_sums = 64;

/// What a pass over the labels finds: the sum of their classes' weights, ignored ones left out, and the first label that is no class (or -1).
struct LabelSum {
  double weight = 0;
  Index bad = -1;
  std::int32_t bad_label = 0;
};

}  // namespace ventral::inline v0

namespace ventral::inline v0::cpu {

namespace detail {

/// Sums body(first, last) over chunks of [0, n), cut by n and the size of an item alone, in chunk order.
template <class Body>
double chunked_sum(Index n, Index item_size, Out<double> sums, Body&& body) {
  constexpr Index least = 1 << 13;  // elements that are worth handing to another thread
  Index grain = (n + loss_sums - 1) / loss_sums;
  if (grain * item_size < least) grain = (least + item_size - 1) / (item_size < 1 ? 1 : item_size);
  const Index chunks = n == 0 ? 0 : (n + grain - 1) / grain;
  parallel_for(chunks, [&](Index i) { sums.data[i] = body(i * grain, n < (i + 1) * grain ? n : (i + 1) * grain); });
  double sum = 0;
  for (Index i = 0; i < chunks; ++i) sum += sums.data[i];
  return sum;
}

/// Where the scores of position i of x [N,C,d1,..] are: C numbers, `stride` apart.
struct ScoreLayout {
  Index classes, stride;
  explicit ScoreLayout(const Shape& x) : classes(x[1]), stride(x.product(2, x.rank())) {}
  Index offset(Index i) const { return i / stride * classes * stride + i % stride; }
};

/// Cross-entropy of one position; x and dx have `stride` between classes. With `Scores`, x are scores, else log-probabilities.
/// Writes `scale` times the gradient to dx unless it is null.
template <bool Scores, class T>
double cross_entropy_row(const T* x, T* dx, Index classes, Index stride, Index label, const T* weights, double smoothing, double scale) {
  const auto weight = [&](Index c) { return weights ? static_cast<double>(weights[c]) : 1.0; };
  double log_total = 0, total = 1;
  T top = T(0);
  if constexpr (Scores) {
    top = x[0];
    for (Index c = 1; c < classes; ++c) top = x[c * stride] > top ? x[c * stride] : top;
    total = 0;
    for (Index c = 0; c < classes; ++c) {
      const T e = std::exp(x[c * stride] - top);
      if (dx) dx[c * stride] = e;
      total += static_cast<double>(e);
    }
    log_total = std::log(total);
  }
  const auto log_probability = [&](Index c) { return static_cast<double>(x[c * stride] - top) - log_total; };

  const double own = (1 - smoothing) * weight(label), each = smoothing / static_cast<double>(classes);
  double loss = -own * log_probability(label), all = own;  // `all`: how much probability the target holds, weighted
  if (smoothing > 0)
    for (Index c = 0; c < classes; ++c) loss -= each * weight(c) * log_probability(c), all += each * weight(c);
  if (dx) {
    const double slope = scale * all / total;
    for (Index c = 0; c < classes; ++c) {
      const double target = scale * (each * weight(c) + (c == label ? own : 0));
      dx[c * stride] = static_cast<T>((Scores ? slope * static_cast<double>(dx[c * stride]) : 0) - target);
    }
  }
  return loss;
}

template <bool Scores, class T>
double cross_entropy(double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums, Out<T> values,
                     Out<T> dx) {
  const ScoreLayout layout(x.shape);
  return chunked_sum(labels.size(), layout.classes, sums, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      const Index label = labels.data[i], at = layout.offset(i);
      T* d = dx.data ? dx.data + at : nullptr;
      double loss = 0;
      if (label != ignore) {
        loss = cross_entropy_row<Scores>(x.data + at, d, layout.classes, layout.stride, label, weights.data, smoothing, scale);
      } else if (d) {
        for (Index c = 0; c < layout.classes; ++c) d[c * layout.stride] = T(0);
      }
      if (values.data) values.data[i] = static_cast<T>(loss);
      sum += loss;
    }
    return sum;
  });
}

/// Sums value(i) over elements; writes scale * slope(i) to dx and the values to `values`, each unless it is empty.
template <class T, class Function>
double elementwise_loss(Index n, double scale, Out<double> sums, Out<T> values, Out<T> dx, Function&& f) {
  return chunked_sum(n, 1, sums, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      double slope = 0;
      const double value = f(i, slope);
      if (values.data) values.data[i] = static_cast<T>(value);
      if (dx.data) dx.data[i] = static_cast<T>(scale * slope);
      sum += value;
    }
    return sum;
  });
}

}  // namespace detail

/// Adds up the weights (1 each when `weights` is empty) of the labels' classes and looks for labels outside [0, classes).
template <class T>
LabelSum sum_labels(Stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T> weights) {
  LabelSum out;
  for (Index i = 0; i < labels.size(); ++i) {
    const std::int32_t label = labels.data[i];
    if (label == ignore) continue;
    if (label < 0 || label >= classes) return {0, i, label};
    out.weight += weights.data ? static_cast<double>(weights.data[label]) : 1.0;
  }
  return out;
}

/// Looks for labels other than -1 and +1; the weight is their number.
inline LabelSum sum_signs(Stream, In<std::int32_t> labels) {
  for (Index i = 0; i < labels.size(); ++i)
    if (labels.data[i] != 1 && labels.data[i] != -1) return {0, i, labels.data[i]};
  return {static_cast<double>(labels.size()), -1, 0};
}

// Losses return the sum over all positions; `values` and `dx` may be empty. dx is `scale` times the gradient of that sum.

/// Softmax cross-entropy of scores x [N,C,d1,..] with labels [N,d1,..]: one exponential an element.
template <class T>
double softmax_cross_entropy(Stream, double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                             Out<T> values, Out<T> dx) {
  return detail::cross_entropy<true, T>(smoothing, ignore, scale, x, labels, weights, sums, values, dx);
}

/// The same of log-probabilities x.
template <class T>
double negative_log_likelihood(Stream, double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                               Out<T> values, Out<T> dx) {
  return detail::cross_entropy<false, T>(smoothing, ignore, scale, x, labels, weights, sums, values, dx);
}

/// (x - target)^2.
template <class T>
double squared_error(Stream, double scale, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::elementwise_loss<T>(x.size(), scale, sums, values, dx, [&](Index i, double& slope) {
    const double d = static_cast<double>(x.data[i]) - static_cast<double>(target.data[i]);
    slope = 2 * d;
    return d * d;
  });
}

/// -p target log s(x) - (1 - target) log(1 - s(x)) with s the logistic function and p the weight of positives; no overflow at any x.
template <class T>
double binary_cross_entropy(Stream, double positive_weight, double scale, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::elementwise_loss<T>(x.size(), scale, sums, values, dx, [&](Index i, double& slope) {
    const double v = static_cast<double>(x.data[i]), t = static_cast<double>(target.data[i]), p = 1 + (positive_weight - 1) * t;
    const double e = std::exp(-std::abs(v)), softplus = std::log1p(e) + (v < 0 ? -v : 0);  // log(1 + exp(-v))
    slope = (1 - t) - p * (v < 0 ? 1 : e) / (1 + e);
    return (1 - t) * v + p * softplus;
  });
}

/// max(0, margin - t x) for targets t of -1 and +1. At the kink the gradient is 0, or with `tie_counts` that of the slope.
template <class T>
double binary_hinge(Stream, double margin, bool tie_counts, double scale, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::elementwise_loss<T>(x.size(), scale, sums, values, dx, [&](Index i, double& slope) {
    const double t = labels.data[i], loss = margin - t * static_cast<double>(x.data[i]);
    const bool counts = loss > 0 || (tie_counts && loss == 0) || loss != loss;
    slope = counts ? -t : 0;
    return counts ? loss : 0;
  });
}

/// max(0, margin + max_{c != label} x_c - x_label) for x [N,C,d1,..], C >= 2. Of equal rivals the first takes the gradient.
template <class T>
double class_hinge(Stream, double margin, bool tie_counts, double scale, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values, Out<T> dx) {
  const detail::ScoreLayout layout(x.shape);
  return detail::chunked_sum(labels.size(), layout.classes, sums, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      const Index label = labels.data[i], at = layout.offset(i);
      const T* row = x.data + at;
      Index rival = label == 0 ? 1 : 0;
      for (Index c = rival + 1; c < layout.classes; ++c)
        if (const T v = row[c * layout.stride]; c != label && (v > row[rival * layout.stride] || v != v)) rival = c;
      double loss = margin + static_cast<double>(row[rival * layout.stride]) - static_cast<double>(row[label * layout.stride]);
      const bool counts = loss > 0 || (tie_counts && loss == 0) || loss != loss;
      if (!counts) loss = 0;
      if (values.data) values.data[i] = static_cast<T>(loss);
      if (dx.data) {
        for (Index c = 0; c < layout.classes; ++c) dx.data[at + c * layout.stride] = T(0);
        if (counts) dx.data[at + rival * layout.stride] = static_cast<T>(scale), dx.data[at + label * layout.stride] = static_cast<T>(-scale);
      }
      sum += loss;
    }
    return sum;
  });
}

}  // namespace ventral::inline v0::cpu

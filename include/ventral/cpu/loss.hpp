#pragma once
#include <cmath>
#include <cstdint>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/softmax.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// Chunks that the CPU cuts a loss into, at most; and partial sums that a loss has room for, in any space.
constexpr Index loss_sums = 64, loss_room = 1024;

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

/// The target of cross-entropy at each position: probability 1 - smoothing for the label and smoothing / classes for each class, times the classes' weights.
template <class T>
struct SmoothTarget {
  double smoothing, each;
  Index classes;
  const T* weights;  ///< null: all 1

  SmoothTarget(double share, Index count, const T* class_weights)
      : smoothing(share), each(share / static_cast<double>(count)), classes(count), weights(class_weights) {}
  double weight(Index c) const { return weights ? static_cast<double>(weights[c]) : 1.0; }
  double own(Index label) const { return (1 - smoothing) * weight(label); }
  double all_weights() const {
    double sum = 0;
    for (Index c = 0; c < classes; ++c) sum += weight(c);
    return sum;
  }
};

/// What one call of softmax_cross_entropy works on.
template <class T>
struct CrossEntropyCall {
  SmoothTarget<T> target;
  Lines lines;
  Index ignore;
  double scale;
  const T* x;
  const std::int32_t* labels;
  T *values, *dx;  ///< null: not wanted
  const T* base;   ///< with smoothing, the part of the gradient that the target's spread brings, [classes]
  double all_weights;

  /// The sum of the losses of positions [first, first + rows).
  double piece(Index first, Index rows, const RowScratch<T>& s) const {
    const Index n = lines.n;
    const T* const from = lines.gather(first, rows, x, s.first);
    T* const e = dx ? lines.target(first, dx, s.second) : s.second;
    exp_of_rows<T>()(rows, n, from, e, s.largest, s.sum);
    double loss = 0;
    for (Index r = 0; r < rows; ++r) {
      const double value = row(labels[first + r], from + r * n, e + r * n, s.largest[r], s.sum[r], s.factor[r]);
      if (values) values[first + r] = static_cast<T>(value);
      loss += value;
    }
    if (!dx) return loss;
    scale_rows<T>()(rows, n, s.factor, base, e);
    for (Index r = 0; r < rows; ++r) {
      if (const Index label = labels[first + r]; label != ignore) e[r * n + label] = static_cast<T>(s.sum[r]);
      else std::fill(e + r * n, e + (r + 1) * n, T(0));
    }
    lines.scatter(first, rows, e, dx);
    return loss;
  }

 private:
  /// The loss of one position of scores x, with e = exp(x - top) and `sum` their sum. Leaves what the gradient needs: the factor of e, and in `sum` its
  /// value at the label, where two numbers nearly cancel.
  double row(Index label, const T* from, const T* e, T top, double& sum, T& factor) const {
    if (label == ignore) return factor = T(0), 0;
    const double own = target.own(label), all = own + target.each * all_weights, log_sum = std::log(sum);
    double loss = -own * (static_cast<double>(from[label] - top) - log_sum);
    if (base) {
      const double scores = simd_function<SumOfProducts<T>, double(Index, const T*, const T*)>(simd_level())(target.classes, from, target.weights);
      loss -= target.each * (scores - (static_cast<double>(top) + log_sum) * all_weights);
    }
    const double slope = scale * all / sum;
    factor = static_cast<T>(slope);
    sum = slope * static_cast<double>(e[label]) - scale * (target.each * target.weight(label) + own);
    return loss;
  }
};

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
  const detail::Lines lines(x.shape, 1);
  const Index classes = lines.n, most = std::min(lines.at_once(), lines.count);
  const detail::SmoothTarget<T> target(smoothing, classes, weights.data);
  Scratch& scratch = Scratch::mine();
  scratch.reserve(Arena::bytes<T>(classes), detail::RowScratch<T>::bytes(most, classes));
  T* base = nullptr;
  if (smoothing > 0) {
    base = scratch.shared().template take<T>(classes);
    for (Index c = 0; c < classes; ++c) base[c] = static_cast<T>(scale * target.each * target.weight(c));
  }
  const detail::CrossEntropyCall<T> call{target, lines, ignore, scale, x.data, labels.data, values.data, dx.data, base, smoothing > 0 ? target.all_weights() : 0};
  return detail::chunked_sum(labels.size(), classes, sums, [&](Index first, Index last) {
    Scratch::Lease lease(scratch);
    const detail::RowScratch<T> rows(lease.arena(), most, classes);
    double sum = 0;
    for (Index i = first; i < last; i += most) sum += call.piece(i, std::min(most, last - i), rows);
    return sum;
  });
}

/// The same of log-probabilities x.
template <class T>
double negative_log_likelihood(Stream, double smoothing, Index ignore, double scale, In<T> x, In<std::int32_t> labels, In<T> weights, Out<double> sums,
                               Out<T> values, Out<T> dx) {
  const detail::Lines lines(x.shape, 1);
  const detail::SmoothTarget<T> target(smoothing, lines.n, weights.data);
  return detail::chunked_sum(labels.size(), lines.n, sums, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      const Index label = labels.data[i], at = lines.offset(i);
      const bool counts = label != ignore;
      double loss = counts ? -target.own(label) * static_cast<double>(x.data[at + label * lines.step]) : 0;
      for (Index c = 0; c < lines.n && (dx.data || (counts && smoothing > 0)); ++c) {
        const double share = counts ? target.each * target.weight(c) : 0;
        if (counts && smoothing > 0) loss -= share * static_cast<double>(x.data[at + c * lines.step]);
        if (dx.data) dx.data[at + c * lines.step] = static_cast<T>(counts ? -scale * (share + (c == label ? target.own(label) : 0)) : 0);
      }
      if (values.data) values.data[i] = static_cast<T>(loss);
      sum += loss;
    }
    return sum;
  });
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
  const detail::Lines layout(x.shape, 1);
  return detail::chunked_sum(labels.size(), layout.n, sums, [&](Index first, Index last) {
    double sum = 0;
    for (Index i = first; i < last; ++i) {
      const Index label = labels.data[i], at = layout.offset(i);
      const T* row = x.data + at;
      Index rival = label == 0 ? 1 : 0;
      for (Index c = rival + 1; c < layout.n; ++c)
        if (const T v = row[c * layout.step]; c != label && (v > row[rival * layout.step] || v != v)) rival = c;
      double loss = margin + static_cast<double>(row[rival * layout.step]) - static_cast<double>(row[label * layout.step]);
      const bool counts = loss > 0 || (tie_counts && loss == 0) || loss != loss;
      if (!counts) loss = 0;
      if (values.data) values.data[i] = static_cast<T>(loss);
      if (dx.data) {
        for (Index c = 0; c < layout.n; ++c) dx.data[at + c * layout.step] = T(0);
        if (counts) dx.data[at + rival * layout.step] = static_cast<T>(scale), dx.data[at + label * layout.step] = static_cast<T>(-scale);
      }
      sum += loss;
    }
    return sum;
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(softmax_cross_entropy)

}  // namespace ventral::inline v0::cpu

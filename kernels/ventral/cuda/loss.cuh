#pragma once
#include "ventral/cuda/cross_entropy.cuh"

/// Losses with their gradients, each in one launch and one small copy to main memory: see loss_sum.cuh.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// Sums value(i) over elements; writes scale * slope to dx and the values to `values`, each unless it is null. In double, as on the CPU.
/// A thread for each element, then for the one a grid further: reads and writes every array once.
template <class T, class Value>
VENTRAL_BOUNDED_KERNEL(loss_threads) void elementwise_loss_kernel(Index n, double scale, Value value, T* values, T* dx, double* sums) {
  double sum = 0;
  for (Index i = first_element(); i < n; i += element_step()) {
    double slope = 0;
    const double loss = value(i, slope);
    if (values) store(values + i, static_cast<Compute<T>>(loss));
    if (dx) store(dx + i, static_cast<Compute<T>>(scale * slope));
    sum += loss;
  }
  sum = block_sum<loss_threads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

template <class T, class Value>
double elementwise_loss(Stream stream, const char* name, const Shape& x, const LossCall& call, Out<double> sums, Out<T> values, Out<T> dx,
                        const Value& value) {
  return run_loss(stream, name, x.size(), x, call, sums, elementwise_loss_kernel<T, Value>, x.size(), call.scale.value, value, values.data, dx.data);
}

template <class T>
struct SquaredError {
  const T *x, *target;
  VENTRAL_DEVICE double operator()(Index i, double& slope) const {
    const double d = static_cast<double>(load(x + i)) - static_cast<double>(load(target + i));
    slope = 2 * d;
    return d * d;
  }
};

template <class T>
struct BinaryCrossEntropy {
  double positive_weight;
  const T *x, *target;
  VENTRAL_DEVICE double operator()(Index i, double& slope) const {
    const double v = static_cast<double>(load(x + i)), t = static_cast<double>(load(target + i)), p = 1 + (positive_weight - 1) * t;
    const double e = std::exp(-std::abs(v)), softplus = std::log1p(e) + (v < 0 ? -v : 0);  // log(1 + exp(-v))
    slope = (1 - t) - p * (v < 0 ? 1 : e) / (1 + e);
    return (1 - t) * v + p * softplus;
  }
};

/// Whether a margin is violated; NaN is.
VENTRAL_DEVICE bool margin_counts(double loss, bool tie_counts) { return loss > 0 || (tie_counts && loss == 0) || loss != loss; }

template <class T>
struct BinaryHinge {
  double margin;
  bool tie_counts;
  const T* x;
  const std::int32_t* labels;
  VENTRAL_DEVICE double operator()(Index i, double& slope) const {
    const double t = labels[i], loss = margin - t * static_cast<double>(load(x + i));
    const bool counts = margin_counts(loss, tie_counts);
    slope = counts ? -t : 0;
    return counts ? loss : 0;
  }
};

/// max(0, margin + the largest rival's score - the label's), a thread for each position: reads the scores once, writes dx twice where the margin
/// counts.
template <class T>
VENTRAL_BOUNDED_KERNEL(loss_threads) void class_hinge_kernel(Scores<T> s, double margin, bool tie_counts, double scale, T* values, T* dx,
                                                             double* sums) {
  using S = Compute<T>;
  double sum = 0;
  for (Index i = first_element(); i < s.count; i += element_step()) {
    const Index label = s.labels[i], at = s.offset(i);
    Index rival = label == 0 ? 1 : 0;
    S most = load(s.x + at + rival * s.stride);
    for (Index c = rival + 1; c < s.classes; ++c)
      if (const S v = load(s.x + at + c * s.stride); c != label && (v > most || v != v)) rival = c, most = v;
    double loss = margin + static_cast<double>(most) - static_cast<double>(load(s.x + at + label * s.stride));
    const bool counts = margin_counts(loss, tie_counts);
    if (!counts) loss = 0;
    if (values) store(values + i, static_cast<S>(loss));
    for (Index c = 0; dx && c < s.classes; ++c) store(dx + at + c * s.stride, S(0));
    if (dx && counts) store(dx + at + rival * s.stride, static_cast<S>(scale)), store(dx + at + label * s.stride, static_cast<S>(-scale));
    sum += loss;
  }
  sum = block_sum<loss_threads>(sum);
  if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

/// What a pass over the labels finds, a pair of numbers for each block: the sum of weights, and the first label that is no class (or `count`).
/// Labels are classes in [0, classes), or with `signs` -1 and 1. Threads lie along the labels.
template <class T>
VENTRAL_BOUNDED_KERNEL(loss_threads) void sum_labels_kernel(Index count, const std::int32_t* labels, bool signs, Index ignore, Index classes,
                                                            const T* weights, double* out) {
  double weight = 0;
  Index bad = count;
  for (Index i = first_element(); i < count; i += element_step()) {
    const std::int32_t label = labels[i];
    const bool ignored = !signs && label == ignore, fits = signs ? label == 1 || label == -1 : 0 <= label && label < classes;
    if (!ignored && !fits && i < bad) bad = i;
    if (!ignored && fits) weight += weights ? static_cast<double>(load(weights + label)) : 1.0;
  }
  weight = block_sum<loss_threads>(weight);
  bad = -block_max<loss_threads>(-bad);
  if (threadIdx.x != 0) return;
  out[2 * blockIdx.x] = weight;
  out[2 * blockIdx.x + 1] = static_cast<double>(bad);
}

/// Runs it, and returns the number of its pairs.
template <class T>
Index run_sum_labels(Stream stream, In<std::int32_t> labels, bool signs, Index ignore, Index classes, const T* weights, double* out) {
  const Index blocks = loss_blocks(labels.size());
  launch(stream, {.kernel = "sum_labels_kernel", .blocks = blocks, .threads = loss_threads, .shape = labels.shape}, sum_labels_kernel<T>,
         labels.size(), labels.data, signs, ignore, classes, weights, out);
  return blocks;
}

template <class T>
LabelSum find_labels(Stream stream, In<std::int32_t> labels, bool signs, Index ignore, Index classes, const T* weights) {
  LabelSum out;
  if (labels.size() == 0) return out;
  Tensor<double, Space> found = Tensor<double, Space>::uninitialized({2 * loss_blocks(labels.size())});
  const Index blocks = run_sum_labels(stream, labels, signs, ignore, classes, weights, found.data());
  const std::vector<double> part = copy_to_host(found.data(), 2 * blocks);
  Index bad = labels.size();
  for (std::size_t i = 0; i < part.size(); i += 2) {
    out.weight += part[i];
    bad = std::min(bad, static_cast<Index>(part[i + 1]));
  }
  if (bad == labels.size()) return out;
  out = {0, bad, 0};
  Space::copy_to_host(&out.bad_label, labels.data + bad, sizeof(std::int32_t));
  return out;
}

}  // namespace detail

/// Adds up the weights (1 each when `weights` is empty) of the labels' classes and looks for labels outside [0, classes).
template <class T>
LabelSum sum_labels(Stream stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T, Space> weights) {
  return detail::find_labels<T>(stream, labels, false, ignore, classes, weights.data);
}

/// The same without waiting: leaves the parts of the weight in `room`, for the loss of the same labels. These have been looked at before.
template <class T>
LossScale queue_label_weights(Stream stream, Index ignore, Index classes, In<std::int32_t> labels, TensorRef<const T, Space> weights, Out<double> room) {
  return {0, room.data, detail::run_sum_labels<T>(stream, labels, false, ignore, classes, weights.data, room.data)};
}

/// Looks for labels other than -1 and +1; the weight is their number.
VENTRAL_CUDA_FUNCTION LabelSum sum_signs(Stream stream, In<std::int32_t> labels) {
  return detail::find_labels<float>(stream, labels, true, 0, 0, static_cast<const float*>(nullptr));
}

// Losses return the sum over all positions; `values` and `dx` may be empty. dx is `scale` times the gradient of that sum.

/// (x - target)^2.
template <class T>
double squared_error(Stream stream, const LossCall& call, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::elementwise_loss(stream, "elementwise_loss_kernel (squared error)", x.shape, call, sums, values, dx,
                                  detail::SquaredError<T>{x.data, target.data});
}

/// -p target log s(x) - (1 - target) log(1 - s(x)) with s the logistic function and p the weight of positives; no overflow at any x.
template <class T>
double binary_cross_entropy(Stream stream, double positive_weight, const LossCall& call, In<T> x, In<T> target, Out<double> sums, Out<T> values, Out<T> dx) {
  return detail::elementwise_loss(stream, "elementwise_loss_kernel (binary cross-entropy)", x.shape, call, sums, values, dx,
                                  detail::BinaryCrossEntropy<T>{positive_weight, x.data, target.data});
}

/// max(0, margin - t x) for targets t of -1 and +1. At the kink the gradient is 0, or with `tie_counts` that of the slope.
template <class T>
double binary_hinge(Stream stream, double margin, bool tie_counts, const LossCall& call, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values,
                    Out<T> dx) {
  return detail::elementwise_loss(stream, "elementwise_loss_kernel (hinge)", x.shape, call, sums, values, dx,
                                  detail::BinaryHinge<T>{margin, tie_counts, x.data, labels.data});
}

/// max(0, margin + max_{c != label} x_c - x_label) for x [N,C,d1,..], C >= 2. Of equal rivals the first takes the gradient.
template <class T>
double class_hinge(Stream stream, double margin, bool tie_counts, const LossCall& call, In<T> x, In<std::int32_t> labels, Out<double> sums, Out<T> values,
                   Out<T> dx) {
  return detail::run_loss(stream, "class_hinge_kernel", labels.size(), x.shape, call, sums, detail::class_hinge_kernel<T>, detail::Scores<T>(x, labels),
                          margin, tie_counts, call.scale.value, values.data, dx.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

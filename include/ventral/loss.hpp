#pragma once
#include <string>
#include <vector>

#include "ventral/cpu/loss.hpp"

namespace ventral::inline v0 {

/// How the losses of all positions become one number: their sum, or the sum over their total weight.
/// For the loss of each position, unreduced, call `values(x, target, out)`.
enum class Reduction { mean, sum };

namespace detail {

/// `[1,0,2]`, the place of element `flat` in an array of this shape.
inline std::string position_text(const Shape& shape, Index flat) {
  std::string out;
  for (int axis = shape.rank() - 1; axis >= 0; flat /= shape[axis--]) out = std::to_string(flat % shape[axis]) + (out.empty() ? "" : ",") + out;
  return "[" + out + "]";
}

/// The weight found. Throws Error for a label that is no class; its text is built only then.
template <class... Parts>
double checked_weight(const char* kind, const LabelSum& found, const Shape& labels, const Parts&... expected) {
  if (found.bad >= 0) [[unlikely]]
    throw Error(concat(kind, ": label ", found.bad_label, " at ", position_text(labels, found.bad), expected...));
  return found.weight;
}

inline void require_same_shape(const char* kind, const Shape& x, const Shape& target) {
  require<ShapeError>(x == target, kind, ": target ", target, " differs in shape from the output ", x);
}

/// Checks scores [N,C,d1,..] against labels [N,d1,..].
inline void require_labels_fit(const char* kind, const Shape& x, const Shape& labels) {
  require<ShapeError>(x.rank() >= 2 && x[1] >= 1, kind, ": output ", x, "; expected [N,C,...] with at least one class");
  Shape expected{x[0]};
  for (int axis = 2; axis < x.rank(); ++axis) expected.push_back(x[axis]);
  require<ShapeError>(labels == expected, kind, ": labels ", labels, " do not fit the output ", x, "; expected ", expected);
}

/// What the losses on labels share: reduction, dividing by the labels' weight, and the wording of errors.
template <class Derived, class T, class SpaceType, class TargetType>
class LossBase {
 public:
  using Scalar = T;
  using Space = SpaceType;
  using Target = TargetType;

  /// The loss of the network's output x.
  double operator()(In<T, Space> x, In<Target, Space> target) { return reduced(x, target, {}); }
  /// The same, and overwrites dx with its gradient by x.
  double operator()(In<T, Space> x, In<Target, Space> target, Out<T, Space> dx) {
    require<ShapeError>(dx.shape == x.shape, Derived::kind, ": dx has shape ", dx.shape, "; the output has ", x.shape);
    return reduced(x, target, dx);
  }
  /// The loss of each position, unreduced; `out` has the shape of the target.
  void values(In<T, Space> x, In<Target, Space> target, Out<T, Space> out) {
    static_cast<void>(derived().weight(x, target));
    require<ShapeError>(out.shape == target.shape, Derived::kind, ": values has shape ", out.shape, "; the target has ", target.shape);
    derived().sum(x, target, 0.0, out, {});
  }

  // For captured steps (capture.hpp), which cannot wait for a number.

  /// Throws what the loss would: for an output [N,...] that does not fit the targets of any number of examples, there or in main memory, and for labels
  /// that are none. Returns whether every position counts 1 in a mean.
  template <class Where>
  bool check(const Shape& output, TensorRef<const Target, Where> targets) {
    const double weight = derived().weight(In<T, Where>(nullptr, output.with(0, targets.shape[0])), targets);
    return derived().counts_one() && weight == static_cast<double>(targets.size());
  }
  /// Queues the loss with its gradient; the sum stays in device memory. `Queued` is {partial sums, their number, factor}; `all_count`: what check() said.
  template <class Queued>
  Queued queue(In<T, Space> x, In<Target, Space> target, Out<T, Space> dx, bool all_count) {
    using Scale = decltype(Queued::scale);
    const auto mean = [&] { return all_count ? Scale{1 / static_cast<double>(target.size())} : derived().template queue_weight<Scale>(x, target); };
    Queued out{sums_.data(), 0, reduction_ == Reduction::sum ? Scale{1} : mean()};
    derived().sum(x, target, typename Queued::Call(out.scale, &out.parts), {}, dx);
    return out;
  }

 protected:
  explicit LossBase(Reduction r) : reduction_(r) {}

  /// Without class weights or labels to ignore, each position counts 1.
  bool counts_one() const { return true; }
  bool averages() const { return reduction_ == Reduction::mean; }
  template <class Scale>
  Scale queue_weight(In<T, Space>, In<Target, Space> target) {
    return {1 / static_cast<double>(target.size())};
  }

  Tensor<double, Space> sums_{Shape{loss_room}};

 private:
  Derived& derived() { return static_cast<Derived&>(*this); }

  double reduced(In<T, Space> x, In<Target, Space> target, Out<T, Space> dx) {
    const double weight = derived().weight(x, target);
    const double scale = reduction_ == Reduction::sum ? 1 : weight == 0 ? 0 : 1 / weight;
    const double sum = derived().sum(x, target, scale, {}, dx);
    return weight == 0 && reduction_ == Reduction::mean ? 0 : sum * scale;
  }

  Reduction reduction_;
};

}  // namespace detail

struct CrossEntropyOptions {
  double smoothing = 0;                    ///< share of the target probability spread evenly over all classes, in [0, 1)
  std::vector<double> class_weights = {};  ///< one per class, or empty: all 1
  Index ignore = -100;                     ///< positions with this label count nothing, in the mean neither
  Reduction reduction = Reduction::mean;
};

namespace detail {

template <class Derived, class T, class SpaceType>
class LabelLoss : public LossBase<Derived, T, SpaceType, std::int32_t> {
 public:
  using Space = SpaceType;

 protected:
  [[gnu::cold]] explicit LabelLoss(const CrossEntropyOptions& o) : LossBase<Derived, T, Space, std::int32_t>(o.reduction), smoothing_(o.smoothing), ignore_(o.ignore) {
    require(o.smoothing >= 0 && o.smoothing < 1, Derived::kind, ": smoothing ", o.smoothing, " is not in [0, 1)");
    for (const double w : o.class_weights) require(w >= 0 && w * 0 == 0, Derived::kind, ": class weight ", w, " is negative or not finite");
    const std::vector<T> weights(o.class_weights.begin(), o.class_weights.end());
    if (!weights.empty()) weights_ = Tensor<T, Cpu>({static_cast<Index>(weights.size())}, weights).template to<Space>();
  }

  template <class Where>
  double weight(In<T, Where> x, In<std::int32_t, Where> labels) {
    require_labels_fit(Derived::kind, x.shape, labels.shape);
    const Index classes = x.shape[1];
    require<ShapeError>(weights_.empty() || weights_.size() == classes, Derived::kind, ": ", weights_.size(), " class weights for the ", classes,
                        " classes of ", x.shape);
    In<T, Where> weights;
    if constexpr (std::is_same_v<Where, Space>) weights = weights_.ref();
    const LabelSum found = sum_labels(x.stream(), ignore_, classes, labels, weights);
    return checked_weight(Derived::kind, found, labels.shape, " is not in 0..", classes - 1);
  }
  bool counts_one() const { return weights_.empty(); }
  template <class Scale>
  Scale queue_weight(In<T, Space> x, In<std::int32_t, Space> labels) {
    if (room_.empty()) room_ = Tensor<double, Space>::uninitialized({2 * loss_room});
    return queue_label_weights(x.stream(), ignore_, x.shape[1], labels, In<T, Space>(weights_.ref()), room_.ref());
  }

  double smoothing_;
  Index ignore_;
  Tensor<T, Space> weights_;
  Tensor<double, Space> room_;  ///< for the parts of the weight in captured steps
};

}  // namespace detail

/// Softmax followed by cross-entropy, of scores x [N,C,d1,..] and labels [N,d1,..] in 0..C-1. Per position, with label y, smoothing e and class weights w:
/// loss = -(1 - e) w_y log p_y - e/C sum_c w_c log p_c, p = softmax(x) over axis 1; the mean divides by the sum of the w_y that are not ignored.
/// A mean over nothing (an empty batch, all ignored) is 0. Gradient: p_c sum(q) - q_c, where q is the weighted target. Throws Error on a label that is no
/// class.
template <class T, class Space = Cpu>
class SoftmaxCrossEntropy : public detail::LabelLoss<SoftmaxCrossEntropy<T, Space>, T, Space> {
 public:
  static constexpr const char* kind = "SoftmaxCrossEntropy";
  explicit SoftmaxCrossEntropy(const CrossEntropyOptions& o = {}) : Base(o) {}
  /// Whether every position counts 1 in a mean, unsmoothed, unless its label is the one to ignore.
  bool plain() const { return this->smoothing_ == 0 && this->weights_.empty() && this->averages(); }

 private:
  using Base = detail::LabelLoss<SoftmaxCrossEntropy, T, Space>;
  template <class, class, class, class>
  friend class detail::LossBase;
  template <class Call>
  double sum(In<T, Space> x, In<std::int32_t, Space> labels, const Call& scale, Out<T, Space> values, Out<T, Space> dx) {
    return softmax_cross_entropy(x.stream(), this->smoothing_, this->ignore_, scale, x, labels, this->weights_, this->sums_, values, dx);
  }
};

/// Cross-entropy of log-probabilities x [N,C,d1,..] (after LogSoftmax) with labels [N,d1,..]; otherwise as SoftmaxCrossEntropy.
/// Gradient: -q_c, where q is the weighted target.
template <class T, class Space = Cpu>
class NegativeLogLikelihood : public detail::LabelLoss<NegativeLogLikelihood<T, Space>, T, Space> {
 public:
  static constexpr const char* kind = "NegativeLogLikelihood";
  explicit NegativeLogLikelihood(const CrossEntropyOptions& o = {}) : Base(o) {}

 private:
  using Base = detail::LabelLoss<NegativeLogLikelihood, T, Space>;
  template <class, class, class, class>
  friend class detail::LossBase;
  template <class Call>
  double sum(In<T, Space> x, In<std::int32_t, Space> labels, const Call& scale, Out<T, Space> values, Out<T, Space> dx) {
    return negative_log_likelihood(x.stream(), this->smoothing_, this->ignore_, scale, x, labels, this->weights_, this->sums_, values, dx);
  }
};

struct MSEOptions {
  Reduction reduction = Reduction::mean;
};

/// Squared error, (x - target)^2, for x and target of one shape; the mean is over all elements. Gradient 2 (x - target).
template <class T, class Space = Cpu>
class MSE : public detail::LossBase<MSE<T, Space>, T, Space, T> {
 public:
  static constexpr const char* kind = "MSE";
  explicit MSE(MSEOptions o = {}) : Base(o.reduction) {}

 private:
  using Base = detail::LossBase<MSE, T, Space, T>;
  friend Base;
  template <class Where>
  double weight(In<T, Where> x, In<T, Where> target) {
    detail::require_same_shape(kind, x.shape, target.shape);
    return static_cast<double>(x.size());
  }
  template <class Call>
  double sum(In<T, Space> x, In<T, Space> target, const Call& scale, Out<T, Space> values, Out<T, Space> dx) {
    return squared_error(x.stream(), scale, x, target, this->sums_, values, dx);
  }
};

struct BCEWithLogitsOptions {
  double positive_weight = 1;  ///< of the term for target 1, against unequal numbers of positives and negatives
  Reduction reduction = Reduction::mean;
};

/// Binary cross-entropy of scores x with targets in [0, 1], of one shape: -p t log s(x) - (1 - t) log(1 - s(x)), s(x) = 1 / (1 + exp(-x)), p the weight
/// of positives; the mean is over all elements. Gradient (1 - t) s(x) - p t (1 - s(x)).
template <class T, class Space = Cpu>
class BCEWithLogits : public detail::LossBase<BCEWithLogits<T, Space>, T, Space, T> {
 public:
  static constexpr const char* kind = "BCEWithLogits";
  explicit BCEWithLogits(BCEWithLogitsOptions o = {}) : Base(o.reduction), positive_weight_(o.positive_weight) {}

 private:
  using Base = detail::LossBase<BCEWithLogits, T, Space, T>;
  friend Base;
  template <class Where>
  double weight(In<T, Where> x, In<T, Where> target) {
    detail::require_same_shape(kind, x.shape, target.shape);
    return static_cast<double>(x.size());
  }
  template <class Call>
  double sum(In<T, Space> x, In<T, Space> target, const Call& scale, Out<T, Space> values, Out<T, Space> dx) {
    return binary_cross_entropy(x.stream(), positive_weight_, scale, x, target, this->sums_, values, dx);
  }
  double positive_weight_;
};

namespace detail {

/// The margin losses: on one score per position with labels -1 and +1, or on C >= 2 scores with labels 0..C-1.
template <class Derived, class T, class SpaceType>
class MarginLoss : public LossBase<Derived, T, SpaceType, std::int32_t> {
 public:
  using Space = SpaceType;

 protected:
  MarginLoss(double margin, bool tie_counts, Reduction r) : LossBase<Derived, T, Space, std::int32_t>(r), margin_(margin), tie_counts_(tie_counts) {}

  template <class Where>
  double weight(In<T, Where> x, In<std::int32_t, Where> labels) {
    if (binary(x, labels)) return checked_weight(Derived::kind, sum_signs(x.stream(), labels), labels.shape, " is not -1 or 1, the labels of two classes");
    require_labels_fit(Derived::kind, x.shape, labels.shape);
    const Index classes = x.shape[1], nothing_ignored = Index{1} << 40;
    require<ShapeError>(classes >= 2, Derived::kind, ": output ", x.shape, " has one class; give it one label of -1 or 1 for each score");
    const LabelSum found = sum_labels(x.stream(), nothing_ignored, classes, labels, In<T, Where>());
    return checked_weight(Derived::kind, found, labels.shape, " is not in 0..", classes - 1);
  }
  template <class Call>
  double sum(In<T, Space> x, In<std::int32_t, Space> labels, const Call& scale, Out<T, Space> values, Out<T, Space> dx) {
    if (binary(x, labels)) return binary_hinge(x.stream(), margin_, tie_counts_, scale, x, labels, this->sums_, values, dx);
    return class_hinge(x.stream(), margin_, tie_counts_, scale, x, labels, this->sums_, values, dx);
  }

 private:
  template <class Where>
  static bool binary(In<T, Where> x, In<std::int32_t, Where> labels) {
    return x.shape == labels.shape || (x.shape.rank() == 2 && x.shape[1] == 1 && labels.shape == Shape{x.shape[0]});
  }
  double margin_;
  bool tie_counts_;
};

}  // namespace detail

struct HingeOptions {
  double margin = 1;
  Reduction reduction = Reduction::mean;
};

/// Hinge loss. Two classes: scores x [N], [N,1] or of the labels' own shape, labels t of -1 and 1, loss max(0, margin - t x). More: scores [N,C,d1,..], labels
/// [N,d1,..], loss max(0, margin + max_{c != y} x_c - x_y). Gradient 0 at the kink; of equal rivals the first takes it. Source: Crammer and Singer 2001, "On
/// the algorithmic implementation of multiclass kernel-based vector machines", JMLR 2, eq. 4.
template <class T, class Space = Cpu>
class Hinge : public detail::MarginLoss<Hinge<T, Space>, T, Space> {
 public:
  static constexpr const char* kind = "Hinge";
  explicit Hinge(HingeOptions o = {}) : detail::MarginLoss<Hinge, T, Space>(o.margin, false, o.reduction) {}

 private:
  template <class, class, class, class>
  friend class detail::LossBase;
};

struct PerceptronCriterionOptions {
  Reduction reduction = Reduction::mean;
};

/// The perceptron criterion: hinge loss with margin 0, so that only mistakes count. A tie is a mistake: there the gradient is that of the slope, as in
/// Rosenblatt's rule, and learning can start from weights of zero. Source: Duda, Hart, Stork 2001, "Pattern classification", eq. 5.16.
template <class T, class Space = Cpu>
class PerceptronCriterion : public detail::MarginLoss<PerceptronCriterion<T, Space>, T, Space> {
 public:
  static constexpr const char* kind = "PerceptronCriterion";
  explicit PerceptronCriterion(PerceptronCriterionOptions o = {}) : detail::MarginLoss<PerceptronCriterion, T, Space>(0, true, o.reduction) {}

 private:
  template <class, class, class, class>
  friend class detail::LossBase;
};

}  // namespace ventral::inline v0

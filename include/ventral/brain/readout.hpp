#pragma once
#include "ventral/brain/logistic.hpp"
#include "ventral/brain/ridge.hpp"
#include "ventral/brain/splits.hpp"
#include "ventral/metrics.hpp"

namespace ventral::inline v0::brain {

enum class ReadoutKind {
  least_squares,  ///< ridge regression on +-1 for each class against the others, the penalty by leave-one-out
  logistic        ///< multinomial logistic regression, the penalty by cross-validated log loss
};

struct ReadoutOptions {
  ReadoutKind kind = ReadoutKind::least_squares;
  bool standardize = true;             ///< features to mean 0 and deviation 1 over the training stimuli; constant ones to 0
  std::vector<double> penalties = {};  ///< candidates; empty: RidgeOptions' for least squares, 1e-2 to 1e4 (7) for logistic
  Index folds = 3;                     ///< inner folds for the logistic penalty; a single candidate needs none
};

/// A linear classifier of stimuli; made by fit_readout.
struct Readout {
  Tensor<double> weights;      ///< [features,classes], of the features as given
  std::vector<double> offset;  ///< [classes]
  double penalty = 0;          ///< chosen
  bool converged = true;       ///< of the logistic solver

  Index classes() const { return static_cast<Index>(offset.size()); }
  /// Scores [m,classes] = offset + x weights; the predicted class has the largest. Throws ShapeError on another number of features.
  template <class T>
  Tensor<double> scores(TensorRef<const T> x) const {
    const Index features = weights.dim(0), m = x.shape.rank() == 2 ? x.shape[0] : 0, k = classes();
    require<ShapeError>(x.shape.rank() == 2 && x.shape[1] == features, "Readout::scores: features of shape ", x.shape, "; fitted on ", features,
                        " features, needs [stimuli,", features, "]");
    Tensor<double> wide(x.shape), out({m, k});
    for (Index i = 0; i < x.size(); ++i) wide[i] = static_cast<double>(x.data[i]);
    for (Index i = 0; i < m * k; ++i) out[i] = offset[static_cast<std::size_t>(i % k)];
    detail::multiply(m, k, features, 1, {wide.data(), features}, {weights.data(), k}, 1, out.data(), k);
    return out;
  }
  template <class T>
  Tensor<double> scores(const Tensor<T>& x) const {
    return scores(x.ref());
  }
  /// Predicted classes [m]; ties go to the lower class.
  template <class X>
  std::vector<Index> predict(const X& x) const {
    const Tensor<double> s = scores(x);
    std::vector<Index> predicted;
    for (Index i = 0; i < s.dim(0); ++i) predicted.push_back(argmax(s.data() + i * classes(), classes()));
    return predicted;
  }
};

namespace detail {

/// The rows of x at `index`, as doubles.
template <class T>
Tensor<double> readout_rows(TensorRef<const T> x, std::span<const Index> index) {
  const Index p = x.shape[1];
  Tensor<double> out({static_cast<Index>(index.size()), p});
  double* to = out.data();
  for (const Index i : index)
    for (Index k = 0; k < p; ++k) *to++ = static_cast<double>(x.data[i * p + k]);
  return out;
}
inline std::vector<Index> readout_labels(std::span<const Index> labels, std::span<const Index> index) {
  std::vector<Index> out;
  for (const Index i : index) out.push_back(labels[static_cast<std::size_t>(i)]);
  return out;
}

/// Sum over stimuli of -log probability of their class under scores [m,classes].
inline double log_loss(const Tensor<double>& scores, std::span<const Index> labels) {
  const Index k = scores.dim(1);
  double loss = 0;
  for (Index i = 0; i < scores.dim(0); ++i) {
    const double* const s = scores.data() + i * k;
    const double highest = *std::max_element(s, s + k);
    double sum = 0;
    for (Index c = 0; c < k; ++c) sum += std::exp(s[c] - highest);
    loss += std::log(sum) + highest - s[labels[static_cast<std::size_t>(i)]];
  }
  return loss;
}

/// The penalty with the smallest log loss on stimuli left out in inner folds. Many features are replaced by coordinates in the span of the stimuli
/// first.
inline double choose_logistic_penalty(const Tensor<double>& x, std::span<const Index> labels, Index classes, std::span<const double> penalties,
                                      Index folds) {
  if (penalties.size() == 1) return penalties[0];
  const CentredColumns centred = centred_columns<double>(x.ref(), "fit_readout: features");
  const Tensor<double> z = x.dim(1) > 2 * x.dim(0) ? RowSpace(centred.values).coordinates() : centred.values.clone();
  std::vector<double> loss(penalties.size(), 0.0);
  for (const Split& split : stratified_k_fold(labels, folds, Random(0))) {
    const Tensor<double> train = readout_rows<double>(z, split.train), test = readout_rows<double>(z, split.test);
    const std::vector<Index> train_labels = readout_labels(labels, split.train), test_labels = readout_labels(labels, split.test);
    for (std::size_t a = 0; a < penalties.size(); ++a) {
      Logistic fit = fit_logistic(train, train_labels, classes, {.penalty = penalties[a], .gradient_tolerance = 1e-5});
      const Readout readout{std::move(fit.coefficients), std::move(fit.intercept), penalties[a], fit.converged};
      loss[a] += log_loss(readout.scores(test), test_labels);
    }
  }
  return penalties[static_cast<std::size_t>(std::min_element(loss.begin(), loss.end()) - loss.begin())];
}

/// Brings the columns of x to mean 0 and deviation 1 (population), constant ones to 0; returns mean and 1 / deviation (0 for a constant one).
struct ColumnScaling {
  std::vector<double> mean, factor;

  explicit ColumnScaling(Tensor<double>& x) {
    CentredColumns c = centred_columns<double>(x.ref(), "fit_readout: features");
    const Index n = x.dim(0), p = x.dim(1);
    for (Index k = 0; k < p; ++k) {
      double square = 0;
      for (Index i = 0; i < n; ++i) square += c.values[i * p + k] * c.values[i * p + k];
      const double deviation = std::sqrt(square / static_cast<double>(n)), rounding = 1e-14 * std::abs(c.mean[static_cast<std::size_t>(k)]);
      factor.push_back(deviation > rounding ? 1 / deviation : 0);
    }
    for (Index i = 0; i < n * p; ++i) x[i] = c.values[i] * factor[static_cast<std::size_t>(i % p)];
    mean = std::move(c.mean);
  }
};

}  // namespace detail

/// Fits a linear classifier of stimuli x [n,features] (float or double; model units or recorded sites) with labels [n] in [0, classes), n >= 3.
/// Least squares predicts +1 for a stimulus of the class and -1 for others and takes the class with the largest prediction.
/// Throws as fit_ridge and fit_logistic do: other numbers of labels, labels out of range, a class without stimuli, one class only, entries that are
/// not finite; with several logistic penalties also a class of fewer stimuli than inner folds. Source: Hung, Kreiman, Poggio, DiCarlo 2005, Science
/// 310:863; Majaj, Hong, Solomon, DiCarlo 2015, J Neurosci 35:13402.
template <class T>
Readout fit_readout(TensorRef<const T> x, std::span<const Index> labels, Index classes, const ReadoutOptions& options = {}) {
  require<ShapeError>(x.shape.rank() == 2, "fit_readout: features of shape ", x.shape, "; needs [stimuli,features]");
  const Index n = x.shape[0], p = x.shape[1];
  detail::require_labels(labels, n, classes, "fit_readout");
  Tensor<double> z({n, p});
  for (Index i = 0; i < n * p; ++i) z[i] = static_cast<double>(x.data[i]);
  std::vector<double> mean(static_cast<std::size_t>(p), 0.0), factor(static_cast<std::size_t>(p), 1.0);
  if (options.standardize) {
    detail::ColumnScaling scaling(z);
    mean = std::move(scaling.mean), factor = std::move(scaling.factor);
  }

  Readout readout;
  if (options.kind == ReadoutKind::least_squares) {
    auto target = Tensor<double>::full({n, classes}, -1.0);
    for (Index i = 0; i < n; ++i) target[i * classes + labels[static_cast<std::size_t>(i)]] = 1;
    RidgeOptions ridge;
    if (!options.penalties.empty()) ridge.penalties = options.penalties;
    Ridge fit = fit_ridge(z, target, ridge);
    readout = {std::move(fit.coefficients), std::move(fit.intercept), fit.penalty[0], true};
  } else {
    const std::vector<double> penalties = options.penalties.empty() ? log_spaced(1e-2, 1e4, 7) : options.penalties;
    const double penalty = detail::choose_logistic_penalty(z, labels, classes, penalties, options.folds);
    Logistic fit = fit_logistic(z, labels, classes, {.penalty = penalty});
    readout = {std::move(fit.coefficients), std::move(fit.intercept), penalty, fit.converged};
  }
  for (Index k = 0; k < p; ++k)  // back to the features as given
    for (Index c = 0; c < classes; ++c) {
      double& w = readout.weights[k * classes + c];
      w *= factor[static_cast<std::size_t>(k)];
      readout.offset[static_cast<std::size_t>(c)] -= mean[static_cast<std::size_t>(k)] * w;
    }
  return readout;
}
template <class T>
Readout fit_readout(const Tensor<T>& x, std::span<const Index> labels, Index classes, const ReadoutOptions& options = {}) {
  return fit_readout(x.ref(), labels, classes, options);
}

}  // namespace ventral::inline v0::brain

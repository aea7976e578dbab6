#pragma once
#include <algorithm>

#include "ventral/brain/centred.hpp"
#include "ventral/brain/triangular.hpp"

namespace ventral::inline v0::brain {

struct LogisticOptions {
  double penalty = 1;                ///< lambda > 0; scikit-learn's C is 1 / lambda
  double gradient_tolerance = 1e-9;  ///< on the largest element of the gradient, divided by the number of stimuli
  Index iterations = 100;            ///< Newton steps
};

/// Multinomial logistic regression; made by fit_logistic.
struct Logistic {
  Tensor<double> coefficients;    ///< W [features,classes]; rows sum to 0
  std::vector<double> intercept;  ///< b [classes]; sums to 0
  double loss = 0;                ///< the minimum reached
  double gradient = 0;            ///< largest element of the gradient / stimuli at the end
  Index iterations = 0;
  bool converged = false;  ///< gradient <= gradient_tolerance
};

namespace detail {

/// Throws unless there is one label in [0, classes) for each of the stimuli and every class has one.
inline void require_labels(std::span<const Index> labels, Index stimuli, Index classes, const char* what) {
  require<ShapeError>(static_cast<Index>(labels.size()) == stimuli, what, ": ", labels.size(), " labels for ", stimuli, " stimuli");
  require(classes >= 2, what, ": ", classes, " classes; at least 2 are needed");
  std::vector<Index> count(static_cast<std::size_t>(classes), 0);
  for (std::size_t i = 0; i < labels.size(); ++i) {
    require(0 <= labels[i] && labels[i] < classes, what, ": label ", labels[i], " at ", i, "; there are ", classes, " classes, from 0");
    ++count[static_cast<std::size_t>(labels[i])];
  }
  for (std::size_t c = 0; c < count.size(); ++c)
    require(count[c] < stimuli, what, ": all ", stimuli, " stimuli are of class ", c, "; at least 2 classes are needed");
  for (std::size_t c = 0; c < count.size(); ++c) require(count[c] > 0, what, ": class ", c, " has no stimuli");
}

/// Coordinates of centred rows X [n,p], p > n, in a basis of their own span: Z [n,rank], Z Z' = X X', by a Cholesky factorisation with pivoting. A
/// penalised linear model is the same in both, W = X_P' L_P^-T w, P the pivots.
struct RowSpace {
  Tensor<double> factor;      ///< [rank,n]: Z transposed
  std::vector<Index> pivots;  ///< [rank]

  explicit RowSpace(const Tensor<double>& x) {
    const Index n = x.dim(0), p = x.dim(1);
    Tensor<double> gram({n, n}), z({n, n});
    multiply(n, n, p, 1, {x.data(), p}, {x.data(), p, true}, 0, gram.data(), n);
    std::vector<double> left;
    for (Index i = 0; i < n; ++i) left.push_back(gram[i * n + i]);
    const double enough = 1e-13 * *std::max_element(left.begin(), left.end());
    for (Index r = 0; r < n; ++r) {
      const Index pivot = std::max_element(left.begin(), left.end()) - left.begin();
      if (!(left[static_cast<std::size_t>(pivot)] > enough)) break;
      double* const row = z.data() + r * n;
      cpu::parallel_ranges(n, 512, [&](Index first, Index last) {
        for (Index i = first; i < last; ++i) row[i] = gram[pivot * n + i];
        for (Index k = 0; k < r; ++k)
          for (Index i = first; i < last; ++i) row[i] -= z[k * n + pivot] * z[k * n + i];
      });
      const double root = std::sqrt(row[pivot]);
      for (Index i = 0; i < n; ++i) row[i] /= root, left[static_cast<std::size_t>(i)] -= row[i] * row[i];
      for (const Index done : pivots) row[done] = 0;
      pivots.push_back(pivot);
      left[static_cast<std::size_t>(pivot)] = 0;
    }
    const Index rank = static_cast<Index>(pivots.size());
    factor = Tensor<double>({rank, n});
    std::copy(z.begin(), z.begin() + rank * n, factor.begin());
  }

  /// [n,rank]
  Tensor<double> coordinates() const {
    const Index rank = factor.dim(0), n = factor.dim(1);
    Tensor<double> z({n, rank});
    for (Index i = 0; i < n; ++i)
      for (Index k = 0; k < rank; ++k) z[i * rank + k] = factor[k * n + i];
    return z;
  }
  /// From coefficients of the coordinates w [rank,classes] to those of the features [p,classes].
  Tensor<double> to_features(const Tensor<double>& x, const Tensor<double>& w) const {
    const Index rank = factor.dim(0), n = factor.dim(1), p = x.dim(1), classes = w.dim(1);
    Tensor<double> dual({n, classes}), out({p, classes});
    for (Index k = rank; k-- > 0;)  // L_P' a = w: row k of L_P' is factor(k, pivots)
      for (Index c = 0; c < classes; ++c) {
        double sum = w[k * classes + c];
        for (Index m = k + 1; m < rank; ++m)
          sum -= factor[k * n + pivots[static_cast<std::size_t>(m)]] * dual[pivots[static_cast<std::size_t>(m)] * classes + c];
        dual[pivots[static_cast<std::size_t>(k)] * classes + c] = sum / factor[k * n + pivots[static_cast<std::size_t>(k)]];
      }
    multiply(p, classes, n, 1, {x.data(), p, true}, {dual.data(), classes}, 0, out.data(), classes);
    return out;
  }
};

/// The penalised loss of a softmax over z [n,r], its gradient and its curvature, as functions of theta [r + 1, classes]: coefficients, then the
/// intercept.
class SoftmaxLoss {
 public:
  SoftmaxLoss(const Tensor<double>& z, std::span<const Index> labels, Index classes, double penalty)
      : n_(z.dim(0)),
        r_(z.dim(1) + 1),
        classes_(classes),
        penalty_(penalty),
        labels_(labels),
        z_({n_, r_}),
        probability_({n_, classes}),
        change_({n_, classes}) {
    for (Index i = 0; i < n_; ++i) {
      std::copy(z.data() + i * (r_ - 1), z.data() + (i + 1) * (r_ - 1), z_.data() + i * r_);
      z_[i * r_ + r_ - 1] = 1;
    }
  }
  Index size() const { return r_ * classes_; }

  /// The loss at theta; remembers the probabilities there.
  double at(const std::vector<double>& theta) {
    multiply(n_, classes_, r_, 1, {z_.data(), r_}, {theta.data(), classes_}, 0, probability_.data(), classes_);
    double loss = 0, square = 0;
    for (Index i = 0; i < n_; ++i) {
      double* const p = probability_.data() + i * classes_;
      const double highest = *std::max_element(p, p + classes_), own = p[labels_[static_cast<std::size_t>(i)]] - highest;
      double sum = 0;
      for (Index c = 0; c < classes_; ++c) sum += p[c] = std::exp(p[c] - highest);
      for (Index c = 0; c < classes_; ++c) p[c] /= sum;
      loss += std::log(sum) - own;
    }
    for (Index k = 0; k < penalised(); ++k) square += theta[static_cast<std::size_t>(k)] * theta[static_cast<std::size_t>(k)];
    return loss + penalty_ / 2 * square;
  }
  /// At the last at().
  void gradient(const std::vector<double>& theta, std::vector<double>& out) {
    change_.copy_from(probability_);
    for (Index i = 0; i < n_; ++i) change_[i * classes_ + labels_[static_cast<std::size_t>(i)]] -= 1;
    back(theta, out);
  }
  /// Second derivative in the direction v, at the last at().
  void curvature(const std::vector<double>& v, std::vector<double>& out) {
    multiply(n_, classes_, r_, 1, {z_.data(), r_}, {v.data(), classes_}, 0, change_.data(), classes_);
    for (Index i = 0; i < n_; ++i) {
      const double* const p = probability_.data() + i * classes_;
      double* const s = change_.data() + i * classes_;
      double mean = 0;
      for (Index c = 0; c < classes_; ++c) mean += p[c] * s[c];
      for (Index c = 0; c < classes_; ++c) s[c] = p[c] * (s[c] - mean);
    }
    back(v, out);
  }

 private:
  Index penalised() const { return (r_ - 1) * classes_; }
  void back(const std::vector<double>& theta, std::vector<double>& out) {
    multiply(r_, classes_, n_, 1, {z_.data(), r_, true}, {change_.data(), classes_}, 0, out.data(), classes_);
    for (Index k = 0; k < penalised(); ++k) out[static_cast<std::size_t>(k)] += penalty_ * theta[static_cast<std::size_t>(k)];
  }

  Index n_, r_, classes_;
  double penalty_;
  std::span<const Index> labels_;
  Tensor<double> z_, probability_, change_;
};

inline double inner(const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// An approximate Newton step: conjugate gradients on H step = -gradient, to a relative residual that shrinks with the gradient (superlinear
/// convergence).
inline std::vector<double> newton_step(SoftmaxLoss& problem, const std::vector<double>& gradient, double scale) {
  std::vector<double> step(gradient.size(), 0.0), residual = gradient, direction, product(gradient.size());
  for (double& v : residual) v = -v;
  direction = residual;
  const double start = inner(residual, residual), target = std::min(0.25, std::sqrt(std::sqrt(start) / scale)) * std::sqrt(start);
  double square = start;
  for (Index k = 0; k < 500 && std::sqrt(square) > target; ++k) {
    problem.curvature(direction, product);
    const double bend = inner(direction, product);
    if (!(bend > 1e-14 * inner(direction, direction))) break;  // the common shift of all intercepts changes nothing
    const double length = square / bend;
    for (std::size_t i = 0; i < step.size(); ++i) step[i] += length * direction[i], residual[i] -= length * product[i];
    const double next = inner(residual, residual);
    for (std::size_t i = 0; i < step.size(); ++i) direction[i] = residual[i] + next / square * direction[i];
    square = next;
  }
  return step;
}

/// Minimizes from theta; fills all of the result but the coefficients and intercept.
inline Logistic minimise_softmax(SoftmaxLoss& problem, std::vector<double>& theta, Index stimuli, const LogisticOptions& o) {
  Logistic fit;
  const double n = static_cast<double>(stimuli);
  std::vector<double> gradient(theta.size()), trial(theta.size());
  double loss = problem.at(theta);
  for (;; ++fit.iterations) {
    problem.gradient(theta, gradient);
    fit.gradient = 0;
    for (const double g : gradient) fit.gradient = std::max(fit.gradient, std::abs(g) / n);
    fit.converged = fit.gradient <= o.gradient_tolerance;
    if (fit.converged || fit.iterations == o.iterations) break;
    const std::vector<double> step = newton_step(problem, gradient, n);
    const double slope = inner(gradient, step), rounding = 1e-13 * (1 + std::abs(loss));
    double length = 1, next = loss;
    bool lower = false;
    for (int halvings = 0; halvings < 40 && !lower; ++halvings, length /= 2) {
      for (std::size_t i = 0; i < theta.size(); ++i) trial[i] = theta[i] + length * step[i];
      next = problem.at(trial);
      lower = next <= loss + 1e-4 * length * slope + rounding;
    }
    if (!lower) break;
    theta.swap(trial);
    loss = next;
  }
  fit.loss = loss;
  return fit;
}

}  // namespace detail

/// Multinomial logistic regression with an L2 penalty: min_W,b sum_i [log sum_c exp(s_ic) - s_i,label(i)] + lambda / 2 |W|^2, s = 1b' + X W, the
/// intercept not penalised, by Newton's method with conjugate gradients in double, from zero: no random numbers, the same bits for any number of
/// threads. x [n,features] float or double, n >= 3; labels [n] in [0, classes). With more than 2 n features it is solved in the span of the stimuli.
/// `converged` tells whether the gradient came below the tolerance. Throws ShapeError on another number of labels, Error on a label out of range, a
/// class without stimuli, one class only, entries that are not finite, lambda <= 0. A conjugate gradient step costs 4 n min(2 n, features) classes
/// operations. Source: Lin, Weng, Keerthi 2008, J Mach Learn Res 9:627 (trust region Newton; here with a line search); Nocedal, Wright 2006,
/// "Numerical optimization", algorithm 7.1.
template <class T>
Logistic fit_logistic(TensorRef<const T> x, std::span<const Index> labels, Index classes, const LogisticOptions& options = {}) {
  require(options.penalty > 0 && std::isfinite(options.penalty) && options.gradient_tolerance > 0 && options.iterations >= 1,
          "fit_logistic: penalty ", options.penalty, ", gradient tolerance ", options.gradient_tolerance, ", iterations ", options.iterations,
          "; all must be positive");
  const CentredColumns xc = centred_columns(x, "fit_logistic: features");
  const Index n = x.shape[0], p = x.shape[1];
  detail::require_labels(labels, n, classes, "fit_logistic");

  const auto solve = [&](const Tensor<double>& z, Tensor<double>& w) {
    detail::SoftmaxLoss problem(z, labels, classes, options.penalty);
    std::vector<double> theta(static_cast<std::size_t>(problem.size()), 0.0);
    Logistic fit = detail::minimise_softmax(problem, theta, n, options);
    w = Tensor<double>({z.dim(1), classes});
    std::copy(theta.begin(), theta.end() - classes, w.begin());
    fit.intercept.assign(theta.end() - classes, theta.end());
    return fit;
  };
  Tensor<double> w;
  Logistic fit;
  if (p <= 2 * n) {
    fit = solve(xc.values, w);
    fit.coefficients = std::move(w);
  } else {
    const detail::RowSpace space(xc.values);
    fit = solve(space.coordinates(), w);
    fit.coefficients = space.to_features(xc.values, w);
  }
  double mean = 0;
  for (Index c = 0; c < classes; ++c) {
    double& b = fit.intercept[static_cast<std::size_t>(c)];
    for (Index k = 0; k < p; ++k) b -= xc.mean[static_cast<std::size_t>(k)] * fit.coefficients[k * classes + c];
    mean += b / static_cast<double>(classes);
  }
  for (double& b : fit.intercept) b -= mean;
  return fit;
}
template <class T>
Logistic fit_logistic(const Tensor<T>& x, std::span<const Index> labels, Index classes, const LogisticOptions& options = {}) {
  return fit_logistic(x.ref(), labels, classes, options);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <cstdlib>

#include "ventral/brain/centred.hpp"
#include "ventral/brain/decompositions.hpp"
#include "ventral/brain/triangular.hpp"

namespace ventral::inline v0::brain {

struct PlsOptions {
  Index components = 25;
  bool scale = false;  ///< divide every feature and site by its sample standard deviation (n - 1) first; constant ones by 1
};

namespace detail {

inline double dot(const double* a, const double* b, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}
inline void add_scaled(double* y, double factor, const double* x, Index n) {
  for (Index i = 0; i < n; ++i) y[i] += factor * x[i];
}

/// X't [p] of x [n,p]: columns in parallel, four rows at a time.
inline void product_with_rows(const double* x, Index n, Index p, const double* t, double* out) {
  cpu::parallel_ranges(p, 512, [&](Index first, Index last) {
    std::fill(out + first, out + last, 0.0);
    Index i = 0;
    for (; i + 4 <= n; i += 4) {
      const double *const a = x + i * p, *const b = a + p, *const c = b + p, *const d = c + p;
      for (Index j = first; j < last; ++j) out[j] += t[i] * a[j] + t[i + 1] * b[j] + t[i + 2] * c[j] + t[i + 3] * d[j];
    }
    for (; i < n; ++i) add_scaled(out + first, t[i], x + i * p + first, last - first);
  });
}

/// The orthogonal scores t_1, t_2, ... of a PLS fit, and the rotations that make them from centred features (or, dually, from stimuli).
class PlsScores {
 public:
  PlsScores(Index capacity, Index n, Index r) : n_(n), r_(r), scores_({capacity, n}), rotations_({capacity, r}) {}

  Index count() const { return static_cast<Index>(squared_norms_.size()); }
  const double* score(Index a) const { return scores_.data() + a * n_; }
  double squared_norm(Index a) const { return squared_norms_[static_cast<std::size_t>(a)]; }
  Tensor<double> take_rotations() { return std::move(rotations_); }

  /// Adds the score X_a w, given X w and w: what X w shares with the earlier scores is taken off, twice, so that they stay orthogonal to rounding.
  /// Returns |t|^2; the rotation r = w - sum_b (p_b'w) r_b, p_b'w = t_b'X w / t_b't_b.
  double add(const double* product, const double* w) {
    double *const t = scores_.data() + count() * n_, *const rotation = rotations_.data() + count() * r_;
    std::copy_n(product, n_, t);
    std::copy_n(w, r_, rotation);
    for (int pass = 0; pass < 2; ++pass)
      for (Index b = 0; b < count(); ++b) {
        const double shared = dot(score(b), t, n_) / squared_norm(b);
        add_scaled(t, -shared, score(b), n_);
        add_scaled(rotation, -shared, rotations_.data() + b * r_, r_);
      }
    squared_norms_.push_back(dot(t, t, n_));
    return squared_norms_.back();
  }

 private:
  Index n_, r_;
  Tensor<double> scores_, rotations_;
  std::vector<double> squared_norms_;
};

inline void require_components(Index components, Index most) {
  require(components >= 1, "PLS: ", components, " components; at least 1 is needed");
  require(components <= most, "PLS: ", components, " components; centred features of this shape have rank ", most, " at most");
}
[[noreturn]] inline void fail_rank(Index components, Index rank) {
  require(false, "PLS: ", components, " components; these features and responses have rank ", rank);
  std::abort();
}

/// Divides each column of x [n,p] by its sample standard deviation; returns these, 1 for constant columns and without `scale`.
inline std::vector<double> scaled_columns(Tensor<double>& x, bool scale) {
  const Index n = x.dim(0), p = x.dim(1);
  std::vector<double> deviation(static_cast<std::size_t>(p), 1.0);
  if (!scale) return deviation;
  for (Index j = 0; j < p; ++j) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += x[i * p + j] * x[i * p + j];
    if (sum > 0) deviation[static_cast<std::size_t>(j)] = std::sqrt(sum / static_cast<double>(n - 1));
  }
  for (Index i = 0; i < n * p; ++i) x[i] /= deviation[static_cast<std::size_t>(i % p)];
  return deviation;
}

}  // namespace detail

/// Partial least squares regression (PLS2); made by fit_pls. Predictions for any number of components up to the fitted one.
class Pls {
 public:
  Index components() const { return rotations_.dim(0); }

  /// Regression coefficients [features,sites] in the units of the data, of the first k components (0: all).
  Tensor<double> coefficients(Index k = 0) const {
    const Index p = rotations_.dim(1), q = loadings_.dim(1);
    Tensor<double> b({p, q});
    detail::multiply(p, q, used(k), 1, {rotations_.data(), p, true}, {loadings_.data(), q}, 0, b.data(), q);
    for (Index i = 0; i < p * q; ++i) b[i] *= site_scale_[static_cast<std::size_t>(i % q)] / feature_scale_[static_cast<std::size_t>(i / q)];
    return b;
  }
  /// Predicted responses [m,sites] to features x [m,features], with the first k components (0: all). Throws ShapeError on another number of features.
  template <class T>
  Tensor<double> predict(const Tensor<T>& x, Index k = 0) const {
    Tensor<double> centred = detail::minus_mean(TensorRef<const T>(x), feature_mean_, "Pls::predict");
    const Index m = x.dim(0), p = x.dim(1), q = loadings_.dim(1), c = used(k);
    for (Index i = 0; i < m * p; ++i) centred[i] /= feature_scale_[static_cast<std::size_t>(i % p)];
    Tensor<double> t({m, c}), y({m, q});
    detail::multiply(m, c, p, 1, {centred.data(), p}, {rotations_.data(), p, true}, 0, t.data(), c);
    detail::multiply(m, q, c, 1, {t.data(), c}, {loadings_.data(), q}, 0, y.data(), q);
    for (Index i = 0; i < m * q; ++i) y[i] *= site_scale_[static_cast<std::size_t>(i % q)];
    detail::add_to_rows(y, site_mean_);
    return y;
  }

 private:
  template <class T>
  friend Pls fit_pls(TensorRef<const T> x, In<double> y, const PlsOptions& options);

  Index used(Index k) const {
    require(0 <= k && k <= components(), "PLS: ", k, " components asked of a fit of ", components());
    return k == 0 ? components() : k;
  }

  Tensor<double> rotations_;  // [components,p] t_a = X r_a
  Tensor<double> loadings_;   // [components,q] Y't_a / t_a't_a
  std::vector<double> feature_mean_, feature_scale_, site_mean_, site_scale_;
};

/// PLS2 regression by the NIPALS definition, exact: at every step w, c are the dominant singular pair of X_a'Y, t = X_a w, p = X_a't / t't, X_{a+1} =
/// X_a - t p'. The pair comes from an eigen-decomposition of the smaller of (X_a'Y)'(X_a'Y) and its transpose, not from a power iteration with a
/// tolerance; X'Y is formed once and deflated by p (t'Y). SIMPLS differs from this when there are several sites.
/// x [n,features] float or double, y [n,sites]; 2 n p (q + 2 K) operations and K eigen-decompositions of min(p, q) rows.
/// Throws ShapeError when the stimuli differ, Error on entries that are not finite and on more components than the rank of the data, which it tells.
/// Source: Wold, Sjostrom, Eriksson 2001, Chemometr Intell Lab Syst 58:109; Dayal, MacGregor 1997, J Chemometr 11:73.
template <class T>
Pls fit_pls(TensorRef<const T> x, In<double> y, const PlsOptions& options) {
  require<ShapeError>(x.shape.rank() == 2 && y.shape.rank() == 2 && x.shape[0] == y.shape[0], "fit_pls: features ", x.shape, " and responses ",
                      y.shape, "; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  CentredColumns xc = centred_columns(x, "fit_pls: features"), yc = centred_columns(TensorRef<const double>(y), "fit_pls: responses");
  const Index n = x.shape[0], p = x.shape[1], q = y.shape[1], count = options.components;
  detail::require_components(count, std::min(n - 1, p));
  Pls fit;
  fit.feature_scale_ = detail::scaled_columns(xc.values, options.scale), fit.site_scale_ = detail::scaled_columns(yc.values, options.scale);
  fit.feature_mean_ = std::move(xc.mean), fit.site_mean_ = std::move(yc.mean);
  const double *const xs = xc.values.data(), *const ys = yc.values.data();
  const double x_norm = std::sqrt(detail::dot(xs, xs, n * p)), y_norm = std::sqrt(detail::dot(ys, ys, n * q));

  Tensor<double> s({p, q}), w({p}), product({n}), loading({p});
  detail::multiply(p, q, n, 1, {xs, p, true}, {ys, q}, 0, s.data(), q);
  detail::PlsScores scores(count, n, p);
  fit.loadings_ = Tensor<double>({count, q});
  for (Index a = 0; a < count; ++a) {
    const Eigenpair pair = leading_eigenpair(symmetric_product(s, q <= p));
    if (!(std::sqrt(pair.value) > 1e-14 * x_norm * y_norm)) detail::fail_rank(count, a);
    if (q <= p) detail::multiply(p, 1, q, 1 / std::sqrt(pair.value), {s.data(), q}, {pair.vector.data(), 1}, 0, w.data(), 1);
    else std::copy(pair.vector.begin(), pair.vector.end(), w.begin());
    detail::multiply(1, n, p, 1, {w.data(), p}, {xs, p, true}, 0, product.data(), n);
    const double tt = scores.add(product.data(), w.data());
    if (!(std::sqrt(tt) > 1e-12 * x_norm)) detail::fail_rank(count, a);
    double* const site_loading = fit.loadings_.data() + a * q;
    detail::product_with_rows(ys, n, q, scores.score(a), site_loading);
    detail::product_with_rows(xs, n, p, scores.score(a), loading.data());
    for (Index k = 0; k < p; ++k) detail::add_scaled(s.data() + k * q, -loading[k] / tt, site_loading, q);
    for (Index j = 0; j < q; ++j) site_loading[j] /= tt;
  }
  fit.rotations_ = scores.take_rotations();
  return fit;
}
template <class T>
Pls fit_pls(const Tensor<T>& x, In<double> y, const PlsOptions& options = {}) { return fit_pls(TensorRef<const T>(x), y, options); }

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/centred.hpp"
#include "ventral/brain/ridge_path.hpp"

namespace ventral::inline v0::brain {

/// Ridge regression from features to sites; made by fit_ridge.
struct Ridge {
  Tensor<double> coefficients;       ///< W [features,sites]
  std::vector<double> intercept;     ///< b [sites]
  std::vector<double> penalty;       ///< chosen penalty of each site, all the same unless per_site
  Tensor<double> validation_mse;     ///< [penalties,sites] mean squared error of left-out stimuli
  std::vector<double> feature_mean;  ///< [features]
  std::vector<double> site_mean;     ///< [sites]

  /// Predicted responses [m,sites] = b + X W to features x [m,features], taken as site_mean + (x - feature_mean) W. Throws ShapeError on another
  /// number of features.
  template <class T>
  Tensor<double> predict(TensorRef<const T> x) const {
    const Tensor<double> centred = detail::minus_mean(x, feature_mean, "Ridge::predict");
    const Index m = x.shape[0], p = x.shape[1], q = coefficients.dim(1);
    Tensor<double> y({m, q});
    detail::multiply(m, q, p, 1, {centred.data(), p}, {coefficients.data(), q}, 0, y.data(), q);
    detail::add_to_rows(y, site_mean);
    return y;
  }
  template <class T>
  Tensor<double> predict(const Tensor<T>& x) const { return predict(x.ref()); }
};

/// Ridge regression min_W,b |Y - 1b' - X W|^2 + alpha |W|^2, the intercept not penalised, alpha the candidate with the smallest left-out error.
/// Leaving stimulus i out: e_i = residual_i / (1 - h_ii - 1/n), exactly the error of a refit without it (h from centred X); a fold I: R_II^-1
/// residual_I. x [n,features] float or double, y [n,sites]; n >= 3. Primal below n - 1 features, else dual; every penalty costs O(n^2 sites) after
/// one eigen-decomposition, or one Cholesky factorisation (options.route; the same results to rounding). A constant site gets zero coefficients.
/// Throws ShapeError when the stimuli differ, Error on entries that are not finite, on penalties that are not positive and on bad folds.
/// Source: Hoerl, Kennard 1970, Technometrics 12:55; Golub, Heath, Wahba 1979, Technometrics 21:215.
template <class T>
Ridge fit_ridge(TensorRef<const T> x, In<double> y, const RidgeOptions& options = {}) {
  detail::require_penalties(options);
  require<ShapeError>(x.shape.rank() == 2 && y.shape.rank() == 2 && x.shape[0] == y.shape[0], "fit_ridge: features ", x.shape, " and responses ",
                      y.shape, "; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  CentredColumns xc = centred_columns(x, "fit_ridge: features"), yc = centred_columns(y, "fit_ridge: responses");
  const Index n = x.shape[0], p = x.shape[1], q = y.shape[1];
  Ridge fit;
  if (p < n - 1) {  // from rank n - 1 on, 1 - h_ii is a small difference at small penalties, which only the dual forms without loss
    auto path = detail::RidgePath::primal(xc.values, yc.values, options.route);
    detail::RidgeChoice choice = detail::choose_penalty(path, n, q, options);
    fit.coefficients = std::move(choice.solution), fit.penalty = std::move(choice.penalty), fit.validation_mse = std::move(choice.validation_mse);
  } else {
    auto path = detail::RidgePath::dual(symmetric_product(xc.values), yc.values, options.route);
    detail::RidgeChoice choice = detail::choose_penalty(path, n, q, options);
    fit.coefficients = Tensor<double>({p, q}), fit.penalty = std::move(choice.penalty), fit.validation_mse = std::move(choice.validation_mse);
    detail::multiply(p, q, n, 1, {xc.values.data(), p, true}, {choice.solution.data(), q}, 0, fit.coefficients.data(), q);
  }
  fit.intercept = yc.mean;
  for (Index k = 0; k < p; ++k)
    for (Index j = 0; j < q; ++j) fit.intercept[static_cast<std::size_t>(j)] -= xc.mean[static_cast<std::size_t>(k)] * fit.coefficients[k * q + j];
  fit.feature_mean = std::move(xc.mean), fit.site_mean = std::move(yc.mean);
  return fit;
}
template <class T>
Ridge fit_ridge(const Tensor<T>& x, In<double> y, const RidgeOptions& options = {}) { return fit_ridge(x.ref(), y, options); }

}  // namespace ventral::inline v0::brain

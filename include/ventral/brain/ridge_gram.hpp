#pragma once
#include "ventral/brain/centred.hpp"
#include "ventral/brain/ridge_path.hpp"

namespace ventral::inline v0::brain {

/// Ridge regression in terms of training stimuli; made by fit_ridge_gram.
struct GramRidge {
  Tensor<double> dual;            ///< [n,sites] coefficients of the training stimuli: W = Xc' dual
  std::vector<double> site_mean;  ///< [sites]
  std::vector<double> penalty;    ///< chosen penalty of each site
  Tensor<double> validation_mse;  ///< [penalties,sites] mean squared error of left-out stimuli

  /// Predicted responses [m,sites] from cross products cross [m,n] = (X_new - mean)(X_train - mean)', mean over the training stimuli.
  /// Throws ShapeError when cross does not have n columns.
  Tensor<double> predict(In<double> cross) const {
    const Index n = dual.dim(0), q = dual.dim(1);
    require<ShapeError>(cross.shape.rank() == 2 && cross.shape[1] == n, "GramRidge::predict: cross products ", cross.shape, "; fitted on ", n,
                        " stimuli, needs [stimuli,", n, "]");
    Tensor<double> y({cross.shape[0], q});
    detail::multiply(cross.shape[0], q, n, 1, {cross.data, n}, {dual.data(), q}, 0, y.data(), q);
    detail::add_to_rows(y, site_mean);
    return y;
  }
};

/// fit_ridge from inner products: the same predictions without the features. k [n,n] = Xc Xc', centred on these n training stimuli, both triangles
/// filled; moved in, it is worked on in place (the Cholesky route needs no second matrix: 800 MB for 10,000 stimuli). y [n,sites].
/// Throws ShapeError when k and y do not fit, Error when k is not centred or an entry not finite, on penalties that are not positive and on bad
/// folds.
inline GramRidge fit_ridge_gram(Tensor<double> k, In<double> y, const RidgeOptions& options = {}) {
  detail::require_penalties(options);
  CentredColumns yc = centred_columns(TensorRef<const double>(y), "fit_ridge_gram: responses");
  detail::require_centred_gram(k, y.shape[0], "fit_ridge_gram");
  auto path = detail::RidgePath::dual(std::move(k), yc.values, options.route);
  detail::RidgeChoice choice = detail::choose_penalty(path, y.shape[0], y.shape[1], options);
  return {std::move(choice.solution), std::move(yc.mean), std::move(choice.penalty), std::move(choice.validation_mse)};
}

}  // namespace ventral::inline v0::brain

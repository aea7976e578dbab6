#pragma once
#include "ventral/brain/centred.hpp"
#include "ventral/brain/rdm.hpp"
#include "ventral/brain/triangular.hpp"

namespace ventral::inline v0::brain {

/// Each site predicted by one unit; made by fit_one_to_one.
struct OneToOne {
  std::vector<Index> unit;          ///< [sites] the chosen feature; -1 when the site is constant or all features are: the site's mean is predicted
  std::vector<double> correlation;  ///< [sites] its Pearson r on the training stimuli; NaN without a unit
  std::vector<double> slope, intercept;
  Index features = 0;

  /// Predicted responses [m,sites] = intercept + slope x_unit to features x [m,features]. Throws ShapeError on another number of features.
  template <class T>
  Tensor<double> predict(const Tensor<T>& x) const {
    require<ShapeError>(x.rank() == 2 && x.dim(1) == features, "OneToOne::predict: features of shape ", x.shape(), "; fitted on ", features,
                        " features");
    const Index q = static_cast<Index>(unit.size());
    Tensor<double> y({x.dim(0), q});
    for (Index i = 0; i < x.dim(0); ++i)
      for (Index j = 0; j < q; ++j) {
        const std::size_t s = static_cast<std::size_t>(j);
        y[i * q + j] = unit[s] < 0 ? intercept[s] : intercept[s] + slope[s] * static_cast<double>(x[i * features + unit[s]]);
      }
    return y;
  }
};

/// One-to-one mapping: for each site the unit with the largest |Pearson r| over the training stimuli (the first of equals), slope and intercept by
/// least squares. x [n,features] float or double, y [n,sites]: training stimuli only, so that the choice never sees the test. The sign of r is free.
/// Constant units are never chosen. Throws ShapeError when the stimuli differ, Error on entries that are not finite. 2 n p q operations.
template <class T>
OneToOne fit_one_to_one(TensorRef<const T> x, In<double> y) {
  require<ShapeError>(x.shape.rank() == 2 && y.shape.rank() == 2 && x.shape[0] == y.shape[0], "fit_one_to_one: features ", x.shape, " and responses ",
                      y.shape, "; needs [stimuli,features] and [stimuli,sites] of the same stimuli");
  const CentredColumns xc = centred_columns(x, "fit_one_to_one: features"),
                       yc = centred_columns(TensorRef<const double>(y), "fit_one_to_one: responses");
  const Index n = x.shape[0], p = x.shape[1], q = y.shape[1], chunk = 4096;
  const auto squares = [n](const Tensor<double>& m, Index j) {
    double sum = 0;
    for (Index i = 0; i < n; ++i) sum += m[i * m.dim(1) + j] * m[i * m.dim(1) + j];
    return sum;
  };
  const std::size_t sites = static_cast<std::size_t>(q);
  OneToOne fit{std::vector<Index>(sites, -1), std::vector<double>(sites, undefined), std::vector<double>(sites, 0.0), yc.mean, p};
  std::vector<double> site_squares;
  for (Index j = 0; j < q; ++j) site_squares.push_back(squares(yc.values, j));
  Tensor<double> products({std::min(p, chunk), q});
  for (Index first = 0; first < p; first += chunk) {
    const Index count = std::min(chunk, p - first);
    detail::multiply(count, q, n, 1, {xc.values.data() + first, p, true}, {yc.values.data(), q}, 0, products.data(), q);
    for (Index k = 0; k < count; ++k) {
      const double mean = xc.mean[static_cast<std::size_t>(first + k)], unit_squares = squares(xc.values, first + k);
      for (Index j = 0; j < q && unit_squares > 0; ++j) {
        const std::size_t s = static_cast<std::size_t>(j);
        if (!(site_squares[s] > 0)) continue;
        const double r = products[k * q + j] / (std::sqrt(unit_squares) * std::sqrt(site_squares[s]));
        if (fit.unit[s] >= 0 && !(std::abs(r) > std::abs(fit.correlation[s]))) continue;
        fit.unit[s] = first + k, fit.correlation[s] = std::clamp(r, -1.0, 1.0), fit.slope[s] = products[k * q + j] / unit_squares;
        fit.intercept[s] = yc.mean[s] - fit.slope[s] * mean;
      }
    }
  }
  return fit;
}
template <class T>
OneToOne fit_one_to_one(const Tensor<T>& x, In<double> y) { return fit_one_to_one(TensorRef<const T>(x), y); }

}  // namespace ventral::inline v0::brain

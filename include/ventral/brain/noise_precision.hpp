#pragma once
#include <algorithm>
#include <cmath>
#include <optional>

#include "ventral/brain/cholesky.hpp"
#include "ventral/brain/features.hpp"

namespace ventral::inline v0::brain {

/// What a noise covariance is shrunk towards, by how much the data say; rsatoolbox's names in brackets.
enum class Shrinkage {
  none,              ///< [full] the sample covariance
  diagonal,          ///< [diag] variances only
  towards_identity,  ///< [shrinkage_eye] the mean variance times the identity: Ledoit, Wolf 2004, J Multivar Anal 88:365
  towards_diagonal   ///< [shrinkage_diag] the variances: Schäfer, Strimmer 2005, Stat Appl Genet Mol Biol 4:32
};

namespace detail {

/// s becomes (b2/d2) mu 1 + (1 - b2/d2) s with mu = tr s / p, d2 = |s - mu 1|^2, b2 = min(d2, sum_t |r_t r_t' - s|^2 / r^2);
/// s = R'R / r, R [r,p].
inline void shrink_towards_identity(const Tensor<double>& r, Tensor<double>& s) {
  const Index rows = r.dim(0), p = r.dim(1);
  const double count = static_cast<double>(rows);
  double trace = 0, square = 0, fourth = 0;
  for (Index i = 0; i < p; ++i) trace += s[i * p + i];
  for (Index i = 0; i < p; ++i) square += sum_of_terms(p, [&](Index k) { return s[i * p + k] * s[i * p + k]; });
  for (Index t = 0; t < rows; ++t) {
    const double length = sum_of_terms(p, [&](Index k) { return r[t * p + k] * r[t * p + k]; });
    fourth += length * length;
  }
  const double mean = trace / static_cast<double>(p), d2 = square - mean * trace;
  const double b2 = std::clamp((fourth / count - square) / count, 0.0, std::max(0.0, d2)), weight = d2 > 0 ? b2 / d2 : 1;
  for (double& v : s) v *= 1 - weight;
  for (Index i = 0; i < p; ++i) s[i * p + i] += weight * mean;
}

/// Entries off the diagonal shrink by 1 - lambda, lambda = sum Var(r_ij) / sum r_ij^2 over the correlations, cut to [0,1]; for s = R'R / degrees.
inline void shrink_towards_diagonal(const Tensor<double>& r, double degrees, Tensor<double>& s) {
  const Index rows = r.dim(0), p = r.dim(1);
  auto squared = Tensor<double>::uninitialized(r.shape());
  for (Index k = 0; k < r.size(); ++k) squared[k] = r[k] * r[k];
  const Tensor<double> products = symmetric_product(squared, true);  // sum over residuals of (r_ti r_tj)^2
  const double count = static_cast<double>(rows), divisor = count - 1;
  double variances = 0, squares = 0;
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j) {
      const double scale = s[i * p + i] * s[j * p + j];
      if (i == j || !(scale > 0)) continue;  // a silent feature has no correlations
      const double mean = s[i * p + j] * degrees / (std::sqrt(scale) * divisor);
      variances += count / (degrees * degrees) * (products[i * p + j] / (scale * divisor) - mean * mean);
      squares += mean * mean;
    }
  const double lambda = squares > 0 ? std::clamp(variances / squares, 0.0, 1.0) : 1;
  for (Index i = 0; i < p; ++i)
    for (Index j = 0; j < p; ++j)
      if (i != j) s[i * p + j] *= 1 - lambda;
}

}  // namespace detail

/// Covariance [p,p] of the noise of p features from residuals [r,p], less their means: R'R / degrees, shrunk as asked.
/// degrees: degrees of freedom, r - 1 unless given (r less the regressors of a linear model). Units of the responses squared.
/// Throws ShapeError below 2 residuals or without features, Error when a residual is not finite. 2 r p^2 operations (towards_diagonal twice).
template <class T>
Tensor<double> noise_covariance(TensorRef<T> residuals, Shrinkage shrinkage, std::optional<double> degrees = {}) {
  require<ShapeError>(residuals.shape.rank() == 2, "noise_covariance: residuals of shape ", residuals.shape, "; [residuals,features] is needed");
  const Index rows = residuals.shape[0], p = residuals.shape[1];
  require<ShapeError>(rows >= 2, "noise_covariance: ", rows, " residuals; at least 2 are needed");
  require<ShapeError>(p >= 1, "noise_covariance: residuals of 0 features; at least 1 is needed");
  for (Index k = 0; k < rows * p; ++k)
    require(std::isfinite(residuals.data[k]), "noise_covariance: residual (", k / p, ",", k % p, ") is ", residuals.data[k]);
  const double freedom = degrees.value_or(static_cast<double>(rows - 1));
  require(freedom > 0 && std::isfinite(freedom), "noise_covariance: ", freedom, " degrees of freedom; more than 0 are needed");

  const detail::Slice<std::remove_const_t<T>> x{residuals.data, rows, p, p};
  auto r = Tensor<double>::uninitialized({rows, p});
  detail::centre_columns(x, detail::column_means(x).data(), r.data());
  Tensor<double> s = symmetric_product(r, true);
  const bool identity = shrinkage == Shrinkage::towards_identity;
  for (double& v : s) v /= identity ? static_cast<double>(rows) : freedom;
  if (identity) {
    detail::shrink_towards_identity(r, s);
    for (double& v : s) v *= static_cast<double>(rows) / freedom;
  } else if (shrinkage == Shrinkage::towards_diagonal) {
    detail::shrink_towards_diagonal(r, freedom, s);
  } else if (shrinkage == Shrinkage::diagonal) {
    for (Index i = 0; i < p; ++i)
      for (Index j = 0; j < p; ++j)
        if (i != j) s[i * p + j] = 0;
  }
  return s;
}
template <class T>
Tensor<double> noise_covariance(const Tensor<T>& residuals, Shrinkage shrinkage, std::optional<double> degrees = {}) {
  return noise_covariance(residuals.ref(), shrinkage, degrees);
}

/// The inverse of noise_covariance: what mahalanobis_rdm and crossnobis_rdm weigh features with. By Cholesky, p^3 operations more.
/// Throws Error when the covariance has no inverse: a constant feature, or as many features as residuals without shrinkage. Features may differ in
/// units.
template <class T>
Tensor<double> noise_precision(TensorRef<T> residuals, Shrinkage shrinkage, std::optional<double> degrees = {}) {
  Tensor<double> covariance = noise_covariance(residuals, shrinkage, degrees);
  const Index p = covariance.dim(0);
  std::vector<double> variance;
  for (Index i = 0; i < p; ++i) {
    variance.push_back(covariance[i * p + i]);
    require(variance.back() > 0, "noise_precision: feature ", i, " is constant, so that the covariance has no inverse; leave it out");
  }
  const auto require_inverse = [&](bool exists, const std::string& why) {
    require(exists, "noise_precision: the covariance of ", residuals.shape[0], " residuals of ", p, " features has no inverse (", why,
            "); shrink it");
  };
  Tensor<double> factor;
  try {
    factor = cholesky(std::move(covariance));
  } catch (const Error& e) {
    require_inverse(false, e.what());
  }
  for (Index i = 0; i < p; ++i) {
    const double pivot = factor[i * p + i] * factor[i * p + i];  // what of the feature's variance the features before it do not explain
    require_inverse(pivot > 1e-14 * variance[static_cast<std::size_t>(i)], "feature " + std::to_string(i) + " is a combination of those before it");
  }
  return cholesky_inverse(std::move(factor));
}
template <class T>
Tensor<double> noise_precision(const Tensor<T>& residuals, Shrinkage shrinkage, std::optional<double> degrees = {}) {
  return noise_precision(residuals.ref(), shrinkage, degrees);
}

}  // namespace ventral::inline v0::brain

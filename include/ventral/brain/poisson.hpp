#pragma once
#include "ventral/brain/mahalanobis.hpp"

namespace ventral::inline v0::brain {

/// A prior on rates, which keeps the logarithm of a silent one finite.
struct PoissonOptions {
  double prior_mean = 1;      ///< expected rate
  double prior_weight = 0.1;  ///< number of observations it counts for
};

namespace detail {

/// Rates with the prior, z = (x + mean weight) / (1 + weight); NaN where that is not positive.
inline void shrink_rates(const PoissonOptions& o, Tensor<double>& x) {
  require(o.prior_weight >= 0, "poisson: prior_weight ", o.prior_weight, "; at least 0 is needed");
  for (double& v : x) {
    v = (v + o.prior_mean * o.prior_weight) / (1 + o.prior_weight);
    if (!(v > 0)) v = undefined;
  }
}
inline Tensor<double> logarithms(const Tensor<double>& x) {
  auto out = Tensor<double>::uninitialized(x.shape());
  cpu::parallel_ranges(x.size(), Index{1} << 13, [&](Index first, Index last) {
    for (Index k = first; k < last; ++k) out[k] = std::log(x[k]);
  });
  return out;
}

}  // namespace detail

/// Symmetrised Kullback-Leibler divergence of Poisson rates per feature:
///   d_ij = sum_k (z_ik - z_jk)(log z_ik - log z_jk) / p,  z = (x + mean weight) / (1 + weight)
/// x [n,p]: counts or rates, of float or double. At least 0. NaN: pairs of a pattern with a z that is not positive and finite.
/// Throws ShapeError below 3 conditions or without features. 2 n^2 p operations, in double.
/// Source: Schütt, Kipnis, Diedrichsen, Kriegeskorte 2023, eLife 12:e82566.
template <class T>
Rdm poisson_rdm(TensorRef<T> x, PoissonOptions options = {}) {
  require<ShapeError>(x.shape.rank() == 2, "poisson_rdm: rates of shape ", x.shape, "; [conditions,features] is needed");
  detail::check_features("poisson_rdm", x.shape[0], x.shape[1], 3);
  Tensor<double> z({x.shape});
  std::copy_n(x.data, x.size(), z.data());
  detail::shrink_rates(options, z);
  Tensor<double> logs = detail::logarithms(z);
  Rdm rdm(x.shape[0]);
  detail::add_bilinear_distances(z, logs, 1 / static_cast<double>(x.shape[1]), rdm);
  return rdm;
}
template <class T>
Rdm poisson_rdm(const Tensor<T>& x, PoissonOptions options = {}) {
  return poisson_rdm(x.ref(), options);
}

/// The same, cross-validated over runs, every one of which is left out once:
///   d_ij = mean over runs a of sum_k (t_ik - t_jk)(log s_ik - log s_jk) / p
/// with s the rates of run a and t those of the mean of the other runs, the prior added to each after that mean. y [M,n,p]: M runs, n conditions.
/// May be negative. NaN: pairs of a pattern with an s or t that is not positive and finite in any run.
/// Throws ShapeError below 2 runs, 3 conditions or without features. 2 M n^2 p operations. Memory: four times n p numbers.
/// The definition is that of Schütt et al. 2023 averaged over all folds.
template <class T>
Rdm crossvalidated_poisson_rdm(TensorRef<T> y, PoissonOptions options = {}) {
  require<ShapeError>(y.shape.rank() == 3, "crossvalidated_poisson_rdm: responses of shape ", y.shape, "; [runs,conditions,features] is needed");
  const Index runs = y.shape[0], n = y.shape[1], p = y.shape[2];
  require<ShapeError>(runs >= 2, "crossvalidated_poisson_rdm: ", runs, " runs; at least 2 are needed");
  detail::check_features("crossvalidated_poisson_rdm", n, p, 3);
  Tensor<double> sum({n, p}), test({n, p}), train({n, p});
  for (Index a = 0; a < runs; ++a)
    for (Index k = 0; k < n * p; ++k) sum[k] += static_cast<double>(y.data[a * n * p + k]);
  Rdm rdm(n);
  for (Index a = 0; a < runs; ++a) {
    for (Index k = 0; k < n * p; ++k) {
      test[k] = static_cast<double>(y.data[a * n * p + k]);
      train[k] = (sum[k] - test[k]) / static_cast<double>(runs - 1);
    }
    detail::shrink_rates(options, test);
    detail::shrink_rates(options, train);
    Tensor<double> logs = detail::logarithms(test);
    detail::add_bilinear_distances(train, logs, 1 / static_cast<double>(runs * p), rdm);
  }
  return rdm;
}
template <class T>
Rdm crossvalidated_poisson_rdm(const Tensor<T>& y, PoissonOptions options = {}) {
  return crossvalidated_poisson_rdm(y.ref(), options);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/pls.hpp"

namespace ventral::inline v0::brain {

/// PLS2 regression in terms of training stimuli; made by fit_pls_gram.
struct GramPls {
  Tensor<double> rotations;       ///< [components,n] scores t_a = K rotations_a
  Tensor<double> loadings;        ///< [components,sites]
  std::vector<double> site_mean;  ///< [sites]

  Index components() const { return rotations.dim(0); }

  /// Predicted responses [m,sites] with the first k components (0: all) from cross products cross [m,n] = (X_new - mean)(X_train - mean)', mean over
  /// the training stimuli. Throws ShapeError when cross does not have n columns.
  Tensor<double> predict(In<double> cross, Index k = 0) const {
    const Index n = rotations.dim(1), q = loadings.dim(1), c = k == 0 ? components() : k;
    require<ShapeError>(cross.shape.rank() == 2 && cross.shape[1] == n, "GramPls::predict: cross products ", cross.shape, "; fitted on ", n,
                        " stimuli, needs [stimuli,", n, "]");
    require(0 <= k && k <= components(), "PLS: ", k, " components asked of a fit of ", components());
    const Index m = cross.shape[0];
    Tensor<double> t({m, c}), y({m, q});
    detail::multiply(m, c, n, 1, {cross.data, n}, {rotations.data(), n, true}, 0, t.data(), c);
    detail::multiply(m, q, c, 1, {t.data(), c}, {loadings.data(), q}, 0, y.data(), q);
    detail::add_to_rows(y, site_mean);
    return y;
  }
};

/// fit_pls from inner products: the same predictions without the features, so that one Gram matrix serves all splits.
/// With Y_a the responses less their projection on the scores so far, X_a'Y = X'Y_a: M = Y_a'K Y_a has the eigenvector c, w = X'v with v = Y_a c /
/// sqrt(value), and X w = K v. k [n,n] = Xc Xc' centred on these n training stimuli, y [n,sites]; 2 n^2 q K operations. `options.scale` divides the
/// sites only: features have to be scaled before the Gram matrix is made. The squared features cost half the digits: a component below 1e-7 of the
/// data is not found. Throws ShapeError when k and y do not fit, Error when k is not centred or an entry not finite, and on more components than the
/// rank, which it tells. Source: Rannar, Lindgren, Geladi, Wold 1994, J Chemometr 8:111 (kernel PLS for many variables and few objects).
inline GramPls fit_pls_gram(In<double> k, In<double> y, const PlsOptions& options = {}) {
  CentredColumns yc = centred_columns(TensorRef<const double>(y), "fit_pls_gram: responses");
  const Index n = y.shape[0], q = y.shape[1], count = options.components;
  detail::require_centred_gram(k, n, "fit_pls_gram");
  detail::require_components(count, n - 1);
  const std::vector<double> site_scale = detail::scaled_columns(yc.values, options.scale);
  double trace = 0;
  for (Index i = 0; i < n; ++i) trace += k.data[i * n + i];

  Tensor<double>& rest = yc.values;
  const double start = detail::dot(rest.data(), rest.data(), n * q);
  Tensor<double> product({n, q}), m({q, q}), v({n}), kv({n});
  detail::PlsScores scores(count, n, n);
  GramPls fit{{}, Tensor<double>({count, q}), std::move(yc.mean)};
  for (Index a = 0; a < count; ++a) {
    detail::multiply(n, q, n, 1, {k.data, n}, {rest.data(), q}, 0, product.data(), q);
    detail::multiply(q, q, n, 1, {rest.data(), q, true}, {product.data(), q}, 0, m.data(), q);
    const Eigenpair pair = leading_eigenpair(m.clone());
    const double left = detail::dot(rest.data(), rest.data(), n * q);
    if (!(left > 1e-26 * start && pair.value > 1e-14 * trace * left)) detail::fail_rank(count, a);
    const double scale = 1 / std::sqrt(pair.value);
    detail::multiply(n, 1, q, scale, {rest.data(), q}, {pair.vector.data(), 1}, 0, v.data(), 1);
    detail::multiply(n, 1, q, scale, {product.data(), q}, {pair.vector.data(), 1}, 0, kv.data(), 1);
    const double tt = scores.add(kv.data(), v.data());
    double* const loading = fit.loadings.data() + a * q;
    detail::product_with_rows(rest.data(), n, q, scores.score(a), loading);
    for (Index j = 0; j < q; ++j) loading[j] /= tt;
    for (Index i = 0; i < n; ++i) detail::add_scaled(rest.data() + i * q, -scores.score(a)[i], loading, q);
  }
  fit.rotations = scores.take_rotations();
  for (Index i = 0; i < fit.loadings.size(); ++i) fit.loadings[i] *= site_scale[static_cast<std::size_t>(i % q)];
  return fit;
}

}  // namespace ventral::inline v0::brain

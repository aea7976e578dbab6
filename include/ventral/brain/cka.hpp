#pragma once
#include "ventral/brain/correlation.hpp"
#include "ventral/brain/gram.hpp"

namespace ventral::inline v0::brain {

namespace detail {

inline std::span<const double> gram_values(In<double> gram, const char* what) {
  require<ShapeError>(gram.shape.rank() == 2 && gram.shape[0] == gram.shape[1], what, ": a Gram matrix of shape ", gram.shape,
                      "; a square one is needed");
  return {gram.data, static_cast<std::size_t>(gram.size())};
}

/// Whether the features vary over conditions by more than the rounding of their mean.
inline bool features_vary(const Gram& g) {
  const Index n = g.conditions();
  double trace = 0;
  for (Index i = 0; i < n; ++i) trace += g.centred[i * n + i];
  return trace > 1e-30 * static_cast<double>(n) * g.mean_square;
}

}  // namespace detail

/// Linear CKA of two Gram matrices of features centred over conditions: sum_ij K_ij L_ij / (|K| |L|), Frobenius norms.
/// k and l are [n,n].
/// In [0, 1]; NaN when one is all zero or has an entry that is not finite.
/// Throws ShapeError when they are not square or differ in size. O(n^2).
/// Source: Kornblith, Norouzi, Lee, Hinton 2019, ICML.
inline double linear_cka_of_grams(In<double> k, In<double> l) {
  const auto a = detail::gram_values(k, "linear_cka"), b = detail::gram_values(l, "linear_cka");
  require<ShapeError>(a.size() == b.size(), "linear_cka: ", k.shape[0], " and ", l.shape[0], " conditions; they must be of the same conditions");
  for (const auto values : {a, b})
    for (const double v : values)
      if (!std::isfinite(v)) return undefined;
  return cosine(a, b);
}

/// The same of two Grams, which may have been gathered by chunks of features; NaN also when the features of one are the same in all conditions.
inline double linear_cka(const Gram& a, const Gram& b) {
  const double similarity = linear_cka_of_grams(a.centred, b.centred);
  return detail::features_vary(a) && detail::features_vary(b) ? similarity : undefined;
}

/// Linear CKA of two sets of features: |X'Y|^2 / (|X'X| |Y'Y|), X and Y centred over conditions, from their Gram matrices.
/// x is [n,p], y [n,q], float or double; p and q may be larger or smaller than n >= 1.
/// In [0, 1]; NaN when the features of one are the same in all conditions or not finite somewhere. Equals the whitened cosine of the RDMs of squared
/// Euclidean distances.
/// Throws ShapeError when the conditions differ. n^2 (p + q) operations, 16 n^2 bytes.
template <class T, class U>
double linear_cka(TensorRef<T> x, TensorRef<U> y) {
  require<ShapeError>(x.shape.rank() == 2 && y.shape.rank() == 2, "linear_cka: features of shapes ", x.shape, " and ", y.shape,
                      "; [conditions, features] is needed");
  require<ShapeError>(x.shape[0] == y.shape[0], "linear_cka: ", x.shape[0], " and ", y.shape[0], " conditions; they must be of the same conditions");
  return linear_cka(gram(x), gram(y));
}
template <class T, class U>
double linear_cka(const Tensor<T>& x, const Tensor<U>& y) {
  return linear_cka(x.ref(), y.ref());
}

}  // namespace ventral::inline v0::brain

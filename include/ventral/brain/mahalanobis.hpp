#pragma once
#include "ventral/brain/distances.hpp"

namespace ventral::inline v0::brain {

namespace detail {

inline void check_precision(const char* what, Index features, In<double> precision) {
  require<ShapeError>(precision.shape == Shape({features, features}), what, ": precision ", precision.shape, " for ", features, " features; [",
                      features, ",", features, "] is needed");
}

/// Adds weight * sum_k (a_ik - a_jk)(b_ik - b_jk), for features a, b [n,p] whose columns need not be centred: they are, in place.
inline void add_bilinear_distances(Tensor<double>& a, Tensor<double>& b, double weight, Rdm& rdm) {
  const Index n = a.dim(0), p = a.dim(1);
  for (Tensor<double>* x : {&a, &b}) {
    const Slice<double> all{x->data(), n, p, p};
    centre_columns(all, column_means(all).data(), x->data());
  }
  add_pair_distances<double>(n, p, p, a.data(), b.data(), weight, rdm.values(), [&](Index i, Index j) {
    return sum_of_terms(p, [&](Index k) { return (a[i * p + k] - a[j * p + k]) * (b[i * p + k] - b[j * p + k]); });
  });
}

/// Adds weight * (x_i - x_j)' N (x_i - x_j).
inline void add_quadratic_distances(TensorRef<const double> x, In<double> precision, double weight, Rdm& rdm) {
  const Index n = x.shape[0], p = x.shape[1];
  auto a = Tensor<double>::uninitialized(x.shape), b = Tensor<double>::uninitialized(x.shape);
  const Slice<double> all{x.data, n, p, p};
  centre_columns(all, column_means(all).data(), a.data());
  multiply(n, p, p, 1, {a.data(), p}, {precision.data, p}, 0, b.data(), p);
  add_bilinear_distances(a, b, weight, rdm);
}

}  // namespace detail

/// Squared Mahalanobis distances per feature, (x_i - x_j)' N (x_i - x_j) / p. x [n,p] of float or double; N [p,p] the noise precision, symmetric
/// (noise_precision.hpp). With N = 1 the squared Euclidean distance per feature. NaN: pairs of a pattern with a value that is not finite.
/// Throws ShapeError below 3 conditions, without features, or when N does not fit. 2 n p^2 + 2 n^2 p operations, in double.
/// Source: Walther et al. 2016, NeuroImage 137:188.
template <class T>
Rdm mahalanobis_rdm(TensorRef<T> x, In<double> precision) {
  require<ShapeError>(x.shape.rank() == 2, "mahalanobis_rdm: patterns of shape ", x.shape, "; [conditions,features] is needed");
  detail::check_features("mahalanobis_rdm", x.shape[0], x.shape[1], 3);
  detail::check_precision("mahalanobis_rdm", x.shape[1], precision);
  Tensor<double> wide({x.shape});
  std::copy_n(x.data, x.size(), wide.data());
  Rdm rdm(x.shape[0]);
  detail::add_quadratic_distances(wide, precision, 1 / static_cast<double>(x.shape[1]), rdm);
  return rdm;
}
template <class T>
Rdm mahalanobis_rdm(const Tensor<T>& x, In<double> precision) {
  return mahalanobis_rdm(x.ref(), precision);
}

}  // namespace ventral::inline v0::brain

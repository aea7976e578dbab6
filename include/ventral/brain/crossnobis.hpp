#pragma once
#include "ventral/brain/mahalanobis.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// Checks y [runs,n,p] and hands each run's patterns, and last the sum over all runs, to add(patterns [n,p] in double, weight): the sum over ordered
/// pairs of different runs of a product is that of the summed runs less those of each run with itself.
template <class T, class Add>
Rdm over_pairs_of_runs(const char* what, TensorRef<const T> y, Add add) {
  require<ShapeError>(y.shape.rank() == 3, what, ": responses of shape ", y.shape, "; [runs,conditions,features] is needed");
  const Index runs = y.shape[0], n = y.shape[1], p = y.shape[2];
  require<ShapeError>(runs >= 2, what, ": ", runs, " runs; at least 2 are needed");
  check_features(what, n, p, 3);
  Rdm rdm(n);
  Tensor<double> sum({n, p}), run({n, p});
  const double pairs = static_cast<double>(runs * (runs - 1)) * static_cast<double>(p);
  for (Index a = 0; a < runs; ++a) {
    cpu::parallel_ranges(n * p, Index{1} << 15, [&](Index first, Index last) {
      for (Index k = first; k < last; ++k) sum[k] += run[k] = static_cast<double>(y.data[a * n * p + k]);
    });
    add(TensorRef<const double>(run.ref()), -1 / pairs, rdm);
  }
  add(TensorRef<const double>(sum.ref()), 1 / pairs, rdm);
  return rdm;
}

}  // namespace detail

/// Cross-validated squared Euclidean distances per feature: products of differences between different runs, whose noise does not add up.
///   d_ij = sum over runs a != b of d_a . d_b / (M (M - 1) p),  d_a = y_ai - y_aj
/// which equals leaving one run out in turn against the mean of the others. y [M,n,p]: M runs, n conditions. Unbiased: its expectation is 0 for equal
/// patterns, so it may be negative. NaN: pairs of a pattern that has a value which is not finite in any run.
/// Throws ShapeError below 2 runs, 3 conditions or without features. (M + 1) n^2 p operations; no matrix [p,p] is built. Memory: twice n p numbers.
/// Source: Walther, Nili, Ejaz, Alink, Kriegeskorte, Diedrichsen 2016, NeuroImage 137:188.
template <class T>
Rdm crossnobis_rdm(TensorRef<T> y) {
  Tensor<double> room;
  return detail::over_pairs_of_runs(
      "crossnobis_rdm", TensorRef<const std::remove_const_t<T>>(y), [&](TensorRef<const double> x, double weight, Rdm& rdm) {
        detail::for_each_slice(x, [&](detail::Slice<double> part) { detail::add_squared_distances(part, weight, room, rdm); });
      });
}
template <class T>
Rdm crossnobis_rdm(const Tensor<T>& y) {
  return crossnobis_rdm(y.ref());
}

/// The same with the noise taken into account: d_a' N d_b in place of d_a . d_b, N [p,p] the noise precision (noise_precision.hpp), the same for all
/// runs.
/// Throws ShapeError when N does not fit. (M + 1) (2 n p^2 + 2 n^2 p) operations.
template <class T>
Rdm crossnobis_rdm(TensorRef<T> y, In<double> precision) {
  if (y.shape.rank() == 3) detail::check_precision("crossnobis_rdm", y.shape[2], precision);
  return detail::over_pairs_of_runs(
      "crossnobis_rdm", TensorRef<const std::remove_const_t<T>>(y),
      [&](TensorRef<const double> x, double weight, Rdm& rdm) { detail::add_quadratic_distances(x, precision, weight, rdm); });
}
template <class T>
Rdm crossnobis_rdm(const Tensor<T>& y, In<double> precision) {
  return crossnobis_rdm(y.ref(), precision);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/gram.hpp"
#include "ventral/brain/pair_tiles.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// How patterns are brought to a form in which the distance is a squared Euclidean one: u = (x - mean) * scale, per condition.
struct Standardization {
  std::vector<double> mean, scale;
};

/// Unit vectors: centred for the correlation distance, as they are for the cosine. Undefined patterns get a scale of NaN.
inline Standardization standardization(const RowMoments& moments, Distance distance) {
  Standardization s;
  for (Index i = 0; i < moments.conditions(); ++i) {
    const bool centred = distance == Distance::correlation;
    const double square = centred ? moments.deviations[static_cast<std::size_t>(i)] : moments.square(i);
    s.mean.push_back(centred ? moments.means[static_cast<std::size_t>(i)] : 0);
    s.scale.push_back(square > 0 ? 1 / std::sqrt(square) : undefined);
  }
  return s;
}

/// Adds squared distances of standardized patterns over some columns; `u` is room for them.
template <class T>
void add_standardized_distances(Slice<T> x, const Standardization& s, Tensor<T>& u, Rdm& rdm) {
  const Index n = x.rows, m = x.columns, stride = padded_stride(m);
  u.resize({n, stride});
  cpu::parallel_ranges(n, rows_at_once(m), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const double mean = s.mean[static_cast<std::size_t>(i)], scale = s.scale[static_cast<std::size_t>(i)];
      for (Index k = 0; k < m; ++k) u[i * stride + k] = static_cast<T>((static_cast<double>(x.row(i)[k]) - mean) * scale);
    }
  });
  add_pair_distances<T>(n, m, stride, u.data(), u.data(), 1, rdm.values(), [&](Index i, Index j) {
    const double mean_i = s.mean[static_cast<std::size_t>(i)], scale_i = s.scale[static_cast<std::size_t>(i)];
    const double mean_j = s.mean[static_cast<std::size_t>(j)], scale_j = s.scale[static_cast<std::size_t>(j)];
    return sum_of_terms(m, [&, xi = x.row(i), xj = x.row(j)](Index k) {
      const double d = (static_cast<double>(xi[k]) - mean_i) * scale_i - (static_cast<double>(xj[k]) - mean_j) * scale_j;
      return d * d;
    });
  });
}

/// Adds weight times the squared Euclidean distances over some columns; `u` is room for a centred copy.
template <class T>
void add_squared_distances(Slice<T> x, double weight, Tensor<T>& u, Rdm& rdm) {
  const Index stride = padded_stride(x.columns);
  u.resize({x.rows, stride});
  centre_columns(x, column_means(x).data(), u.data(), stride);
  add_pair_distances<T>(x.rows, x.columns, stride, u.data(), u.data(), weight, rdm.values(), [&](Index i, Index j) {
    return sum_of_terms(x.columns, [xi = x.row(i), xj = x.row(j)](Index k) {
      const double d = static_cast<double>(xi[k]) - static_cast<double>(xj[k]);
      return d * d;
    });
  });
}

}  // namespace detail

/// The RDM of features that come in chunks of columns.
///   correlation                    1 - Pearson r of x_i and x_j        in [0,2]
///   cosine                         1 - x_i.x_j / (|x_i| |x_j|)         in [0,2]
///   euclidean                      |x_i - x_j|
///   squared_euclidean              |x_i - x_j|^2
///   squared_euclidean_per_feature  |x_i - x_j|^2 / p
/// NaN: the pairs of a constant pattern (correlation), of a zero pattern (cosine), of a pattern with a value that is not finite; no other pair.
/// Throws ShapeError below 3 conditions or without features.
/// All are squared distances, of patterns standardized to |u| = 1 for the first two (1 - r = |u_i - u_j|^2 / 2): sums over chunks of parts that are
/// not negative. Products are taken of patterns without their mean; pairs that are close against their distance from it are summed directly. Float
/// features are multiplied in float and summed in double from every 256 of them: errors of about 1e-6 of the distance.
/// Double features beyond about 1e150 and 1e-150, whose squares overflow or vanish, give NaN or few digits.
/// n^2 p operations. Correlation and cosine visit the source twice: once for means and norms. Memory: the RDM, one chunk, and a copy of 8 MiB or 512
/// columns.
template <FeatureSource Source>
Rdm rdm(Source&& source, Distance distance) {
  const Index n = source.conditions(), p = source.features();
  detail::check_features("rdm", n, p, 3);
  Rdm rdm(n);
  const bool standardized = distance == Distance::correlation || distance == Distance::cosine;
  RowMoments moments;
  if (standardized) source.for_each_chunk([&](auto chunk) { moments.add(chunk); });
  const detail::Standardization form = detail::standardization(moments, distance);
  Tensor<float> room_f;
  Tensor<double> room_d;
  source.for_each_chunk([&]<class T>(TensorRef<const T> chunk) {
    Tensor<T>* room;
    if constexpr (std::is_same_v<T, float>) room = &room_f;
    else room = &room_d;
    detail::for_each_slice(chunk, [&](detail::Slice<T> x) {
      if (standardized) detail::add_standardized_distances(x, form, *room, rdm);
      else detail::add_squared_distances(x, 1, *room, rdm);
    });
  });
  for (double& v : rdm.values()) {
    if (standardized) v = std::min(v / 2, 2.0);  // NaN stays
    if (distance == Distance::euclidean) v = std::sqrt(v);
    if (distance == Distance::squared_euclidean_per_feature) v /= static_cast<double>(p);
  }
  return rdm;
}

}  // namespace ventral::inline v0::brain

#include "ventral/brain/device_distances.hpp"

namespace ventral::inline v0::brain {

/// The same for a tensor x [n,...] of float or double on the CPU, each condition's features flattened.
template <class T>
Rdm rdm(TensorRef<T> x, Distance distance) {
  return rdm(TensorFeatures<std::remove_const_t<T>>(x), distance);
}
template <class T>
Rdm rdm(const Tensor<T>& x, Distance distance) {
  return rdm(x.ref(), distance);
}

}  // namespace ventral::inline v0::brain

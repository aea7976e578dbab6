#pragma once
#include "ventral/brain/features.hpp"
#include "ventral/brain/rdm.hpp"
#include "ventral/brain/triangular.hpp"

namespace ventral::inline v0::brain {

/// Dissimilarities of two patterns x_i, x_j of p features; see rdm().
enum class Distance { correlation, cosine, euclidean, squared_euclidean, squared_euclidean_per_feature };
constexpr Distance all_distances[] = {Distance::correlation, Distance::cosine, Distance::euclidean, Distance::squared_euclidean,
                                      Distance::squared_euclidean_per_feature};

/// Products of the patterns of n conditions, X [n,p], with what is needed to undo the centring: all that RDMs, CKA, ridge and PLS ask of the
/// features. m is the mean over the conditions of each feature; conditions with values that are not finite are left out of it (in their chunk)
/// and have NaN in their row and column. x_i . x_j = centred_ij + mean_product_i + mean_product_j + mean_square.
struct Gram {
  Tensor<double> centred;            ///< [n,n] (x_i - m) . (x_j - m)
  std::vector<double> mean_product;  ///< [n] (x_i - m) . m
  double mean_square = 0;            ///< m . m
  std::vector<double> sums;          ///< [n] sum of each pattern
  std::vector<double> squares;       ///< [n] |x_i|^2, exactly 0 for a zero pattern
  std::vector<double> deviations;    ///< [n] |x_i - mean of x_i|^2, exactly 0 for a constant pattern
  Index features = 0;

  Index conditions() const { return static_cast<Index>(sums.size()); }
  /// x_i . x_j
  double product(Index i, Index j) const {
    return centred[i * conditions() + j] + mean_product[static_cast<std::size_t>(i)] + mean_product[static_cast<std::size_t>(j)] + mean_square;
  }
  /// The same of patterns without their own mean: (x_i - mean of x_i) . (x_j - mean of x_j).
  double row_centred_product(Index i, Index j) const {
    return product(i, j) - sums[static_cast<std::size_t>(i)] * sums[static_cast<std::size_t>(j)] / static_cast<double>(features);
  }
};

namespace detail {

/// Adds z_i . m to out[i], for z [n,p].
inline void add_mean_products(const Tensor<double>& z, const double* means, double* out) {
  const Index n = z.dim(0), p = z.dim(1);
  cpu::parallel_ranges(n, rows_at_once(p), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) out[i] += sum_of_terms(p, [&, row = z.data() + i * p](Index k) { return row[k] * means[k]; });
  });
}

/// Completes products [n,n] of which the lower triangle was summed: the upper one, and NaN where a condition is not finite.
inline void complete_gram(Gram& g) {
  const Index n = g.conditions();
  mirror_lower_triangle(g.centred.data(), n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n && !std::isfinite(g.squares[static_cast<std::size_t>(i)]); ++j) g.centred[i * n + j] = g.centred[j * n + i] = undefined;
}

}  // namespace detail

/// The Gram matrix of features that come in chunks of columns, in one pass over them and in double throughout.
/// Throws ShapeError without conditions or features. n^2 p operations. Memory: 8 n^2 bytes for the result, one chunk of the source (64 MiB of a file
/// by default), and a centred copy of 16 MiB or 512 columns in double. 10,000 conditions x 100,000 float features: 0.8 + 0.07 + 0.04 GB; their RDM
/// takes 0.4 more.
template <FeatureSource Source>
Gram gram(Source&& source) {
  const Index n = source.conditions(), p = source.features();
  detail::check_features("gram", n, p, 1);
  Gram g;
  g.centred = Tensor<double>({n, n});
  g.mean_product.assign(static_cast<std::size_t>(n), 0.0);
  RowMoments moments;
  Tensor<double> z;
  source.for_each_chunk([&]<class T>(TensorRef<const T> chunk) {
    moments.add(chunk);
    detail::for_each_slice(chunk, [&](detail::Slice<T> x) {
      const Index m = x.columns;
      const std::vector<double> means = detail::column_means(x);
      z.resize({n, m});
      detail::centre_columns(x, means.data(), z.data());
      detail::add_mean_products(z, means.data(), g.mean_product.data());
      for (const double mean : means) g.mean_square += mean * mean;
      add_symmetric_product(n, m, 1, {z.data(), m}, g.centred.data(), n);
    });
  });
  g.features = p;
  g.deviations = moments.deviations;
  for (Index i = 0; i < n; ++i) g.sums.push_back(moments.sum(i)), g.squares.push_back(moments.square(i));
  detail::complete_gram(g);
  return g;
}
template <class T>
Gram gram(TensorRef<T> x) {
  return gram(TensorFeatures<std::remove_const_t<T>>(x));
}
template <class T>
Gram gram(const Tensor<T>& x) {
  return gram(x.ref());
}

/// The RDM of the conditions of a Gram matrix; distances and what is undefined as in rdm() of features. Distances of patterns that are much closer to
/// each other than to the mean lose digits here, to about 1e-16 |x - m|^2 of a squared one, and correlations lose 1e-16 (mean / standard
/// deviation)^2.
/// Throws ShapeError below 3 conditions. n^2 operations.
inline Rdm rdm(const Gram& g, Distance distance) {
  const Index n = g.conditions();
  detail::check_features("rdm", n, g.features, 3);
  Rdm out(n);
  const double* const k = g.centred.data();
  const auto similarity = [](double product, double a, double b) {
    return a > 0 && b > 0 ? std::clamp(1 - product / (std::sqrt(a) * std::sqrt(b)), 0.0, 2.0) : undefined;
  };
  cpu::parallel_ranges(n - 1, detail::rows_at_once(n), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      for (Index j = i + 1; j < n; ++j) {
        const std::size_t a = static_cast<std::size_t>(i), b = static_cast<std::size_t>(j);
        double d = k[i * n + i] + k[j * n + j] - 2 * k[i * n + j];
        d = d < 0 ? 0 : d;
        if (distance == Distance::correlation) d = similarity(g.row_centred_product(i, j), g.deviations[a], g.deviations[b]);
        else if (distance == Distance::cosine) d = similarity(g.product(i, j), g.squares[a], g.squares[b]);
        else if (distance == Distance::euclidean) d = std::sqrt(d);
        else if (distance == Distance::squared_euclidean_per_feature) d /= static_cast<double>(g.features);
        out.values()[static_cast<std::size_t>(pair_position(n, i, j))] = d;
      }
  });
  return out;
}

namespace detail {

/// For each condition of `rows`, the mean of its products with the training conditions; checks both lists.
inline std::vector<double> mean_products(const Gram& g, std::span<const Index> rows, std::span<const Index> train) {
  const Index n = g.conditions();
  require<ShapeError>(!train.empty(), "gram: no training conditions; at least 1 is needed");
  for (const auto& list : {rows, train})
    for (const Index i : list) require(0 <= i && i < n, "gram: condition ", i, " of ", n);
  std::vector<double> means;
  for (const Index i : rows) {
    double sum = 0;
    for (const Index j : train) sum += g.centred[i * n + j];
    means.push_back(sum / static_cast<double>(train.size()));
  }
  return means;
}

}  // namespace detail

/// Products of test and training patterns, both without the mean t over the training conditions: (x_i - t) . (x_j - t), [test, train].
/// Throws ShapeError without training conditions, Error on an index out of range. |test| |train| operations.
inline Tensor<double> cross_gram(const Gram& g, std::span<const Index> test, std::span<const Index> train) {
  const std::vector<double> of_test = detail::mean_products(g, test, train), of_train = detail::mean_products(g, train, train);
  double whole = 0;
  for (const double v : of_train) whole += v;
  whole /= static_cast<double>(train.size());
  const Index n = g.conditions(), columns = static_cast<Index>(train.size());
  Tensor<double> out({static_cast<Index>(test.size()), columns});
  for (std::size_t r = 0; r < test.size(); ++r)
    for (std::size_t s = 0; s < train.size(); ++s)
      out[static_cast<Index>(r) * columns + static_cast<Index>(s)] = g.centred[test[r] * n + train[s]] + (whole - of_test[r] - of_train[s]);
  return out;
}

/// Products of training patterns without their mean, [train, train]; symmetric to the bit. Errors and cost as cross_gram.
inline Tensor<double> centred_gram(const Gram& g, std::span<const Index> train) {
  Tensor<double> out = cross_gram(g, train, train);
  mirror_lower_triangle(out.data(), out.dim(0));
  return out;
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain {

/// A matrix with the mean of each column taken off.
struct CentredColumns {
  Tensor<double> values;     ///< [n,p] x - mean
  std::vector<double> mean;  ///< [p]
};

/// Takes the mean of each column off. x [n,p], float or double; sums in double; constant columns become exactly 0.
/// Throws ShapeError when x is no matrix or has fewer than 3 rows, Error naming row and column of an entry that is not finite; `what` begins the
/// message.
template <class T>
CentredColumns centred_columns(TensorRef<const T> x, const char* what) {
  require<ShapeError>(x.shape.rank() == 2 && x.shape[0] >= 3 && x.shape[1] >= 1, what, ": shape ", x.shape, "; needs [stimuli >= 3, columns >= 1]");
  const Index n = x.shape[0], p = x.shape[1];
  CentredColumns c{Tensor<double>::uninitialized({n, p}), std::vector<double>(static_cast<std::size_t>(p), 0.0)};
  cpu::parallel_ranges(p, 128, [&](Index first, Index last) {
    double* const mean = c.mean.data();  // of the differences from row 0: exact zeros for constant columns
    for (Index i = 0; i < n; ++i)
      for (Index j = first; j < last; ++j) {
        const double v = static_cast<double>(x.data[i * p + j]);
        require(std::isfinite(v), what, ": ", v, " at row ", i, ", column ", j, "; finite numbers are needed");
        c.values[i * p + j] = v - static_cast<double>(x.data[j]);
        mean[j] += c.values[i * p + j];
      }
    for (Index j = first; j < last; ++j) mean[j] /= static_cast<double>(n);
    for (Index i = 0; i < n; ++i)
      for (Index j = first; j < last; ++j) c.values[i * p + j] -= mean[j];
    for (Index j = first; j < last; ++j) mean[j] += static_cast<double>(x.data[j]);
  });
  return c;
}

namespace detail {

/// x - mean as doubles, for predictions from new rows [m,p].
template <class T>
Tensor<double> minus_mean(TensorRef<const T> x, std::span<const double> mean, const char* what) {
  const Index p = static_cast<Index>(mean.size());
  require<ShapeError>(x.shape.rank() == 2 && x.shape[1] == p, what, ": features of shape ", x.shape, "; fitted on ", p, " features, needs [stimuli,",
                      p, "]");
  auto out = Tensor<double>::uninitialized(x.shape);
  for (Index i = 0; i < x.shape[0]; ++i)
    for (Index j = 0; j < p; ++j) out[i * p + j] = static_cast<double>(x.data[i * p + j]) - mean[static_cast<std::size_t>(j)];
  return out;
}

inline void add_to_rows(Tensor<double>& y, std::span<const double> row) {
  const Index q = static_cast<Index>(row.size());
  for (Index i = 0; i < y.size(); ++i) y[i] += row[static_cast<std::size_t>(i % q)];
}

inline void require_centred_gram(In<double> k, Index stimuli, const char* what) {
  require<ShapeError>(k.shape.rank() == 2 && k.shape[0] == k.shape[1] && k.shape[0] == stimuli, what, ": Gram matrix of shape ", k.shape,
                      " and responses to ", stimuli, " stimuli; needs [n,n] and [n,sites]");
  double trace = 0;
  for (Index i = 0; i < stimuli; ++i) trace += k.data[i * stimuli + i];
  for (Index i = 0; i < stimuli; ++i) {
    double sum = 0;
    for (Index j = 0; j < stimuli; ++j) sum += k.data[i * stimuli + j];
    require(std::isfinite(sum), what, ": row ", i, " of the Gram matrix is not finite");
    require(std::abs(sum) <= 1e-6 * trace, what, ": row ", i, " of the Gram matrix sums to ", sum, "; it has to be centred on the training stimuli");
  }
}

}  // namespace detail

}  // namespace ventral::inline v0::brain

#pragma once
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain {

/// Not a number: what an undefined comparison is. Never 0, never an exception.
constexpr double undefined = std::numeric_limits<double>::quiet_NaN();

/// Number of unordered pairs of n things: n (n - 1) / 2.
constexpr Index pairs_of(Index n) { return n * (n - 1) / 2; }

/// Position of the pair i < j among the pairs of n conditions, in row order (0,1), (0,2), ..., (0,n-1), (1,2), ...: the order of SciPy's squareform.
constexpr Index pair_position(Index n, Index i, Index j) { return i * (2 * n - i - 1) / 2 + (j - i - 1); }

/// n for which n (n - 1) / 2 = pairs. Throws ShapeError when there is none.
inline Index conditions_of(Index pairs) {
  Index n = static_cast<Index>((1 + std::sqrt(1 + 8 * static_cast<double>(pairs))) / 2);
  while (pairs_of(n) < pairs) ++n;
  require<ShapeError>(pairs >= 1 && pairs_of(n) == pairs, "an RDM of ", pairs,
                      " values: no number of conditions n >= 2 has n (n - 1) / 2 pairs like that");
  return n;
}

/// A representational dissimilarity matrix (RDM): one dissimilarity for each unordered pair of conditions, the strict upper triangle in row order.
/// NaN marks a pair that is undefined (a constant pattern, twice the same condition in a bootstrap sample); comparisons leave such pairs out.
/// Source: Kriegeskorte, Mur, Bandettini 2008, Front Syst Neurosci 2:4.
class Rdm {
 public:
  Rdm() = default;
  /// An RDM of zeros. Throws ShapeError below two conditions.
  explicit Rdm(Index conditions) : conditions_(conditions) {
    require<ShapeError>(conditions >= 2, "an RDM of ", conditions, " conditions; at least 2 are needed");
    values_.assign(static_cast<std::size_t>(pairs_of(conditions)), 0.0);
  }
  /// Takes n (n - 1) / 2 values over. Throws ShapeError when their number is none of these.
  explicit Rdm(std::vector<double> values) : conditions_(conditions_of(static_cast<Index>(values.size()))), values_(std::move(values)) {}

  /// The upper triangle of a symmetric matrix m [n,n]; its diagonal is not read.
  /// Throws ShapeError when m is not square, Error where it is not symmetric to 1e-6 of its largest entry.
  static Rdm from_matrix(In<double> m) {
    require<ShapeError>(m.shape.rank() == 2 && m.shape[0] == m.shape[1], "Rdm::from_matrix: a matrix of shape ", m.shape, "; a square one is needed");
    const Index n = m.shape[0];
    Rdm rdm(n);
    double largest = 0;
    for (Index i = 0; i < n * n; ++i)
      if (std::isfinite(m.data[i])) largest = std::max(largest, std::abs(m.data[i]));
    for (Index i = 0, k = 0; i < n; ++i)
      for (Index j = i + 1; j < n; ++j, ++k) {
        const double upper = m.data[i * n + j], lower = m.data[j * n + i];
        const bool same = (std::isnan(upper) && std::isnan(lower)) || upper == lower || std::abs(upper - lower) <= 1e-6 * largest;
        require(same, "Rdm::from_matrix: not symmetric: ", upper, " at (", i, ",", j, ") and ", lower, " at (", j, ",", i, ")");
        rdm.values_[static_cast<std::size_t>(k)] = upper;
      }
    return rdm;
  }

  Index conditions() const { return conditions_; }
  Index pairs() const { return static_cast<Index>(values_.size()); }
  std::span<double> values() { return values_; }
  std::span<const double> values() const { return values_; }

  /// Dissimilarity of conditions i and j in either order; 0 for i = j. Unchecked.
  double operator()(Index i, Index j) const {
    if (i == j) return 0;
    return values_[static_cast<std::size_t>(i < j ? pair_position(conditions_, i, j) : pair_position(conditions_, j, i))];
  }

  /// The full matrix [n,n], 0 on the diagonal.
  Tensor<double> matrix() const {
    Tensor<double> m({conditions_, conditions_});
    for (Index i = 0, k = 0; i < conditions_; ++i)
      for (Index j = i + 1; j < conditions_; ++j, ++k) m[i * conditions_ + j] = m[j * conditions_ + i] = values_[static_cast<std::size_t>(k)];
    return m;
  }

  /// The RDM of the conditions at `index`, in that order and as often as they appear; a pair of twice the same condition is NaN.
  /// Throws Error on an index out of range.
  Rdm selected(std::span<const Index> index) const {
    const Index n = static_cast<Index>(index.size());
    Rdm rdm(n);
    for (const Index i : index) require(0 <= i && i < conditions_, "Rdm::selected: condition ", i, " of ", conditions_);
    for (Index i = 0, k = 0; i < n; ++i)
      for (Index j = i + 1; j < n; ++j, ++k) {
        const Index a = index[static_cast<std::size_t>(i)], b = index[static_cast<std::size_t>(j)];
        rdm.values_[static_cast<std::size_t>(k)] = a == b ? undefined : (*this)(a, b);
      }
    return rdm;
  }

 private:
  Index conditions_ = 0;
  std::vector<double> values_;
};

/// The RDMs of several subjects or models from matrices x [...,n,n], each checked as in Rdm::from_matrix. Throws ShapeError for another shape.
inline std::vector<Rdm> rdms_from_matrices(In<double> x) {
  const int rank = x.shape.rank();
  require<ShapeError>(rank >= 2 && x.shape[rank - 1] == x.shape[rank - 2] && x.shape[rank - 1] > 0, "rdms_from_matrices: shape ", x.shape, "; [...,n,n] is needed");
  const Index n = x.shape[rank - 1];
  std::vector<Rdm> rdms;
  for (const double* m = x.data; m != x.data + x.size(); m += n * n) rdms.push_back(Rdm::from_matrix({m, {n, n}}));
  return rdms;
}

/// The same from rows of pairs x [k,n (n - 1) / 2]. Throws ShapeError for another rank or number of pairs.
inline std::vector<Rdm> rdms_from_rows(In<double> x) {
  require<ShapeError>(x.shape.rank() == 2, "rdms_from_rows: shape ", x.shape, "; [RDMs,pairs] is needed");
  const Index pairs = x.shape[1];
  std::vector<Rdm> rdms;
  for (Index i = 0; i < x.shape[0]; ++i) rdms.emplace_back(std::vector<double>(x.data + i * pairs, x.data + (i + 1) * pairs));
  return rdms;
}

/// The mean of RDMs pair by pair, over those in which the pair is defined; NaN where it is in none. Throws ShapeError for no RDMs, or of different numbers of conditions.
inline Rdm mean_rdm(std::span<const Rdm> rdms) {
  require<ShapeError>(!rdms.empty(), "mean_rdm: no RDMs");
  Rdm mean(rdms[0].conditions());
  for (std::size_t k = 0; k < mean.values().size(); ++k) {
    double sum = 0, count = 0;
    for (const Rdm& one : rdms) {
      require<ShapeError>(one.conditions() == mean.conditions(), "mean_rdm: RDMs of ", mean.conditions(), " and ", one.conditions(), " conditions");
      if (!std::isnan(one.values()[k])) sum += one.values()[k], count += 1;
    }
    mean.values()[k] = sum / count;  // 0 / 0 is NaN
  }
  return mean;
}

}  // namespace ventral::inline v0::brain

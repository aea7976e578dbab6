#pragma once
#include <vector>

#include "ventral/brain/correlation.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// The doubly centred matrix of an RDM, up to a factor: g_ij = d_ij - m_i - m_j + m with m_i the mean of row i; entries are computed when read.
/// Refers to the RDM, which must outlive it.
class CentredRdm {
 public:
  /// `less_mean` takes the mean dissimilarity off first.
  CentredRdm(const Rdm& rdm, bool less_mean)
      : values_(rdm.values()), n_(rdm.conditions()), row_mean_(static_cast<std::size_t>(rdm.conditions()), 0.0) {
    double largest = 0;
    for (const double v : values_) {
      if (!std::isfinite(v)) return;  // norm_ stays undefined
      largest = std::max(largest, std::abs(v));
    }
    if (values_.empty()) return;
    scale_ = unit_scale(largest);
    if (less_mean) {
      const double first = values_[0] * scale_;
      const auto sum = ordered_sums<1>(static_cast<Index>(values_.size()), [&](std::size_t k, auto& s) { s[0] += values_[k] * scale_ - first; });
      shift_ = first + sum[0] / static_cast<double>(values_.size());
      if (sum[0] == 0) shift_ = first;
    }
    center_rows();
    norm_ = std::sqrt(product(*this));
  }

  double norm() const { return norm_; }

  /// sum_ij g_ij h_ij.
  double product(const CentredRdm& other) const {
    std::vector<double> rows(static_cast<std::size_t>(n_));
    cpu::parallel_ranges(n_, rows_at_a_time(), [&](Index first, Index last) {
      for (Index i = first; i < last; ++i) {
        double sum = 0;
        const double a = row_offset(i), b = other.row_offset(i);
        for (Index j = i + 1, k = pair_position(n_, i, j); j < n_; ++j, ++k)
          sum += (entry(k) + a + column_offset(j)) * (other.entry(k) + b + other.column_offset(j));
        rows[static_cast<std::size_t>(i)] = 2 * sum + (a + column_offset(i)) * (b + other.column_offset(i));
      }
    });
    double all = 0;
    for (const double r : rows) all += r;
    return all;
  }

 private:
  Index rows_at_a_time() const { return 16384 / n_ + 1; }
  double entry(Index k) const { return values_[static_cast<std::size_t>(k)] * scale_ - shift_; }
  double row_offset(Index i) const { return mean_ - row_mean_[static_cast<std::size_t>(i)]; }
  double column_offset(Index j) const { return -row_mean_[static_cast<std::size_t>(j)]; }

  void center_rows() {
    for (Index i = 0, k = 0; i < n_; ++i)
      for (Index j = i + 1; j < n_; ++j, ++k) row_mean_[static_cast<std::size_t>(i)] += entry(k), row_mean_[static_cast<std::size_t>(j)] += entry(k);
    for (double& m : row_mean_) m /= static_cast<double>(n_), mean_ += m;
    mean_ /= static_cast<double>(n_);
  }

  std::span<const double> values_;
  Index n_;
  double scale_ = 1, shift_ = 0, mean_ = 0, norm_ = undefined;
  std::vector<double> row_mean_;
};

inline double centred_cosine(const CentredRdm& a, const CentredRdm& b) {
  if (!(a.norm() > 0) || !(b.norm() > 0)) return undefined;
  return std::clamp(a.product(b) / (a.norm() * b.norm()), -1.0, 1.0);
}

inline void require_same_conditions(const char* what, Index a, Index b) {
  require<ShapeError>(a == b, what, ": RDMs of ", a, " and ", b, " conditions; they must be of the same conditions");
}

}  // namespace detail

/// Whitened cosine: v' V^-1 w / sqrt(v' V^-1 v w' V^-1 w), V_(ij)(kl) = (c_ij . c_kl)^2, c_ij = e_i - e_j: allows for the covariance of
/// dissimilarities that share a condition. Equals the cosine of the doubly centred -D/2 matrices, which is how it is computed, and linear CKA when D
/// are squared distances.
/// In [-1, 1]; NaN when an RDM is zero, infinite or NaN anywhere: without one pair the matrix cannot be centred, so here pairs are not left out.
/// Throws ShapeError when the conditions differ. O(n^2); V, of n^4 entries, is never built.
/// Source: Diedrichsen et al. 2021, Neurons Behav Data Anal Theory 5(3).
inline double whitened_cosine(const Rdm& a, const Rdm& b) {
  detail::require_same_conditions("whitened_cosine", a.conditions(), b.conditions());
  return detail::centred_cosine(detail::CentredRdm(a, false), detail::CentredRdm(b, false));
}

/// Whitened correlation: the whitened cosine of the RDMs less their mean dissimilarity; NaN also when an RDM is constant. Otherwise as
/// whitened_cosine.
inline double whitened_correlation(const Rdm& a, const Rdm& b) {
  detail::require_same_conditions("whitened_correlation", a.conditions(), b.conditions());
  return detail::centred_cosine(detail::CentredRdm(a, true), detail::CentredRdm(b, true));
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/decompositions.hpp"
#include "ventral/brain/whitened.hpp"
#include "ventral/cpu/gemm.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// A square root R of an RDM's kernel G = -J D J / 2, as rows: G = R'R with negative eigenvalues, and those within rounding of 0, left out. Scaled to
/// trace 1.
class KernelRoot {
 public:
  explicit KernelRoot(const Rdm& rdm) : n_(rdm.conditions()) {
    double largest = 0;
    for (const double v : rdm.values()) {
      if (!std::isfinite(v)) return;
      largest = std::max(largest, std::abs(v));
    }
    if (largest == 0) return;
    const SymmetricEigen eigen = symmetric_eigen(kernel(rdm, unit_scale(largest)));
    const double least = std::max(eigen.values.back(), -eigen.values.front()) * static_cast<double>(n_) * 2.3e-16;
    Index first = n_;
    double trace = 0;
    for (; first > 0 && eigen.values[static_cast<std::size_t>(first - 1)] > least; --first)
      trace += eigen.values[static_cast<std::size_t>(first - 1)];
    rows_ = Tensor<double>({n_ - first, n_});
    for (Index r = first; r < n_; ++r) {
      const double root = std::sqrt(eigen.values[static_cast<std::size_t>(r)] / trace);
      for (Index i = 0; i < n_; ++i) rows_[(r - first) * n_ + i] = root * eigen.vectors[r * n_ + i];
    }
  }

  bool defined() const { return rows_.size() > 0; }

  /// Sum of the singular values of R S'. They are the positive eigenvalues of [0, R S'; S R', 0], which keep the precision that those of R S' S R'
  /// would lose.
  double nuclear_product(const KernelRoot& other) const {
    const Index p = rows_.dim(0), q = other.rows_.dim(0), size = p + q;
    Tensor<double> joint({size, size});
    cpu::gemm<double>({}, q, p, n_, 1.0, {other.rows_.data(), n_}, {rows_.data(), n_, true}, 0.0, joint.data() + p * size, size);
    for (Index i = 0; i < p; ++i)
      for (Index j = p; j < size; ++j) joint[i * size + j] = joint[j * size + i];
    double sum = 0;
    for (const double v : symmetric_eigen(std::move(joint)).values) sum += std::max(v, 0.0);
    return sum;
  }

 private:
  static Tensor<double> kernel(const Rdm& rdm, double scale) {
    const Index n = rdm.conditions();
    Tensor<double> g = rdm.matrix();
    std::vector<double> row_mean(static_cast<std::size_t>(n), 0.0);
    double mean = 0;
    for (Index i = 0; i < n; ++i) {
      double& m = row_mean[static_cast<std::size_t>(i)];
      for (Index j = 0; j < n; ++j) m += g[i * n + j] * scale / static_cast<double>(n);
      mean += m / static_cast<double>(n);
    }
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        g[i * n + j] = -0.5 * (g[i * n + j] * scale - row_mean[static_cast<std::size_t>(i)] - row_mean[static_cast<std::size_t>(j)] + mean);
    return g;
  }

  Index n_;
  Tensor<double> rows_;
};

inline double bures_product(const KernelRoot& a, const KernelRoot& b) {
  return a.defined() && b.defined() ? std::min(a.nuclear_product(b), 1.0) : undefined;
}

}  // namespace detail

/// Bures similarity: the sum of the singular values of sqrt(G1) sqrt(G2) / sqrt(tr G1 tr G2), with kernels G = -J D J / 2 of squared distances D and
/// negative eigenvalues cut to 0: the fidelity of two positive matrices, the cosine of the best alignment of the two sets of patterns.
/// In [0, 1]; NaN when an RDM is zero, infinite or NaN anywhere, or its kernel has no positive eigenvalue.
/// Throws ShapeError when the conditions differ.
/// Cost: eigenvalues of two n x n matrices and of one of up to 2n; link with ventral::brain.
/// Source: Bhatia, Jain, Lim 2019, Expo Math 37:165; Harvey, Lipshutz, Williams 2024, "Duality of Bures and shape distances".
inline double bures_similarity(const Rdm& a, const Rdm& b) {
  detail::require_same_conditions("bures_similarity", a.conditions(), b.conditions());
  return detail::bures_product(detail::KernelRoot(a), detail::KernelRoot(b));
}

}  // namespace ventral::inline v0::brain

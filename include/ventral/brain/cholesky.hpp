#pragma once
#include "ventral/brain/triangular.hpp"

namespace ventral::inline v0::brain {

namespace detail {

inline void factor_cholesky(double* a, Index n, Index stride, Index offset) {
  if (n > triangle_leaf) {
    const Index h = n / 2, r = n - h;
    double *const a21 = a + h * stride, *const a22 = a21 + h;
    factor_cholesky(a, h, stride, offset);
    solve_triangular(TriangularSystem::right_transposed, a, h, stride, a21, r, stride);
    add_symmetric_product(r, h, -1, {a21, stride}, a22, stride);
    return factor_cholesky(a22, r, stride, offset + h);
  }
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j <= i; ++j) {
      double sum = a[i * stride + j];
      for (Index k = 0; k < j; ++k) sum -= a[i * stride + k] * a[j * stride + k];
      if (j < i) {
        a[i * stride + j] = sum / a[j * stride + j];
      } else {
        require(sum > 0 && std::isfinite(sum), "cholesky: pivot ", offset + i, " is ", sum, "; the matrix is not positive definite");
        a[i * stride + i] = std::sqrt(sum);
      }
    }
}

}  // namespace detail

/// Cholesky factor in place: A = L L', L in the lower triangle of a [n,n] (rows `stride` numbers apart); nothing above the diagonal is read or
/// written. Throws Error naming the first pivot that is not positive. n^3 / 3 operations at the speed of the matrix product, by recursive halves;
/// the same bits for any number of threads. Method: Gustavson 1997, IBM J Res Dev 41:737.
inline void cholesky_in_place(double* a, Index n, Index stride) { detail::factor_cholesky(a, n, stride, 0); }

/// L of A = L L', zeros above the diagonal. a [n,n]; its lower triangle is read. Throws ShapeError when not square, Error when not positive definite.
inline Tensor<double> cholesky(Tensor<double> a) {
  require<ShapeError>(a.rank() == 2 && a.dim(0) == a.dim(1), "cholesky: a matrix of shape ", a.shape(), "; a square one is needed");
  const Index n = a.dim(0);
  cholesky_in_place(a.data(), n, n);
  for (Index i = 0; i < n; ++i) std::fill(a.data() + i * n + i + 1, a.data() + (i + 1) * n, 0.0);
  return a;
}

/// Replaces b [n,q] by the solution X of L L' X = B. 2 n^2 q operations. Throws ShapeError when the shapes do not fit.
inline void cholesky_solve(In<double> l, Out<double> b) {
  require<ShapeError>(l.shape.rank() == 2 && l.shape[0] == l.shape[1] && b.shape.rank() == 2 && b.shape[0] == l.shape[0], "cholesky_solve: factor ",
                      l.shape, " and right-hand sides ", b.shape, "; needs [n,n] and [n,q]");
  const Index n = l.shape[0], q = b.shape[1];
  solve_triangular(TriangularSystem::left, l.data, n, n, b.data, q, q);
  solve_triangular(TriangularSystem::left_transposed, l.data, n, n, b.data, q, q);
}

/// Diagonal of (L L')^-1 from the inverse of L: sums of squares over its columns. inverse [n,n], its lower triangle is read.
inline std::vector<double> cholesky_inverse_diagonal(In<double> inverse) {
  const Index n = inverse.shape[0];
  std::vector<double> diagonal(static_cast<std::size_t>(n), 0.0);
  constexpr Index columns = 64;
  cpu::parallel_ranges(n, columns, [&](Index first, Index last) {
    for (Index i = first; i < n; ++i)
      for (Index j = first; j < std::min(last, i + 1); ++j)
        diagonal[static_cast<std::size_t>(j)] += inverse.data[i * n + j] * inverse.data[i * n + j];
  });
  return diagonal;
}

/// (L L')^-1 [n,n] from the factor l [n,n]. About n^3 operations beside the factor's own.
inline Tensor<double> cholesky_inverse(Tensor<double> l) {
  const Index n = l.dim(0);
  invert_triangular(l.data(), n, n);
  for (Index i = 0; i < n; ++i) std::fill(l.data() + i * n + i + 1, l.data() + (i + 1) * n, 0.0);
  return symmetric_product(l, true);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/cpu/gemm.hpp"

namespace ventral::inline v0::brain {

namespace detail {

constexpr Index triangle_leaf = 96;  // rows below which a triangle is worked on number by number; everything larger is a matrix product

/// c = alpha op(a) op(b) + beta c on the CPU; see cpu::gemm.
inline void multiply(Index m, Index n, Index k, double alpha, cpu::Matrix<double> a, cpu::Matrix<double> b, double beta, double* c, Index c_stride) {
  cpu::gemm<double>(cpu::Stream{}, m, n, k, alpha, a, b, beta, c, c_stride);
}

/// The inverse of a lower triangle of at most triangle_leaf rows, zeros above it: [n,n], row-major.
inline std::vector<double> inverse_of_leaf(const double* l, Index n, Index stride) {
  std::vector<double> inverse(static_cast<std::size_t>(n * n), 0.0);
  for (Index i = 0; i < n; ++i) {
    double* const row = inverse.data() + i * n;
    for (Index k = 0; k < i; ++k) {
      const double factor = l[i * stride + k];
      const double* const above = inverse.data() + k * n;
      for (Index j = 0; j <= k; ++j) row[j] -= factor * above[j];
    }
    const double scale = 1 / l[i * stride + i];
    for (Index j = 0; j < i; ++j) row[j] *= scale;
    row[i] = scale;
  }
  return inverse;
}

}  // namespace detail

/// Which triangular system: L X = B, L'X = B, X L = B or X L' = B, L the lower triangle.
enum class TriangularSystem { left, left_transposed, right, right_transposed };

/// Solves a triangular system with many right-hand sides in place: b [n,others] (left) or [others,n] (right) becomes X.
/// l is [n,n], row-major with `l_stride` numbers from row to row; only its lower triangle is read. Recursive halves, so that all but the
/// diagonal blocks is matrix products; the same bits for any number of threads. n^2 * others operations.
inline void solve_triangular(TriangularSystem system, const double* l, Index n, Index l_stride, double* b, Index others, Index b_stride) {
  using enum TriangularSystem;
  const bool on_left = system == left || system == left_transposed, transposed = system == left_transposed || system == right_transposed;
  if (n <= 0 || others <= 0) return;
  if (n <= detail::triangle_leaf) {
    const std::vector<double> inverse = detail::inverse_of_leaf(l, n, l_stride);
    const Index rows = on_left ? n : others, columns = on_left ? others : n;
    const cpu::Matrix<double> factor{inverse.data(), n, transposed};
    std::vector<double> copy(static_cast<std::size_t>(rows * columns));
    for (Index i = 0; i < rows; ++i) std::copy_n(b + i * b_stride, columns, copy.data() + i * columns);
    if (on_left) detail::multiply(n, others, n, 1, factor, {copy.data(), columns}, 0, b, b_stride);
    else detail::multiply(others, n, n, 1, {copy.data(), columns}, factor, 0, b, b_stride);
    return;
  }
  const Index h = n / 2, r = n - h;
  double* const b2 = on_left ? b + h * b_stride : b + h;
  const double *const l21 = l + h * l_stride, *const l22 = l21 + h;
  const auto first = [&] { solve_triangular(system, l, h, l_stride, b, others, b_stride); };
  const auto second = [&] { solve_triangular(system, l22, r, l_stride, b2, others, b_stride); };
  switch (system) {
    case left: first(), detail::multiply(r, others, h, -1, {l21, l_stride}, {b, b_stride}, 1, b2, b_stride), second(); break;
    case left_transposed: second(), detail::multiply(h, others, r, -1, {l21, l_stride, true}, {b2, b_stride}, 1, b, b_stride), first(); break;
    case right: second(), detail::multiply(others, h, r, -1, {b2, b_stride}, {l21, l_stride}, 1, b, b_stride), first(); break;
    case right_transposed: first(), detail::multiply(others, r, h, -1, {b, b_stride}, {l21, l_stride, true}, 1, b2, b_stride), second(); break;
  }
}

/// Replaces a lower triangle by its inverse, in place; nothing above the diagonal is read or written. n^3 / 3 operations.
inline void invert_triangular(double* l, Index n, Index stride) {
  if (n <= detail::triangle_leaf) {
    const std::vector<double> inverse = detail::inverse_of_leaf(l, n, stride);
    for (Index i = 0; i < n; ++i) std::copy_n(inverse.data() + i * n, i + 1, l + i * stride);
    return;
  }
  const Index h = n / 2, r = n - h;
  double *const l21 = l + h * stride, *const l22 = l21 + h;
  solve_triangular(TriangularSystem::left, l22, r, stride, l21, h, stride);
  solve_triangular(TriangularSystem::right, l, h, stride, l21, r, stride);
  for (Index i = 0; i < r; ++i)
    for (Index j = 0; j < h; ++j) l21[i * stride + j] = -l21[i * stride + j];
  invert_triangular(l, h, stride);
  invert_triangular(l22, r, stride);
}

/// Adds alpha A A' to the lower triangle of c [n,n], A [n,k] (as multiplied: `transposed` when stored [k,n]). Above the diagonal nothing is read or
/// written. n^2 k operations: half of a full product.
inline void add_symmetric_product(Index n, Index k, double alpha, cpu::Matrix<double> a, double* c, Index c_stride) {
  const auto rows_from = [&](Index i) { return a.transposed ? a.data + i : a.data + i * a.stride; };
  if (n <= detail::triangle_leaf) {
    std::vector<double> product(static_cast<std::size_t>(n * n));
    detail::multiply(n, n, k, alpha, a, {a.data, a.stride, !a.transposed}, 0, product.data(), n);
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j <= i; ++j) c[i * c_stride + j] += product[static_cast<std::size_t>(i * n + j)];
    return;
  }
  const Index h = n / 2, r = n - h;
  const cpu::Matrix<double> lower{rows_from(h), a.stride, a.transposed};
  add_symmetric_product(h, k, alpha, a, c, c_stride);
  detail::multiply(r, h, k, alpha, lower, {a.data, a.stride, !a.transposed}, 1, c + h * c_stride, c_stride);
  add_symmetric_product(r, k, alpha, lower, c + h * c_stride + h, c_stride);
}

/// Copies the lower triangle of a [n,n] over the upper one.
inline void mirror_lower_triangle(double* a, Index n) {
  constexpr Index tile = 32;
  cpu::parallel_ranges(n, tile, [&](Index first, Index last) {
    for (Index j = 0; j < last; j += tile)
      for (Index i = first; i < last; ++i)
        for (Index k = j; k < std::min(j + tile, i); ++k) a[k * n + i] = a[i * n + k];
  });
}

/// A A' [n,n] of a [n,k], or A'A of a [k,n] with `transposed`: one triangle computed, the other mirrored. n^2 k operations.
inline Tensor<double> symmetric_product(In<double> a, bool transposed = false) {
  require<ShapeError>(a.shape.rank() == 2, "symmetric_product: shape ", a.shape, "; a matrix is needed");
  const Index n = a.shape[transposed ? 1 : 0], k = a.shape[transposed ? 0 : 1];
  Tensor<double> c({n, n});
  add_symmetric_product(n, k, 1, {a.data, a.shape[1], transposed}, c.data(), n);
  mirror_lower_triangle(c.data(), n);
  return c;
}

}  // namespace ventral::inline v0::brain

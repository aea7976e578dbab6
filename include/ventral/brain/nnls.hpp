#pragma once
#include <cmath>
#include <span>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// Solves the rows and columns `active` of g z = p by Cholesky; false when they are linearly dependent to rounding.
inline bool solve_active(In<double> g, std::span<const double> p, const std::vector<Index>& active, std::vector<double>& z) {
  const Index k = g.shape[0], m = static_cast<Index>(active.size());
  std::vector<double> l(static_cast<std::size_t>(m * m));
  z.resize(static_cast<std::size_t>(m));
  const auto at = [&](Index i, Index j) -> double& { return l[static_cast<std::size_t>(i * m + j)]; };
  const auto index = [&](Index i) { return active[static_cast<std::size_t>(i)]; };
  for (Index i = 0; i < m; ++i) {
    double value = p[static_cast<std::size_t>(index(i))];
    for (Index j = 0; j <= i; ++j) {
      double sum = g.data[index(i) * k + index(j)];
      for (Index c = 0; c < j; ++c) sum -= at(i, c) * at(j, c);
      if (j < i) at(i, j) = sum / at(j, j), value -= at(i, j) * z[static_cast<std::size_t>(j)];
      else if (!(sum > 1e-13 * g.data[index(i) * k + index(i)])) return false;
      else at(i, i) = std::sqrt(sum), z[static_cast<std::size_t>(i)] = value / at(i, i);
    }
  }
  for (Index i = m; i-- > 0;) {
    double& value = z[static_cast<std::size_t>(i)];
    for (Index j = i + 1; j < m; ++j) value -= at(j, i) * z[static_cast<std::size_t>(j)];
    value /= at(i, i);
  }
  return true;
}

}  // namespace detail

/// Non-negative least squares from the normal equations: the w >= 0 with the smallest w' G w - 2 w' p, G = A'A (plus any ridge), p = A'b.
/// Shapes: G [k,k] symmetric, p [k] -> w [k]. A column that depends linearly on those in use gets weight 0.
/// Throws ShapeError on other shapes. Cost: about k solutions of size k. Source: Lawson, Hanson 1974, Solving Least Squares Problems, ch. 23 (active
/// set).
inline std::vector<double> nnls_normal(In<double> g, std::span<const double> p) {
  const Index k = static_cast<Index>(p.size());
  require<ShapeError>(g.shape == Shape{k, k}, "nnls: a Gram matrix of shape ", g.shape, " and ", k, " projections");
  double scale = 0;
  for (const double v : p) scale = std::max(scale, std::abs(v));
  std::vector<double> w(p.size(), 0.0), z;
  std::vector<Index> active;
  std::vector<char> barred(p.size(), 0);
  for (Index step = 0; step < 10 * k + 10; ++step) {
    Index best = -1;
    double steepest = 1e-14 * scale;
    for (Index i = 0; i < k; ++i) {
      if (barred[static_cast<std::size_t>(i)] || w[static_cast<std::size_t>(i)] > 0) continue;
      double slope = p[static_cast<std::size_t>(i)];
      for (Index j = 0; j < k; ++j) slope -= g.data[i * k + j] * w[static_cast<std::size_t>(j)];
      if (slope > steepest) steepest = slope, best = i;
    }
    if (best < 0) break;
    active.push_back(best);
    if (!detail::solve_active(g, p, active, z) || z.back() <= 0) {
      active.pop_back(), barred[static_cast<std::size_t>(best)] = 1;
      continue;
    }
    for (bool inside = false; !inside;) {  // walk towards z as far as w stays non-negative; what arrives at 0 leaves the active set
      double share = 1;
      for (std::size_t a = 0; a < active.size(); ++a) {
        const double from = w[static_cast<std::size_t>(active[a])];
        if (z[a] <= 0) share = std::min(share, from / (from - z[a]));
      }
      std::vector<Index> kept;
      for (std::size_t a = 0; a < active.size(); ++a) {
        double& value = w[static_cast<std::size_t>(active[a])];
        const bool leaves = z[a] <= 0 && value / (value - z[a]) <= share;
        value = leaves ? 0 : value + share * (z[a] - value);
        if (!leaves) kept.push_back(active[a]);
      }
      inside = kept.size() == active.size();
      active = kept;
      if (!inside && !detail::solve_active(g, p, active, z)) break;
    }
    std::fill(barred.begin(), barred.end(), char{0});
  }
  return w;
}

/// Non-negative least squares: the w >= 0 with the smallest |A w - b|^2 + penalty |w|^2. Shapes: A [m,k], b [m] -> w [k].
/// Throws ShapeError on other shapes, Error on a negative penalty. Cost: m k^2 and nnls_normal; the normal equations square A's condition number.
inline std::vector<double> nnls(In<double> a, std::span<const double> b, double penalty = 0) {
  require<ShapeError>(a.shape.rank() == 2 && a.shape[0] == static_cast<Index>(b.size()), "nnls: a matrix of shape ", a.shape, " and ", b.size(),
                      " values");
  require(penalty >= 0, "nnls: penalty ", penalty, "; needs at least 0");
  const Index m = a.shape[0], k = a.shape[1];
  Tensor<double> g({k, k});
  std::vector<double> p(static_cast<std::size_t>(k), 0.0);
  for (Index r = 0; r < m; ++r)
    for (Index i = 0; i < k; ++i) {
      const double v = a.data[r * k + i];
      p[static_cast<std::size_t>(i)] += v * b[static_cast<std::size_t>(r)];
      for (Index j = 0; j <= i; ++j) g[i * k + j] += v * a.data[r * k + j];
    }
  for (Index i = 0; i < k; ++i) {
    g[i * k + i] += penalty;
    for (Index j = 0; j < i; ++j) g[j * k + i] = g[i * k + j];
  }
  return nnls_normal(g, p);
}

}  // namespace ventral::inline v0::brain

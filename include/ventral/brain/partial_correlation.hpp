#pragma once
#include "ventral/brain/comparators.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// An orthonormal basis of the centred controls, to take their part out of other vectors.
class ControlSpace {
 public:
  /// What is left of v after its mean and its part along the controls are taken out, scaled to length 1; all zero when nothing but rounding is left.
  std::vector<double> residual(std::vector<double> v) const {
    const double before = center(v);
    for (int twice = 0; twice < 2; ++twice)  // once more removes what rounding left (Giraud et al. 2005)
      for (const std::vector<double>& q : basis_) {
        const double along = dot(q, v);
        for (std::size_t i = 0; i < v.size(); ++i) v[i] -= along * q[i];
      }
    const double after = std::sqrt(dot(v, v));
    for (double& e : v) e = after > negligible * before ? e / after : 0;
    return v;
  }
  /// Adds a control; one that is constant or a combination of the others adds nothing.
  void add(std::vector<double> control) {
    std::vector<double> q = residual(std::move(control));
    if (dot(q, q) > 0) basis_.push_back(std::move(q));
  }
  static double dot(const std::vector<double>& a, const std::vector<double>& b) {
    return ordered_sums<1>(static_cast<Index>(a.size()), [&](std::size_t i, auto& s) { s[0] += a[i] * b[i]; })[0];
  }

 private:
  static constexpr double negligible = 1e-12;

  /// Scales v to at most about 1, takes its mean off and returns its length.
  static double center(std::vector<double>& v) {
    double largest = 0;
    for (const double e : v) largest = std::max(largest, std::abs(e));
    const double scale = unit_scale(largest), first = v.empty() ? 0 : v[0] * scale;
    for (double& e : v) e = e * scale - first;
    const double mean =
        ordered_sums<1>(static_cast<Index>(v.size()), [&](std::size_t i, auto& s) { s[0] += v[i]; })[0] / static_cast<double>(v.size());
    for (double& e : v) e -= mean;
    return std::sqrt(dot(v, v));
  }

  std::vector<std::vector<double>> basis_;
};

}  // namespace detail

/// Partial correlation of x and y given the controls: the correlation of what a least squares fit by the controls (with intercept) leaves of x and of
/// y. By ranks for Comparator::spearman. Elements that are NaN in x, y or any control are left out, before ranking.
/// In [-1, 1]; NaN when nothing of x or of y is left (below 1e-12 of its length: constant, or a combination of the controls), or an element is
/// infinite. A control that is constant or a combination of the others changes nothing. Without controls: pearson or spearman.
/// Throws ShapeError when lengths differ, Error for another comparator. O(n k^2) for k controls, after sorting.
inline double partial_correlation(std::span<const double> x, std::span<const double> y, std::span<const std::vector<double>> controls,
                                  Comparator comparator = Comparator::pearson) {
  const bool ranks = comparator == Comparator::spearman;
  require(ranks || comparator == Comparator::pearson, "partial_correlation: by pearson or spearman, not by ", name(comparator));
  std::vector<std::span<const double>> given{x, y};
  given.insert(given.end(), controls.begin(), controls.end());
  std::vector<std::vector<double>> kept(given.size());
  for (std::size_t v = 0; v < given.size(); ++v) {
    if (v < 2) detail::require_same_length("partial_correlation", x.size(), given[v].size());
    else
      require<ShapeError>(given[v].size() == x.size(), "partial_correlation: control ", v - 2, " has ", given[v].size(), " elements, x has ",
                          x.size());
  }
  for (std::size_t i = 0; i < x.size(); ++i) {
    bool defined = true, infinite = false;
    for (const auto& v : given) defined &= !std::isnan(v[i]), infinite |= std::isinf(v[i]);
    if (defined && infinite && !ranks) return undefined;
    for (std::size_t v = 0; defined && v < given.size(); ++v) kept[v].push_back(given[v][i]);
  }
  if (ranks)
    for (auto& v : kept) v = average_ranks(v);
  detail::ControlSpace space;
  for (std::size_t v = 2; v < kept.size(); ++v) space.add(std::move(kept[v]));
  const std::vector<double> rx = space.residual(std::move(kept[0])), ry = space.residual(std::move(kept[1]));
  return detail::normalized_product(space.dot(rx, ry), space.dot(rx, rx), space.dot(ry, ry));
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <algorithm>
#include <array>
#include <cmath>

#include "ventral/brain/ranks.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// Sums over i in [0, n) of the numbers that add(i, sums) adds up, in one fixed order for any number of threads.
template <std::size_t K, class Add>
std::array<double, K> ordered_sums(Index n, Add add) {
  constexpr Index grain = 8192;
  std::vector<std::array<double, K>> parts(static_cast<std::size_t>((n + grain - 1) / grain));
  cpu::parallel_ranges(n, grain, [&](Index first, Index last) {
    std::array<double, K> sums{};
    for (Index i = first; i < last; ++i) add(static_cast<std::size_t>(i), sums);
    parts[static_cast<std::size_t>(first / grain)] = sums;
  });
  std::array<double, K> all{};
  for (const auto& part : parts)
    for (std::size_t k = 0; k < K; ++k) all[k] += part[k];
  return all;
}

/// xy / sqrt(xx yy), kept in [-1, 1]; undefined when xx or yy is 0.
inline double normalized_product(double xy, double xx, double yy) {
  return xx > 0 && yy > 0 ? std::clamp(xy / std::sqrt(xx * yy), -1.0, 1.0) : undefined;
}

/// A power of two that brings numbers up to `largest` to about 1, so that their squares neither overflow nor vanish.
inline double unit_scale(double largest) {
  if (largest == 0) return 1;
  return std::ldexp(1.0, -std::max(std::ilogb(largest), -1000));
}

/// Pearson (centred) or cosine of the elements that are NaN in neither x nor y, with multiplicities (none: each once).
inline double product_correlation(std::span<const double> x, std::span<const double> y, Multiplicity multiplicity, bool centred) {
  const Index n = static_cast<Index>(x.size());
  const auto weight = [&](std::size_t i) {
    if (std::isnan(x[i]) || std::isnan(y[i])) return 0.0;
    return multiplicity.empty() ? 1.0 : static_cast<double>(multiplicity[i]);
  };
  double largest_x = 0, largest_y = 0;
  std::size_t first = 0;
  while (first < x.size() && weight(first) == 0) ++first;
  if (first == x.size()) return undefined;
  for (std::size_t i = first; i < x.size(); ++i) {
    if (weight(i) == 0) continue;
    largest_x = std::max(largest_x, std::abs(x[i]));
    largest_y = std::max(largest_y, std::abs(y[i]));
  }
  if (!std::isfinite(largest_x) || !std::isfinite(largest_y)) return undefined;
  const double scale_x = unit_scale(largest_x), scale_y = unit_scale(largest_y);
  double shift_x = 0, shift_y = 0, mean_x = 0, mean_y = 0;
  if (centred) {  // deviations from one element first: exact zeros for constants, no cancellation far from 0
    shift_x = x[first] * scale_x, shift_y = y[first] * scale_y;
    const auto sums = ordered_sums<3>(n, [&](std::size_t i, auto& s) {
      if (const double w = weight(i); w > 0) s[0] += w, s[1] += w * (x[i] * scale_x - shift_x), s[2] += w * (y[i] * scale_y - shift_y);
    });
    mean_x = sums[1] / sums[0], mean_y = sums[2] / sums[0];
  }
  const auto sums = ordered_sums<3>(n, [&](std::size_t i, auto& s) {
    const double w = weight(i);
    if (w == 0) return;
    const double dx = x[i] * scale_x - shift_x - mean_x, dy = y[i] * scale_y - shift_y - mean_y;
    s[0] += w * dx * dy, s[1] += w * dx * dx, s[2] += w * dy * dy;
  });
  return normalized_product(sums[0], sums[1], sums[2]);
}

/// sum r s, sum r^2, sum s^2 of twice the centred ranks, and the number of elements.
struct RankProducts {
  double xy, xx, yy, n;

  RankProducts(const RankedVector& x, const RankedVector& y, Multiplicity given) {
    const std::vector<std::uint32_t> multiplicity = effective_multiplicity(x, y, given);
    const std::vector<double> r = centred_ranks(x, multiplicity), s = centred_ranks(y, multiplicity);
    const auto sums = ordered_sums<4>(x.size(), [&](std::size_t i, auto& t) {
      const double w = multiplicity.empty() ? 1.0 : static_cast<double>(multiplicity[i]);
      t[0] += w * r[i] * s[i], t[1] += w * r[i] * r[i], t[2] += w * s[i] * s[i], t[3] += w;
    });
    xy = sums[0], xx = sums[1], yy = sums[2], n = sums[3];
  }
  double spearman() const { return normalized_product(xy, xx, yy); }
  double rho_a() const { return n < 2 ? undefined : std::clamp(3 * xy / (n * n * n - n), -1.0, 1.0); }
};

}  // namespace detail

/// Pearson's correlation coefficient: sum (x - mx)(y - my) / sqrt(sum (x - mx)^2 sum (y - my)^2).
/// In [-1, 1]; NaN when x or y is constant, empty or infinite somewhere. Pairs with NaN are left out. Deviations are taken from one element first and
/// scaled by powers of two: right for values near 1e8 as for denormals and 1e300.
/// Throws ShapeError when the lengths differ. O(n).
inline double pearson(std::span<const double> x, std::span<const double> y) {
  detail::require_same_length("pearson", x.size(), y.size());
  return detail::product_correlation(x, y, {}, true);
}

/// Cosine of the angle between x and y: x.y / (|x| |y|).
/// In [-1, 1]; NaN when x or y is all zero, empty or infinite somewhere. Pairs with NaN are left out; scaled as in pearson.
/// Throws ShapeError when the lengths differ. O(n).
inline double cosine(std::span<const double> x, std::span<const double> y) {
  detail::require_same_length("cosine", x.size(), y.size());
  return detail::product_correlation(x, y, {}, false);
}

/// Spearman's rank correlation: Pearson of the average ranks.
/// In [-1, 1]; NaN when x or y is constant. Pairs with NaN are left out before ranking. Throws ShapeError when the lengths differ. O(n log n).
/// Source: Spearman 1904, Am J Psychol 15:72.
inline double spearman(std::span<const double> x, std::span<const double> y) {
  detail::require_same_length("spearman", x.size(), y.size());
  return detail::RankProducts(RankedVector::without_values(x), RankedVector::without_values(y), {}).spearman();
}

/// rho-a: 12 sum (r - mr)(s - ms) / (n^3 - n) of the average ranks r, s; the mean of Spearman's coefficient over random orders of the ties.
/// In [-1, 1]; 0 when x or y is constant; NaN below two elements. Pairs with NaN are left out before ranking.
/// Throws ShapeError when the lengths differ. O(n log n).
/// Source: Schuett et al. 2023, eLife 12:e82566.
inline double rho_a(std::span<const double> x, std::span<const double> y) {
  detail::require_same_length("rho_a", x.size(), y.size());
  return detail::RankProducts(RankedVector::without_values(x), RankedVector::without_values(y), {}).rho_a();
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>
#include <vector>

#include "ventral/shape.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// Positions of the p values that are not NaN; throws Error on one outside [0, 1].
inline std::vector<std::size_t> defined_p_values(std::span<const double> p, const char* what) {
  std::vector<std::size_t> defined;
  for (std::size_t i = 0; i < p.size(); ++i) {
    if (std::isnan(p[i])) continue;
    require(0 <= p[i] && p[i] <= 1, what, ": p is ", p[i], " at [", i, "]; needs 0 <= p <= 1");
    defined.push_back(i);
  }
  return defined;
}

}  // namespace detail

/// P values adjusted for the false discovery rate: reject those at most q to keep the expected share of false discoveries at most q (independent or
/// positively dependent tests). adjusted of the k-th smallest of m = min over j >= k of p_(j) m / j, at most 1. NaN is left out of m and stays NaN.
/// Throws Error on p outside [0, 1]. Source: Benjamini, Hochberg 1995, J R Stat Soc B 57:289.
inline std::vector<double> adjust_benjamini_hochberg(std::span<const double> p) {
  std::vector<std::size_t> order = detail::defined_p_values(p, "adjust_benjamini_hochberg");
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<double> adjusted(p.begin(), p.end());
  const double tests = static_cast<double>(order.size());
  double smallest = 1;
  for (std::size_t k = order.size(); k-- > 0;) {
    smallest = std::min(smallest, p[order[k]] * tests / static_cast<double>(k + 1));
    adjusted[order[k]] = smallest;
  }
  return adjusted;
}

/// P values adjusted for the family-wise error rate: min(1, m p), m the number of p values that are not NaN. NaN stays NaN. Throws Error on p outside
/// [0, 1].
inline std::vector<double> adjust_bonferroni(std::span<const double> p) {
  const double tests = static_cast<double>(detail::defined_p_values(p, "adjust_bonferroni").size());
  std::vector<double> adjusted(p.begin(), p.end());
  for (double& v : adjusted)
    if (!std::isnan(v)) v = std::min(1.0, v * tests);
  return adjusted;
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

#include "ventral/brain/distributions.hpp"
#include "ventral/brain/rdm.hpp"

namespace ventral::inline v0::brain {

/// What is tested against "no difference": a difference either way, a positive one, a negative one.
enum class Alternative { two_sided, greater, less };

/// A test statistic and the probability of one at least as extreme if there were no effect. NaN where undefined.
struct TestResult {
  double statistic = undefined, p = undefined;
  double degrees_of_freedom = undefined;  // of t; NaN in other tests
  Index used = 0;                         // observations that counted
  bool exact = false;                     // Wilcoxon: the exact distribution, not the normal approximation
};

namespace detail {

inline std::vector<double> without_nan(std::span<const double> x) {
  std::vector<double> kept;
  for (const double v : x)
    if (!std::isnan(v)) kept.push_back(v);
  return kept;
}

inline std::vector<double> paired_differences(std::span<const double> a, std::span<const double> b, const char* what) {
  require<ShapeError>(a.size() == b.size(), what, ": ", a.size(), " and ", b.size(), " paired values");
  std::vector<double> difference(a.size());
  for (std::size_t i = 0; i < a.size(); ++i) difference[i] = a[i] - b[i];
  return difference;
}

/// P value of a statistic whose null distribution is continuous and symmetric about 0: `tail` is P(T > t).
template <class Tail>
double symmetric_p(double t, Alternative alternative, Tail tail) {
  if (alternative == Alternative::greater) return tail(t);
  if (alternative == Alternative::less) return tail(-t);
  return std::isnan(t) ? t : 2 * tail(std::abs(t));
}

/// Mean of the values, exact when all are equal; NaN for none.
inline double mean_of(std::span<const double> x) {
  double sum = 0;
  for (const double v : x) sum += v - x[0];
  return x.empty() ? undefined : x[0] + sum / static_cast<double>(x.size());
}

}  // namespace detail

/// The t statistic of an estimate with its standard error, tested with `degrees` degrees of freedom. A zero standard error gives p = 0 or 1 by the
/// sign, NaN for a zero estimate.
inline TestResult t_test_of_estimate(double estimate, double standard_error, double degrees, Alternative alternative = Alternative::two_sided) {
  TestResult result{.statistic = estimate / standard_error, .degrees_of_freedom = degrees};
  if (!(degrees > 0)) return result;
  result.p = detail::symmetric_p(result.statistic, alternative, [&](double t) { return student_t_tail(t, degrees); });
  return result;
}

/// One-sample t test of whether the mean of x differs from `against`: t = (mean - against) / (s / sqrt(n)), n - 1 degrees of freedom. NaN values are
/// left out. NaN with fewer than two values, or when all of them equal `against`. Source: Student 1908, Biometrika 6:1.
inline TestResult t_test(std::span<const double> x, double against = 0, Alternative alternative = Alternative::two_sided) {
  std::vector<double> difference = detail::without_nan(x);
  if (difference.size() < 2) return {.used = static_cast<Index>(difference.size())};
  for (double& v : difference) v -= against;
  const double n = static_cast<double>(difference.size()), mean = detail::mean_of(difference);
  double squares = 0;
  for (const double v : difference) squares += (v - mean) * (v - mean);
  TestResult result = t_test_of_estimate(mean, std::sqrt(squares / (n - 1) / n), n - 1, alternative);
  result.used = static_cast<Index>(difference.size());
  return result;
}

/// Paired t test: the one-sample test of a - b against 0. Throws ShapeError when their numbers differ.
inline TestResult t_test(std::span<const double> a, std::span<const double> b, Alternative alternative = Alternative::two_sided) {
  return t_test(detail::paired_differences(a, b, "t_test"), 0, alternative);
}

namespace detail {

/// Nonzero differences: twice the average rank of each magnitude (whole numbers), the sum of those of positive ones, and sum of t^3 - t over ties.
struct SignedRanks {
  std::vector<Index> doubled;
  Index positive = 0, total = 0;
  double ties = 0;
};

inline SignedRanks signed_ranks(std::span<const double> differences) {
  std::vector<double> d;
  for (const double v : differences)
    if (!std::isnan(v) && v != 0) d.push_back(v);
  std::sort(d.begin(), d.end(), [](double a, double b) { return std::abs(a) < std::abs(b); });
  SignedRanks ranks;
  for (std::size_t i = 0, j; i < d.size(); i = j) {
    for (j = i; j < d.size() && std::abs(d[j]) == std::abs(d[i]); ++j) {}
    const Index doubled = static_cast<Index>(i + j + 1), size = static_cast<Index>(j - i);
    ranks.ties += static_cast<double>(size) * static_cast<double>(size * size - 1);
    for (std::size_t k = i; k < j; ++k) {
      ranks.doubled.push_back(doubled);
      ranks.total += doubled;
      if (d[k] > 0) ranks.positive += doubled;
    }
  }
  return ranks;
}

/// P(W+ >= w) over the 2^n equally likely assignments of signs, w and the ranks doubled: counts of subsets by their sum, exact in double up to 2^53.
inline double signed_rank_tail(const SignedRanks& ranks, Index w) {
  std::vector<double> subsets(static_cast<std::size_t>(ranks.total + 1), 0.0);
  subsets[0] = 1;
  Index reached = 0;
  for (const Index r : ranks.doubled) {
    reached += r;
    for (Index s = reached; s >= r; --s) subsets[static_cast<std::size_t>(s)] += subsets[static_cast<std::size_t>(s - r)];
  }
  double above = 0;
  for (Index s = std::max<Index>(w, 0); s <= ranks.total; ++s) above += subsets[static_cast<std::size_t>(s)];
  return std::ldexp(above, -static_cast<int>(ranks.doubled.size()));
}

}  // namespace detail

/// Wilcoxon's signed rank test of differences against a symmetric distribution around 0.
/// Statistic W+ = sum of the average ranks of |d| over positive d. Zeros and NaN are left out (Wilcoxon's own rule). Up to 50 differences the p value
/// is exact, given the ties (dynamic programming over doubled ranks); above, the normal approximation with tie correction and without continuity
/// correction. `exact` says which. NaN when no difference is left. Cost: O(n^3) exact, O(n log n) approximate. Source: Wilcoxon 1945, Biometrics
/// Bulletin 1:80.
inline TestResult wilcoxon_signed_rank(std::span<const double> differences, Alternative alternative = Alternative::two_sided) {
  constexpr Index largest_exact = 50;
  const detail::SignedRanks ranks = detail::signed_ranks(differences);
  const Index n = static_cast<Index>(ranks.doubled.size());
  if (n == 0) return {};
  TestResult result{.statistic = static_cast<double>(ranks.positive) / 2, .used = n, .exact = n <= largest_exact};
  if (result.exact) {
    const double greater = detail::signed_rank_tail(ranks, ranks.positive), less = detail::signed_rank_tail(ranks, ranks.total - ranks.positive);
    result.p = alternative == Alternative::greater ? greater : alternative == Alternative::less ? less : std::min(1.0, 2 * std::min(greater, less));
  } else {
    const double m = static_cast<double>(n), variance = m * (m + 1) * (2 * m + 1) / 24 - ranks.ties / 48;
    const double z = (result.statistic - m * (m + 1) / 4) / std::sqrt(variance);
    result.p = detail::symmetric_p(z, alternative, [](double t) { return normal_cdf(-t); });
  }
  return result;
}

/// The same test of a - b. Throws ShapeError when their numbers differ.
inline TestResult wilcoxon_signed_rank(std::span<const double> a, std::span<const double> b, Alternative alternative = Alternative::two_sided) {
  return wilcoxon_signed_rank(detail::paired_differences(a, b, "wilcoxon_signed_rank"), alternative);
}

/// P value of bootstrap samples of an estimate against `against`: (1 + number of samples on the other side) / (1 + samples); two-sided twice the
/// smaller, at most 1. A sample equal to `against` counts as on the other side. NaN samples are left out; NaN for none. Source: Davison, Hinkley
/// 1997, Bootstrap Methods, ch. 4.
inline double bootstrap_p(std::span<const double> samples, double against = 0, Alternative alternative = Alternative::two_sided) {
  Index low = 0, high = 0, count = 0;
  for (const double v : samples)
    if (!std::isnan(v)) low += v <= against, high += v >= against, ++count;
  if (count == 0) return undefined;
  const auto share = [&](Index beyond) { return static_cast<double>(1 + beyond) / static_cast<double>(1 + count); };
  if (alternative == Alternative::greater) return share(low);
  if (alternative == Alternative::less) return share(high);
  return std::min(1.0, 2 * share(std::min(low, high)));
}

/// Quantile q of the values, linear between order statistics (position q (n - 1)). NaN is left out; NaN for none. Throws Error for q outside [0, 1].
inline double quantile(std::span<const double> values, double q) {
  require(0 <= q && q <= 1, "quantile: q is ", q, "; needs 0 <= q <= 1");
  std::vector<double> sorted = detail::without_nan(values);
  if (sorted.empty()) return undefined;
  std::sort(sorted.begin(), sorted.end());
  const double position = q * static_cast<double>(sorted.size() - 1);
  const std::size_t below = static_cast<std::size_t>(position), above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (position - static_cast<double>(below)) * (sorted[above] - sorted[below]);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/correlation.hpp"
#include "ventral/random.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain {

/// Median of the numbers that are not NaN, the mean of the two middle ones when their count is even; NaN when there is none.
inline double median_of_defined(std::span<const double> values) {
  std::vector<double> v;
  for (const double x : values)
    if (!std::isnan(x)) v.push_back(x);
  if (v.empty()) return undefined;
  const std::size_t half = v.size() / 2;
  std::sort(v.begin(), v.end());
  return v.size() % 2 ? v[half] : v[half - 1] + (v[half] - v[half - 1]) / 2;
}

/// How many numbers are NaN.
inline Index count_undefined(std::span<const double> values) {
  return std::count_if(values.begin(), values.end(), [](double v) { return std::isnan(v); });
}

namespace detail {

inline void require_trials(In<double> trials) {
  require<ShapeError>(trials.shape.rank() == 3, "reliability: responses of shape ", trials.shape, "; needs [repetitions,stimuli,sites]");
  require(trials.shape[0] >= 2, "reliability: ", trials.shape[0], " repetitions; at least 2 are needed");
}

inline std::vector<double> column_of(In<double> m, Index j) {
  std::vector<double> column;
  for (Index i = 0; i < m.shape[0]; ++i) column.push_back(m.data[i * m.shape[1] + j]);
  return column;
}

/// Mean [stimuli,sites] over the repetitions that `use(r)` picks, missing trials (NaN) left out; NaN where none is left.
template <class Use>
Tensor<double> mean_of_trials(In<double> trials, Use use) {
  const Index size = trials.shape[1] * trials.shape[2];
  auto first = Tensor<double>::full({trials.shape[1], trials.shape[2]}, undefined);
  Tensor<double> sum(first.shape()), count(first.shape());
  for (Index r = 0; r < trials.shape[0]; ++r) {
    if (!use(r)) continue;
    for (Index i = 0; i < size; ++i) {
      const double v = trials.data[r * size + i];
      if (std::isnan(v)) continue;
      if (count[i] == 0) first[i] = v;
      sum[i] += v - first[i], count[i] += 1;  // differences: exact for a constant site, however many trials are missing
    }
  }
  for (Index i = 0; i < size; ++i) sum[i] = first[i] + (count[i] > 0 ? sum[i] / count[i] : 0.0);
  return sum;
}

}  // namespace detail

/// Mean response of each site to each stimulus, [stimuli,sites]: over repetitions, missing trials (NaN) left out, NaN where all are missing.
/// trials [repetitions,stimuli,sites]. Throws ShapeError on another rank.
inline Tensor<double> mean_over_trials(In<double> trials) {
  require<ShapeError>(trials.shape.rank() == 3, "mean_over_trials: responses of shape ", trials.shape, "; needs [repetitions,stimuli,sites]");
  return detail::mean_of_trials(trials, [](Index) { return true; });
}

/// Pearson correlation over stimuli of each column of a with the same column of b, both [stimuli,sites]; pairs with a NaN are left out, constants are
/// NaN. Throws ShapeError when the shapes differ.
inline std::vector<double> site_correlations(In<double> a, In<double> b) {
  require<ShapeError>(a.shape.rank() == 2 && a.shape == b.shape, "site_correlations: ", a.shape, " against ", b.shape,
                      "; needs the same [stimuli,sites]");
  std::vector<double> r;
  for (Index j = 0; j < a.shape[1]; ++j) r.push_back(pearson(detail::column_of(a, j), detail::column_of(b, j)));
  return r;
}

/// `splits` random divisions of the repetitions into halves, [splits,repetitions]: 1 = first half, 0 = second, which gets the extra one of an odd
/// count. Split i draws from random.fork(i). Throws Error below 2 repetitions or 1 split.
inline Tensor<Index> random_halves(Index repetitions, Index splits, const Random& random) {
  require(repetitions >= 2 && splits >= 1, "random_halves: ", splits, " splits of ", repetitions,
          " repetitions; needs at least 1 split and 2 repetitions");
  Tensor<Index> halves({splits, repetitions});
  for (Index s = 0; s < splits; ++s) {
    Index* const row = halves.data() + s * repetitions;
    std::fill(row, row + repetitions / 2, Index{1});
    random.fork(static_cast<std::uint64_t>(s)).shuffle(row, row + repetitions);
  }
  return halves;
}

/// Split-half reliability of sites; made by split_half_reliability.
struct Reliability {
  Tensor<double> r;               ///< [splits,sites] Pearson over stimuli of the means of the two halves
  Tensor<double> spearman_brown;  ///< [splits,sites] 2r / (1 + r): the reliability of the mean of all repetitions
  std::vector<double> ceiling;    ///< [sites] mean over splits of spearman_brown; NaN when it is undefined in any split
  double median_ceiling = 0;      ///< mean over splits of the median over sites of spearman_brown
  Index undefined_sites = 0;      ///< sites without a ceiling
};

/// Split-half reliability with the Spearman-Brown correction for the halved number of repetitions, 2r / (1 + r).
/// trials [repetitions,stimuli,sites], NaN where a repetition is missing: means are taken of the trials that exist, and a stimulus without any in one
/// half is left out of that site's correlation. halves [splits,repetitions], 1 = first half, 0 = second. A constant site is NaN and counted, so is r
/// = -1. Throws ShapeError when shapes do not fit, Error below 2 repetitions and on a split with an empty half. Source: Spearman 1910; Brown 1910, Br
/// J Psychol 3.
inline Reliability split_half_reliability(In<double> trials, In<Index> halves) {
  detail::require_trials(trials);
  const Index repetitions = trials.shape[0], sites = trials.shape[2];
  require<ShapeError>(halves.shape.rank() == 2 && halves.shape[1] == repetitions && halves.shape[0] >= 1, "reliability: halves ", halves.shape,
                      " of ", repetitions, " repetitions; needs [splits,", repetitions, "]");
  const Index splits = halves.shape[0];
  Reliability result{Tensor<double>({splits, sites}), Tensor<double>({splits, sites}), std::vector<double>(static_cast<std::size_t>(sites), 0.0)};
  for (Index s = 0; s < splits; ++s) {
    const Index* const half = halves.data + s * repetitions;
    const Index first = std::count(half, half + repetitions, Index{1}), second = std::count(half, half + repetitions, Index{0});
    require(first > 0 && second > 0 && first + second == repetitions, "reliability: split ", s, " has ", first,
            " repetitions in the first half (1) and ", second, " in the second (0) of ", repetitions);
    const Tensor<double> a = detail::mean_of_trials(trials, [&](Index r) { return half[r] == 1; });
    const Tensor<double> b = detail::mean_of_trials(trials, [&](Index r) { return half[r] == 0; });
    const std::vector<double> r = site_correlations(a, b);
    double* const corrected = result.spearman_brown.data() + s * sites;
    for (Index j = 0; j < sites; ++j) {
      const double v = r[static_cast<std::size_t>(j)];
      result.r[s * sites + j] = v;
      corrected[j] = v > -1 ? 2 * v / (1 + v) : undefined;
      result.ceiling[static_cast<std::size_t>(j)] += corrected[j] / static_cast<double>(splits);
    }
    result.median_ceiling += median_of_defined({corrected, static_cast<std::size_t>(sites)}) / static_cast<double>(splits);
  }
  result.undefined_sites = count_undefined(result.ceiling);
  return result;
}

}  // namespace ventral::inline v0::brain

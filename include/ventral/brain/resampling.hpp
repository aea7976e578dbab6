#pragma once
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "ventral/brain/comparators.hpp"
#include "ventral/brain/ranks.hpp"
#include "ventral/brain/rdm.hpp"
#include "ventral/random.hpp"

namespace ventral::inline v0::brain {

/// What a bootstrap draws with replacement: the conditions (stimuli), the subjects, or both at once. A population is generalised to only if it is
/// resampled.
enum class Resample { conditions, subjects, both };

inline const char* name(Resample resample) {
  return resample == Resample::conditions ? "conditions" : resample == Resample::subjects ? "subjects" : "conditions and subjects";
}

/// How often each of n things comes up in n draws with replacement; sums to n.
inline std::vector<Index> bootstrap_counts(Index n, Random& random) {
  std::vector<Index> counts(static_cast<std::size_t>(n), 0);
  for (Index i = 0; i < n; ++i) ++counts[static_cast<std::size_t>(random.below(n))];
  return counts;
}

/// How many of the things were drawn at all.
inline Index distinct(std::span<const Index> counts) {
  Index drawn = 0;
  for (const Index c : counts) drawn += c > 0;
  return drawn;
}

/// A bootstrap sample of conditions. Condition i drawn c_i times gives the pair (i,j) c_i c_j times; pairs of twice the same condition do not exist.
/// Nothing is copied and nothing sorted again: each pair of the original RDM gets a multiplicity. Default constructed: every condition once.
struct ConditionSample {
  std::vector<Index> index;                 // the conditions in ascending order, as often as they were drawn; empty: all, once
  std::vector<std::uint32_t> multiplicity;  // c_i c_j of each pair, in the order of Rdm; empty: all 1

  ConditionSample() = default;
  explicit ConditionSample(std::span<const Index> counts) {
    const std::size_t n = counts.size();
    multiplicity.reserve(n * (n - 1) / 2);
    for (std::size_t i = 0; i < n; ++i) {
      index.insert(index.end(), static_cast<std::size_t>(counts[i]), static_cast<Index>(i));
      for (std::size_t j = i + 1; j < n; ++j) multiplicity.push_back(static_cast<std::uint32_t>(counts[i] * counts[j]));
    }
  }
  /// How often pair k counts.
  double weight(std::size_t k) const { return multiplicity.empty() ? 1 : multiplicity[k]; }
};

/// An RDM with its sort kept, to be compared in many samples.
class PreparedRdm {
 public:
  explicit PreparedRdm(Rdm rdm) : rdm_(std::move(rdm)), ranked_(rdm_.values()) {}
  const Rdm& rdm() const { return rdm_; }
  const RankedVector& ranked() const { return ranked_; }

 private:
  Rdm rdm_;
  RankedVector ranked_;
};

inline std::vector<PreparedRdm> prepare(std::span<const Rdm> rdms) {
  std::vector<PreparedRdm> prepared;
  prepared.reserve(rdms.size());
  for (const Rdm& rdm : rdms) prepared.emplace_back(rdm);
  return prepared;
}

/// Similarity of two RDMs in a sample of their conditions: that of the RDMs taken at the drawn conditions, pairs of twice the same condition left
/// out. Tau-a, tau-b, Spearman, rho-a, Pearson and cosine are exact and sort nothing; whitened comparators and Bures expand the two RDMs.
/// NaN pairs are left out. Throws ShapeError when the conditions differ in number. Cost: O(n^2 log n) for n conditions, about 30 us for 92.
inline double compare(const PreparedRdm& a, const PreparedRdm& b, const ConditionSample& sample, Comparator comparator) {
  switch (comparator) {
    case Comparator::corr_cov:
    case Comparator::cosine_cov:
    case Comparator::bures:
      if (sample.index.empty()) return compare(a.rdm(), b.rdm(), comparator);
      return compare(a.rdm().selected(sample.index), b.rdm().selected(sample.index), comparator);
    default: return weighted_compare(a.ranked(), b.ranked(), sample.multiplicity, comparator);
  }
}

/// Variance over bootstrap samples of subjects and conditions at once, corrected for counting the noise twice:
///   v = ns/(ns - 1) vs + nc/(nc - 1) vc - ns nc/((ns - 1)(nc - 1)) (vsc - vs - vc),
/// then at least the larger of the first two terms, then at most vsc. vs, vc, vsc: variances in samples of subjects, of conditions, of both; ns, nc:
/// their numbers. Resampling both adds the interaction (and the measurement noise) to each of the two factors' variances, so that vsc itself is too
/// large. The formula is unbiased for sums of subject, condition and interaction effects; the bounds, the source's too, make it low where there is
/// hardly an interaction (by 12 to 17 % with 4 subjects) and high where there is little else (by up to 40 %). Source: Schuett, Kipnis, Diedrichsen,
/// Kriegeskorte 2023, eLife 12:e82566.
inline double two_factor_variance(double both, double subjects, double conditions, Index subject_count, Index condition_count) {
  const double ns = static_cast<double>(subject_count), nc = static_cast<double>(condition_count), fs = ns / (ns - 1), fc = nc / (nc - 1);
  const double corrected = fs * subjects + fc * conditions - fs * fc * (both - subjects - conditions);
  return std::min(std::max({corrected, fs * subjects, fc * conditions}), both);
}

/// Variance (n - 1) of the values that are not NaN; NaN for fewer than two.
inline double sample_variance(std::span<const double> values) {
  double count = 0, mean = 0, squares = 0;
  for (const double v : values)
    if (!std::isnan(v)) {
      const double step = v - mean;
      mean += step / ++count;
      squares += step * (v - mean);
    }
  return count < 2 ? undefined : squares / (count - 1);
}

}  // namespace ventral::inline v0::brain

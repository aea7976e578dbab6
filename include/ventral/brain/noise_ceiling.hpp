#pragma once
#include <cmath>
#include <span>
#include <vector>

#include "ventral/brain/resampling.hpp"

namespace ventral::inline v0::brain {

/// How well any model could do, given how much the subjects' RDMs differ: below `lower` a model leaves explainable
/// variance, above `upper` none can come.
struct NoiseCeiling {
  double lower = undefined, upper = undefined;
};

/// How the subjects' RDMs become the one that stands for the best model.
/// ranked_again: mean of the RDMs normalised as the comparator does, compared by the comparator, which ranks it again if it ranks. Rank comparators
/// take   ranks; pearson and corr_cov z scores; cosine, cosine_cov and bures values divided by their root mean square.
/// raw_mean: the plain mean of the RDMs.
/// bound: spearman only: Pearson of the z-scored ranks with their mean, not ranked again: a true upper bound (Nili 2014).
enum class CeilingPool { ranked_again, raw_mean, bound };

inline const char* name(CeilingPool pool) {
  return pool == CeilingPool::ranked_again ? "ranked_again" : pool == CeilingPool::raw_mean ? "raw_mean" : "bound";
}

struct CeilingOptions {
  CeilingPool pool = CeilingPool::ranked_again;
  std::vector<Index> groups = {};  // subject of each RDM, any labels; RDMs of one subject (its sessions) are left out together. Empty: one RDM each
};

/// The RDMs of each subject, in the order in which the labels first appear.
using SubjectGroups = std::vector<std::vector<Index>>;

/// Groups from one label for each RDM; no labels: each RDM is a subject. Throws ShapeError when there are labels but not one for each.
inline SubjectGroups subject_groups(Index rdms, std::span<const Index> labels) {
  require<ShapeError>(labels.empty() || static_cast<Index>(labels.size()) == rdms, "groups: ", labels.size(), " labels for ", rdms,
                      " RDMs; one for each is needed");
  SubjectGroups groups;
  std::vector<Index> found;
  for (Index r = 0; r < rdms; ++r) {
    const Index label = labels.empty() ? r : labels[static_cast<std::size_t>(r)];
    std::size_t g = 0;
    while (g < found.size() && found[g] != label) ++g;
    if (g == found.size()) found.push_back(label), groups.emplace_back();
    groups[g].push_back(r);
  }
  return groups;
}

/// The two ceilings of each subject: similarity with the pool of the other subjects, and with the pool of all.
struct SubjectCeilings {
  std::vector<double> lower, upper;
};

namespace detail {

/// Average ranks within a sample, from the sort that is there; NaN for pairs that are NaN or not in the sample.
inline std::vector<double> ranks_in_sample(const RankedVector& x, const ConditionSample& sample) {
  std::vector<std::uint32_t> used(static_cast<std::size_t>(x.size()));
  double total = 0;
  for (std::size_t k = 0; k < used.size(); ++k) {
    used[k] = x.ranks()[k] == RankedVector::no_rank ? 0 : sample.multiplicity.empty() ? 1 : sample.multiplicity[k];
    total += used[k];
  }
  std::vector<double> ranks = centred_ranks(x, used);
  for (std::size_t k = 0; k < used.size(); ++k) ranks[k] = used[k] ? (ranks[k] + total + 1) / 2 : undefined;
  return ranks;
}

/// (v - mean) / sd if `centre`, else v / root mean square, over the sample; sd with n. All NaN for a constant (zero) vector.
inline std::vector<double> scaled_in_sample(std::span<const double> v, const ConditionSample& sample, bool centre) {
  double total = 0, sum = 0, squares = 0, first = 0;  // sums of differences from the first value: exactly 0 for a constant
  const auto counts = [&](std::size_t k) { return !std::isnan(v[k]) && sample.weight(k) > 0; };
  for (std::size_t k = 0; k < v.size(); ++k) {
    if (!counts(k)) continue;
    if (total == 0) first = v[k];
    total += sample.weight(k), sum += sample.weight(k) * (v[k] - first);
  }
  const double mean = centre ? first + sum / total : 0;
  for (std::size_t k = 0; k < v.size(); ++k)
    if (counts(k)) squares += sample.weight(k) * (v[k] - mean) * (v[k] - mean);
  const double scale = std::sqrt(squares / total);
  std::vector<double> out(v.size(), undefined);
  for (std::size_t k = 0; k < v.size(); ++k)
    if (counts(k) && scale > 0) out[k] = (v[k] - mean) / scale;
  return out;
}

/// An RDM as it enters the pool.
inline std::vector<double> normalised_for_pool(const PreparedRdm& x, const ConditionSample& sample, Comparator comparator, CeilingPool pool) {
  if (pool == CeilingPool::raw_mean) return {x.rdm().values().begin(), x.rdm().values().end()};
  if (pool == CeilingPool::bound) return scaled_in_sample(ranks_in_sample(x.ranked(), sample), sample, true);
  switch (comparator) {
    case Comparator::pearson:
    case Comparator::corr_cov: return scaled_in_sample(x.rdm().values(), sample, true);
    case Comparator::cosine:
    case Comparator::cosine_cov:
    case Comparator::bures: return scaled_in_sample(x.rdm().values(), sample, false);
    default: return ranks_in_sample(x.ranked(), sample);
  }
}

/// Mean of the normalised RDMs of the drawn subjects but one, over those that have the pair; NaN where none has it.
inline Rdm pool_rdms(std::span<const std::vector<double>> normalised, const SubjectGroups& groups, std::span<const Index> draws,
                     std::size_t left_out) {
  const std::size_t pairs = normalised[static_cast<std::size_t>(groups[left_out == 0 ? groups.size() - 1 : 0][0])].size();
  std::vector<double> sum(pairs, 0.0), weight(pairs, 0.0);
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (g == left_out || draws[g] == 0) continue;
    const double drawn = static_cast<double>(draws[g]);
    for (const Index r : groups[g]) {
      const std::vector<double>& from = normalised[static_cast<std::size_t>(r)];
      for (std::size_t k = 0; k < pairs; ++k) {
        const bool defined = !std::isnan(from[k]);
        sum[k] += defined ? drawn * from[k] : 0.0;
        weight[k] += defined ? drawn : 0.0;
      }
    }
  }
  for (std::size_t k = 0; k < pairs; ++k) sum[k] /= weight[k];  // 0/0 is NaN
  return Rdm(std::move(sum));
}

/// Ceilings of the subjects drawn (draws[g] times each, copies left out together) in a sample of conditions; NaN for those not drawn, and for all
/// when only one is.
inline SubjectCeilings ceilings_in_sample(std::span<const PreparedRdm> rdms, const SubjectGroups& groups, std::span<const Index> draws,
                                          const ConditionSample& sample, Comparator comparator, CeilingPool pool) {
  SubjectCeilings ceilings{std::vector<double>(groups.size(), undefined), std::vector<double>(groups.size(), undefined)};
  if (distinct(draws) < 2) return ceilings;
  std::vector<std::vector<double>> normalised;
  for (const PreparedRdm& rdm : rdms) normalised.push_back(normalised_for_pool(rdm, sample, comparator, pool));
  std::vector<PreparedRdm> scored;
  if (pool == CeilingPool::bound)
    for (const std::vector<double>& z : normalised) scored.emplace_back(Rdm(z));
  const std::span<const PreparedRdm> targets = scored.empty() ? rdms : std::span<const PreparedRdm>(scored);
  const Comparator by = scored.empty() ? comparator : Comparator::pearson;
  const auto similarity = [&](const PreparedRdm& pooled, std::size_t g) {
    double sum = 0;
    for (const Index r : groups[g]) sum += compare(pooled, targets[static_cast<std::size_t>(r)], sample, by);
    return sum / static_cast<double>(groups[g].size());
  };
  const PreparedRdm everyone(pool_rdms(normalised, groups, draws, groups.size()));
  for (std::size_t g = 0; g < groups.size(); ++g) {
    if (draws[g] == 0) continue;
    ceilings.lower[g] = similarity(PreparedRdm(pool_rdms(normalised, groups, draws, g)), g);
    ceilings.upper[g] = similarity(everyone, g);
  }
  return ceilings;
}

/// Mean of the values, each as often as drawn; values of what was not drawn do not matter.
inline double drawn_mean(std::span<const double> values, std::span<const Index> draws) {
  double sum = 0, total = 0;
  for (std::size_t g = 0; g < draws.size(); ++g)
    if (draws[g] > 0) sum += static_cast<double>(draws[g]) * values[g], total += static_cast<double>(draws[g]);
  return sum / total;
}

inline void require_subjects(const char* what, std::span<const Rdm> subjects) {
  require(!subjects.empty(), what, ": no subject RDMs");
  const Index n = subjects[0].conditions();
  for (std::size_t s = 1; s < subjects.size(); ++s)
    require<ShapeError>(subjects[s].conditions() == n, what, ": subject RDM ", s, " has ", subjects[s].conditions(),
                        " conditions; subject RDM 0 has ", n);
  require<ShapeError>(n >= 3, what, ": ", n, " conditions; at least 3 are needed");
}

inline void require_pool(const char* what, Comparator comparator, CeilingPool pool) {
  require(pool != CeilingPool::bound || comparator == Comparator::spearman, what, ": pool bound is defined for spearman; the comparator is ",
          name(comparator));
}

}  // namespace detail

/// Noise ceiling of each subject: lower = similarity with the pool of the other subjects, upper = with the pool of all, mean over the subject's RDMs.
/// Pool: see CeilingPool, over the subjects that have the pair. Subjects in the order of their first RDM.
/// NaN where the comparator is undefined. Throws Error for fewer than two subjects, for pool bound without spearman; ShapeError for fewer than three
/// conditions, differing numbers of conditions, or not one group label for each RDM. Cost: subjects + 1 sorts, 2 comparisons for each RDM.
inline SubjectCeilings subject_ceilings(std::span<const Rdm> subjects, Comparator comparator, const CeilingOptions& options = {}) {
  detail::require_subjects("noise_ceiling", subjects);
  detail::require_pool("noise_ceiling", comparator, options.pool);
  const SubjectGroups groups = subject_groups(static_cast<Index>(subjects.size()), options.groups);
  require(groups.size() >= 2, "noise_ceiling: ", groups.size(), " subject; at least 2 are needed");
  const std::vector<Index> once(groups.size(), 1);
  return detail::ceilings_in_sample(prepare(subjects), groups, once, {}, comparator, options.pool);
}

/// Noise ceiling of a group of subjects: means over subjects of subject_ceilings, which see. `lower` underestimates and `upper` overestimates what
/// the true model would reach. Source: Nili et al. 2014, PLoS Comput Biol 10:e1003553.
inline NoiseCeiling noise_ceiling(std::span<const Rdm> subjects, Comparator comparator, const CeilingOptions& options = {}) {
  const SubjectCeilings each = subject_ceilings(subjects, comparator, options);
  const std::vector<Index> once(each.lower.size(), 1);
  return {detail::drawn_mean(each.lower, once), detail::drawn_mean(each.upper, once)};
}

/// Similarity of one model with each subject: the mean over the subject's RDMs (sessions). Errors as subject_ceilings, for one subject and more.
inline std::vector<double> subject_scores(const Rdm& model, std::span<const Rdm> subjects, Comparator comparator,
                                          std::span<const Index> labels = {}) {
  detail::require_subjects("subject_scores", subjects);
  require<ShapeError>(model.conditions() == subjects[0].conditions(), "subject_scores: the model has ", model.conditions(),
                      " conditions; the subjects have ", subjects[0].conditions());
  const PreparedRdm prepared(model);
  const SubjectGroups groups = subject_groups(static_cast<Index>(subjects.size()), labels);
  std::vector<double> scores;
  for (const std::vector<Index>& group : groups) {
    double sum = 0;
    for (const Index r : group) sum += compare(prepared, PreparedRdm(subjects[static_cast<std::size_t>(r)]), {}, comparator);
    scores.push_back(sum / static_cast<double>(group.size()));
  }
  return scores;
}

}  // namespace ventral::inline v0::brain

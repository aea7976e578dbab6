#pragma once
#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "ventral/brain/inference.hpp"
#include "ventral/brain/nnls.hpp"
#include "ventral/cpu/parallel.hpp"

namespace ventral::inline v0::brain {

struct WeightedModelOptions {
  Comparator comparator = Comparator::tau_a;  // what held-out data are scored by
  Index folds = 5;                            // of conditions; each is held out with each subject
  Index inner_folds = 3;                      // of the training conditions, to choose the penalty
  std::vector<double> penalties = {0, 0.01, 0.1, 1};  // on the squared weights, in units of the pairs' mean square; one: no inner loop
  std::uint64_t seed = 1;
  std::vector<Index> groups = {};             // subject of each RDM, when subjects have several; empty: one each
};

/// One fold: weights fitted without its conditions and without its subject.
struct WeightedFold {
  Index fold = 0, subject = 0;
  double score = undefined, penalty = 0;
  std::vector<double> weights = {};  // of each model's RDM as given, >= 0
};

/// What evaluate_weighted_model found.
struct WeightedEvaluation {
  double mean = undefined;              // over subjects
  std::vector<double> subjects = {};    // each the mean over its folds
  std::vector<double> weights = {};     // mean over folds, each fold's weights scaled to sum to 1
  std::vector<WeightedFold> folds = {};
};

namespace detail {

/// Conditions cut at random into k parts that differ by at most one in size; each part ascending.
inline std::vector<std::vector<Index>> condition_folds(std::span<const Index> conditions, Index k, Random random) {
  std::vector<Index> order(conditions.begin(), conditions.end());
  random.shuffle(order.begin(), order.end());
  std::vector<std::vector<Index>> folds(static_cast<std::size_t>(k));
  for (std::size_t i = 0; i < order.size(); ++i) folds[i % folds.size()].push_back(order[i]);
  for (std::vector<Index>& fold : folds) std::sort(fold.begin(), fold.end());
  return folds;
}

inline std::vector<Index> without(std::span<const Index> from, std::span<const Index> removed) {
  std::vector<Index> kept;
  for (const Index i : from)
    if (std::find(removed.begin(), removed.end(), i) == removed.end()) kept.push_back(i);
  return kept;
}

/// The RDMs, their subjects and the comparator: what fits and scores need.
struct WeightedStudy {
  std::span<const ModelRdm> models;
  std::span<const Rdm> rdms;
  SubjectGroups groups;
  Comparator comparator;
};

/// Mean RDM of some subjects at some conditions: each RDM divided by its root mean square, mean within and then over subjects, over those that have
/// the pair.
inline std::vector<double> mean_rdm(const WeightedStudy& study, std::span<const Index> subjects, std::span<const Index> conditions) {
  std::vector<double> mean, weight;
  for (const Index g : subjects) {
    const std::vector<Index>& group = study.groups[static_cast<std::size_t>(g)];
    for (const Index r : group) {
      const std::vector<double> scaled = scaled_in_sample(study.rdms[static_cast<std::size_t>(r)].selected(conditions).values(), {}, false);
      mean.resize(scaled.size(), 0.0), weight.resize(scaled.size(), 0.0);
      for (std::size_t k = 0; k < scaled.size(); ++k)
        if (!std::isnan(scaled[k])) mean[k] += scaled[k] / static_cast<double>(group.size()), weight[k] += 1 / static_cast<double>(group.size());
    }
  }
  for (std::size_t k = 0; k < mean.size(); ++k) mean[k] /= weight[k];
  return mean;
}

/// Whether adding a constant to an RDM leaves the comparator as it is, so that a fit may leave it open.
inline bool ignores_offset(Comparator c) { return c != Comparator::cosine && c != Comparator::cosine_cov && c != Comparator::bures; }

/// The fit's normal equations over the pairs that all have: models and target, centred where the comparator allows, models scaled to mean square 1.
struct WeightedFit {
  Tensor<double> gram;
  std::vector<double> projection, scale;
};

inline WeightedFit prepare_fit(const WeightedStudy& study, std::span<const Index> subjects, std::span<const Index> conditions) {
  const Index k = static_cast<Index>(study.models.size());
  std::vector<std::vector<double>> columns;
  for (const ModelRdm& model : study.models) {
    const Rdm selected = model.rdm.selected(conditions);
    columns.emplace_back(selected.values().begin(), selected.values().end());
  }
  columns.push_back(mean_rdm(study, subjects, conditions));
  for (std::size_t p = 0; p < columns[0].size(); ++p) {
    bool missing = false;
    for (const std::vector<double>& c : columns) missing = missing || std::isnan(c[p]);
    if (missing)
      for (std::vector<double>& c : columns) c[p] = undefined;
  }
  for (std::vector<double>& c : columns) c = without_nan(c);
  const double pairs = static_cast<double>(columns[0].size());
  WeightedFit fit{Tensor<double>({k, k}), std::vector<double>(static_cast<std::size_t>(k), 0.0), {}};
  for (std::vector<double>& c : columns) {
    const double mean = ignores_offset(study.comparator) ? mean_of(c) : 0;
    double squares = 0;
    for (double& v : c) v -= mean, squares += v * v;
    const double scale = squares > 0 ? std::sqrt(squares / pairs) : 1;  // a constant model is a column of zeros: weight 0
    for (double& v : c) v /= scale;
    fit.scale.push_back(scale);
  }
  const auto product = [&](Index i, Index j) {
    double sum = 0;
    for (std::size_t p = 0; p < columns[0].size(); ++p) sum += columns[static_cast<std::size_t>(i)][p] * columns[static_cast<std::size_t>(j)][p];
    return sum / pairs;
  };
  for (Index i = 0; i < k; ++i) {
    fit.projection[static_cast<std::size_t>(i)] = product(i, k);
    for (Index j = 0; j < k; ++j) fit.gram[i * k + j] = product(i, j);
  }
  return fit;
}

/// Weights of the RDMs as given, at one penalty.
inline std::vector<double> fit_weights(const WeightedFit& fit, double penalty) {
  const Index k = fit.gram.dim(0);
  Tensor<double> gram = fit.gram.clone();
  for (Index i = 0; i < k; ++i) gram[i * k + i] += penalty;
  std::vector<double> weights = nnls_normal(gram, fit.projection);
  for (std::size_t i = 0; i < weights.size(); ++i) weights[i] *= fit.scale.back() / fit.scale[i];
  return weights;
}

/// Similarity of the weighted sum of models with one subject at held-out conditions, mean over the subject's RDMs.
inline double score_weights(const WeightedStudy& study, std::span<const double> weights, Index subject, std::span<const Index> conditions) {
  Rdm sum(static_cast<Index>(conditions.size()));
  for (std::size_t m = 0; m < weights.size(); ++m) {
    if (weights[m] == 0) continue;
    const Rdm part = study.models[m].rdm.selected(conditions);
    for (std::size_t p = 0; p < sum.values().size(); ++p) sum.values()[p] += weights[m] * part.values()[p];
  }
  double total = 0;
  const std::vector<Index>& group = study.groups[static_cast<std::size_t>(subject)];
  for (const Index r : group) total += compare(sum, study.rdms[static_cast<std::size_t>(r)].selected(conditions), study.comparator);
  return total / static_cast<double>(group.size());
}

/// The penalty that scores best on inner folds: training conditions held out, one training subject held out with them (of a single one only the
/// conditions).
inline double choose_penalty(const WeightedStudy& study, std::span<const Index> subjects, std::span<const Index> conditions,
                             const WeightedModelOptions& options, Random random) {
  if (options.penalties.size() == 1) return options.penalties[0];
  std::vector<double> total(options.penalties.size(), 0.0);
  for (const std::vector<Index>& fold : condition_folds(conditions, options.inner_folds, random))
    for (const Index subject : subjects) {
      const std::vector<Index> others = subjects.size() == 1 ? std::vector<Index>{subject} : without(subjects, std::vector<Index>{subject});
      const WeightedFit fit = prepare_fit(study, others, without(conditions, fold));
      for (std::size_t p = 0; p < total.size(); ++p) {
        const double score = score_weights(study, fit_weights(fit, options.penalties[p]), subject, fold);
        total[p] += std::isnan(score) ? 0 : score;  // no weight above 0 predicts nothing
      }
    }
  return options.penalties[static_cast<std::size_t>(std::max_element(total.begin(), total.end()) - total.begin())];
}

inline void require_weighted(std::span<const ModelRdm> models, std::span<const Rdm> subjects, const WeightedModelOptions& options) {
  require_evaluable("evaluate_weighted_model", models, subjects);
  require(!options.penalties.empty(), "evaluate_weighted_model: no penalties");
  for (const double penalty : options.penalties) require(penalty >= 0, "evaluate_weighted_model: penalty ", penalty, "; needs at least 0");
  require(options.folds >= 2 && options.inner_folds >= 2, "evaluate_weighted_model: ", options.folds, " folds and ", options.inner_folds,
          " inner folds; needs at least 2 of each");
  const Index n = subjects[0].conditions(), training = n - (n + options.folds - 1) / options.folds;
  const Index needed = options.penalties.size() == 1 ? 3 : 3 * options.inner_folds;
  require<ShapeError>(n / options.folds >= 3 && training >= needed, "evaluate_weighted_model: ", n, " conditions for ", options.folds, " folds and ",
                      options.inner_folds, " inner folds; each fold needs at least 3");
}

}  // namespace detail

/// How well a non-negative weighted sum of models' RDMs predicts new subjects at new conditions, by nested cross-validation.
/// For each fold of conditions and each subject: w >= 0 with the smallest mean (d - sum_m w_m d_m)^2 + penalty |w|^2, d the mean RDM of the other
/// subjects over pairs of the other conditions, models scaled to mean square 1 (d and the models centred unless the comparator is cosine, cosine_cov
/// or bures); the score compares sum_m w_m d_m with the
/// held-out subject over pairs within the held-out conditions. The penalty is chosen the same way within the training data only: nothing that is
/// scored was seen by a fit or a choice. Undefined: the score of a fold whose weights are all 0 under a comparator that is NaN for a constant; means
/// leave such folds out. Throws Error for no models, no subjects, fewer than two subjects, no penalty or a negative one, fewer than two folds;
/// ShapeError for differing numbers of conditions (the model is named) and fewer than three conditions to a fold. Cost: folds x subjects x (1 + inner
/// folds x training subjects) fits of models^2 x pairs, in parallel; same bits on any threads.
/// Source: Khaligh-Razavi, Kriegeskorte 2014, PLoS Comput Biol 10:e1003915 (weighted models); Lawson, Hanson 1974 (non-negative least squares).
inline WeightedEvaluation evaluate_weighted_model(std::span<const ModelRdm> models, std::span<const Rdm> subjects,
                                                  const WeightedModelOptions& options = {}) {
  detail::require_weighted(models, subjects, options);
  const detail::WeightedStudy study{models, subjects, subject_groups(static_cast<Index>(subjects.size()), options.groups), options.comparator};
  const Index people = static_cast<Index>(study.groups.size());
  require(people >= 2, "evaluate_weighted_model: ", people, " subject; at least 2 are needed");
  std::vector<Index> all(static_cast<std::size_t>(subjects[0].conditions())), everyone(study.groups.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = static_cast<Index>(i);
  for (std::size_t g = 0; g < everyone.size(); ++g) everyone[g] = static_cast<Index>(g);
  const Random random(options.seed);
  const std::vector<std::vector<Index>> folds = detail::condition_folds(all, options.folds, random);

  WeightedEvaluation e;
  e.folds.resize(folds.size() * everyone.size());
  cpu::parallel_for(static_cast<Index>(e.folds.size()), [&](Index i) {
    WeightedFold& out = e.folds[static_cast<std::size_t>(i)];
    out.fold = i / people, out.subject = i % people;
    const std::vector<Index>& held_out = folds[static_cast<std::size_t>(out.fold)];
    const std::vector<Index> training = detail::without(all, held_out), others = detail::without(everyone, std::vector<Index>{out.subject});
    out.penalty = detail::choose_penalty(study, others, training, options, random.fork(static_cast<std::uint64_t>(i)));
    out.weights = detail::fit_weights(detail::prepare_fit(study, others, training), out.penalty);
    out.score = detail::score_weights(study, out.weights, out.subject, held_out);
  });
  e.weights.assign(models.size(), 0.0);
  std::vector<std::vector<double>> scores(everyone.size());
  for (const WeightedFold& fold : e.folds) {
    double sum = 0;
    for (const double w : fold.weights) sum += w;
    for (std::size_t m = 0; m < models.size() && sum > 0; ++m) e.weights[m] += fold.weights[m] / sum / static_cast<double>(e.folds.size());
    if (!std::isnan(fold.score)) scores[static_cast<std::size_t>(fold.subject)].push_back(fold.score);
  }
  for (const std::vector<double>& of_subject : scores) e.subjects.push_back(detail::mean_of(of_subject));
  e.mean = detail::mean_of(e.subjects);
  return e;
}

}  // namespace ventral::inline v0::brain

#pragma once
#include <map>
#include <span>
#include <vector>

#include "ventral/brain/noise_ceiling.hpp"
#include "ventral/cpu/parallel.hpp"

namespace ventral::inline v0::brain {

/// Models and subjects, sorted once, with what is needed to score the models in any resample.
struct Study {
  std::vector<PreparedRdm> models = {}, subjects = {};
  SubjectGroups groups = {};
  Comparator comparator = Comparator::tau_a;
  CeilingPool pool = CeilingPool::ranked_again;

  Index conditions() const { return subjects[0].rdm().conditions(); }
  Index columns() const { return static_cast<Index>(models.size()) + 2; }  // the models, lower and upper ceiling
};

/// Bootstrap samples of the mean over subjects: row i of [samples, models + 2] is sample i, the last two columns the noise ceiling.
/// A row is NaN when its conditions are fewer than three different ones (counted in left_out); its ceiling when it draws one subject only.
/// Samples of subjects, of conditions and of both use the same draws. What was not asked for is empty.
struct BootstrapSamples {
  Tensor<double> both = {}, subjects = {}, conditions = {};
  Index left_out = 0;
};

namespace detail {

constexpr Index fewest_conditions = 3;

/// Mean of each model with each subject in a sample of conditions, [models, subjects].
inline Tensor<double> scores_in_sample(const Study& study, const ConditionSample& sample) {
  const Index subjects = static_cast<Index>(study.groups.size());
  Tensor<double> scores({static_cast<Index>(study.models.size()), subjects});
  double* out = scores.data();
  for (const PreparedRdm& model : study.models)
    for (const std::vector<Index>& group : study.groups) {
      double sum = 0;
      for (const Index r : group) sum += compare(model, study.subjects[static_cast<std::size_t>(r)], sample, study.comparator);
      *out++ = sum / static_cast<double>(group.size());
    }
  return scores;
}

/// One row of samples: models, lower and upper ceiling.
inline void write_row(double* row, const Tensor<double>& scores, const SubjectCeilings& ceilings, std::span<const Index> draws) {
  const Index models = scores.dim(0), subjects = scores.dim(1);
  for (Index m = 0; m < models; ++m) row[m] = drawn_mean({scores.data() + m * subjects, static_cast<std::size_t>(subjects)}, draws);
  row[models] = drawn_mean(ceilings.lower, draws);
  row[models + 1] = drawn_mean(ceilings.upper, draws);
}

/// The draws of sample i: conditions first, then subjects, whichever of them are used.
struct Draws {
  std::vector<Index> conditions, subjects;
};

inline Draws draws_of_sample(const Study& study, const Random& random, Index i) {
  Random own = random.fork(static_cast<std::uint64_t>(i));
  Draws draws;
  draws.conditions = bootstrap_counts(study.conditions(), own);
  draws.subjects = bootstrap_counts(static_cast<Index>(study.groups.size()), own);
  return draws;
}

/// Ceilings over all conditions depend only on how often each subject is drawn: each different draw is computed once.
inline std::vector<SubjectCeilings> ceilings_of_draws(const Study& study, const std::vector<Draws>& draws, std::vector<std::size_t>& which) {
  std::map<std::vector<Index>, std::size_t> place;
  std::vector<const std::vector<Index>*> different;
  for (const Draws& d : draws) {
    const auto [at, fresh] = place.try_emplace(d.subjects, place.size());
    if (fresh) different.push_back(&at->first);
    which.push_back(at->second);
  }
  std::vector<SubjectCeilings> ceilings(different.size());
  cpu::parallel_for(static_cast<Index>(different.size()), [&](Index i) {
    const std::size_t at = static_cast<std::size_t>(i);
    ceilings[at] = ceilings_in_sample(study.subjects, study.groups, *different[at], {}, study.comparator, study.pool);
  });
  return ceilings;
}

}  // namespace detail

/// Bootstrap of a study: sample i draws conditions and subjects from random.fork(i), so that the samples are the same bits for any number of threads.
/// Resample::both also gives the samples of either alone, which the two-factor correction needs. Draws of subjects weight the means over subjects.
/// Cost: per sample models x subjects comparisons (shared by both and conditions) and, for each set, a ceiling of subjects + 1 sorts; parallel over
/// samples.
inline BootstrapSamples bootstrap(const Study& study, Resample resample, Index samples, const Random& random) {
  BootstrapSamples result;
  const Shape shape{samples, study.columns()};
  const bool by_subject = resample != Resample::conditions, by_condition = resample != Resample::subjects;
  std::vector<detail::Draws> draws;
  for (Index i = 0; i < samples; ++i) draws.push_back(detail::draws_of_sample(study, random, i));
  if (by_subject) {
    result.subjects = Tensor<double>(shape);
    std::vector<std::size_t> which;
    const Tensor<double> scores = detail::scores_in_sample(study, {});
    const std::vector<SubjectCeilings> ceilings = detail::ceilings_of_draws(study, draws, which);
    for (std::size_t i = 0; i < draws.size(); ++i)
      detail::write_row(result.subjects.data() + static_cast<Index>(i) * shape[1], scores, ceilings[which[i]], draws[i].subjects);
  }
  if (!by_condition) return result;
  result.conditions = Tensor<double>::full(shape, undefined);
  if (by_subject) result.both = Tensor<double>::full(shape, undefined);
  const std::vector<Index> once(study.groups.size(), 1);
  cpu::parallel_for(samples, [&](Index i) {
    const detail::Draws& draw = draws[static_cast<std::size_t>(i)];
    if (distinct(draw.conditions) < detail::fewest_conditions) return;
    const ConditionSample sample(draw.conditions);
    const Tensor<double> scores = detail::scores_in_sample(study, sample);
    const auto fill = [&](Tensor<double>& rows, std::span<const Index> subjects) {
      const SubjectCeilings ceilings = detail::ceilings_in_sample(study.subjects, study.groups, subjects, sample, study.comparator, study.pool);
      detail::write_row(rows.data() + i * shape[1], scores, ceilings, subjects);
    };
    fill(result.conditions, once);
    if (by_subject) fill(result.both, draw.subjects);
  });
  for (const detail::Draws& d : draws) result.left_out += distinct(d.conditions) < detail::fewest_conditions;
  if (by_subject)  // the same samples in all three
    for (std::size_t i = 0; i < draws.size(); ++i)
      if (distinct(draws[i].conditions) < detail::fewest_conditions)
        for (Index c = 0; c < shape[1]; ++c) result.subjects[static_cast<Index>(i) * shape[1] + c] = undefined;
  return result;
}

}  // namespace ventral::inline v0::brain

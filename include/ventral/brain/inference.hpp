#pragma once
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <vector>

#include "ventral/brain/dual_bootstrap.hpp"
#include "ventral/brain/hypothesis_tests.hpp"
#include "ventral/brain/multiple_testing.hpp"

namespace ventral::inline v0::brain {

/// A model's prediction.
struct ModelRdm {
  std::string name;
  Rdm rdm;
};

/// Where p values come from. t: estimate / bootstrap standard error, with n - 1 degrees of freedom, n the smaller number of what was resampled
/// (Schuett 2023). wilcoxon: signed rank test over subjects. bootstrap: share of bootstrap samples on the other side.
enum class ModelTest { t, wilcoxon, bootstrap };

inline const char* name(ModelTest test) {
  return test == ModelTest::t ? "t test" : test == ModelTest::wilcoxon ? "Wilcoxon signed rank test over subjects" : "bootstrap test";
}

struct InferenceOptions {
  Comparator comparator = Comparator::tau_a;
  Index samples = 1000;
  std::uint64_t seed = 1;
  Resample resample = Resample::both;
  ModelTest test = ModelTest::t;
  double confidence = 0.95;
  CeilingPool pool = CeilingPool::ranked_again;
  std::vector<Index> groups = {};  // subject of each RDM, when subjects have several (sessions); empty: one each
};

/// One model: mean over subjects with its uncertainty, and its tests. _adjusted: for the false discovery rate over the models.
struct ModelScore {
  std::string name = {};
  double mean = undefined, standard_error = undefined, low = undefined, high = undefined;  // low, high: confidence interval
  double p_zero = undefined, p_zero_adjusted = undefined;                                  // one-sided: mean > 0
  double p_ceiling = undefined, p_ceiling_adjusted = undefined;                            // two-sided: mean != lower ceiling
  std::vector<double> subjects = {};                                                       // score with each subject
};

/// Two models: difference of the means first - second; two-sided p, also adjusted for the false discovery rate over all pairs.
struct ModelPair {
  Index first = 0, second = 0;
  double difference = undefined, standard_error = undefined, p = undefined, p_adjusted = undefined;
};

/// What evaluate_models found.
struct Evaluation {
  InferenceOptions options = {};
  Index conditions = 0, subjects = 0;
  std::vector<ModelScore> models = {};
  std::vector<ModelPair> pairs = {};  // (0,1), (0,2), ..., (1,2), ...
  NoiseCeiling ceiling = {}, ceiling_standard_error = {};
  double degrees_of_freedom = 0;  // of the t test and the t intervals
  Index left_out = 0;             // bootstrap samples with fewer than three different conditions, not used
  BootstrapSamples bootstrap = {};  // every sample; columns: the models, lower and upper ceiling

  /// The samples of what was resampled, [samples, models + 2].
  const Tensor<double>& samples() const {
    return options.resample == Resample::both ? bootstrap.both : options.resample == Resample::subjects ? bootstrap.subjects : bootstrap.conditions;
  }
};

namespace detail {

/// Column `plus` of the samples, minus column `minus` unless that is negative.
inline std::vector<double> contrast(const Tensor<double>& samples, Index plus, Index minus) {
  if (samples.empty()) return {};
  std::vector<double> values(static_cast<std::size_t>(samples.dim(0)));
  for (Index i = 0; i < samples.dim(0); ++i) {
    const double* row = samples.data() + i * samples.dim(1);
    values[static_cast<std::size_t>(i)] = row[plus] - (minus < 0 ? 0 : row[minus]);
  }
  return values;
}

/// Standard error of a contrast: bootstrap variance times n/(n - 1), or the two-factor variance.
inline double standard_error_of(const Evaluation& e, Index plus, Index minus = -1) {
  const auto variance = [&](const Tensor<double>& samples) { return sample_variance(contrast(samples, plus, minus)); };
  const BootstrapSamples& b = e.bootstrap;
  if (e.options.resample == Resample::both)
    return std::sqrt(two_factor_variance(variance(b.both), variance(b.subjects), variance(b.conditions), e.subjects, e.conditions));
  const double n = static_cast<double>(e.options.resample == Resample::subjects ? e.subjects : e.conditions);
  return std::sqrt(n / (n - 1) * variance(e.samples()));
}

/// P value of column `plus` (minus column `minus`), by the test chosen; `each` are the subjects' values for Wilcoxon's.
inline double p_of(const Evaluation& e, double estimate, Index plus, Index minus, std::span<const double> each, Alternative alternative) {
  switch (e.options.test) {
    case ModelTest::wilcoxon: return wilcoxon_signed_rank(each, alternative).p;
    case ModelTest::bootstrap: return bootstrap_p(contrast(e.samples(), plus, minus), 0, alternative);
    default: return t_test_of_estimate(estimate, standard_error_of(e, plus, minus), e.degrees_of_freedom, alternative).p;
  }
}

inline void score_models(Evaluation& e, const SubjectCeilings& ceilings) {
  const Index lower = static_cast<Index>(e.models.size());
  const double tail = (1 - e.options.confidence) / 2;
  std::vector<double> zero, ceiling;
  for (Index m = 0; m < lower; ++m) {
    ModelScore& model = e.models[static_cast<std::size_t>(m)];
    model.mean = mean_of(model.subjects);
    model.standard_error = standard_error_of(e, m);
    const std::vector<double> samples = contrast(e.samples(), m, -1);
    const double reach = student_t_quantile(1 - tail, e.degrees_of_freedom) * model.standard_error;
    const bool percentiles = e.options.test == ModelTest::bootstrap;
    model.low = percentiles ? quantile(samples, tail) : model.mean - reach;
    model.high = percentiles ? quantile(samples, 1 - tail) : model.mean + reach;
    model.p_zero = p_of(e, model.mean, m, -1, model.subjects, Alternative::greater);
    const std::vector<double> below = paired_differences(model.subjects, ceilings.lower, "evaluate_models");
    model.p_ceiling = p_of(e, model.mean - e.ceiling.lower, m, lower, below, Alternative::two_sided);
    zero.push_back(model.p_zero), ceiling.push_back(model.p_ceiling);
  }
  const std::vector<double> zero_adjusted = adjust_benjamini_hochberg(zero), ceiling_adjusted = adjust_benjamini_hochberg(ceiling);
  for (std::size_t m = 0; m < e.models.size(); ++m)
    e.models[m].p_zero_adjusted = zero_adjusted[m], e.models[m].p_ceiling_adjusted = ceiling_adjusted[m];
}

inline void compare_models(Evaluation& e) {
  const Index models = static_cast<Index>(e.models.size());
  std::vector<double> p;
  for (Index a = 0; a < models; ++a)
    for (Index b = a + 1; b < models; ++b) {
      const ModelScore &first = e.models[static_cast<std::size_t>(a)], &second = e.models[static_cast<std::size_t>(b)];
      ModelPair pair{.first = a, .second = b, .difference = first.mean - second.mean, .standard_error = standard_error_of(e, a, b)};
      const std::vector<double> each = paired_differences(first.subjects, second.subjects, "evaluate_models");
      pair.p = p_of(e, pair.difference, a, b, each, Alternative::two_sided);
      p.push_back(pair.p);
      e.pairs.push_back(pair);
    }
  const std::vector<double> adjusted = adjust_benjamini_hochberg(p);
  for (std::size_t i = 0; i < e.pairs.size(); ++i) e.pairs[i].p_adjusted = adjusted[i];
}

inline void require_evaluable(const char* what, std::span<const ModelRdm> models, std::span<const Rdm> subjects) {
  require(!models.empty(), what, ": no models");
  require_subjects(what, subjects);
  for (const ModelRdm& model : models)
    require<ShapeError>(model.rdm.conditions() == subjects[0].conditions(), what, ": model '", model.name, "' has ", model.rdm.conditions(),
                        " conditions; the subjects have ", subjects[0].conditions());
}

inline void require_options(const InferenceOptions& options) {
  require_pool("evaluate_models", options.comparator, options.pool);
  require(!needs_every_pair(options.comparator) || options.resample == Resample::subjects, "evaluate_models: ", name(options.comparator),
          " needs every pair of conditions, and a bootstrap over conditions drops those of twice the same; resample subjects, or use another comparator");
  require(options.samples >= 2, "evaluate_models: ", options.samples, " bootstrap samples; at least 2 are needed");
  require(0 < options.confidence && options.confidence < 1, "evaluate_models: confidence ", options.confidence, "; needs a number between 0 and 1");
}

}  // namespace detail

/// Scores models against the RDMs of subjects, with the uncertainty that new subjects and/or new stimuli would bring, and tests them against 0, the
/// lower noise ceiling and each other. Mean over subjects of the comparator (first over a subject's sessions); standard error from the bootstrap:
/// variance n/(n - 1), for both factors two_factor_variance; interval mean +- t s.e. (percentiles of the samples with ModelTest::bootstrap). Against
/// 0 one-sided, the others two-sided. Undefined: with one subject the ceiling (and then only conditions may be resampled); NaN samples are left out
/// of variances, those of too few conditions are counted. Throws Error for no models, no subjects, fewer than two bootstrap samples, one subject when
/// subjects are resampled; ShapeError for fewer than three conditions and for numbers of
/// conditions that differ (the model is named). Cost: see bootstrap; the same bits for any number of threads.
/// Source: Nili et al. 2014, PLoS Comput Biol 10:e1003553; Schuett et al. 2023, eLife 12:e82566.
inline Evaluation evaluate_models(std::span<const ModelRdm> models, std::span<const Rdm> subjects, InferenceOptions options = {}) {
  detail::require_evaluable("evaluate_models", models, subjects);
  detail::require_options(options);
  Study study{.groups = subject_groups(static_cast<Index>(subjects.size()), options.groups), .comparator = options.comparator, .pool = options.pool};
  require(study.groups.size() >= 2 || options.resample == Resample::conditions, "evaluate_models: 1 subject; at least 2 are needed to resample ",
          name(options.resample));
  study.subjects = prepare(subjects);
  for (const ModelRdm& model : models) study.models.emplace_back(model.rdm);

  Evaluation e{.options = options, .conditions = study.conditions(), .subjects = static_cast<Index>(study.groups.size())};
  const std::vector<Index> once(study.groups.size(), 1);
  const SubjectCeilings ceilings = detail::ceilings_in_sample(study.subjects, study.groups, once, {}, options.comparator, options.pool);
  e.ceiling = {detail::drawn_mean(ceilings.lower, once), detail::drawn_mean(ceilings.upper, once)};
  const Tensor<double> scores = detail::scores_in_sample(study, {});
  for (std::size_t m = 0; m < models.size(); ++m) {
    const double* row = scores.data() + static_cast<Index>(m) * e.subjects;
    e.models.push_back({.name = models[m].name, .subjects = {row, row + e.subjects}});
  }
  e.bootstrap = bootstrap(study, options.resample, options.samples, Random(options.seed));
  e.left_out = e.bootstrap.left_out;
  const Index n = options.resample == Resample::conditions ? e.conditions
                  : options.resample == Resample::subjects ? e.subjects
                                                           : std::min(e.subjects, e.conditions);
  e.degrees_of_freedom = static_cast<double>(n - 1);
  e.ceiling_standard_error = {detail::standard_error_of(e, study.columns() - 2), detail::standard_error_of(e, study.columns() - 1)};
  detail::score_models(e, ceilings);
  detail::compare_models(e);
  return e;
}

namespace detail {

template <class... Numbers>
std::string format_line(const char* pattern, Numbers... numbers) {
  char text[256];
  std::snprintf(text, sizeof text, pattern, numbers...);
  return text;
}

}  // namespace detail

/// A table of the models in the order given, the ceiling, then of all pairs; numbers aligned, p values raw and adjusted.
inline std::string to_string(const Evaluation& e) {
  const auto name_of = [&](const ModelPair& p) {
    return concat(e.models[static_cast<std::size_t>(p.first)].name, " - ", e.models[static_cast<std::size_t>(p.second)].name);
  };
  std::size_t longest = 13;
  for (const ModelScore& m : e.models) longest = std::max(longest, m.name.size());
  for (const ModelPair& p : e.pairs) longest = std::max(longest, name_of(p).size());
  const auto label = [&](const std::string& text) { return text + std::string(longest - std::min(longest, text.size()), ' '); };
  std::string out = concat(name(e.options.comparator), ", ", e.conditions, " conditions, ", e.subjects, " subjects; ", e.options.samples,
                           " bootstrap samples of ", name(e.options.resample), " (", e.left_out, " left out); ", name(e.options.test), "\n");
  out += label("model") + detail::format_line("%9s%9s%9s%9s%10s%10s%11s%10s\n", "mean", "s.e.", "low", "high", "p > 0", "FDR", "p ceiling", "FDR");
  for (const ModelScore& m : e.models)
    out += label(m.name) + detail::format_line("%9.4f%9.4f%9.4f%9.4f%10.3g%10.3g%11.3g%10.3g\n", m.mean, m.standard_error, m.low, m.high, m.p_zero,
                                               m.p_zero_adjusted, m.p_ceiling, m.p_ceiling_adjusted);
  out += label("lower ceiling") + detail::format_line("%9.4f%9.4f\n", e.ceiling.lower, e.ceiling_standard_error.lower);
  out += label("upper ceiling") + detail::format_line("%9.4f%9.4f\n", e.ceiling.upper, e.ceiling_standard_error.upper);
  if (e.pairs.empty()) return out;
  out += label("pair") + detail::format_line("%9s%9s%18s%10s%10s\n", "diff.", "s.e.", "", "p", "FDR");
  for (const ModelPair& p : e.pairs)
    out += label(name_of(p)) + detail::format_line("%9.4f%9.4f%18s%10.3g%10.3g\n", p.difference, p.standard_error, "", p.p, p.p_adjusted);
  return out;
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/reliability.hpp"

namespace ventral::inline v0::brain {

/// Four ways to correct explained variance for the noise of the sites, r the correlation of predictions with mean responses, c the ceiling
/// (reliability) of a site.
enum class ExplainedVariance {
  r2_over_c,               ///< median over sites of r^2 / c
  r2_over_c2,              ///< median over sites of r^2 / c^2 (code of the Yamins laboratory)
  medr2_over_medc,         ///< (median r)^2 / median ceiling (Brain-Score from December 2025)
  medr_over_medc_squared,  ///< (median r / median ceiling)^2 (Brain-Score before)
};

/// The name that reports use.
inline const char* name(ExplainedVariance variant) {
  switch (variant) {
    case ExplainedVariance::r2_over_c: return "r2_over_c";
    case ExplainedVariance::r2_over_c2: return "r2_over_c2";
    case ExplainedVariance::medr2_over_medc: return "medr2_over_medc";
    case ExplainedVariance::medr_over_medc_squared: return "medr_over_medc_squared";
  }
  return "?";
}

/// One number for a population, with the sites behind it.
struct NoiseCorrected {
  double value = undefined;
  Index sites_used = 0, sites_undefined = 0;
};

/// Noise-corrected explained variance of a population. r [sites]; the ceilings are those of `reliability`.
/// Sites whose r or ceiling is NaN or whose ceiling is 0 are left out of every median over sites of r, and counted; NaN when none is left or the
/// median ceiling is 0. 1 is a model as good as the site's noise allows; it may be exceeded by chance. Negative ceilings are used as they are.
/// Throws ShapeError when the numbers of sites differ. Source: Yamins et al. 2014, PNAS 111:8619; Schrimpf et al. 2020, Neuron 108:413.
inline NoiseCorrected explained_variance(std::span<const double> r, const Reliability& reliability, ExplainedVariance variant) {
  require<ShapeError>(r.size() == reliability.ceiling.size(), "explained_variance: ", r.size(), " correlations for ", reliability.ceiling.size(),
                      " sites");
  std::vector<double> used, corrected;
  for (std::size_t j = 0; j < r.size(); ++j) {
    const double c = reliability.ceiling[j];
    if (std::isnan(r[j]) || std::isnan(c) || c == 0) continue;
    used.push_back(r[j]);
    corrected.push_back(variant == ExplainedVariance::r2_over_c ? r[j] * r[j] / c : (r[j] / c) * (r[j] / c));
  }
  NoiseCorrected result{undefined, static_cast<Index>(used.size()), static_cast<Index>(r.size() - used.size())};
  const double median_r = median_of_defined(used), ceiling = reliability.median_ceiling;
  switch (variant) {
    case ExplainedVariance::r2_over_c:
    case ExplainedVariance::r2_over_c2: result.value = median_of_defined(corrected); break;
    case ExplainedVariance::medr2_over_medc: result.value = median_r * median_r / ceiling; break;
    case ExplainedVariance::medr_over_medc_squared: result.value = (median_r / ceiling) * (median_r / ceiling); break;
  }
  if (!std::isfinite(result.value)) result.value = undefined;
  return result;
}

}  // namespace ventral::inline v0::brain

#include <algorithm>

#include "brain_conformance/case.hpp"
#include "ventral/brain/explained_variance.hpp"
#include "ventral/brain/pls.hpp"
#include "ventral/brain/reliability.hpp"
#include "ventral/brain/ridge.hpp"

namespace brain_conformance {

namespace {

// Ridge loses up to three digits where the penalty is far below the largest eigenvalue.
constexpr Tolerance ridge_tolerance{1e-6, 1e-9}, exact{1e-9, 0};
constexpr Tolerance pls_tolerance{0, 0, 1e-8};

/// "alpha10_coef": 10 and "_coef"; nothing when the name does not begin like that.
bool numbered(const std::string& array, const std::string& head, double& number, std::string& tail) {
  if (!array.starts_with(head) || array.size() == head.size()) return false;
  char* end = nullptr;
  number = std::strtod(array.c_str() + head.size(), &end);
  tail = end;
  return end != array.c_str() + head.size();
}

void expect_fit(Case& c, const std::string& array, const std::string& tail, const brain::Ridge& fit) {
  if (tail == "_coef") c.expect(array, doubles(fit.coefficients), ridge_tolerance);
  else if (tail == "_intercept") c.expect(array, fit.intercept, ridge_tolerance);
  else if (tail == "_pred_test") c.expect(array, doubles(fit.predict(c.read("Xtest"))), ridge_tolerance);
  else c.skip(array, "not offered");
}

}  // namespace

/// alphaNUMBER_coef|intercept|pred_test, loo_mse, best_alpha_*, best_global_*, best_per_target_*, and kfoldNUMBER_mse, kfoldNUMBER_best_alpha_*.
void run_ridge_case(Case& c) {
  const Tensor<double> x = c.read("X"), y = c.read("Y");
  const Doubles alphas = c.has("alphas") ? doubles(c.read("alphas")) : Doubles();
  const auto fit = [&](const Doubles& penalties, Index folds, bool per_site) { return brain::fit_ridge(x, y, {.penalties = penalties, .per_site = per_site, .folds = folds}); };
  for (const std::string& array : c.arrays()) {
    if (array == "X" || array == "Y" || array == "Xtest" || array == "alphas") continue;
    c.attempt(array, [&] {
      double number = 0;
      std::string tail;
      if (numbered(array, "alpha", number, tail)) return expect_fit(c, array, tail, fit({number}, 0, false));
      const bool folded = numbered(array, "kfold", number, tail);
      const Index folds = folded ? static_cast<Index>(number) : 0;
      if (!folded) tail = "_" + array;
      const bool per_site = tail.find("per_target") != std::string::npos;
      const brain::Ridge best = fit(alphas, folds, per_site);
      if (tail == "_mse" || tail == "_loo_mse") c.expect(array, doubles(best.validation_mse), ridge_tolerance);
      else if (tail == "_best_alpha_global") c.expect(array, {best.penalty[0]}, exact);
      else if (tail == "_best_alpha_per_target") c.expect(array, best.penalty, exact);
      else if (tail.starts_with("_best_global")) expect_fit(c, array, tail.substr(12), best);
      else if (tail.starts_with("_best_per_target")) expect_fit(c, array, tail.substr(16), best);
      else c.skip(array, "not offered");
    });
  }
}

/// nNUMBER[_scaled]_coef|pred_test. What scikit-learn's default tolerance gives is not a target.
void run_pls_case(Case& c) {
  const Tensor<double> x = c.read("X"), y = c.read("Y");
  for (const std::string& array : c.arrays()) {
    double components = 0;
    std::string tail;
    if (!numbered(array, "n", components, tail)) continue;
    if (array.find("default_tol") != std::string::npos) {
      c.skip(array, "for information: an iteration stopped early");
      continue;
    }
    c.attempt(array, [&] {
      const bool scaled = tail.starts_with("_scaled");
      const brain::Pls fit = brain::fit_pls(x, y, {.components = static_cast<Index>(components), .scale = scaled});
      if (tail.ends_with("_coef")) c.expect(array, doubles(fit.coefficients()), pls_tolerance);
      else if (tail.ends_with("_pred_test")) c.expect(array, doubles(fit.predict(c.read("Xtest"))), pls_tolerance);
    });
  }
}

/// splithalf_r, spearman_brown, ceiling_per_site, prediction_r_per_site, counts, medians, and ev_* by the four names of explained variance.
void run_reliability_case(Case& c) {
  const Tensor<double> trials = c.read("responses"), predictions = c.read("predictions");
  const Tensor<std::int64_t> halves = c.read<std::int64_t>("half_assignment");
  const brain::Reliability found = brain::split_half_reliability(trials, halves);
  const Doubles r = brain::site_correlations(predictions, brain::mean_over_trials(trials));
  c.expect("splithalf_r", doubles(found.r));
  c.expect("spearman_brown", doubles(found.spearman_brown));
  c.expect("ceiling_per_site", found.ceiling);
  c.expect("prediction_r_per_site", r);
  c.expect("ceiling_mean_over_splits_of_median_over_sites", {found.median_ceiling});
  c.expect("median_r", {brain::median_of_defined(r)});
  using brain::ExplainedVariance;
  c.expect("n_valid_sites", {static_cast<double>(brain::explained_variance(r, found, ExplainedVariance::r2_over_c).sites_used)}, {0, 0});
  for (const ExplainedVariance variant : {ExplainedVariance::r2_over_c, ExplainedVariance::r2_over_c2, ExplainedVariance::medr2_over_medc, ExplainedVariance::medr_over_medc_squared}) {
    const Doubles value{brain::explained_variance(r, found, variant).value};
    c.expect(concat("ev_", brain::name(variant)), value);
    c.expect(concat("ev_", brain::name(variant), "__median_of_sites"), value);
  }
}

}  // namespace brain_conformance

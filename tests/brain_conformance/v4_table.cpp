#include <cmath>
#include <optional>

#include "brain_conformance/case.hpp"
#include "ventral/brain/pls.hpp"
#include "ventral/brain/reliability.hpp"
#include "ventral/brain/ridge.hpp"

namespace brain_conformance {

namespace {

using Rows = std::vector<Index>;

Tensor<double> take(const Tensor<double>& x, const Rows& rows) {
  Tensor<double> out({static_cast<Index>(rows.size()), x.dim(1)});
  for (std::size_t i = 0; i < rows.size(); ++i) std::copy_n(x.data() + rows[i] * x.dim(1), x.dim(1), out.data() + static_cast<Index>(i) * x.dim(1));
  return out;
}

double mean(const Doubles& values) {
  double sum = 0;
  Index count = 0;
  for (const double v : values)
    if (!std::isnan(v)) sum += v, ++count;
  return sum / static_cast<double>(count);
}

/// Session s210325: grey pixels, trials, and what follows from them.
class V4 {
 public:
  explicit V4(const std::string& folder) {
    const auto file = [&](const char* name) { return join_path(folder, std::string("cowley_v4/s210325_") + name + ".npy"); };
    const Tensor<float> trials = read_npy<float>(file("trials_f32"));  // [images,sites,repeats]
    const Index n = trials.dim(0), sites = trials.dim(1), repeats = trials.dim(2);
    trials_ = Tensor<double>({repeats, n, sites});
    for (Index i = 0; i < n; ++i)
      for (Index s = 0; s < sites; ++s)
        for (Index t = 0; t < repeats; ++t) trials_[(t * n + i) * sites + s] = trials[(i * sites + s) * repeats + t];
    responses_ = brain::mean_over_trials(trials_);
    const Tensor<std::uint8_t> images = read_npy<std::uint8_t>(file("images_gray_u8")), is_test = read_npy<std::uint8_t>(file("is_test_u8"));
    pixels_ = Tensor<double>({n, images.size() / n});
    for (Index i = 0; i < pixels_.size(); ++i) pixels_[i] = images[i] / 255.0;
    for (Index i = 0; i < n; ++i) (is_test[i] ? test_ : train_).push_back(i), all_.push_back(i);
  }

  /// splithalf_r_even_odd_all640, spearman_brown_test128, pixels56_ridge_loo_global, ...: one statistic.
  std::optional<double> value(const std::string& quantity, const std::string& statistic) {
    if (quantity.starts_with("splithalf_r_even_odd_")) return summary(half_r(stimuli(quantity)), statistic);
    if (quantity.starts_with("spearman_brown_")) return summary(corrected(half_r(stimuli(quantity))), statistic);
    if (!quantity.starts_with("pixels56_")) return std::nullopt;
    double penalty = brain::undefined;
    const auto r = pixel_model(quantity.substr(9), penalty);
    if (!r) return std::nullopt;
    if (statistic == "alpha") return penalty;
    if (statistic == "median_test_r") return brain::median_of_defined(*r);
    if (statistic == "mean_test_r") return mean(*r);
    const Doubles ceiling = corrected(half_r(stimuli(statistic)));
    const std::string form = statistic.substr(0, statistic.find("_sb"));
    Doubles ratio;
    for (std::size_t s = 0; s < r->size(); ++s) ratio.push_back((*r)[s] * (*r)[s] / ceiling[s]);
    const double median_r = brain::median_of_defined(*r);
    if (form == "median_r2_over") return brain::median_of_defined(ratio);
    if (form == "medr_squared_over_median") return median_r * median_r / brain::median_of_defined(ceiling);
    return std::nullopt;
  }

 private:
  const Rows& stimuli(const std::string& name) const { return name.ends_with("test128") ? test_ : name.ends_with("train512") ? train_ : all_; }
  static std::optional<double> summary(const Doubles& values, const std::string& statistic) {
    if (statistic == "mean") return mean(values);
    if (statistic == "median") return brain::median_of_defined(values);
    return std::nullopt;
  }
  /// Correlation of the means of even and odd repeats over some stimuli.
  Doubles half_r(const Rows& rows) const {
    const Index repeats = trials_.dim(0), n = trials_.dim(1), sites = trials_.dim(2);
    Tensor<double> some({repeats, static_cast<Index>(rows.size()), sites});
    for (Index t = 0; t < repeats; ++t)
      for (std::size_t i = 0; i < rows.size(); ++i)
        std::copy_n(trials_.data() + (t * n + rows[i]) * sites, sites, some.data() + (t * some.dim(1) + static_cast<Index>(i)) * sites);
    Tensor<Index> halves({1, repeats});
    for (Index t = 0; t < repeats; ++t) halves[t] = t % 2 == 0;
    return doubles(brain::split_half_reliability(some, halves).r);
  }
  static Doubles corrected(Doubles r) {
    for (double& v : r) v = 2 * v / (1 + v);
    return r;
  }
  /// Test correlations of a regression on pixels: ridge_loo_global, ridge_kfold5_per_target, pls25, ...
  std::optional<Doubles> pixel_model(const std::string& name, double& penalty) {
    const Tensor<double> x = take(pixels_, train_), y = take(responses_, train_), x_test = take(pixels_, test_), y_test = take(responses_, test_);
    if (name.starts_with("pls")) return brain::site_correlations(brain::fit_pls(x, y, {.components = std::stol(name.substr(3))}).predict(x_test), y_test);
    if (!name.starts_with("ridge_")) return std::nullopt;
    const std::size_t fold = name.find("kfold");
    const bool per_site = name.find("per_target") != name.npos || name.find("per_site") != name.npos;
    const brain::Ridge fit = brain::fit_ridge(x, y, {.penalties = brain::log_spaced(0.1, 1e7, 33), .per_site = per_site, .folds = fold == name.npos ? 0 : std::stol(name.substr(fold + 5))});
    penalty = per_site ? brain::median_of_defined(fit.penalty) : fit.penalty[0];
    return brain::site_correlations(fit.predict(x_test), y_test);
  }

  Tensor<double> trials_, responses_, pixels_;
  Rows train_, test_, all_;
};

}  // namespace

void run_v4_table(const std::string& table, const std::string& data, Report& report) {
  const auto rows = read_table(table);
  std::optional<V4> v4;
  for (std::size_t i = 1; i < rows.size(); ++i) {
    require(rows[i].size() >= 3, table, ": line ", i + 1, " has ", rows[i].size(), " columns; quantity, statistic, value expected");
    const std::string name = concat("v4.", rows[i][0], ".", rows[i][1]);
    if (data.empty()) {
      report.skip(name, "needs --data DATADIR");
      continue;
    }
    try {
      if (!v4) v4.emplace(data);
      const std::optional<double> got = v4->value(rows[i][0], rows[i][1]);
      if (got) report.compare(name, {*got}, {std::stod(rows[i][2])}, {1e-6, 1e-6});
      else report.skip(name, "not offered: quantity of another kind");
    } catch (const Error& e) {
      report.fail(name, e.what());
    }
  }
}

}  // namespace brain_conformance

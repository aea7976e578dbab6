#pragma once
#include "ventral/brain/explained_variance.hpp"
#include "ventral/brain/gram.hpp"
#include "ventral/brain/pls_gram.hpp"
#include "ventral/brain/ridge_gram.hpp"
#include "ventral/brain/splits.hpp"

namespace ventral::inline v0::brain {

/// The regression that maps features to sites.
enum class Mapping { ridge, pls };

struct PredictivityOptions {
  Mapping mapping = Mapping::ridge;
  RidgeOptions ridge = {};
  PlsOptions pls = {};
  Index halvings = 10;     ///< random split halves of the repetitions for the ceilings
  std::uint64_t seed = 1;  ///< of the halvings
};

/// How well a layer predicts sites; made by predictivity.
struct Predictivity {
  Tensor<double> split_r;             ///< [splits,sites] Pearson r with the mean responses on the test stimuli of each split
  std::vector<double> r;              ///< [sites] mean over splits; NaN when undefined in any
  double median_r = undefined;        ///< over the sites where it is defined
  Reliability reliability;            ///< over all stimuli
  NoiseCorrected explained_variance[4];  ///< by ExplainedVariance

  const NoiseCorrected& explained(ExplainedVariance variant) const { return explained_variance[static_cast<int>(variant)]; }
};

/// Predictivity of a layer from one Gram matrix of all stimuli: for each split the mapping is fitted on the training stimuli (penalties chosen among
/// them) and correlated with the mean responses to the test stimuli. trials [repetitions,stimuli,sites], NaN where missing.
/// Throws ShapeError when the stimuli differ, Error below 2 repetitions, without splits, on a split that names a stimulus that is not there or fits
/// and tests the same one, and when a site was never recorded for a training stimulus.
/// Source: Yamins et al. 2014, PNAS 111:8619.
inline Predictivity predictivity(const Gram& layer, In<double> trials, std::span<const Split> splits, const PredictivityOptions& options = {}) {
  detail::require_trials(trials);
  require<ShapeError>(layer.conditions() == trials.shape[1], "predictivity: features of ", layer.conditions(), " stimuli and responses ",
                      trials.shape, "; needs [repetitions,", layer.conditions(), ",sites]");
  require(!splits.empty(), "predictivity: no splits");
  detail::require_splits(splits, trials.shape[1], "predictivity");
  const Tensor<double> responses = mean_over_trials(trials);
  const Index q = trials.shape[2], count = static_cast<Index>(splits.size());
  const auto rows = [&](std::span<const Index> index) {
    Tensor<double> out({static_cast<Index>(index.size()), q});
    for (std::size_t i = 0; i < index.size(); ++i) std::copy_n(responses.data() + index[i] * q, q, out.data() + static_cast<Index>(i) * q);
    return out;
  };
  Predictivity result;
  result.split_r = Tensor<double>({count, q});
  result.r.assign(static_cast<std::size_t>(q), 0.0);
  for (Index s = 0; s < count; ++s) {
    const Split& split = splits[static_cast<std::size_t>(s)];
    const Tensor<double> y = rows(split.train), cross = cross_gram(layer, split.test, split.train);
    Tensor<double> k = centred_gram(layer, split.train);
    const Tensor<double> predicted = options.mapping == Mapping::ridge ? fit_ridge_gram(std::move(k), y, options.ridge).predict(cross)
                                                                       : fit_pls_gram(k, y, options.pls).predict(cross);
    const std::vector<double> r = site_correlations(predicted, rows(split.test));
    for (Index j = 0; j < q; ++j) {
      result.split_r[s * q + j] = r[static_cast<std::size_t>(j)];
      result.r[static_cast<std::size_t>(j)] += r[static_cast<std::size_t>(j)] / static_cast<double>(count);
    }
  }
  result.median_r = median_of_defined(result.r);
  result.reliability = split_half_reliability(trials, random_halves(trials.shape[0], options.halvings, Random(options.seed)));
  for (int v = 0; v < 4; ++v)
    result.explained_variance[v] = brain::explained_variance(result.r, result.reliability, static_cast<ExplainedVariance>(v));
  return result;
}

}  // namespace ventral::inline v0::brain

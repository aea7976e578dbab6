#pragma once
#include "ventral/brain/reliability.hpp"

namespace ventral::inline v0::brain {

/// The layer that predicts best on some stimuli, and how well it predicts others; made by choose_layer.
struct LayerChoice {
  Index layer = 0;
  std::vector<double> selection_scores;  ///< [layers] median over sites of Pearson r on the selection stimuli; NaN layers are never chosen
  double score = undefined;              ///< the chosen layer's median r on the scoring stimuli
  std::vector<double> site_r;            ///< [sites] its r of each site on the scoring stimuli
};

/// Throws Error when a stimulus is in both lists, named by its index, or when a list is empty or out of range.
inline void require_separate(std::span<const Index> selection, std::span<const Index> scoring, Index stimuli) {
  require(!selection.empty() && !scoring.empty(), "choose_layer: ", selection.size(), " selection and ", scoring.size(),
          " scoring stimuli; neither may be empty");
  std::vector<char> chosen(static_cast<std::size_t>(stimuli), 0);
  const auto check = [&](Index i) { require(0 <= i && i < stimuli, "choose_layer: stimulus ", i, " of ", stimuli); };
  for (const Index i : selection) check(i), chosen[static_cast<std::size_t>(i)] = 1;
  for (const Index i : scoring)
    check(i), require(!chosen[static_cast<std::size_t>(i)], "choose_layer: stimulus ", i, " serves selection and scoring");
}

/// Chooses the layer whose predictions correlate best with the responses on the selection stimuli (median over sites, the first of equals) and scores
/// it on others: a score on the stimuli that chose the layer would be too high. predictions: one [stimuli,sites] for each layer, made by fits that
/// saw neither list; responses [stimuli,sites]. Throws ShapeError when shapes differ, Error on overlapping lists, without layers, and when no layer
/// has a defined score.
inline LayerChoice choose_layer(std::span<const Tensor<double>> predictions, In<double> responses, std::span<const Index> selection,
                                std::span<const Index> scoring) {
  require(!predictions.empty(), "choose_layer: no layers");
  require<ShapeError>(responses.shape.rank() == 2, "choose_layer: responses of shape ", responses.shape, "; needs [stimuli,sites]");
  require_separate(selection, scoring, responses.shape[0]);
  const Index sites = responses.shape[1];
  const auto rows = [sites](In<double> m, std::span<const Index> index) {
    Tensor<double> out({static_cast<Index>(index.size()), sites});
    for (std::size_t i = 0; i < index.size(); ++i) std::copy_n(m.data + index[i] * sites, sites, out.data() + static_cast<Index>(i) * sites);
    return out;
  };
  LayerChoice choice{-1, {}, undefined, {}};
  for (const Tensor<double>& p : predictions) {
    require<ShapeError>(p.shape() == responses.shape, "choose_layer: predictions ", p.shape(), " of layer ", choice.selection_scores.size(),
                        " for responses ", responses.shape);
    const double score = median_of_defined(site_correlations(rows(p, selection), rows(responses, selection)));
    const bool best = !std::isnan(score) && (choice.layer < 0 || score > choice.selection_scores[static_cast<std::size_t>(choice.layer)]);
    if (best) choice.layer = static_cast<Index>(choice.selection_scores.size());
    choice.selection_scores.push_back(score);
  }
  require(choice.layer >= 0, "choose_layer: no layer has a defined correlation on the selection stimuli");
  choice.site_r = site_correlations(rows(predictions[static_cast<std::size_t>(choice.layer)], scoring), rows(responses, scoring));
  choice.score = median_of_defined(choice.site_r);
  return choice;
}

}  // namespace ventral::inline v0::brain

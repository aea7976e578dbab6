#pragma once
#include "ventral/brain/correlation.hpp"
#include "ventral/brain/rdm.hpp"
#include "ventral/metrics.hpp"

namespace ventral::inline v0::brain {

/// Mean over classes of the share of their stimuli that are classified right (recall): chance is 1 / classes however unequal the classes are.
/// Classes without stimuli are left out (see absent_classes); NaN when all are.
inline double balanced_accuracy(const ConfusionMatrix& m) { return m.examples() > 0 ? m.balanced_accuracy() : undefined; }

/// Number of classes that have no stimuli in the matrix.
inline Index absent_classes(const ConfusionMatrix& m) {
  Index absent = 0;
  for (Index t = 0; t < m.classes(); ++t) {
    Index sum = 0;
    for (Index p = 0; p < m.classes(); ++p) sum += m.count(t, p);
    absent += sum == 0;
  }
  return absent;
}

/// Confusion matrix of labels and predictions, both below `classes`. Throws ShapeError when their numbers differ, Error on a class out of range.
inline ConfusionMatrix confusion(std::span<const Index> labels, std::span<const Index> predicted, Index classes) {
  require<ShapeError>(labels.size() == predicted.size(), "confusion: ", labels.size(), " labels and ", predicted.size(), " predictions");
  ConfusionMatrix m(classes);
  for (std::size_t i = 0; i < labels.size(); ++i) m.add(labels[i], predicted[i]);
  return m;
}

/// Which classes are taken for which: the share of the stimuli of class i that are called j, for i != j, row by row [classes (classes - 1)].
/// counts [classes,classes], true class by response: whole numbers or probabilities, >= 0. The row of a class without stimuli is NaN.
/// Throws ShapeError unless square with at least two classes, Error on a negative or infinite entry.
/// Source: Rajalingham et al. 2018, J Neurosci 38:7255 (object confusion patterns).
inline std::vector<double> confusion_pattern(In<double> counts) {
  require<ShapeError>(counts.shape.rank() == 2 && counts.shape[0] == counts.shape[1] && counts.shape[0] >= 2, "confusion_pattern: counts ",
                      counts.shape, "; [classes,classes] of at least 2 needed");
  const Index n = counts.shape[0];
  std::vector<double> pattern;
  for (Index i = 0; i < n; ++i) {
    double sum = 0;
    for (Index j = 0; j < n; ++j) {
      const double v = counts.data[i * n + j];
      require(v >= 0 && std::isfinite(v), "confusion_pattern: ", v, " at (", i, ",", j, "); counts are at least 0");
      sum += v;
    }
    for (Index j = 0; j < n; ++j)
      if (j != i) pattern.push_back(sum > 0 ? counts.data[i * n + j] / sum : undefined);
  }
  return pattern;
}
inline std::vector<double> confusion_pattern(const ConfusionMatrix& m) { return confusion_pattern(m.counts().cast<double>()); }

/// How patterns of confusions are correlated.
enum class PatternCorrelation { pearson, spearman };

/// Consistency of two confusion patterns (model and neurons): their correlation over the pairs of classes defined in both.
/// NaN when one is constant. Throws ShapeError when they are of different classes.
inline double confusion_consistency(std::span<const double> a, std::span<const double> b,
                                    PatternCorrelation correlation = PatternCorrelation::pearson) {
  require<ShapeError>(a.size() == b.size(), "confusion_consistency: patterns of ", a.size(), " and ", b.size(), " pairs of classes");
  return correlation == PatternCorrelation::pearson ? pearson(a, b) : spearman(a, b);
}

/// A confusion pattern measured twice, on halves of the trials or with two classifiers. Twice the same one is free of noise.
struct SplitPattern {
  std::vector<double> first, second;
};

/// Consistency had both been measured without noise: r / sqrt(r_a r_b), r the mean correlation of a half of a with a half of b, r_a and r_b those of
/// the two halves of each. May exceed 1; NaN when a reliability is not positive. Throws ShapeError when the patterns are of different classes.
/// Source: Spearman 1904, Am J Psychol 15:72; as used by Rajalingham et al. 2018, J Neurosci 38:7255.
inline double noise_corrected_consistency(const SplitPattern& a, const SplitPattern& b,
                                          PatternCorrelation correlation = PatternCorrelation::pearson) {
  const double r_a = confusion_consistency(a.first, a.second, correlation), r_b = confusion_consistency(b.first, b.second, correlation);
  const double r = (confusion_consistency(a.first, b.first, correlation) + confusion_consistency(a.first, b.second, correlation) +
                    confusion_consistency(a.second, b.first, correlation) + confusion_consistency(a.second, b.second, correlation)) /
                   4;
  return r_a > 0 && r_b > 0 ? r / std::sqrt(r_a * r_b) : undefined;
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/confusion.hpp"
#include "ventral/brain/readout.hpp"

namespace ventral::inline v0::brain {

struct DecodingOptions {
  ReadoutOptions readout = {};
  Index folds = 5;
  std::uint64_t seed = 0;  ///< of the folds
};

/// How well a category can be read out by a linear rule; made by decode.
struct Decoding {
  ConfusionMatrix confusion;             ///< over all left-out stimuli, [classes,classes], true class by prediction
  std::vector<Index> predicted;          ///< [n] of each stimulus when it was left out (last, if more than once), -1 when never
  Tensor<double> scores;                 ///< [n,classes] likewise, 0 when never
  double accuracy = undefined;           ///< share of left-out stimuli classified right
  double balanced_accuracy = undefined;  ///< mean over classes of their share classified right; chance is 1 / classes
  Index absent_classes = 0;              ///< without a left-out stimulus, and so not in that mean
  std::vector<double> split_accuracy;    ///< balanced accuracy of each split
  double standard_error = undefined;     ///< of the mean over splits, sd / sqrt(splits): on the small side, since splits share training stimuli
  Index unconverged = 0;                 ///< splits in which the logistic solver stopped early
};

/// Decodes the class of stimuli from features x [n,features] (float or double; a model layer, or mean responses of recorded sites) with labels [n] in
/// [0, classes): in each split a linear readout is fitted (scaling and penalty, too) on the training stimuli and predicts the test stimuli. Throws
/// ShapeError on another number of labels, Error on labels out of range, one class only, a split whose training stimuli lack a class, that names a
/// stimulus that is not there or fits and tests the same one, entries that are not finite. The same result for any number of threads. Source: Hung,
/// Kreiman, Poggio, DiCarlo 2005, Science 310:863; Majaj, Hong, Solomon, DiCarlo 2015, J Neurosci 35:13402.
template <class T>
Decoding decode(TensorRef<const T> x, std::span<const Index> labels, Index classes, std::span<const Split> splits,
                const ReadoutOptions& options = {}) {
  require<ShapeError>(x.shape.rank() == 2, "decode: features of shape ", x.shape, "; needs [stimuli,features]");
  const Index n = x.shape[0];
  detail::require_labels(labels, n, classes, "decode");
  require(!splits.empty(), "decode: no splits");
  detail::require_splits(splits, n, "decode");

  Decoding result;
  result.confusion = ConfusionMatrix(classes);
  result.predicted.assign(labels.size(), -1);
  result.scores = Tensor<double>({n, classes});
  for (const Split& split : splits) {
    const Readout readout = fit_readout(detail::readout_rows(x, split.train), detail::readout_labels(labels, split.train), classes, options);
    result.unconverged += !readout.converged;
    const Tensor<double> scores = readout.scores(detail::readout_rows(x, split.test));
    ConfusionMatrix mine(classes);
    for (std::size_t row = 0; row < split.test.size(); ++row) {
      const Index i = split.test[row], truth = labels[static_cast<std::size_t>(i)];
      const double* const s = scores.data() + static_cast<Index>(row) * classes;
      const Index predicted = argmax(s, classes);
      std::copy(s, s + classes, result.scores.data() + i * classes);
      result.predicted[static_cast<std::size_t>(i)] = predicted;
      result.confusion.add(truth, predicted);
      mine.add(truth, predicted);
    }
    result.split_accuracy.push_back(balanced_accuracy(mine));
  }
  if (result.confusion.examples() > 0) result.accuracy = result.confusion.accuracy();
  result.balanced_accuracy = balanced_accuracy(result.confusion);
  result.absent_classes = absent_classes(result.confusion);
  double mean = 0, square = 0;
  const double count = static_cast<double>(splits.size());
  for (const double a : result.split_accuracy) mean += a / count;
  for (const double a : result.split_accuracy) square += (a - mean) * (a - mean);
  if (count > 1) result.standard_error = std::sqrt(square / (count - 1) / count);
  return result;
}

/// Decodes with folds stratified by class: every stimulus is predicted once, by a readout that never saw it. Throws also on a class with fewer
/// stimuli than folds.
template <class T>
Decoding decode(TensorRef<const T> x, std::span<const Index> labels, Index classes, const DecodingOptions& options = {}) {
  require<ShapeError>(x.shape.rank() == 2, "decode: features of shape ", x.shape, "; needs [stimuli,features]");
  detail::require_labels(labels, x.shape[0], classes, "decode");
  return decode(x, labels, classes, stratified_k_fold(labels, options.folds, Random(options.seed)), options.readout);
}
template <class T>
Decoding decode(const Tensor<T>& x, std::span<const Index> labels, Index classes, std::span<const Split> splits, const ReadoutOptions& options = {}) {
  return decode(x.ref(), labels, classes, splits, options);
}
template <class T>
Decoding decode(const Tensor<T>& x, std::span<const Index> labels, Index classes, const DecodingOptions& options = {}) {
  return decode(x.ref(), labels, classes, options);
}

}  // namespace ventral::inline v0::brain

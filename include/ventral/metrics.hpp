#pragma once
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// The class of the largest of `count` scores, the first of equals; a NaN counts as smallest.
template <class T>
Index argmax(const T* scores, Index count) {
  Index best = 0;
  for (Index c = 1; c < count; ++c)
    if (scores[c] > scores[best] || scores[best] != scores[best]) best = c;
  return best;
}

/// Whether `label` is among the k classes of largest score; of equal scores the lower class goes first, as in argmax. A NaN score is never among them.
template <class T>
bool in_top(const T* scores, Index count, Index label, Index k) {
  Index before = 0;
  for (Index c = 0; c < count; ++c) before += scores[c] > scores[label] || (scores[c] == scores[label] && c < label);
  return before < k && scores[label] == scores[label];
}

namespace detail {

template <class T>
Index checked_classes(In<T> scores, In<std::int32_t> labels) {
  require<ShapeError>(scores.shape.rank() == 2 && labels.shape == Shape{scores.shape[0]} && scores.shape[1] >= 1, "metrics: scores ", scores.shape,
                      " and labels ", labels.shape, "; expected [N,C] and [N]");
  const Index classes = scores.shape[1];
  for (Index i = 0; i < labels.size(); ++i)
    require(0 <= labels.data[i] && labels.data[i] < classes, "metrics: label ", labels.data[i], " at [", i, "] is not in 0..", classes - 1);
  return classes;
}

}  // namespace detail

/// How many of the labels [N] are among the k largest of their scores [N,C]. With k = 1: the number classified right.
template <class T>
Index top_k_hits(TensorRef<const T> scores, In<std::int32_t> labels, Index k) {
  const Index classes = detail::checked_classes<T>(scores, labels);
  Index hits = 0;
  for (Index i = 0; i < labels.size(); ++i) hits += in_top(scores.data + i * classes, classes, labels.data[i], k);
  return hits;
}
template <class T>
Index top_k_hits(const Tensor<T>& scores, const Tensor<std::int32_t>& labels, Index k) {
  return top_k_hits(scores.ref(), labels, k);
}

/// Share of the labels that are among the k largest scores; 0 for none at all.
template <class T>
double top_k_accuracy(const Tensor<T>& scores, const Tensor<std::int32_t>& labels, Index k) {
  return labels.empty() ? 0 : static_cast<double>(top_k_hits(scores, labels, k)) / static_cast<double>(labels.size());
}
template <class T>
double accuracy(const Tensor<T>& scores, const Tensor<std::int32_t>& labels) {
  return top_k_accuracy(scores, labels, 1);
}

/// Counts of (true class, predicted class), row by row.
class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(Index classes = 0) : counts_(Shape{classes, classes}) {}

  Index classes() const { return counts_.dim(0); }
  Index count(Index truth, Index predicted) const { return counts_.at(truth, predicted); }
  /// [classes, classes], true class by predicted class.
  const Tensor<std::int64_t>& counts() const { return counts_; }

  void add(Index truth, Index predicted) {
    require(0 <= truth && truth < classes() && 0 <= predicted && predicted < classes(), "confusion matrix: class ", truth, " predicted as ", predicted,
            "; there are ", classes(), " classes, from 0");
    ++counts_.at(truth, predicted);
  }
  /// Adds the predictions of scores [N,C], their largest each, against labels [N].
  template <class T>
  void add(TensorRef<const T> scores, In<std::int32_t> labels) {
    const Index n = detail::checked_classes<T>(scores, labels);
    require<ShapeError>(n == classes(), "confusion matrix of ", classes(), " classes; scores ", scores.shape);
    for (Index i = 0; i < labels.size(); ++i) ++counts_[labels.data[i] * n + argmax(scores.data + i * n, n)];
  }

  Index examples() const { return sum(0, classes(), 0, classes()); }
  Index errors() const {
    Index right = 0;
    for (Index c = 0; c < classes(); ++c) right += count(c, c);
    return examples() - right;
  }
  /// Share classified right; 0 without examples.
  double accuracy() const { return examples() ? 1 - static_cast<double>(errors()) / static_cast<double>(examples()) : 0; }
  /// Share of the examples of a class that are found (its recall); 0 if it has none.
  double recall(Index c) const { return share(count(c, c), sum(c, c + 1, 0, classes())); }
  /// Share of the predictions of a class that are right; 0 if it was never predicted.
  double precision(Index c) const { return share(count(c, c), sum(0, classes(), c, c + 1)); }
  /// Mean recall over the classes that have examples: chance is 1 / classes however unequal they are.
  double balanced_accuracy() const {
    double total = 0;
    Index present = 0;
    for (Index c = 0; c < classes(); ++c)
      if (sum(c, c + 1, 0, classes()) > 0) total += recall(c), ++present;
    return present ? total / static_cast<double>(present) : 0;
  }

  /// A table: a row for each true class, a column for each prediction, the recall at the end; names instead of numbers where given.
  [[gnu::cold]] std::string table(const std::vector<std::string>& names = {}) const {
    std::size_t width = 5, first = 5;
    for (const std::int64_t v : counts_) width = std::max(width, std::to_string(v).size() + 1);
    for (const auto& n : names) first = std::max(first, n.size());
    const auto name = [&](Index c) { return static_cast<std::size_t>(c) < names.size() ? names[static_cast<std::size_t>(c)] : std::to_string(c); };
    std::string out;
    const auto left = [&](const std::string& text) { out.append(text).append(first - std::min(first, text.size()), ' '); };
    const auto right = [&](const std::string& text, std::size_t space) { out.append(space - std::min(space, text.size()), ' ').append(text); };
    left("true");
    for (Index c = 0; c < classes(); ++c) right(name(c).substr(0, width - 1), width);
    right("recall\n", 10);
    for (Index t = 0; t < classes(); ++t) {
      left(name(t));
      for (Index p = 0; p < classes(); ++p) right(count(t, p) ? std::to_string(count(t, p)) : ".", width);
      char text[16];
      std::snprintf(text, sizeof text, "%8.2f%%\n", 100 * recall(t));
      out += text;
    }
    return out;
  }

 private:
  static double share(Index part, Index whole) { return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0; }
  [[gnu::cold]] Index sum(Index row, Index end_row, Index column, Index end_column) const {
    Index n = 0;
    for (Index r = row; r < end_row; ++r)
      for (Index c = column; c < end_column; ++c) n += count(r, c);
    return n;
  }

  Tensor<std::int64_t> counts_;
};

}  // namespace ventral::inline v0

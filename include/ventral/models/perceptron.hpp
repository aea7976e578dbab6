#pragma once
#include <cmath>
#include <vector>

#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// Rosenblatt's perceptron: a linear threshold unit that learns from its mistakes alone. It says +1 where w . x + b >= 0, else -1.
/// Source: Rosenblatt 1958, "The perceptron: a probabilistic model for information storage and organization in the brain", Psychological Review 65.
struct Perceptron {
  std::vector<double> w;
  double b = 0;

  /// Weights of zero for this many inputs.
  explicit Perceptron(Index inputs) : w(static_cast<std::size_t>(inputs)) {}

  /// w . x + b; its sign is the answer, its size over |w| the distance from the boundary.
  double sum(const double* x) const {
    double s = b;
    for (std::size_t i = 0; i < w.size(); ++i) s += w[i] * x[i];
    return s;
  }
  int predict(const double* x) const { return sum(x) >= 0 ? 1 : -1; }

  /// One example x with its label, -1 or +1. On a mistake, w += label x and b += label; says whether it was one. A sum of 0 is a mistake, too.
  bool learn(const double* x, int label) {
    require(label == 1 || label == -1, "Perceptron: label ", label, "; -1 or 1 expected");
    if (label * sum(x) > 0) return false;
    for (std::size_t i = 0; i < w.size(); ++i) w[i] += label * x[i];
    b += label;
    return true;
  }

  /// Goes through the examples x [N,inputs] once, in order; returns the number of mistakes.
  Index learn(const Tensor<double>& x, const Tensor<std::int32_t>& labels) {
    check(x, labels);
    Index mistakes = 0;
    for (Index i = 0; i < labels.size(); ++i) mistakes += learn(x.data() + i * x.dim(1), labels[i]);
    return mistakes;
  }
  /// How many of the examples are classified right.
  Index right(const Tensor<double>& x, const Tensor<std::int32_t>& labels) const {
    check(x, labels);
    Index n = 0;
    for (Index i = 0; i < labels.size(); ++i) n += predict(x.data() + i * x.dim(1)) == labels[i];
    return n;
  }

  void check(const Tensor<double>& x, const Tensor<std::int32_t>& labels) const {
    require<ShapeError>(x.rank() == 2 && x.dim(1) == static_cast<Index>(w.size()) && labels.shape() == Shape{x.dim(0)}, "Perceptron: examples ", x.shape(),
                        " and labels ", labels.shape(), "; expected [N,", w.size(), "] and [N]");
  }
};

/// How many mistakes a perceptron that starts from zero makes at most on examples that (u, c) separates: (R / gamma)^2, where, with the bias counted as an
/// input of 1, R is the length of the longest example and gamma the smallest label (u . x + c) / |(u, c)|. Infinite when (u, c) does not separate them. Source:
/// Novikoff 1962, "On convergence proofs on perceptrons", theorem 1.
inline double mistake_bound(const Perceptron& separator, const Tensor<double>& x, const Tensor<std::int32_t>& labels) {
  separator.check(x, labels);
  double norm = separator.b * separator.b, radius = 0, margin = INFINITY;
  for (const double v : separator.w) norm += v * v;
  for (Index i = 0; i < labels.size(); ++i) {
    double square = 1;
    for (Index k = 0; k < x.dim(1); ++k) square += x.at(i, k) * x.at(i, k);
    radius = square > radius ? square : radius;
    const double m = labels[i] * separator.sum(x.data() + i * x.dim(1)) / std::sqrt(norm);
    if (!(m >= margin)) margin = m;
  }
  return margin > 0 ? radius / (margin * margin) : INFINITY;
}

}  // namespace ventral::inline v0

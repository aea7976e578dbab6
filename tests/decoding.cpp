#include "helpers.hpp"
#include "ventral/brain/decoding.hpp"

#include <doctest/doctest.h>

using namespace ventral;
using namespace ventral::brain;
using test::message_of;

namespace {

/// n stimuli in `classes` classes in turn, their features normal about class centres `apart` from each other.
struct Stimuli {
  Tensor<double> x;
  std::vector<Index> labels;

  Stimuli(Index n, Index p, Index classes, double apart, std::uint64_t seed) : x({n, p}) {
    Random random(seed);
    Tensor<double> centres({classes, p});
    for (double& v : centres) v = apart * random.normal();
    for (Index i = 0; i < n; ++i) {
      labels.push_back(i % classes);
      for (Index k = 0; k < p; ++k) x[i * p + k] = centres[i % classes * p + k] + random.normal();
    }
  }
};

/// The penalised loss as it is defined, term by term.
double loss_of(const Tensor<double>& x, std::span<const Index> labels, const Tensor<double>& w, std::span<const double> b, double penalty) {
  const Index p = x.dim(1), classes = w.dim(1);
  double loss = 0;
  for (Index i = 0; i < x.dim(0); ++i) {
    double sum = 0, own = 0;
    for (Index c = 0; c < classes; ++c) {
      double s = b[static_cast<std::size_t>(c)];
      for (Index k = 0; k < p; ++k) s += x[i * p + k] * w[k * classes + c];
      sum += std::exp(s);
      if (c == labels[static_cast<std::size_t>(i)]) own = s;
    }
    loss += std::log(sum) - own;
  }
  for (const double v : w) loss += penalty / 2 * v * v;
  return loss;
}

}  // namespace

TEST_CASE("decoding: logistic regression of a case that can be solved by hand") {
  // Stimuli at -1, 1 of classes 0, 1, thrice each, one feature, penalty 1: W = (-w, w), b = 0, and 6 (1 - sigmoid(2 w)) = w.
  const Tensor<double> x({6, 1}, {-1, 1, -1, 1, -1, 1});
  const Index labels[] = {0, 1, 0, 1, 0, 1};
  const Logistic fit = fit_logistic(x, labels, 2);
  double w = 0.5;
  for (int i = 0; i < 100; ++i) {
    const double s = 1 / (1 + std::exp(-2 * w));
    w -= (w - 6 * (1 - s)) / (1 + 12 * s * (1 - s));
  }
  CHECK(fit.converged);
  CHECK(fit.coefficients[1] == doctest::Approx(w).epsilon(1e-9));
  CHECK(fit.coefficients[0] == doctest::Approx(-w).epsilon(1e-9));
  CHECK(std::abs(fit.intercept[0]) < 1e-9);
  CHECK(fit.loss == doctest::Approx(6 * std::log(1 + std::exp(-2 * w)) + w * w).epsilon(1e-12));
}

TEST_CASE("decoding: without use of the features the intercept is the log of the shares of classes") {
  const Tensor<double> x({8, 2}, std::vector<double>(16, 3.0));  // constant
  const Index labels[] = {0, 1, 1, 2, 2, 2, 2, 2};
  const Logistic fit = fit_logistic(x, labels, 3);
  CHECK(fit.converged);
  for (const double v : fit.coefficients) CHECK(v == 0);
  CHECK(fit.intercept[1] - fit.intercept[0] == doctest::Approx(std::log(2.0)).epsilon(1e-8));
  CHECK(fit.intercept[2] - fit.intercept[0] == doctest::Approx(std::log(5.0)).epsilon(1e-8));
  CHECK(fit.intercept[0] + fit.intercept[1] + fit.intercept[2] == doctest::Approx(0).epsilon(1e-12));
  const Tensor<double> wide({8, 20}, std::vector<double>(160, 3.0));  // and in the span of the stimuli, which is a point
  CHECK(fit_logistic(wide, labels, 3).intercept[2] == doctest::Approx(fit.intercept[2]).epsilon(1e-8));
}

TEST_CASE("decoding: logistic regression is at a minimum by finite differences, with few and with many features") {
  for (const Index p : {3, 40, 60}) {
    const Stimuli s(25, p, 3, 0.5, 7);
    for (const double penalty : {0.01, 1.0, 100.0}) {
      const Logistic fit = fit_logistic(s.x, s.labels, 3, {.penalty = penalty});
      INFO(p, " features, penalty ", penalty);
      CHECK(fit.converged);
      CHECK(fit.gradient <= 1e-9);
      const double here = loss_of(s.x, s.labels, fit.coefficients, fit.intercept, penalty);
      CHECK(fit.loss == doctest::Approx(here).epsilon(1e-10));
      Tensor<double> w = fit.coefficients.clone();
      std::vector<double> b = fit.intercept;
      const double h = 1e-4;
      const auto slope = [&](double& v) {
        const double held = v;
        v = held + h;
        const double up = loss_of(s.x, s.labels, w, b, penalty);
        v = held - h;
        const double down = loss_of(s.x, s.labels, w, b, penalty);
        v = held;
        CHECK(std::min(up, down) > here - 1e-11);
        return (up - down) / (2 * h);
      };
      for (double& v : w) CHECK(std::abs(slope(v)) < 2e-6);
      for (double& v : b) CHECK(std::abs(slope(v)) < 2e-6);
    }
  }
}

TEST_CASE("decoding: logistic regression gives the same bits for any number of threads, and float features do") {
  const Stimuli s(60, 200, 4, 0.3, 9);
  const int before = cpu::threads();
  cpu::set_threads(1);
  const Logistic one = fit_logistic(s.x, s.labels, 4);
  cpu::set_threads(2);
  const Logistic two = fit_logistic(s.x, s.labels, 4);
  cpu::set_threads(before);
  CHECK(std::equal(one.coefficients.begin(), one.coefficients.end(), two.coefficients.begin()));
  CHECK(one.intercept == two.intercept);
  const Logistic narrow = fit_logistic(s.x.cast<float>(), s.labels, 4);
  CHECK(narrow.coefficients[5] == doctest::Approx(one.coefficients[5]).epsilon(1e-4));
}

TEST_CASE("decoding: separable classes are decoded without an error by both readouts") {
  const Stimuli s(80, 30, 4, 3, 1);
  for (const ReadoutKind kind : {ReadoutKind::least_squares, ReadoutKind::logistic}) {
    const Decoding d = decode(s.x, s.labels, 4, {.readout = {.kind = kind}});
    CHECK(d.accuracy == 1);
    CHECK(d.balanced_accuracy == 1);
    CHECK(d.standard_error == 0);
    CHECK(d.confusion.errors() == 0);
    CHECK(d.confusion.examples() == 80);
    CHECK(d.predicted == s.labels);
    CHECK(d.unconverged == 0);
    CHECK(d.absent_classes == 0);
    CHECK(d.split_accuracy.size() == 5);
  }
}

TEST_CASE("decoding: noise is decoded at chance, fewer stimuli than features or more") {
  for (const Index p : {10, 150}) {
    const Stimuli s(120, p, 4, 0, 2);
    for (const ReadoutKind kind : {ReadoutKind::least_squares, ReadoutKind::logistic}) {
      const Decoding d = decode(s.x, s.labels, 4, {.readout = {.kind = kind, .penalties = {10.0}}});
      INFO(p, ": ", d.balanced_accuracy);
      CHECK(d.balanced_accuracy > 0.25 - 0.12);  // three standard deviations of a share of 120
      CHECK(d.balanced_accuracy < 0.25 + 0.12);
    }
  }
}

TEST_CASE("decoding: a readout is in the units of the features, whatever their scale and offset") {
  const Stimuli s(40, 5, 2, 0.6, 3);
  Tensor<double> scaled = s.x.clone();
  for (Index i = 0; i < 40; ++i)
    for (Index k = 0; k < 5; ++k) scaled[i * 5 + k] = 1000 * static_cast<double>(k) + std::pow(10.0, static_cast<double>(k) - 2) * s.x[i * 5 + k];
  for (const ReadoutKind kind : {ReadoutKind::least_squares, ReadoutKind::logistic}) {
    const Tensor<double> a = fit_readout(s.x, s.labels, 2, {.kind = kind}).scores(s.x),
                         b = fit_readout(scaled, s.labels, 2, {.kind = kind}).scores(scaled);
    for (Index i = 0; i < a.size(); ++i) CHECK(a[i] == doctest::Approx(b[i]).epsilon(1e-6));
  }
  Tensor<double> constant({40, 2});
  for (Index i = 0; i < 40; ++i) constant[2 * i] = 7, constant[2 * i + 1] = s.x[5 * i];
  CHECK(fit_readout(constant, s.labels, 2).weights[0] == 0);
}

TEST_CASE("decoding: least squares agrees with its normal equations") {
  // One feature, not standardised: w = sum x t / (sum x^2 + alpha) with x = -2, -1, 0, 3 and t = -1, -1, -1, 1 (centred: -.5, -.5, -.5, 1.5).
  const Tensor<double> x({4, 1}, {-2, -1, 0, 3});
  const Index labels[] = {0, 0, 0, 1};
  const Readout r = fit_readout(x, labels, 2, {.standardize = false, .penalties = {2.0}});
  CHECK(r.weights[1] == doctest::Approx(6.0 / 16));
  CHECK(r.weights[0] == doctest::Approx(-6.0 / 16));
  CHECK(r.offset[1] == doctest::Approx(-0.5));
  CHECK(r.penalty == 2);
  CHECK(r.predict(Tensor<double>({2, 1}, {-1, 4})) == std::vector<Index>{0, 1});
  CHECK(r.predict(Tensor<float>({1, 1}, {4})) == std::vector<Index>{1});
}

TEST_CASE("decoding: splits of one's own, with stimuli never left out and classes absent from the test") {
  const Stimuli s(30, 6, 3, 3, 4);
  Split split;
  for (Index i = 0; i < 30; ++i) (i >= 24 && i % 3 != 2 ? split.test : split.train).push_back(i);
  const Decoding d = decode(s.x, s.labels, 3, std::vector<Split>{split});
  CHECK(d.confusion.examples() == 4);
  CHECK(d.accuracy == 1);
  CHECK(d.balanced_accuracy == 1);
  CHECK(d.absent_classes == 1);
  CHECK(d.predicted[24] == 0);
  CHECK(d.predicted[26] == -1);
  CHECK(std::isnan(d.standard_error));
  split.test = {30};
  CHECK(message_of<Error>([&] { decode(s.x, s.labels, 3, std::vector<Split>{split}); }) == "decode: a split names stimulus 30 of 30");
  CHECK(message_of<Error>([&] { decode(s.x, s.labels, 3, std::span<const Split>{}); }) == "decode: no splits");
  split.test = {24, 26};
  CHECK(message_of<Error>([&] { decode(s.x, s.labels, 3, std::vector<Split>{split}); }) == "decode: a split both fits and tests stimulus 26");
  split = {{0, 1, 3, 4}, {2}};
  CHECK(message_of<Error>([&] { decode(s.x, s.labels, 3, std::vector<Split>{split}); }) == "fit_readout: class 2 has no stimuli");
}

TEST_CASE("decoding: balanced accuracy of unequal classes, absent ones left out and counted") {
  const Index labels[] = {0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, predicted[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const ConfusionMatrix m = confusion(labels, predicted, 4);
  CHECK(m.accuracy() == doctest::Approx(0.9));
  CHECK(balanced_accuracy(m) == 0.75);
  CHECK(absent_classes(m) == 2);
  CHECK(std::isnan(balanced_accuracy(ConfusionMatrix(3))));
  CHECK(absent_classes(ConfusionMatrix(3)) == 3);
}

TEST_CASE("decoding: confusion patterns and their consistency") {
  const Tensor<double> a({3, 3}, {8, 2, 0, 1, 2, 1, 0, 0, 0});
  const std::vector<double> p = confusion_pattern(a);
  REQUIRE(p.size() == 6);
  CHECK(p[0] == 0.2);
  CHECK(p[1] == 0);
  CHECK(p[2] == 0.25);
  CHECK(p[3] == 0.25);
  CHECK(std::isnan(p[4]));
  CHECK(std::isnan(p[5]));
  const double other[] = {0.4, 0.1, 0.5, 0.5, 9, 9};  // 2 p + (0, .1, 0, 0) where both are defined
  // deviations of p: .025 -.175 .075 .075; of the other: .025 -.275 .125 .125
  CHECK(confusion_consistency(p, other) == doctest::Approx(0.0675 / std::sqrt(0.0425 * 0.1075)).epsilon(1e-12));
  CHECK(confusion_consistency(p, other, PatternCorrelation::spearman) == doctest::Approx(1));
  CHECK(confusion_consistency(p, p) == doctest::Approx(1));
  const double flat[] = {1, 1, 1, 1, 1, 1};
  CHECK(std::isnan(confusion_consistency(p, flat)));
  ConfusionMatrix m(2);
  m.add(0, 0), m.add(0, 1), m.add(1, 1);
  CHECK(confusion_pattern(m) == std::vector<double>{0.5, 0});
}

TEST_CASE("decoding: noise-corrected consistency undoes the noise of halves") {
  Random random(5);
  std::vector<double> truth(4000);
  for (double& v : truth) v = random.normal();
  const auto measured = [&](double noise) {
    std::vector<double> out = truth;
    for (double& v : out) v += random.normal(0, noise);
    return out;
  };
  const SplitPattern a{measured(1), measured(1)}, b{measured(0.5), measured(0.5)};
  CHECK(confusion_consistency(a.first, b.first) < 0.7);
  CHECK(noise_corrected_consistency(a, b) == doctest::Approx(1).epsilon(0.04));
  CHECK(noise_corrected_consistency({truth, truth}, b) == doctest::Approx(1).epsilon(0.04));
  const SplitPattern against{{1, 2, 3}, {3, 2, 1}};
  CHECK(std::isnan(noise_corrected_consistency(against, against)));
}

TEST_CASE("decoding: bad input is named") {
  const Tensor<double> x({6, 2}, {1, 2, 3, 4, 5, 7, 8, 1, 0, 2, 3, 3});
  const std::vector<Index> one(6, 1), far{0, 1, 2, 0, 1, 2}, few{0, 1}, uneven{0, 0, 0, 0, 0, 1}, fine{0, 1, 0, 1, 0, 1};
  CHECK(message_of<Error>([&] { decode(x, one, 2); }) == "decode: all 6 stimuli are of class 1; at least 2 classes are needed");
  CHECK(message_of<Error>([&] { decode(x, far, 2); }) == "decode: label 2 at 2; there are 2 classes, from 0");
  CHECK(message_of<Error>([&] { decode(x, std::vector<Index>{0, 1, -1, 0, 1, 0}, 2); }) == "decode: label -1 at 2; there are 2 classes, from 0");
  CHECK(message_of<ShapeError>([&] { decode(x, few, 2); }) == "decode: 2 labels for 6 stimuli");
  CHECK(message_of<Error>([&] { decode(x, fine, 3); }) == "decode: class 2 has no stimuli");
  CHECK(message_of<Error>([&] { decode(x, fine, 1); }) == "decode: 1 classes; at least 2 are needed");
  CHECK(message_of<Error>([&] { decode(x, uneven, 2, {.folds = 2}); }) == "splits: category 1 has 1 stimuli; 2 folds need at least 2");
  CHECK(message_of<Error>([&] { decode(x, fine, 2, {.folds = 1}); }) == "splits: 1 folds of 6 stimuli; needs 2 to 6");
  CHECK(message_of<ShapeError>([&] { decode(Tensor<double>({6}), fine, 2); }) == "decode: features of shape [6]; needs [stimuli,features]");
  Tensor<double> bad = x.clone();
  bad[3] = NAN;
  CHECK(message_of<Error>([&] { fit_readout(bad, fine, 2); }) == "fit_readout: features: nan at row 1, column 1; finite numbers are needed");
  CHECK(message_of<Error>([&] { fit_logistic(x, fine, 2, {.penalty = 0}); }) ==
        "fit_logistic: penalty 0, gradient tolerance 1e-09, iterations 100; all must be positive");
  CHECK(message_of<ShapeError>([&] {
          fit_readout(x, fine, 2).scores(Tensor<double>({1, 3}));
        }) == "Readout::scores: features of shape [1,3]; fitted on 2 features, needs [stimuli,2]");
  CHECK(message_of<ShapeError>([&] { confusion(fine, few, 2); }) == "confusion: 6 labels and 2 predictions");
  CHECK(message_of<ShapeError>([&] {
          confusion_pattern(Tensor<double>({2, 3}));
        }) == "confusion_pattern: counts [2,3]; [classes,classes] of at least 2 needed");
  CHECK(message_of<Error>([&] {
          confusion_pattern(Tensor<double>({2, 2}, {1, -1, 0, 0}));
        }) == "confusion_pattern: -1 at (0,1); counts are at least 0");
  const std::vector<double> p2(2), p6(6);
  CHECK(message_of<ShapeError>([&] { confusion_consistency(p2, p6); }) == "confusion_consistency: patterns of 2 and 6 pairs of classes");
}

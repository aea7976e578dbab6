#include "ventral/loss.hpp"

#include <utility>
#include <vector>

#include "support.hpp"

using namespace ventral;

namespace {

template <class Space>
Tensor<std::int32_t, Space> labels(Shape shape, const std::vector<std::int32_t>& values) {
  return Tensor<std::int32_t, Cpu>(shape, values).to<Space>();
}

/// Labels 0, 1, .. classes - 1, mixed up.
template <class Space>
Tensor<std::int32_t, Space> random_labels(Shape shape, Index classes, std::uint64_t seed = 3) {
  Random random(seed);
  Tensor<std::int32_t, Cpu> out(shape);
  for (auto& v : out) v = static_cast<std::int32_t>(random.below(classes));
  return out.to<Space>();
}

/// dx of a loss against finite differences.
template <class Loss, class Space, class Target>
void check_loss_gradient(Loss loss, const Tensor<double, Space>& x, const Tensor<Target, Space>& target) {
  Tensor<double, Space> dx(x.shape()), input = x.clone();
  const double value = loss(input, target, dx);
  CHECK(value == loss(input, target));
  GradientReport report;
  detail::compare_gradient<double, Space>(
      "x", input.ref(), dx.template to<Cpu>(), [&] { return loss(input, target); }, {.max_elements = 20}, Random(1), report);
  INFO(Loss::kind, ": ", to_string(report));
  CHECK(report.passed(1e-6));
}

/// Loss, gradient and values of each position, on the CPU.
template <class T>
struct Outcome {
  double loss;
  Tensor<T> dx, values;
};
template <template <class, class> class Loss, class Space, class T, class Target, class Options>
Outcome<T> outcome(const Options& o, const Tensor<T>& x, const Tensor<Target>& target) {
  Loss<T, Space> loss(o);
  const auto scores = x.template to<Space>();
  const auto goal = target.template to<Space>();
  Tensor<T, Space> dx(x.shape()), values(target.shape());
  const double value = loss(scores, goal, dx);
  loss.values(scores, goal, values);
  return {value, dx.template to<Cpu>(), values.template to<Cpu>()};
}

/// Checks Cuda's outcome against the CPU's in double.
template <template <class, class> class Loss, class T, class Target, class Options>
void check_agreement(const Options& o, const Tensor<double>& x, const Tensor<Target>& target, double tolerance) {
  const Tensor<T> narrow = x.cast<T>();
  const auto expected = outcome<Loss, Cpu>(o, narrow.template cast<double>(), target);
  const auto found = [&] {
    if constexpr (std::is_same_v<Target, std::int32_t>) return outcome<Loss, Cuda>(o, narrow, target);
    else return outcome<Loss, Cuda>(o, narrow, target.template cast<T>());
  }();
  INFO(std::string(Loss<T, Cuda>::kind) << " of " << to_string(x.shape()));
  CHECK(found.loss == doctest::Approx(expected.loss).epsilon(tolerance));
  CHECK(test::relative_error(found.dx, expected.dx) < tolerance);
  CHECK(test::relative_error(found.values, expected.values) < tolerance);
}

}  // namespace

TEST_CASE_TEMPLATE("cross-entropy: reference values", Space, VENTRAL_TEST_SPACES) {
  const auto x = Tensor<double, Cpu>({4, 3}, {0.5, -1.2, 2.0, 1.5, 0.3, -0.7, 0.0, 0.25, -2.0, 3.0, 1.0, 2.0}).to<Space>();
  const auto y = labels<Space>({4}, {2, 0, 1, 1});
  Tensor<double, Space> each({4});
  SoftmaxCrossEntropy<double, Space> plain, sum({.reduction = Reduction::sum});
  CHECK(plain(x, y) == doctest::Approx(0.9050776774803304).epsilon(1e-14));
  CHECK(sum(x, y) == doctest::Approx(4 * 0.9050776774803304).epsilon(1e-14));
  plain.values(x, y, each);
  const auto values = each.template to<Cpu>();
  CHECK(values[0] == doctest::Approx(0.23419613713579812).epsilon(1e-14));
  CHECK(values[3] == doctest::Approx(2.40760596444438).epsilon(1e-14));

  SoftmaxCrossEntropy<double, Space> all({.smoothing = 0.1, .class_weights = {0.5, 2, 1.25}, .ignore = 0});
  const double expected = 1.2205962983745078;
  CHECK(all(x, y) == doctest::Approx(expected).epsilon(1e-14));
  all.values(x, y, each);
  CHECK(each.template to<Cpu>()[1] == 0);

  const auto narrow = x.template to<Cpu>().template cast<float>().template to<Space>();
  SoftmaxCrossEntropy<float, Space> single({.smoothing = 0.1, .class_weights = {0.5, 2, 1.25}, .ignore = 0});
  CHECK(single(narrow, y) == doctest::Approx(expected).epsilon(1e-6));
}

TEST_CASE_TEMPLATE("MSE, BCEWithLogits, Hinge, PerceptronCriterion: reference values", Space, VENTRAL_TEST_SPACES) {
  const auto x = Tensor<double, Cpu>({2, 2}, {0.3, -2, 5, 0}).to<Space>();
  const auto t = Tensor<double, Cpu>({2, 2}, {1, 0, 0.25, 0.5}).to<Space>();
  CHECK(MSE<double, Space>()(x, t) == doctest::Approx((0.49 + 4 + 4.75 * 4.75 + 0.25) / 4).epsilon(1e-14));
  CHECK(BCEWithLogits<double, Space>()(x, t) == doctest::Approx(1.2827864461401441).epsilon(1e-14));
  CHECK(BCEWithLogits<double, Space>({.positive_weight = 3})(x, t) == doctest::Approx(1.7340902820755337).epsilon(1e-14));

  CHECK(Hinge<double, Space>()(x, labels<Space>({2}, {0, 1})) == doctest::Approx((0 + 6) / 2.0));
  CHECK(Hinge<double, Space>({.margin = 3})(x, labels<Space>({2}, {0, 1})) == doctest::Approx((0.7 + 8) / 2.0));
  CHECK(Hinge<double, Space>()(x, labels<Space>({2, 2}, {1, 1, -1, -1})) == doctest::Approx((0.7 + 3 + 6 + 1) / 4));
  CHECK(PerceptronCriterion<double, Space>()(x, labels<Space>({2, 2}, {1, 1, -1, -1})) == doctest::Approx((2 + 5) / 4.0));

  const auto column = Tensor<double, Cpu>({3, 1}, {0.5, -2, 0}).to<Space>();
  Tensor<double, Space> dx({3, 1});
  const auto y = labels<Space>({3}, {1, 1, -1});
  CHECK(PerceptronCriterion<double, Space>({.reduction = Reduction::sum})(column, y, dx) == 2);
  CHECK(test::relative_error(dx.template to<Cpu>(), Tensor<double>({3, 1}, {0, -1, 1})) == 0);  // a tie counts as a mistake
  CHECK(Hinge<double, Space>({.margin = 0.5, .reduction = Reduction::sum})(column, y, dx) == 3);
  CHECK(test::relative_error(dx.template to<Cpu>(), Tensor<double>({3, 1}, {0, -1, 1})) == 0);  // 0.5 is on the kink: gradient 0

  Tensor<double, Space> tied({1, 3}), d({1, 3});
  CHECK(PerceptronCriterion<double, Space>()(tied, labels<Space>({1}, {0}), d) == 0);
  CHECK(test::relative_error(d.template to<Cpu>(), Tensor<double>({1, 3}, {-1, 1, 0})) == 0);  // the first of equal rivals
}

TEST_CASE_TEMPLATE("losses: gradients", Space, VENTRAL_TEST_SPACES) {
  const CrossEntropyOptions options{.smoothing = 0.1, .class_weights = {0.5, 2, 1.25, 0.75, 1}, .ignore = 3};
  for (const Shape& shape : {Shape{6, 5}, Shape{3, 5, 2}, Shape{2, 5, 3, 2}, Shape{2, 5, 1, 2, 3}}) {
    const auto x = test::random_tensor<double, Space>(shape);
    Shape positions{shape[0]};
    for (int axis = 2; axis < shape.rank(); ++axis) positions.push_back(shape[axis]);
    const auto y = random_labels<Space>(positions, 5);
    check_loss_gradient(SoftmaxCrossEntropy<double, Space>(), x, y);
    check_loss_gradient(SoftmaxCrossEntropy<double, Space>(options), x, y);
    check_loss_gradient(NegativeLogLikelihood<double, Space>(), x, y);
    check_loss_gradient(NegativeLogLikelihood<double, Space>(options), x, y);
    check_loss_gradient(Hinge<double, Space>({.reduction = Reduction::sum}), x, y);
    check_loss_gradient(PerceptronCriterion<double, Space>(), x, y);
    const auto target = test::random_tensor<double, Space>(shape, 2, 0.5, 0.2);
    check_loss_gradient(MSE<double, Space>(), x, target);
    check_loss_gradient(BCEWithLogits<double, Space>({.positive_weight = 2.5, .reduction = Reduction::sum}), x, target);
  }
  check_loss_gradient(Hinge<double, Space>(), test::random_tensor<double, Space>({7, 1}), labels<Space>({7}, {1, -1, 1, 1, -1, -1, 1}));
}

TEST_CASE_TEMPLATE("losses: empty batch, everything ignored, extremes", Space, VENTRAL_TEST_SPACES) {
  SoftmaxCrossEntropy<float, Space> loss({.ignore = 7});
  Tensor<float, Space> none({0, 4}), dx({0, 4});
  CHECK(loss(none, Tensor<std::int32_t, Space>(Shape{0}), dx) == 0);
  CHECK(MSE<float, Space>()(none, none, dx) == 0);

  const auto big = Tensor<float, Cpu>({2, 3}, {1e30f, -1e30f, 0, 500, 400, -500}).to<Space>();
  Tensor<float, Space> gradient = Tensor<float, Space>::full({2, 3}, 9);
  CHECK(loss(big, labels<Space>({2}, {7, 7}), gradient) == 0);
  for (const float v : gradient.template to<Cpu>()) CHECK(v == 0);
  CHECK(loss(big, labels<Space>({2}, {0, 1}), gradient) == 50);
  for (const float v : gradient.template to<Cpu>()) CHECK(std::isfinite(v));
  CHECK(BCEWithLogits<float, Space>()(big, Tensor<float, Space>({2, 3}), gradient) > 1e29);
  for (const float v : gradient.template to<Cpu>()) CHECK(std::isfinite(v));

  const auto bad = Tensor<float, Cpu>({1, 3}, {0, NAN, 0}).to<Space>();
  for (const std::int32_t y : {0, 1, 2}) {
    CHECK(std::isnan(loss(bad, labels<Space>({1}, {y}))));
    CHECK(std::isnan(Hinge<float, Space>()(bad, labels<Space>({1}, {y}))));
  }
}

TEST_CASE("losses: Cuda agrees with the CPU; positions alone, in warps, in several blocks, in blocks that go round") {
  const HingeOptions sum{.reduction = Reduction::sum};
  const Shape shapes[] = {{1, 1}, {131, 10}, {37, 33}, {300, 32}, {3, 100}, {5, 7, 61}, {1, 40, 1}, {2, 65, 1}, {11, 129}, {9, 1000}, {3, 1025}, {2, 5000}, {7, 4097}, {2, 40000}};
  for (const Shape& shape : shapes) {
#if defined(__SANITIZE_THREAD__)
    if (shape.size() > 20000) continue;  // the same kernels, for minutes
#endif
    const Index classes = shape[1];
    Shape positions{shape[0]};
    for (int axis = 2; axis < shape.rank(); ++axis) positions.push_back(shape[axis]);
    CrossEntropyOptions options{.smoothing = 0.1, .ignore = 1};
    for (Index c = 0; c < classes; ++c) options.class_weights.push_back(0.5 + 0.01 * static_cast<double>(c % 7));
    const auto x = test::random_tensor<double>(shape, 4, 0.5, 3), target = test::random_tensor<double>(shape, 5, 0.5, 0.2);
    const auto y = random_labels<Cpu>(positions, classes);
    check_agreement<SoftmaxCrossEntropy, double>(CrossEntropyOptions(), x, y, 1e-12);
    check_agreement<SoftmaxCrossEntropy, double>(options, x, y, 1e-12);
    check_agreement<NegativeLogLikelihood, double>(options, x, y, 1e-12);
    const double smoothing = std::exchange(options.smoothing, 0);  // without it, rows stay in registers
    check_agreement<SoftmaxCrossEntropy, float>(options, x, y, 1e-6);
    options.reduction = Reduction::sum;  // a mean's gradients come close to half's smallest number
    check_agreement<SoftmaxCrossEntropy, float>(options, x, y, 1e-6);
    check_agreement<SoftmaxCrossEntropy, bfloat16>(options, x, y, 0x1p-8);
    check_agreement<SoftmaxCrossEntropy, half>(options, x, y, 0x1p-9);
    options.smoothing = smoothing;
    check_agreement<SoftmaxCrossEntropy, float>(options, x, y, 1e-6);
    check_agreement<SoftmaxCrossEntropy, bfloat16>(options, x, y, 0x1p-8);
    check_agreement<SoftmaxCrossEntropy, half>(options, x, y, 0x1p-9);
    if (classes > 1) check_agreement<Hinge, double>(sum, x, y, 1e-12), check_agreement<Hinge, float>(sum, x, y, 1e-6);
    check_agreement<MSE, double>(MSEOptions(), x, target, 1e-12);
    check_agreement<MSE, float>(MSEOptions(), x, target, 1e-6);
    check_agreement<BCEWithLogits, double>(BCEWithLogitsOptions{.positive_weight = 3}, x, target, 1e-12);
    check_agreement<BCEWithLogits, float>(BCEWithLogitsOptions{.positive_weight = 3}, x, target, 1e-6);
  }
  const auto many = test::random_tensor<double>({8300, 32});  // more than the threads of a launch
  check_agreement<MSE, float>(MSEOptions(), many, test::random_tensor<double>({8300, 32}, 2), 1e-6);
  check_agreement<SoftmaxCrossEntropy, float>(CrossEntropyOptions(), many, random_labels<Cpu>({8300}, 32), 1e-6);
  auto signs = random_labels<Cpu>({33, 31}, 2);
  for (auto& v : signs) v = 2 * v - 1;
  check_agreement<Hinge, double>(sum, test::random_tensor<double>({33, 31}), signs, 1e-13);
}

TEST_CASE_TEMPLATE("losses: rows of NaN, infinity and ties, in rows for a thread and for a warp", Space, VENTRAL_TEST_SPACES) {
  for (const Index classes : {4, 40, 400, 2000}) {
    Tensor<float> x({5, classes});
    for (Index c = 0; c < classes; ++c) x.at(1, c) = 3, x.at(2, c) = -INFINITY, x.at(3, c) = static_cast<float>(c), x.at(4, c) = -x.at(3, c);
    x.at(0, classes - 2) = NAN, x.at(2, 1) = 0, x.at(4, 0) = NAN;
    const auto r = outcome<SoftmaxCrossEntropy, Space>(CrossEntropyOptions{.reduction = Reduction::sum}, x, labels<Cpu>({5}, {0, 2, 1, 1, 1}));
    CHECK(std::isnan(r.values[0]));
    CHECK(r.values[1] == doctest::Approx(std::log(static_cast<double>(classes))));
    CHECK(r.values[2] == 0);
    CHECK(r.values[3] == doctest::Approx(static_cast<double>(classes) - 2 - std::log1p(-std::exp(-1.0))).epsilon(0.01));
    CHECK(std::isnan(r.values[4]));
    CHECK(r.dx.at(1, 2) == doctest::Approx(1 / static_cast<double>(classes) - 1));
    CHECK(r.dx.at(2, 1) == 0);
    CHECK(std::isnan(r.dx.at(4, classes - 1)));
  }
}

TEST_CASE_TEMPLATE("losses: the first bad label is named, whichever block finds it", Space, VENTRAL_TEST_SPACES) {
  const Index threads = 1024 * 256;  // of a launch: the next label is the first thread's again
  const Tensor<float, Space> x({400, 3, 5}), score({threads + 2000});
  Tensor<std::int32_t> y({400, 5}), sign = Tensor<std::int32_t>::full({threads + 2000}, 1);
  const auto bad_label = [&] { return test::message_of<Error>([&] { SoftmaxCrossEntropy<float, Space>()(x, y.to<Space>()); }); };
  y.at(399, 4) = 3;
  CHECK(bad_label() == "SoftmaxCrossEntropy: label 3 at [399,4] is not in 0..2");
  y.at(250, 1) = -7, y.at(250, 2) = 9;
  CHECK(bad_label() == "SoftmaxCrossEntropy: label -7 at [250,1] is not in 0..2");
  sign[1500] = 0, sign[1999] = 2, sign[threads + 1500] = 3;
  const auto bad_sign = test::message_of<Error>([&] { Hinge<float, Space>()(score, sign.to<Space>()); });
  CHECK(bad_sign == "Hinge: label 0 at [1500] is not -1 or 1, the labels of two classes");
}

TEST_CASE("losses: the same bits for any number of threads") {
  const auto x = test::random_tensor<float>({700, 10, 9});
  const auto y = random_labels<Cpu>({700, 9}, 10);
  const int before = cpu::threads();
  double value[2], square[2];
  Tensor<float> dx[2] = {Tensor<float>(x.shape()), Tensor<float>(x.shape())};
  for (const int threads : {1, 2}) {
    cpu::set_threads(threads);
    value[threads - 1] = SoftmaxCrossEntropy<float>({.smoothing = 0.1})(x, y, dx[threads - 1]);
    square[threads - 1] = MSE<float>()(x, dx[0]);
  }
  cpu::set_threads(before);
  CHECK(value[0] == value[1]);
  CHECK(square[0] == square[1]);
  CHECK(test::relative_error(dx[0], dx[1]) == 0);
}

TEST_CASE("losses: bad input is named") {
  const auto x = test::random_tensor<double>({2, 3, 4});
  SoftmaxCrossEntropy<double> loss;
  Tensor<std::int32_t> y({2, 4});
  y.at(1, 2) = 3;
  CHECK(test::message_of<Error>([&] { loss(x, y); }) == "SoftmaxCrossEntropy: label 3 at [1,2] is not in 0..2");
  y.at(1, 2) = -1;
  CHECK(test::message_of<Error>([&] { Hinge<double>()(x, y); }) == "Hinge: label -1 at [1,2] is not in 0..2");
  CHECK(test::message_of<ShapeError>([&] {
          loss(x, Tensor<std::int32_t>({2, 5}));
        }) == "SoftmaxCrossEntropy: labels [2,5] do not fit the output [2,3,4]; expected [2,4]");
  CHECK(test::message_of<ShapeError>([&] { loss(Tensor<double>({5}), Tensor<std::int32_t>({5})); }) ==
        "SoftmaxCrossEntropy: output [5]; expected [N,C,...] with at least one class");
  CHECK(test::message_of<ShapeError>([&] {
          SoftmaxCrossEntropy<double>({.class_weights = {1, 2}})(x, Tensor<std::int32_t>({2, 4}));
        }) == "SoftmaxCrossEntropy: 2 class weights for the 3 classes of [2,3,4]");
  CHECK(test::message_of<Error>([&] { SoftmaxCrossEntropy<double>({.smoothing = 1}); }) == "SoftmaxCrossEntropy: smoothing 1 is not in [0, 1)");
  CHECK(test::message_of<Error>([&] { NegativeLogLikelihood<double>({.class_weights = {-1}}); }) ==
        "NegativeLogLikelihood: class weight -1 is negative or not finite");
  CHECK(test::message_of<ShapeError>([&] { MSE<double>()(x, Tensor<double>({2, 3})); }) == "MSE: target [2,3] differs in shape from the output [2,3,4]");
  Tensor<double> dx({2, 3});
  CHECK(test::message_of<ShapeError>([&] { MSE<double>()(x, x, dx); }) == "MSE: dx has shape [2,3]; the output has [2,3,4]");
  CHECK(test::message_of<Error>([&] {
          Hinge<double>()(Tensor<double>({2}), Tensor<std::int32_t>({2}, {1, 0}));
        }) == "Hinge: label 0 at [1] is not -1 or 1, the labels of two classes");
  CHECK(test::message_of<ShapeError>([&] {
          Hinge<double>()(Tensor<double>({2, 1, 3}), Tensor<std::int32_t>({2, 3}));
        }) == "Hinge: output [2,1,3] has one class; give it one label of -1 or 1 for each score");
}

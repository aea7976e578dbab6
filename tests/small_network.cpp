/// Training by the kernel that stays on the device: CaptureOptions::persistent.
#include <algorithm>
#include <cmath>
#include <limits>

#include "support.hpp"
#include "ventral/capture.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

template <class T>
using Examples = ResidentData<T, std::int32_t, Cuda>;

template <class T>
Examples<T> random_examples(const Shape& x, Index classes, std::uint64_t seed) {
  Random random(seed);
  Tensor<T> images(x);
  Tensor<std::int32_t> labels({x[0]});
  for (T& value : images) value = static_cast<T>(random.uniform(-1.0, 1.0));
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(classes));
  return Examples<T>(images.template to<Cuda>(), labels.template to<Cuda>());
}

template <class T>
std::vector<T> all_numbers(Sequential<T, Cuda>& net) {
  std::vector<T> out;
  for (const auto& p : net.parameters()) {
    const Tensor<T> host = p.parameter->value.template to<Cpu>();
    out.insert(out.end(), host.begin(), host.end());
  }
  return out;
}

/// The largest difference, over the largest number.
template <class T>
double distance(const std::vector<T>& a, const std::vector<T>& b) {
  double most = 0, top = 0;
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    most = std::max(most, std::abs(static_cast<double>(a[i] - b[i])));
    top = std::max(top, std::abs(static_cast<double>(b[i])));
  }
  return most / top;
}

/// What became of a network in so many steps: its parameters, and the losses and hits of the steps.
template <class T>
struct Trained {
  std::vector<T> numbers;
  std::vector<double> losses;
  std::vector<Index> hits;
};
template <class T, class Make>
Trained<T> train(bool persistent, Make make, const Examples<T>& data, const CaptureOptions& o, Index steps, const SGDOptions& sgd = {.rate = 0.05, .momentum = 0.9}) {
  Sequential<T, Cuda> net = make();
  SGD<T, Cuda> optimizer(net.parameters(), sgd);
  SoftmaxCrossEntropy<T, Cuda> loss;
  CaptureOptions options = o;
  options.persistent = persistent;
  auto step = net.capture_step(loss, optimizer, data, options);
  Trained<T> out;
  const auto note = [&](double value, Index right) { out.losses.push_back(value), out.hits.push_back(right); };
  for (Index done = 0; done < steps; done += std::min(steps - done, o.look_every)) {
    step.run(std::min(steps - done, o.look_every));
    step.collect(note);
  }
  CHECK((step.size() == 0) == persistent);
  CHECK(net.step() == static_cast<std::uint64_t>(steps));
  for (const Index count : optimizer.counts()) CHECK((count == steps || count == 0));
  out.numbers = all_numbers(net);
  return out;
}

/// Both ways; results may differ by `tolerance`, relative to the largest.
template <class T, class Make>
void check_agreement(Make make, const Examples<T>& data, const CaptureOptions& o, Index steps, double tolerance, const SGDOptions& sgd = {.rate = 0.05, .momentum = 0.9}) {
  Sequential<T, Cuda> untrained = make();
  const auto before = all_numbers(untrained);
  const Trained<T> plain = train<T>(false, make, data, o, steps, sgd), ours = train<T>(true, make, data, o, steps, sgd);
  CHECK(distance(plain.numbers, before) > 1e-4);
  CHECK(distance(ours.numbers, plain.numbers) < tolerance);
  CHECK(distance(ours.losses, plain.losses) < tolerance);
  CHECK(ours.hits == plain.hits);
  CHECK(train<T>(true, make, data, o, steps, sgd).numbers == ours.numbers);
}

/// A network of every kind of layer, on [N,3,13,10].
Sequential<double, Cuda> odd() {
  Sequential<double, Cuda> net;
  net.add("tanh0", Tanh<double, Cuda>({.amplitude = 1.7, .gain = 0.6}));
  net.add("conv1", Conv2d<double, Cuda>({.in = 3, .out = 5, .kernel = {3, 2}, .stride = {1, 2}, .padding = {2, 1, 0, 1}}));
  net.add("act1", Sigmoid<double, Cuda>());
  net.add("pool1", MaxPool2d<double, Cuda>({.kernel = 3, .stride = {2, 1}, .padding = 1, .rounding = Rounding::ceil}));
  net.add("conv2", Conv2d<double, Cuda>({.in = 5, .out = 6, .kernel = {2, 3}, .stride = {2, 1}, .padding = 1, .dilation = {1, 2}, .bias = false}));
  net.add("act2", ReLU<double, Cuda>());
  net.add("pool2", MeanPool2d<double, Cuda>({.kernel = {2, 3}, .stride = 1, .padding = 1, .count_include_pad = false}));
  net.add("pool3", MeanPool2d<double, Cuda>({.kernel = 2, .stride = 3, .padding = 1, .rounding = Rounding::ceil}));
  net.add("flatten", Flatten<double, Cuda>());
  net.add("fc1", Linear<double, Cuda>({.in = net.output_shape({1, 3, 13, 10}).size(), .out = 9, .bias = false}));
  net.add("act3", Tanh<double, Cuda>());
  net.add("fc2", Linear<double, Cuda>({.in = 9, .out = 5}));
  net.initialize(4);
  return net;
}

}  // namespace

TEST_CASE("small network: LeNet-5 of both styles agrees with other steps") {
  const auto data = random_examples<float>({14, 1, 28, 28}, 10, 1);
  for (const LeNetStyle style : {LeNetStyle::modern, LeNetStyle::lecun}) {
    CAPTURE(static_cast<int>(style));
    check_agreement<float>([&] { return lenet5<float, Cuda>({.style = style}); }, data, {.batch = 7, .look_every = 4}, 5, 1e-5);
  }
}

TEST_CASE("small network: odd windows, strides, dilation, padding, pooling and channels agree with other steps") {
  const auto data = random_examples<double>({11, 3, 13, 10}, 5, 2);
  check_agreement<double>(odd, data, {.batch = 4, .look_every = 3}, 7, 1e-12);
}

TEST_CASE("small network: batches, options of SGD and frozen parameters as in other steps") {
  const auto data = random_examples<double>({11, 3, 13, 10}, 5, 2);
  check_agreement<double>(odd, data, {.batch = 1}, 5, 1e-12, {.rate = 0.02});
  check_agreement<double>(odd, data, {.batch = 11}, 4, 1e-12, {.rate = 0.02, .momentum = 0.8, .dampening = 0.3, .weight_decay = 0.01});
  check_agreement<double>(odd, data, {.batch = 5}, 4, 1e-12, {.rate = 0.02, .momentum = 0.8, .nesterov = true});
  const auto frozen = [] {
    Sequential<double, Cuda> net = odd();
    net.layer<Conv2d<double, Cuda>>("conv1").weight.frozen = true;
    net.layer<Linear<double, Cuda>>("fc1").weight.frozen = true;
    net.layer<Linear<double, Cuda>>("fc2").bias.frozen = true;
    return net;
  };
  check_agreement<double>(frozen, data, {.batch = 4}, 4, 1e-12);
}

TEST_CASE("small network: one layer; images of one pixel; more channels and taps than threads have sums") {
  const auto perceptron = [] {
    Sequential<double, Cuda> net;
    net.add("flatten", Flatten<double, Cuda>()).add("fc", Linear<double, Cuda>({.in = 6, .out = 1}));
    return net;
  };
  const auto one_class = random_examples<double>({4, 1, 2, 3}, 1, 3);
  CHECK(train<double>(true, perceptron, one_class, {.batch = 2}, 3).losses == std::vector<double>(3, 0.0));

  const auto pixels = random_examples<double>({6, 2, 1, 1}, 3, 3);
  const auto pointwise = [] {
    Sequential<double, Cuda> net;
    net.add("conv1", Conv2d<double, Cuda>({.in = 2, .out = 37})).add("act", ReLU<double, Cuda>());
    net.add("conv2", Conv2d<double, Cuda>({.in = 37, .out = 70})).add("act2", ReLU<double, Cuda>());
    net.add("flatten", Flatten<double, Cuda>()).add("fc", Linear<double, Cuda>({.in = 70, .out = 3}));
    net.initialize(2);
    return net;
  };
  check_agreement<double>(pointwise, pixels, {.batch = 3}, 4, 1e-12);
}

TEST_CASE("small network: images kept as bytes give the bits of numbers, and steps the same bits however they are run") {
  Random random(5);
  Dataset digits;
  digits.images = Tensor<std::uint8_t>({18, 1, 28, 28});
  digits.labels = Tensor<std::int32_t>({18});
  digits.classes = 10;
  for (auto& pixel : digits.images) pixel = static_cast<std::uint8_t>(random.below(256));
  for (auto& label : digits.labels) label = static_cast<std::int32_t>(random.below(10));
  const ImageSource<float> source(digits);
  const auto lenet = [] { return lenet5<float, Cuda>(); };
  const auto numbers = train<float>(true, lenet, Examples<float>::of(source), {.batch = 6, .look_every = 5}, 5).numbers;
  CHECK(train<float>(true, lenet, Examples<float>::bytes_of(source), {.batch = 6, .look_every = 5}, 5).numbers == numbers);
  CHECK(train<float>(true, lenet, Examples<float>::of(source), {.batch = 6, .look_every = 2}, 5).numbers == numbers);

  const auto fitted = [&](bool persistent, std::function<double(Index)> schedule, bool stream = false) {
    auto net = lenet();
    SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.02, .momentum = 0.9});
    TrainingOptions options;
    options.epochs = 2, options.batch = 4, options.log = nullptr, options.capture = true, options.persistent = persistent, options.stream = stream;
    options.schedule = std::move(schedule);
    const auto result = fit(net, SoftmaxCrossEntropy<float, Cuda>(), sgd, source, options);
    CHECK(result.state.step == 10);
    return all_numbers(net);
  };
  const auto constant = [](Index) { return 0.02; };
  const auto once = fitted(true, {});
  CHECK(fitted(true, constant) == once);
  CHECK(contains(test::message_of<Error>([&] { fitted(true, {}, true); }), "all on the device"));
  CHECK(distance(fitted(false, {}), once) < 1e-5);
  const auto falling = warm_up(3, CosineRate{.rate = 0.05, .steps = 10});
  CHECK(distance(fitted(true, falling), fitted(false, falling)) < 1e-5);
}

TEST_CASE("small network: halts at a loss that is not finite, as other captured steps do") {
  const Index n = 12, bad = 7;
  Tensor<float> images({n, 1, 28, 28});
  for (Index i = 0; i < images.size(); ++i) images[i] = static_cast<float>(i % 17) / 17;
  images[bad * 784 + 300] = std::numeric_limits<float>::infinity();
  const Examples<float> data(images.to<Cuda>(), Tensor<std::int32_t>({n}).to<Cuda>());
  auto net = lenet5<float, Cuda>();
  SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.01, .momentum = 0.9});
  SoftmaxCrossEntropy<float, Cuda> loss;
  auto step = net.capture_step(loss, sgd, data, {.batch = 2, .persistent = true});
  step.run(3);
  step.collect();
  const auto before = all_numbers(net);
  step.run(3);
  Index seen = 0;
  const std::string text = test::message_of<Error>([&] { step.collect([&](double, Index) { ++seen; }); });
  CHECK(contains(text, "captured step 4: the loss is "));
  CHECK(contains(text, "nan; the input [2,1,28,28] already holds NaN or infinity, first at [1,0,10,20]"));
  CHECK(seen == 1);
  CHECK(all_numbers(net) == before);
  net.set_random_state(net.seed(), 3);
  CHECK(sgd.counts() == std::vector<Index>(sgd.counts().size(), 3));
  const std::vector<Index> good{0, 1, 2, 3};
  step.follow(good);
  step.run(2);
  CHECK(std::isfinite(step.loss()));
  CHECK(all_numbers(net) != before);
  Tensor<float, Cuda>& bias = net.layer<Linear<float, Cuda>>("fc2").bias.value;
  bias = bias.clone();
  CHECK(contains(test::message_of<Error>([&] { step.run(1); }), "parameters were frozen, replaced or moved"));
}

TEST_CASE("small network: what it cannot train is named") {
  const auto data = random_examples<float>({4, 1, 28, 28}, 10, 1);
  SoftmaxCrossEntropy<float, Cuda> loss;
  const auto message = [&](auto change, CaptureOptions o, auto& with) {
    auto net = lenet5<float, Cuda>();
    change(net);
    SGD<float, Cuda> sgd(net.parameters());
    o.persistent = true;
    return test::message_of<Error>([&] { static_cast<void>(net.capture_step(with, sgd, data, o)); });
  };
  const auto nothing = [](auto&) {};
  CHECK(contains(message([](auto& net) { net.replace("act1", BatchNorm2d<float, Cuda>({.channels = 6})); }, {.batch = 2}, loss),
                 "layer 'act1', a BatchNorm2d on [2,6,28,28], is none that the kernel for small networks knows"));
  CHECK(contains(message([](auto& net) { net.replace("conv2", Conv2d<float, Cuda>({.in = 6, .out = 16, .kernel = 5, .groups = 2})); }, {.batch = 2}, loss), "layer 'conv2', a Conv2d"));
  CHECK(contains(message([](auto& net) { net.replace("conv1", Conv2d<float, Cuda>({.in = 1, .out = 60, .kernel = 5, .padding = 2})), net.replace("conv2", Conv2d<float, Cuda>({.in = 60, .out = 16, .kernel = 5})); },
                         {.batch = 2}, loss),
                 "do not fit into the shared memory of a block"));
  CHECK(contains(message(nothing, {.batch = 2, .clip_norm = 1}, loss), "does not clip"));
  SoftmaxCrossEntropy<float, Cuda> smooth({.smoothing = 0.1}), summed({.reduction = Reduction::sum});
  CHECK(contains(message(nothing, {.batch = 2}, smooth), "knows SoftmaxCrossEntropy without smoothing"));
  CHECK(contains(message(nothing, {.batch = 2}, summed), "averaged over the batch"));
  MSE<float, Cuda> mse;
  auto net = lenet5<float, Cuda>();
  Adam<float, Cuda> adam(net.parameters());
  const ResidentData<float, float, Cuda> targets(Tensor<float, Cuda>({4, 1, 28, 28}), Tensor<float, Cuda>({4, 10}));
  CHECK(contains(test::message_of<Error>([&] { static_cast<void>(net.capture_step(mse, adam, targets, {.batch = 2, .persistent = true})); }), "by SoftmaxCrossEntropy alone"));
  auto step = net.capture_step(loss, adam, data, {.batch = 2, .persistent = true});
  step.run(1);
  CHECK(contains(test::message_of<Error>([&] { step.run(1); }), "by SGD alone"));
}

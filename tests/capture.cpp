#include <algorithm>
#include <tuple>

#include "support.hpp"
#include "ventral/capture.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/layers/softmax.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/// Random images with labels that can be learnt: bright in one of four rows of squares.
Dataset squares(Index n, Index side, std::uint64_t seed) {
  Random random(seed);
  Dataset data;
  data.images = Tensor<std::uint8_t>({n, 1, side, side});
  data.labels = Tensor<std::int32_t>({n});
  data.classes = 4;
  for (Index i = 0; i < n; ++i) {
    data.labels[i] = static_cast<std::int32_t>(random.below(4));
    for (Index k = 0; k < side * side; ++k)
      data.images[i * side * side + k] = static_cast<std::uint8_t>(random.below(120) + (k / side * 4 / side == data.labels[i] ? 100 : 0));
  }
  return data;
}

/// A small network with what changes from step to step: dropout, and running statistics.
Sequential<float, Cuda> small_net() {
  Sequential<float, Cuda> net;
  net.add("conv", Conv2d<float, Cuda>({.in = 1, .out = 3, .kernel = 3, .padding = 1}));
  net.add("norm", BatchNorm2d<float, Cuda>({.channels = 3}));
  net.add("act", ReLU<float, Cuda>());
  net.add("pool", MaxPool2d<float, Cuda>({.kernel = 2}));
  net.add("flatten", Flatten<float, Cuda>());
  net.add("dropout", Dropout<float, Cuda>({.rate = 0.3}));
  net.add("fc", Linear<float, Cuda>({.in = 48, .out = 4}));
  net.initialize(3);
  return net;
}

/// Every number that training changes.
std::vector<float> all_numbers(Sequential<float, Cuda>& net) {
  std::vector<float> out;
  const auto append = [&](const Tensor<float, Cuda>& t) {
    const Tensor<float> host = t.to<Cpu>();
    out.insert(out.end(), host.begin(), host.end());
  };
  for (const auto& p : net.parameters()) append(p.parameter->value);
  for (const auto& b : net.buffers()) append(b.buffer->value);
  return out;
}

TrainingOptions quiet(Index epochs, bool capture) {
  TrainingOptions o;
  o.epochs = epochs, o.batch = 16, o.log = nullptr, o.capture = capture, o.look_every = 5;
  return o;
}

using Loss = SoftmaxCrossEntropy<float, Cuda>;
using Images = ResidentData<float, std::int32_t, Cuda>;

}  // namespace

TEST_CASE("capture: the same bits as uncaptured steps, for each optimizer, with schedule, dropout and a partial batch") {
  const Dataset data = squares(140, 8, 1), held_out = squares(50, 8, 2);
  const auto check = [&](const char* name, auto make, Index epochs) {
    INFO(name);
    const auto train = [&](bool capture) {
      auto net = small_net();
      auto optimizer = make(net);
      TrainingOptions options = quiet(epochs, capture);
      options.schedule = warm_up(7, CosineRate{.rate = 0.05, .steps = 30});
      const auto result = fit(net, Loss(), optimizer, ImageSource<float>(data), ImageSource<float>(held_out), options);
      return std::tuple(all_numbers(net), result.epochs.back().loss, result.epochs.back().accuracy, result.epochs.back().validation_loss, result.state.step, net.step(),
                        optimizer.counts());
    };
    CHECK(train(true) == train(false));
  };
  check("SGD", [](auto& net) { return SGD<float, Cuda>(net.parameters()); }, 1);
  check("momentum", [](auto& net) { return SGD<float, Cuda>(net.parameters(), {.momentum = 0.9, .dampening = 0.1, .weight_decay = 1e-3}); }, 4);
  check("Adam", [](auto& net) { return Adam<float, Cuda>(net.parameters()); }, 4);
  check("AdamW", [](auto& net) { return AdamW<float, Cuda>(net.parameters()); }, 2);
  check("RMSProp", [](auto& net) { return RMSProp<float, Cuda>(net.parameters(), {.momentum = 0.5, .centered = true}); }, 2);
  check("Adagrad", [](auto& net) { return Adagrad<float, Cuda>(net.parameters(), {.rate_decay = 0.1}); }, 2);
}

namespace {

/// Steps as a person would write them, on examples of `data` in order from `first` on. Returns the last loss.
template <class L, class Target>
double plain_step(Sequential<float, Cuda>& net, L& loss, Optimizer<float, Cuda>& optimizer, const ResidentData<float, Target, Cuda>& data, Index first, Index n) {
  const In<float, Cuda> x = data.x().slice(first, first + n);
  optimizer.zero_gradients();
  const In<float, Cuda> y = net.forward(x, Mode::training);
  Tensor<float, Cuda> dy(y.shape);
  const double value = loss(y, data.target().slice(first, first + n), dy);
  net.backward(dy);
  optimizer.step();
  return value;
}

Images resident(const Dataset& data) {
  const ImageSource<float> source(data);
  return Images::of(source);
}

}  // namespace

TEST_CASE("capture: gradients clipped by their norm, in some steps and not in others") {
  const Dataset data = squares(90, 8, 1);
  std::vector<double> norms;
  const auto train = [&](bool capture, double limit) {
    auto net = small_net();
    net.replace("fc", Linear<float, Cuda>({.in = 48, .out = 4}));
    SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.05, .momentum = 0.9, .weight_decay = 1e-3});
    TrainingOptions options = quiet(3, capture);
    options.clip_norm = limit;
    fit(net, Loss(), sgd, ImageSource<float>(data), options);
    if (!capture) norms.push_back(sgd.clip_gradient_norm(1e9));  // of the last step, after it was clipped
    return all_numbers(net);
  };
  const auto free = train(false, 0);
  for (const double limit : {1e-3, norms[0], 1.5 * norms[0], 1e3}) {
    INFO(limit);
    const auto plain = train(false, limit);
    CHECK(train(true, limit) == plain);
    CHECK((plain == free) == (limit == 1e3));
  }
  CHECK(norms[1] == doctest::Approx(1e-3).epsilon(1e-3));
}

TEST_CASE("capture: data kept as bytes give the same bits, with a table for all or for each channel") {
  const Dataset data = squares(37, 9, 4);
  const ImageSource<float> source(data, {.mean = 100.3, .deviation = 61.7});
  const auto train = [&](const Images& images) {
    Sequential<float, Cuda> net;
    net.add("flatten", Flatten<float, Cuda>()).add("fc", Linear<float, Cuda>({.in = 81, .out = 4}));
    net.initialize(2);
    SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.05, .momentum = 0.9});
    Loss loss;
    auto step = net.capture_step(loss, sgd, images, {.batch = 5});
    step.run(17);
    return std::pair(all_numbers(net), step.loss());
  };
  const Images bytes = Images::bytes_of(source);
  CHECK(bytes.as_bytes());
  CHECK(bytes.shape() == Shape{37, 1, 9, 9});
  CHECK(train(bytes) == train(Images::of(source)));
  CHECK(contains(test::message_of<Error>([&] { bytes.x(); }), "inputs are kept as bytes"));

  const Index n = 5, channels = 3;
  Tensor<std::uint8_t> pixels({n, channels, 3, 5});
  Tensor<float> levels({channels, 256}), expected(Shape{3, channels, 3, 5});
  for (Index i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<std::uint8_t>(i * 37 % 256);
  for (Index i = 0; i < levels.size(); ++i) levels[i] = static_cast<float>(i % 256) / static_cast<float>(i / 256 + 1);
  const Tensor<std::int64_t> order({3}, {4, 0, 2});
  for (Index i = 0; i < expected.size(); ++i) {
    const Index at = order[i / 45] * 45 + i % 45;
    expected[i] = levels[i % 45 / 15 * 256 + pixels[at]];
  }
  const Images of_channels(pixels.to<Cuda>(), levels.to<Cuda>(), Tensor<std::int32_t>({n}, {3, 1, 4, 1, 5}).to<Cuda>());
  Tensor<float, Cuda> x(expected.shape());
  Tensor<std::int32_t, Cuda> target({3});
  const Tensor<std::int64_t, Cuda> there = order.to<Cuda>();
  of_channels.gather(gpu::BatchPlace{there.data()}, x.ref(), target.ref());
  const Tensor<float> got = x.to<Cpu>();
  const Tensor<std::int32_t> labels = target.to<Cpu>();
  CHECK(std::equal(got.begin(), got.end(), expected.begin()));
  CHECK(std::vector<std::int32_t>(labels.begin(), labels.end()) == std::vector<std::int32_t>{5, 3, 4});
  CHECK(contains(test::message_of<ShapeError>([&] { Images(pixels.to<Cuda>(), Tensor<float>({2, 256}).to<Cuda>(), Tensor<std::int32_t>({n}).to<Cuda>()); }),
                 "ResidentData: levels [2,256] for bytes [5,3,3,5]"));
}

TEST_CASE("capture: training goes on where it stopped, captured or not") {
  const Dataset data = squares(70, 8, 1);
  const auto train = [&](std::vector<bool> captured) {
    auto net = small_net();
    Adam<float, Cuda> adam(net.parameters());
    TrainingState state;
    for (const bool capture : captured) {
      TrainingOptions options = quiet(state.epoch + 2, capture);
      options.start = state;
      state = fit(net, Loss(), adam, ImageSource<float>(data), options).state;
    }
    return std::pair(all_numbers(net), state.step);
  };
  const auto plain = train({false, false});
  CHECK(train({true, true}) == plain);
  CHECK(train({false, true}) == plain);
  CHECK(train({true, false}) == plain);
}

TEST_CASE("capture: LeNet-5 with dropout, 30 steps of momentum and of Adam") {
  const Images data = resident(squares(24, 28, 1));
  const auto check = [&](auto make) {
    const auto train = [&](bool capture) {
      auto net = lenet5<float, Cuda>({.classes = 4});
      net.replace("act4", Dropout<float, Cuda>({.rate = 0.25}));
      auto optimizer = make(net);
      Loss loss;
      double last = 0;
      if (capture) {
        auto step = net.capture_step(loss, optimizer, data, {.batch = 6, .look_every = 7});
        step.run(11);
        optimizer.set_rate(0.004);
        step.run(19);
        last = step.loss();
        CHECK(step.loss() == last);
      } else {
        for (Index i = 0; i < 30; ++i) {
          if (i == 11) optimizer.set_rate(0.004);
          last = plain_step(net, loss, optimizer, data, i % 4 * 6, 6);
        }
      }
      return std::tuple(all_numbers(net), last, net.step(), optimizer.counts());
    };
    CHECK(train(true) == train(false));
  };
  check([](auto& net) { return SGD<float, Cuda>(net.parameters(), {.rate = 0.02, .momentum = 0.9, .nesterov = true}); });
  check([](auto& net) { return Adam<float, Cuda>(net.parameters()); });
}

TEST_CASE("capture: every loss and reduction, weights of classes, labels to ignore") {
  const Index n = 18;
  const Tensor<float> x = test::random_tensor<float>({n, 7});
  Tensor<std::int32_t> labels({n}), signs({n});
  for (Index i = 0; i < n; ++i) labels[i] = i < 6 ? -100 : static_cast<std::int32_t>(i % 3), signs[i] = i % 2 ? 1 : -1;
  const auto check = [&](auto loss, const auto& target, Index out, bool log_softmax = false) {
    using L = decltype(loss);
    const ResidentData<float, typename L::Target, Cuda> data(x.to<Cuda>(), target.template to<Cuda>());
    const auto train = [&](bool capture) {
      Sequential<float, Cuda> net;
      net.add("fc", Linear<float, Cuda>({.in = 7, .out = out}));
      if (log_softmax) net.add("log", LogSoftmax<float, Cuda>());
      net.initialize(1);
      SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.1, .momentum = 0.5});
      std::vector<double> losses;
      if (capture) {
        auto step = net.capture_step(loss, sgd, data, {.batch = 6});
        for (int i = 0; i < 7; ++i) step.run(), losses.push_back(step.loss());
      } else {
        for (Index i = 0; i < 7; ++i) losses.push_back(plain_step(net, loss, sgd, data, i % 3 * 6, 6));
      }
      return std::pair(all_numbers(net), losses);
    };
    const auto captured = train(true), plain = train(false);
    CHECK(captured == plain);
    CHECK(captured.second[1] != captured.second[2]);
  };
  Tensor<std::int32_t> all = labels.clone();
  for (Index i = 0; i < 6; ++i) all[i] = 2;
  const Tensor<float> values = test::random_tensor<float>({n, 2});
  Tensor<float> shares({n, 2});
  for (Index i = 0; i < shares.size(); ++i) shares[i] = static_cast<float>(i % 3) / 2;
  for (const Reduction r : {Reduction::mean, Reduction::sum}) {
    const CrossEntropyOptions weighted{.smoothing = 0.1, .class_weights = {0.5, 2, 1}, .reduction = r};
    check(Loss({.reduction = r}), labels, 3);  // the first batch is ignored, and counts 0
    check(Loss(weighted), labels, 3);
    check(NegativeLogLikelihood<float, Cuda>(weighted), all, 3, true);
    check(MSE<float, Cuda>({.reduction = r}), values, 2);
    check(BCEWithLogits<float, Cuda>({.positive_weight = 3, .reduction = r}), shares, 2);
    check(Hinge<float, Cuda>({.reduction = r}), all, 3);
    check(Hinge<float, Cuda>({.reduction = r}), signs, 1);
    check(PerceptronCriterion<float, Cuda>({.reduction = r}), all, 3);
  }
}

TEST_CASE("capture: a batch with more parts than one of a loss and of its labels' weight") {
  const Index n = 40, side = 5;
  Tensor<std::int32_t> labels({n, side, side});
  for (Index i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>(i * 7 % 3);
  const ResidentData<float, std::int32_t, Cuda> data(test::random_tensor<float>({n, 2, side, side}).to<Cuda>(), labels.to<Cuda>());
  const auto train = [&](bool capture) {
    Sequential<float, Cuda> net;
    net.add("conv", Conv2d<float, Cuda>({.in = 2, .out = 3, .kernel = 3, .padding = 1})).initialize(1);
    SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.1});
    Loss loss({.class_weights = {0.3, 0.7, 1.1}});
    double last = 0;
    if (capture) {
      auto step = net.capture_step(loss, sgd, data, {.batch = 40});
      step.run(3);
      last = step.loss();
    } else {
      for (int i = 0; i < 3; ++i) last = plain_step(net, loss, sgd, data, 0, 40);
    }
    return std::pair(all_numbers(net), last);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("capture: two graphs in turn, and ordinary steps and evaluation between them") {
  const Dataset images = squares(40, 8, 1);
  const Images data = resident(images);
  const auto train = [&](bool capture) {
    auto net = small_net();
    Adam<float, Cuda> adam(net.parameters());
    Loss loss;
    const auto rest = [&] {
      plain_step(net, loss, adam, data, 32, 8);
      return evaluate(net, ImageSource<float>(images), 40).errors();
    };
    Index errors = 0;
    if (capture) {
      auto large = net.capture_step(loss, adam, data, {.batch = 16});
      auto small = net.capture_step(loss, adam, data, {.batch = 5});
      for (int i = 0; i < 4; ++i) large.run(3), small.run(2), large.run(1), errors += rest();
    } else {
      Index at = 0, place = 0;  // of the large and the small batches
      const auto run_large = [&] { plain_step(net, loss, adam, data, std::exchange(at, at == 0 ? 16 : 0), 16); };
      for (int i = 0; i < 4; ++i) {
        for (int k = 0; k < 3; ++k) run_large();
        for (int k = 0; k < 2; ++k) plain_step(net, loss, adam, data, std::exchange(place, (place + 5) % 40), 5);
        run_large();
        errors += rest();
      }
    }
    return std::pair(all_numbers(net), errors);
  };
  CHECK(train(true) == train(false));
}

TEST_CASE("capture: an order of one's own, and which examples were right") {
  const Dataset images = squares(12, 8, 1);
  const Images data = resident(images);
  auto net = small_net();
  SGD<float, Cuda> sgd(net.parameters(), {.rate = 0});
  Loss loss;
  auto step = net.capture_step(loss, sgd, data, {.batch = 4, .look_every = 2});
  std::vector<std::pair<double, Index>> got;
  const auto visit = [&](double value, Index right) { got.emplace_back(value, right); };
  const std::vector<Index> order{3, 3, 9, 0, 11, 5, 1, 2, 7};
  step.follow(order);
  std::vector<std::pair<double, Index>> expected;
  for (int i = 0; i < 5; ++i) {
    step.run();
    step.collect(visit);
    auto plain = small_net();
    plain.set_random_state(net.seed(), static_cast<std::uint64_t>(i));
    const Dataset batch = images.subset(std::span<const Index>(order).subspan(i % 2 ? 4 : 0, 4));
    const Images part = resident(batch);
    const Tensor<float> y = Tensor<float, Cuda>([&] {
                              const In<float, Cuda> scores = plain.forward(part.x(), Mode::training);
                              auto copy = Tensor<float, Cuda>::uninitialized(scores.shape);
                              copy.copy_from(scores);
                              return copy;
                            }()).to<Cpu>();
    Index right = 0;
    for (Index k = 0; k < 4; ++k) right += argmax(y.data() + k * 4, 4) == batch.labels[k];
    expected.emplace_back(loss(y.to<Cuda>(), part.target()), right);
  }
  CHECK(got == expected);
  CHECK(test::message_of<Error>([&] { step.follow(std::vector<Index>{1, 2, 3}); }) == "captured step: an order of 3 examples; 4 to 12 expected");
  CHECK(test::message_of<Error>([&] { step.follow(std::vector<Index>{1, 2, 3, 12}); }) == "captured step: example 12 of 12");
}

TEST_CASE("capture: at a loss that is not finite nothing is updated any more, and it is told as uncaptured") {
  const Index n = 40;
  Tensor<float> x = test::random_tensor<float>({n, 6});
  x.at(21, 3) = NAN;  // of the third batch
  Tensor<std::int32_t> y({n});
  const auto train = [&](bool capture, Index look_every) {
    Sequential<float, Cuda> net;
    net.add("fc1", Linear<float, Cuda>({.in = 6, .out = 5})).add("dropout", Dropout<float, Cuda>()).add("fc2", Linear<float, Cuda>({.in = 5, .out = 3})).initialize(1);
    Adam<float, Cuda> adam(net.parameters());
    TrainingOptions options = quiet(2, capture);
    options.batch = 8, options.look_every = look_every, options.shuffle = false;
    const std::string message = test::message_of<Error>([&] { fit(net, Loss(), adam, TensorSource<float, std::int32_t>(x, y), options); });
    std::vector<float> state;
    for (const auto& s : adam.state()) {
      const Tensor<float> host = s.value->to<Cpu>();
      state.insert(state.end(), host.begin(), host.end());
    }
    return std::tuple(message, all_numbers(net), state, adam.counts(), net.step());
  };
  const auto plain = train(false, 1);
  CHECK(std::get<0>(plain) == "training stopped in step 3 (epoch 1): the loss is nan; the input [8,6] already holds NaN or infinity, first at [5,3]");
  for (const Index look_every : {1, 2, 3, 4, 50}) CHECK(train(true, look_every) == plain);
}

TEST_CASE("capture: after a loss that is not finite training can go on") {
  const Images data = resident(squares(20, 8, 1));
  auto net = small_net();
  SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.01});
  Loss loss;
  auto step = net.capture_step(loss, sgd, data, {.batch = 4, .look_every = 50});
  step.run(7);
  Tensor<float, Cuda>& bias = net.layer<Linear<float, Cuda>>("fc").bias.value;
  const Tensor<float, Cuda> before = bias.clone();
  step.loss();
  bias.fill(NAN);
  step.run(9);
  CHECK(contains(test::message_of<Error>([&] { step.loss(); }),
                 "captured step 8: the loss is nan; the first activation that is not finite is that of layer 'fc', [4,4], at [0,0]; its parameter 'fc.bias' is not finite"));
  CHECK(step.pending() == 0);
  net.set_random_state(net.seed(), 7);
  CHECK(sgd.counts().front() == 7);
  bias.copy_from(before);
  auto twin = net.clone();
  SGD<float, Cuda> other(twin.parameters(), {.rate = 0.01});
  step.run();
  CHECK(step.loss() == plain_step(twin, loss, other, data, 8, 4));  // the batch of the eighth step, the third of five
  step.run();
  CHECK(step.loss() == plain_step(twin, loss, other, data, 12, 4));
  CHECK(sgd.counts().front() == 9);
}

TEST_CASE("capture: what does not fit is named") {
  const Dataset images = squares(20, 8, 1);
  const Images data = resident(images);
  auto net = small_net();
  SGD<float, Cuda> sgd(net.parameters());
  Loss loss;
  const auto message = [](auto f) { return test::message_of<Error>(f); };
  CHECK(message([&] { net.capture_step(loss, sgd, data, {.batch = 21}); }) == "capture_step: a batch of 21 from 20 examples");
  CHECK(message([&] { net.capture_step(loss, sgd, data, {.look_every = 0}); }) == "capture_step: a batch of 64 from 20 examples");
  Tensor<std::int32_t> wrong = images.labels.clone();
  wrong[17] = 4;
  const Images bad(Tensor<float, Cuda>({20, 1, 8, 8}), wrong.to<Cuda>());
  CHECK(message([&] { net.capture_step(loss, sgd, bad, {.batch = 4}); }) == "SoftmaxCrossEntropy: label 4 at [17] is not in 0..3");

  const ImageSource<float> augmented(images, {}, [](Out<float>, const Random&) {});
  CHECK(message([&] { fit(net, loss, sgd, augmented, quiet(1, true)); }) ==
        "examples that are changed at random in main memory cannot stay on the device: leave out the augmentation, or the capture, or stream them");
  auto own = batches(20, [&](std::span<const Index>, const Random&, Tensor<float>&, Tensor<std::int32_t>&) {});
  CHECK(message([&] { fit(net, loss, sgd, own, quiet(1, true)); }) == "fit: steps with this source, which has no fixed(), cannot be captured");
}

namespace {

/// Does on the CPU what cannot be captured.
template <class T, class SpaceType>
struct Careless {
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "Careless";
  enum Mistake { draws, looks, allocates } mistake = draws;
  std::shared_ptr<std::vector<Tensor<T, Space>>> own = std::make_shared<std::vector<Tensor<T, Space>>>();

  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    double factor = 1;
    if (mistake == draws) factor = Random(pass.random()).uniform();
    if (mistake == looks) factor = absolute_sum(x.stream(), x);
    if (mistake == allocates) own->push_back(Tensor<T, Space>::uninitialized({3}));
    scaled_sum(x.stream(), factor, x, 0, y);
  }
  void backward(In<T, Space>, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) dx->stream(), Space::copy(dx->data, dy.data, static_cast<std::size_t>(dy.size()) * sizeof(T));
  }
};

}  // namespace

TEST_CASE("capture: layers that cannot be captured, parameters that come and go") {
  using Layer = Careless<float, Cuda>;
  const Images data = resident(squares(20, 8, 1));
  Loss loss;
  const auto message = [&](Layer::Mistake mistake, Index steps) {
    auto net = small_net();
    net.replace("act", Layer{mistake});
    SGD<float, Cuda> sgd(net.parameters());
    auto step = net.capture_step(loss, sgd, data, {.batch = 4});
    return test::message_of<Error>([&] { step.run(steps); });
  };
  CHECK(contains(message(Layer::draws, 1), "the random numbers of a captured step are known to kernels only: give them pass.step_random()"));
  CHECK(contains(message(Layer::looks, 2), "copy_to_host while a graph is captured"));
  CHECK(contains(message(Layer::allocates, 2), "allocated 1 arrays (12 bytes) and kept them"));

  auto net = small_net();
  SGD<float, Cuda> sgd(net.parameters());
  auto step = net.capture_step(loss, sgd, data, {.batch = 4});
  step.run(3);
  net.freeze("conv");
  CHECK(contains(test::message_of<Error>([&] { step.run(); }), "captured step: parameters were frozen, replaced or moved since the first step; capture it anew"));
  net.unfreeze();
  step.run();
  CHECK(step.loss() > 0);
  net.initialize(5);  // another seed of the random numbers
  step.run();
  const double captured = step.loss();
  auto again = small_net();
  again.initialize(5);
  SGD<float, Cuda> other(again.parameters());
  CHECK(captured == plain_step(again, loss, other, data, 16, 4));
}

#if defined(VENTRAL_CUDA_EMULATED)
TEST_CASE("capture: the nodes of a step of LeNet-5") {
  const Images data = resident(squares(12, 28, 1));
  auto net = lenet5<float, Cuda>({.classes = 4});
  SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.01, .momentum = 0.9});
  Loss loss;
  auto step = net.capture_step(loss, sgd, data, {.batch = 12});
  step.run(2);
  CHECK(step.size() == 20);  // docs/cuda.md
  const auto count = [&](const std::string& name) { return std::ranges::count(step.nodes(), name); };
  CHECK(count("linear_gradients_kernel") == 3);
  CHECK(count("relu_backward") + count("conv2d_bias_gradient") == 0);
}

TEST_CASE("capture: nothing is allocated from the third step on") {
  const Images data = resident(squares(40, 28, 1));
  auto net = lenet5<float, Cuda>({.classes = 4});
  Adam<float, Cuda> adam(net.parameters());
  Loss loss({.class_weights = {1, 2, 3, 4}});
  auto step = net.capture_step(loss, adam, data, {.batch = 8, .look_every = 3});
  step.run(1);
  CHECK(step.size() == 0);
  step.run(1);
  CHECK(step.size() == step.nodes().size());
  for (const std::string node : step.nodes()) CHECK(node != "clear");
  const gpu::MemoryUse use = gpu::memory_use();
  const gpu::emulator::UseMemory none(use.tensors);
  step.run(7);
  CHECK(step.loss() > 0);
  CHECK(gpu::memory_use().arrays == use.arrays);
}
#endif

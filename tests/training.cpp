#include "ventral/training.hpp"

#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "support.hpp"
#include "ventral/io/checkpoint.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/models/mlp.hpp"
#include "ventral/schedule.hpp"

namespace {

std::atomic<long> allocations{0};

__attribute__((noinline)) void* counted(std::size_t bytes, std::size_t alignment) {
  ++allocations;
  void* p = nullptr;
  if (::posix_memalign(&p, alignment < sizeof(void*) ? sizeof(void*) : alignment, bytes ? bytes : 1) != 0) throw std::bad_alloc();
  return p;
}

__attribute__((noinline)) void release(void* p) { std::free(p); }

}  // namespace

// Every allocation of the program is counted, so that a test can see that a step makes none.
void* operator new(std::size_t n) { return counted(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new[](std::size_t n) { return counted(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void* operator new[](std::size_t n, std::align_val_t a) { return counted(n, static_cast<std::size_t>(a)); }
void* operator new(std::size_t n, const std::nothrow_t&) noexcept { return counted(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new[](std::size_t n, const std::nothrow_t&) noexcept { return counted(n, __STDCPP_DEFAULT_NEW_ALIGNMENT__); }
void* operator new(std::size_t n, std::align_val_t a, const std::nothrow_t&) noexcept { return counted(n, static_cast<std::size_t>(a)); }
void operator delete(void* p) noexcept { release(p); }
void operator delete[](void* p) noexcept { release(p); }
void operator delete(void* p, std::size_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t) noexcept { release(p); }
void operator delete(void* p, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::align_val_t) noexcept { release(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { release(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { release(p); }

using namespace ventral;

namespace {

/// Images of a bright bar in one of four places, on noise: easy, but not at once.
Dataset bars(Index n, std::uint64_t seed) {
  Random random(seed);
  Dataset data;
  data.images = Tensor<std::uint8_t>({n, 1, 8, 8});
  data.labels = Tensor<std::int32_t>({n});
  data.classes = 4;
  for (Index i = 0; i < n; ++i) {
    const Index label = random.below(4);
    data.labels[i] = static_cast<std::int32_t>(label);
    for (Index k = 0; k < 64; ++k) data.images[i * 64 + k] = static_cast<std::uint8_t>(random.below(120) + (k / 16 == label ? 100 : 0));
  }
  return data;
}

TrainingOptions quiet(Index epochs) {
  TrainingOptions o;
  o.epochs = epochs, o.batch = 16, o.log = nullptr;
  return o;
}

template <class T>
std::vector<Tensor<T>> weights(Sequential<T>& net) {
  std::vector<Tensor<T>> out;
  for (const auto& p : net.parameters()) out.push_back(p.parameter->value.clone());
  return out;
}
template <class T>
bool same_bits(const std::vector<Tensor<T>>& a, const std::vector<Tensor<T>>& b) {
  bool same = a.size() == b.size();
  for (std::size_t i = 0; same && i < a.size(); ++i) same = test::relative_error(a[i], b[i]) == 0;
  return same;
}

/// A path of this process, removed at the end.
struct TemporaryFile {
  std::string path;
  explicit TemporaryFile(const char* name) {
    const char* folder = std::getenv("TMPDIR");
    path = concat(folder && *folder ? folder : "/tmp", "/ventral_", static_cast<long>(::getpid()), "_", name);
  }
  ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE("fit: learns, reports, validates") {
  const Dataset data = bars(300, 1), held_out = bars(101, 2);
  auto net = mlp<float>({.sizes = {64, 16, 4}});
  SGD<float> sgd(net.parameters(), {.rate = 0.05, .momentum = 0.9});
  std::vector<Index> seen;
  TrainingOptions options = quiet(6);
  options.on_epoch = [&](const EpochReport& r) { seen.push_back(r.epoch); };
  const auto result = fit(net, SoftmaxCrossEntropy<float>(), sgd, ImageSource<float>(data), ImageSource<float>(held_out), options);
  CHECK(result.state.epoch == 6);
  CHECK(result.state.step == 6 * 19);
  CHECK(seen == std::vector<Index>{1, 2, 3, 4, 5, 6});
  CHECK(result.epochs.front().loss > result.epochs.back().loss);
  CHECK(result.epochs.back().accuracy > 0.95);
  CHECK(result.epochs.back().validation_accuracy > 0.95);
  CHECK(result.state.best_epoch >= 1);

  const Evaluation found = evaluate(net, SoftmaxCrossEntropy<float>(), ImageSource<float>(held_out));
  CHECK(found.examples() == 101);
  CHECK(found.loss == doctest::Approx(result.epochs.back().validation_loss).epsilon(1e-5));
  CHECK(found.accuracy() == result.epochs.back().validation_accuracy);
  CHECK(evaluate(net, ImageSource<float>(held_out), 7).errors() == found.errors());
}

TEST_CASE("fit: the same seed gives the same bits, for any number of threads; another seed does not") {
  const Dataset data = bars(100, 1);
  const int before = cpu::threads();
  const auto train = [&](int threads, std::uint64_t seed) {
    cpu::set_threads(threads);
    auto net = mlp<float>({.sizes = {64, 16, 4}});
    Adam<float> adam(net.parameters());
    TrainingOptions options = quiet(2);
    options.seed = seed;
    fit(net, SoftmaxCrossEntropy<float>(), adam, ImageSource<float>(data), options);
    return weights(net);
  };
  const auto one = train(1, 1), two = train(2, 1), other = train(1, 2);
  cpu::set_threads(before);
  CHECK(same_bits(one, two));
  CHECK(!same_bits(one, other));
}

TEST_CASE("fit: resumed from a checkpoint it goes on to the same bits") {
  const Dataset data = bars(100, 1), held_out = bars(40, 2);
  const TemporaryFile file("resume.safetensors");
  const auto noise = [](Out<float> x, const Random& random) {
    for (Index i = 0; i < x.size(); ++i) x.data[i] += 20 * random.uniform_at(static_cast<std::uint64_t>(i));
  };
  const ImageSource<float> train(data, pixel_statistics(data), noise), validation(held_out, pixel_statistics(data));
  const auto run = [&](Index epochs, bool from_file, auto make) {
    auto net = mlp<float>({.sizes = {64, 16, 4}});
    auto optimizer = make(net);
    TrainingOptions options = quiet(epochs);
    options.schedule = warm_up(5, CosineRate{.rate = 0.01, .steps = 28});
    options.clip_norm = 1;
    options.checkpoint = checkpoint_to(file.path, net, optimizer);
    if (from_file) options.start = load_checkpoint(file.path, net, optimizer);
    const TrainingState state = fit(net, SoftmaxCrossEntropy<float>(), optimizer, train, validation, options).state;
    return std::pair(weights(net), state);
  };
  const auto check = [&](auto make) {
    const auto straight = run(4, false, make);
    run(2, false, make);
    const auto resumed = run(4, true, make);
    CHECK(same_bits(straight.first, resumed.first));
    CHECK(straight.second.step == resumed.second.step);
    CHECK(straight.second.best == resumed.second.best);
    CHECK(straight.second.best_epoch == resumed.second.best_epoch);
  };
  check([](auto& net) { return Adam<float>(net.parameters()); });
  check([](auto& net) { return SGD<float>(net.parameters(), {.momentum = 0.9, .dampening = 0.1}); });
  check([](auto& net) { return RMSProp<float>(net.parameters(), {.momentum = 0.5, .centered = true}); });
}

TEST_CASE("checkpoint: what does not fit is named, and changes nothing") {
  const TemporaryFile file("mismatch.safetensors");
  auto net = mlp<float>({.sizes = {4, 3, 2}}), other = mlp<float>({.sizes = {4, 5, 2}});
  Adam<float> adam(net.parameters()), other_adam(other.parameters());
  SGD<float> sgd(net.parameters());
  CHECK(resume(file.path, net, adam).epoch == 0);
  save_checkpoint(file.path, net, adam, {.epoch = 3, .step = 30});
  CHECK(resume(file.path, net, adam).epoch == 3);
  const auto before = weights(other);
  const std::string message = test::message_of<Error>([&] { load_checkpoint(file.path, other, other_adam); });
  CHECK(message.find("does not fit the network and optimizer; other shape: network.fc1.weight is [3,4], expected [5,4]; other shape: network.fc1.bias is [3], "
                     "expected [5]") != std::string::npos);
  CHECK(same_bits(before, weights(other)));
  CHECK(test::message_of<Error>([&] { load_checkpoint(file.path, net, sgd); }) == concat(file.path, ": saved with Adam; the optimizer is SGD"));
  save(net, file.path);
  CHECK(test::message_of<FileError>([&] { load_checkpoint(file.path, net, sgd); }) ==
        concat(file.path, ": not a checkpoint: 'ventral.checkpoint' is not in its metadata"));
}

TEST_CASE("fit: stops early when the validation data get no better") {
  const Dataset data = bars(64, 1), held_out = bars(40, 2);
  auto net = mlp<float>({.sizes = {64, 4}});
  SGD<float> sgd(net.parameters(), {.rate = 0});  // nothing changes, so the first epoch stays the best
  TrainingOptions options = quiet(50);
  options.patience = 3, options.monitor = Monitor::error;
  const auto result = fit(net, SoftmaxCrossEntropy<float>(), sgd, ImageSource<float>(data), ImageSource<float>(held_out), options);
  CHECK(result.stopped_early);
  CHECK(result.state.epoch == 4);
  CHECK(result.state.best_epoch == 1);
}

TEST_CASE("fit: a loss that is not finite stops it and names the cause") {
  Tensor<float> x = test::random_tensor<float>({20, 6});
  Tensor<std::int32_t> y(Shape{20});
  TrainingOptions options = quiet(1);
  options.shuffle = false;
  const auto train = [&](auto& net, double rate) {
    SGD<float> sgd(net.parameters(), {.rate = rate});
    return test::message_of<Error>([&] { fit(net, SoftmaxCrossEntropy<float>(), sgd, TensorSource<float, std::int32_t>(x, y), options); });
  };
  auto diverging = mlp<float>({.sizes = {6, 5, 3}});
  y[0] = 1;
  CHECK(train(diverging, 1e38).find("training stopped in step 2 (epoch 1): the loss is ") == 0);

  auto broken = mlp<float>({.sizes = {6, 5, 3}});
  broken.layer<Linear<float>>("fc2").weight.value[4] = NAN;
  CHECK(train(broken, 0.1) ==
        "training stopped in step 1 (epoch 1): the loss is nan; the first activation that is not finite is that of layer 'fc2', [16,3], at [0,0]; its "
        "parameter 'fc2.weight' is not "
        "finite, so the step before went wrong: a smaller rate or clip_norm may help");

  auto net = mlp<float>({.sizes = {6, 5, 3}});
  const auto before = weights(net);
  x.at(2, 3) = NAN;
  CHECK(train(net, 0.1) == "training stopped in step 1 (epoch 1): the loss is nan; the input [16,6] already holds NaN or infinity, first at [2,3]");
  CHECK(same_bits(before, weights(net)));
}

TEST_CASE("fit: a source of one's own, regression") {
  auto source = batches(50, [](std::span<const Index> which, const Random&, Tensor<double>& x, Tensor<double>& target) {
    const Index n = static_cast<Index>(which.size());
    x.resize({n, 1}), target.resize({n, 1});
    for (Index i = 0; i < n; ++i) x[i] = static_cast<double>(which[static_cast<std::size_t>(i)]) / 25 - 1, target[i] = 3 * x[i] - 0.5;
  });
  auto net = mlp<double>({.sizes = {1, 1}});
  SGD<double> sgd(net.parameters(), {.rate = 0.1, .momentum = 0.8});
  const auto result = fit(net, MSE<double>(), sgd, source, quiet(60));
  CHECK(result.epochs.back().loss < 1e-6);
  CHECK(result.epochs.back().accuracy == -1);
  CHECK(net.layer<Linear<double>>("fc1").weight.value[0] == doctest::Approx(3).epsilon(1e-3));
  CHECK(evaluate(net, MSE<double>(), source).loss < 1e-6);
}

TEST_CASE("fit: a step allocates nothing after the first") {
  const Dataset data = bars(96, 1);
  Dataset digits = data.empty_like(48);
  digits.images = Tensor<std::uint8_t>({48, 1, 28, 28});
  digits.labels = Tensor<std::int32_t>(Shape{48});
  const auto count = [](auto& net, auto& optimizer, const Dataset& set) {
    // The callback of the transform marks the beginning of each step.
    std::vector<long> marks;
    marks.reserve(64);
    const ImageSource<float> source(set, {}, [&](Out<float>, const Random&) { marks.push_back(allocations.load()); });
    fit(net, SoftmaxCrossEntropy<float>(), optimizer, source, quiet(2));
    const std::size_t steps = marks.size() / 2;
    CHECK(marks[1] - marks[0] > 0);  // the counter works
    for (std::size_t i = 1; i + 1 < steps; ++i) CHECK(marks[i + 1] - marks[i] == 0);
    for (std::size_t i = steps; i + 1 < 2 * steps; ++i) CHECK(marks[i + 1] - marks[i] == 0);
  };
  auto small = mlp<float>({.sizes = {64, 16, 4}});
  SGD<float> sgd(small.parameters(), {.momentum = 0.9});
  count(small, sgd, data);
  for (const LeNetStyle style : {LeNetStyle::modern, LeNetStyle::lecun}) {
    auto lenet = lenet5<float>({.style = style});
    Adam<float> adam(lenet.parameters());
    count(lenet, adam, digits);
  }
}

TEST_CASE("fit: options and data that make no sense are named") {
  const Dataset data = bars(10, 1);
  auto net = mlp<float>({.sizes = {64, 4}});
  SGD<float> sgd(net.parameters());
  const auto message = [&](TrainingOptions o, const Dataset& set) {
    return test::message_of<Error>([&] { fit(net, SoftmaxCrossEntropy<float>(), sgd, ImageSource<float>(set), o); });
  };
  TrainingOptions o = quiet(1);
  o.batch = 0;
  CHECK(message(o, data) == "fit: 1 epochs with a batch of 0");
  o.batch = 16, o.drop_last = true;
  CHECK(message(o, data) == "fit: 10 examples make no full batch of 16, and drop_last leaves the others out");
  o = quiet(1), o.patience = 2;
  CHECK(message(o, data) == "fit: patience needs validation data");
  CHECK(message(quiet(1), data.slice(0, 0)) == "fit: the data set is empty");
  auto narrow = mlp<float>({.sizes = {64, 3}});
  const Dataset four = bars(40, 3);
  CHECK(test::message_of<Error>([&] { evaluate(narrow, ImageSource<float>(four)); }).find("is not in 0..2") != std::string::npos);
  CHECK(fit(net, SoftmaxCrossEntropy<float>(), sgd, ImageSource<float>(data), quiet(0)).epochs.empty());
}

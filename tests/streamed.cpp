#include <algorithm>
#include <cstring>

#include "support.hpp"
#include "ventral/data/streamed.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

Dataset pictures(Index n) {
  Random random(5);
  Dataset data;
  data.images = Tensor<std::uint8_t>({n, 1, 6, 6});
  data.labels = Tensor<std::int32_t>({n});
  data.classes = 3;
  for (Index i = 0; i < n; ++i) data.labels[i] = static_cast<std::int32_t>(random.below(3));
  for (auto& pixel : data.images) pixel = static_cast<std::uint8_t>(random.below(256));
  return data;
}

using Loss = SoftmaxCrossEntropy<float, Cuda>;

Sequential<float, Cuda> small_net(Index out = 3) {
  Sequential<float, Cuda> net;
  net.add("conv", Conv2d<float, Cuda>({.in = 1, .out = 2, .kernel = 3}));
  net.add("act", ReLU<float, Cuda>());
  net.add("flatten", Flatten<float, Cuda>());
  net.add("dropout", Dropout<float, Cuda>({.rate = 0.2}));
  net.add("fc", Linear<float, Cuda>({.in = 32, .out = out}));
  net.initialize(3);
  return net;
}

struct Way {
  bool capture, stream;
};

TrainingOptions options_of(Way way, Index epochs = 3, Index batch = 8) {
  TrainingOptions o;
  o.epochs = epochs, o.batch = batch, o.log = nullptr, o.capture = way.capture, o.stream = way.stream, o.look_every = 4;
  return o;
}

template <class Source>
auto train(Source&& source, const TrainingOptions& options) {
  auto net = small_net();
  SGD<float, Cuda> sgd(net.parameters(), {.rate = 0.05, .momentum = 0.9});
  const auto result = fit(net, Loss(), sgd, source, options);
  std::vector<float> out;
  for (const auto& p : net.parameters()) {
    const Tensor<float> host = p.parameter->value.to<Cpu>();
    out.insert(out.end(), host.begin(), host.end());
  }
  for (const EpochReport& e : result.epochs) out.push_back(static_cast<float>(e.loss)), out.push_back(static_cast<float>(e.accuracy));
  return out;
}

}  // namespace

TEST_CASE("streamed: fit gives the same bits as with batches that are waited for; bytes, augmentation, a function; whole and partial batches") {
  const Way plain{false, false}, streamed{false, true}, captured{true, true};
  for (const Index n : {61, 64, 8, 3}) {
    INFO(n);
    const Dataset data = pictures(n);
    const auto check = [&](auto make, bool drop_last = false) {
      const auto run = [&](Way way) {
        TrainingOptions options = options_of(way);
        options.drop_last = drop_last;
        auto source = make();
        return train(source, options);
      };
      const auto expected = run(plain);
      CHECK(run(streamed) == expected);
      CHECK(run(captured) == expected);
    };
    check([&] { return ImageSource<float>(data, {.mean = 120, .deviation = 70}); });
    check([&] {
      return ImageSource<float>(data, {.mean = 120, .deviation = 70}, [](Out<float> images, const Random& random) {
        Random draw = random;
        for (Index i = 0; i < images.size(); ++i) images.data[i] += static_cast<float>(draw.uniform());
      });
    }, n > 8);
    check([&] {
      return batches(n, [&](std::span<const Index> which, Random random, Tensor<float>& x, Tensor<std::int32_t>& labels) {
        x = Tensor<float>({static_cast<Index>(which.size()), 1, 6, 6});  // elsewhere each time
        labels.resize({static_cast<Index>(which.size())});
        for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(which[static_cast<std::size_t>(i / 36)] + i % 36) / 50 + static_cast<float>(random.uniform());
        for (std::size_t i = 0; i < which.size(); ++i) labels[static_cast<Index>(i)] = static_cast<std::int32_t>(which[i] % 3);
      });
    });
  }
}

TEST_CASE("streamed: batches come in order, as often as they are started; stopped early; one example") {
  const Index n = 23;
  Tensor<float> x({n, 2});
  Tensor<float> target({n, 1});
  for (Index i = 0; i < n; ++i) x[2 * i] = static_cast<float>(i), x[2 * i + 1] = static_cast<float>(-i), target[i] = static_cast<float>(10 * i);
  TensorSource<float, float> source(x, target);
  StreamedBatches<float, float, Cuda, TensorSource<float, float>> streamed(source, 5);
  const auto run = [&](const std::vector<Index>& order, Index most) {
    streamed.start(order);
    Index seen = 0;
    for (Index size; most-- > 0 && (size = streamed.next()) > 0; seen += size) {
      Tensor<float, Cuda> there({size, 2}), targets({size, 1});
      streamed.gather(there, targets);
      streamed.done();
      const Tensor<float> got = there.to<Cpu>(), wanted = targets.to<Cpu>();
      for (Index i = 0; i < size; ++i) {
        const float example = static_cast<float>(order[static_cast<std::size_t>(seen + i)]);
        CHECK((got[2 * i] == example && got[2 * i + 1] == -example && wanted[i] == 10 * example));
      }
    }
    return seen;
  };
  std::vector<Index> order;
  for (Index i = 0; i < n; ++i) order.push_back(i * 7 % n);
  CHECK(run(order, 100) == n);
  CHECK(run(order, 2) == 10);  // the thread is ahead, and is stopped
  CHECK(run(order, 0) == 0);
  std::reverse(order.begin(), order.end());
  CHECK(run(order, 100) == n);
  CHECK(run({4}, 100) == 1);
  CHECK(run({}, 100) == 0);
  streamed.start(order);  // and never used
}

TEST_CASE("streamed: what the loading thread throws comes to the caller, and the next run works") {
  const Index n = 40;
  Index broken = 30;
  const auto make = [&] {
    return batches(n, [&](std::span<const Index> which, Random, Tensor<float>& x, Tensor<std::int32_t>& labels) {
      x.resize({static_cast<Index>(which.size()), 1, 6, 6});
      labels.resize({static_cast<Index>(which.size())});
      for (auto& v : x) v = 0.5F;
      for (auto& v : labels) v = 1;
      for (const Index i : which) require(i != broken, "picture ", i, " cannot be read");
    });
  };
  for (const bool capture : {false, true}) {
    TrainingOptions options = options_of({capture, true}, 2);
    options.shuffle = false;
    Index epochs = 0;
    options.on_epoch = [&](const EpochReport&) { ++epochs; };
    broken = 30;
    CHECK(test::message_of<Error>([&] { train(make(), options); }) == "picture 30 cannot be read");
    CHECK(epochs == 0);
    broken = -1;
    CHECK(train(make(), options).size() > 0);
    CHECK(epochs == 2);
  }
  auto wrong = batches(n, [](std::span<const Index> which, Random, Tensor<float>& x, Tensor<std::int32_t>& labels) {
    x.resize({static_cast<Index>(which.size()), 1, 6, which.size() > 1 ? 5 : 6});
    labels.resize({static_cast<Index>(which.size())});
  });
  CHECK(contains(test::message_of<ShapeError>([&] { train(wrong, options_of({false, true})); }), "the data source filled x [8,1,6,5]"));
  Dataset data = pictures(n);
  data.classes = 9;
  data.labels[17] = 8;
  TrainingOptions options = options_of({true, true});
  options.shuffle = false;
  CHECK(contains(test::message_of<Error>([&] { train(ImageSource<float>(data), options); }), "SoftmaxCrossEntropy: label 8 at [1] is not in 0..2"));
}

TEST_CASE("streamed: a loss that is not finite is explained by its own batch, though that has left the device") {
  const auto message = [&](Way way) {
    TrainingOptions options = options_of(way, 2, 4);
    options.shuffle = false;
    auto source = batches(48, [](std::span<const Index> which, Random, Tensor<float>& x, Tensor<std::int32_t>& labels) {
      x.resize({static_cast<Index>(which.size()), 1, 6, 6});
      labels.resize({static_cast<Index>(which.size())});
      for (auto& v : labels) v = 1;
      for (auto& v : x) v = 0.25F;
      for (std::size_t i = 0; i < which.size(); ++i)
        if (which[i] == 22) x[static_cast<Index>(i) * 36 + 5] = NAN;
    });
    return test::message_of<Error>([&] { train(source, options); });
  };
  const std::string plain = message({false, false});
  CHECK(contains(plain, "training stopped in step 6 (epoch 1): the loss is nan; the input [4,1,6,6] already holds NaN or infinity, first at [2,0,0,5]"));
  CHECK(message({false, true}) == plain);
  CHECK(message({true, true}) == plain);
}

#if defined(VENTRAL_CUDA_EMULATED)
TEST_CASE("streamed: on the emulator a queued copy comes as late as it may") {
  const Tensor<float> ones = Tensor<float>::full({4}, 1);
  gpu::PinnedMemory memory(16);
  const auto write = [&](float v) { std::fill_n(reinterpret_cast<float*>(memory.data()), 4, v); };
  const auto read = [](const Tensor<float, Cuda>& x) { return x.to<Cpu>()[3]; };
  Tensor<float, Cuda> x = ones.to<Cuda>();
  gpu::OwnStream beside;
  gpu::Event arrived;
  write(2);
  gpu::queue_copy_from_host(beside, x.data(), memory.data(), 16);
  arrived.record(beside);
  CHECK(read(x) == 1);  // nobody has waited
  write(3);             // too early
  arrived.hold(Cuda::stream());
  CHECK(read(x) == 3);
  gpu::queue_copy_from_host(beside, x.data(), memory.data(), 16);
  write(4);
  arrived.hold(Cuda::stream());  // marks the copy before
  CHECK(read(x) == 3);
  gpu::synchronize(beside);
  CHECK(read(x) == 4);
  write(5);
  gpu::queue_copy_from_host(Cuda::stream(), x.data(), memory.data(), 16);
  CHECK(read(x) == 5);  // the stream's own next work finds it
  CHECK(contains(test::message_of<CudaError>([&] { gpu::queue_copy_from_host(beside, x.data(), ones.data(), 16); }), "not in page-locked memory"));
  CHECK(contains(test::message_of<CudaError>([&] { gpu::queue_copy_from_host(beside, memory.data(), memory.data(), 16); }), "is not in device memory"));
}
#endif

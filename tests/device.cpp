// The device itself, an emulated or a real one: memory, streams, events, errors, and whole networks.
#include <cstdio>
#include <thread>
#include <utility>

#include "support.hpp"
#include "temporary.hpp"
#include "ventral/data/digits.hpp"
#include "ventral/io/checkpoint.hpp"
#include "ventral/io/state.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/models/modern_lenet.hpp"
#include "ventral/training.hpp"

using namespace ventral;
namespace gpu = ventral::cuda::VENTRAL_CUDA_MODE;

TEST_CASE("tensors go to the device and back, are cleared, filled, copied and moved") {
  const auto x = test::random_tensor<float>({3, 5, 7});
  Tensor<float, Cuda> a = x.to<Cuda>(), b = a.clone(), c({2, 2});
  CHECK(test::relative_error(b.to<Cpu>(), x) == 0);
  c.fill(1.5f);
  const auto filled = c.to<Cpu>();
  CHECK(filled[0] == 1.5f);
  CHECK(filled[3] == 1.5f);
  b.zero();
  CHECK(b.to<Cpu>()[100] == 0);
  b.copy_from(a);
  Tensor<float, Cuda> moved = std::move(b);
  CHECK(test::relative_error(moved.to<Cpu>(), x) == 0);
  CHECK(Tensor<float, Cuda>({0, 4}).to<Cpu>().empty());
  const Tensor<bfloat16> small({3}, {bfloat16(1.0f), bfloat16(-2.5f), bfloat16(1e30f)});
  CHECK(static_cast<float>(small.to<Cuda>().to<Cpu>()[1]) == -2.5f);
}

TEST_CASE("memory_use counts what tensors hold, and gets it back") {
  const auto before = gpu::memory_use();
  {
    const Tensor<double, Cuda> x({1000, 1000});
    const auto during = gpu::memory_use();
    CHECK(during.tensors == before.tensors + 8000000);
    CHECK(during.arrays == before.arrays + 1);
    CHECK(during.most >= during.tensors);
  }
  const auto after = gpu::memory_use();
  CHECK(after.tensors == before.tensors);
  CHECK(after.arrays == before.arrays);
  CHECK(after.total >= after.free);
}

TEST_CASE("out of memory says what was asked, what is free, and who holds the rest") {
  const Tensor<float, Cuda> held({300, 1024, 1024 / 4});
  const std::string message = test::message_of<CudaError>([] { Tensor<float, Cuda>::uninitialized({Index{1} << 42}); });
  INFO(message);
  for (const char* part : {"out of GPU memory: ", " asked, ", " free; ventral's tensors hold ", " arrays (the largest: 1 of 300 MiB", "to spare, CUDA and other programs "})
    CHECK(message.find(part) != std::string::npos);
  CHECK(Tensor<float, Cuda>({10}).to<Cpu>()[9] == 0);  // and nothing is lost
}

TEST_CASE("threads work on streams of their own") {
  const auto x = test::random_tensor<float>({64, 33});
  double worst = 0;
  const auto work = [&](double& error) {
    const gpu::OwnStream stream;
    const gpu::UseStream use(stream);
    CHECK(Cuda::stream().handle == static_cast<gpu::Stream>(stream).handle);
    ReLU<float, Cuda> layer;
    const auto y = test::run(layer, x.to<Cuda>());
    ReLU<float> on_cpu;
    error = test::relative_error(y.to<Cpu>(), test::run(on_cpu, x));
  };
  double errors[4] = {1, 1, 1, 1};
  std::vector<std::thread> threads;
  for (double& e : errors) threads.emplace_back([&work, &e] { work(e); });
  for (auto& t : threads) t.join();
  for (const double e : errors) worst = std::max(worst, e);
  CHECK(worst == 0);
}

TEST_CASE("events measure time and order streams") {
  gpu::Event begin, end;
  begin.record();
  Tensor<float, Cuda> x({1 << 16});
  x.zero();
  end.record();
  end.hold(Cuda::stream());
  end.synchronize();
  gpu::synchronize();
  CHECK(gpu::Event::milliseconds(begin, end) >= 0);
}

TEST_CASE("choose_device knows its words") {
  CHECK(test::message_of<Error>([] { choose_device("gpu"); }) == "device 'gpu'; one of cpu, cuda, auto is needed");
  CHECK(to_string(choose_device("cpu")) == "cpu: as asked");
  const DeviceChoice asked = choose_device("cuda");
  CHECK(asked.cuda);
  CHECK(on_device(asked, [](auto space) { return std::is_same_v<decltype(space), Cuda>; }));
  CHECK(on_device(choose_device("cpu"), [](auto space) { return std::is_same_v<decltype(space), Cpu>; }));
}

namespace {

/// The losses of the first steps of a network on drawn digits, and its weights afterwards.
template <class Space, class Build>
std::vector<double> losses(Build build, Index steps, Index batch, const std::string& weights = "") {
  auto net = build.template operator()<Space>();
  const Dataset digits = draw_digits(steps * batch, {.seed = 3});
  std::vector<double> out;
  Adam<float, Space> adam(net.parameters(), {.rate = 1e-3});
  SoftmaxCrossEntropy<float, Space> loss;
  const ImageSource<float> source(digits, {});
  Tensor<float> x;
  Tensor<std::int32_t> labels;
  Tensor<float, Space> dy;
  for (Index s = 0; s < steps; ++s) {
    std::vector<Index> which;
    for (Index i = 0; i < batch; ++i) which.push_back(s * batch + i);
    source.fill(which, Random(1), x, labels);
    const auto on_device = x.to<Space>();
    const auto target = labels.to<Space>();
    adam.zero_gradients();
    const In<float, Space> y = net.forward(on_device, Mode::training);
    dy.resize(y.shape);
    out.push_back(loss(y, target, dy));
    net.backward(dy);
    adam.step();
  }
  if (!weights.empty()) save(net, weights);
  return out;
}

void check_same_losses(const std::vector<double>& a, const std::vector<double>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    INFO("step ", i, ": ", a[i], " and ", b[i]);
    CHECK(std::abs(a[i] - b[i]) <= 2e-4 * std::abs(b[i]));
  }
  CHECK(b.back() != b.front());
}

}  // namespace

TEST_CASE("LeNet-5 on the device follows the CPU's losses, and its weights agree") {
  const test::TemporaryFolder folder;
  const auto build = []<class Space>() { return lenet5<float, Space>({.seed = 4}); };
  const std::string here = folder / "cuda.safetensors", there = folder / "cpu.safetensors";
  check_same_losses(losses<Cuda>(build, 5, 8, here), losses<Cpu>(build, 5, 8, there));
  auto a = lenet5<float>(), b = lenet5<float>();
  load(a, here);
  load(b, there);
  const auto pa = a.parameters(), pb = b.parameters();
  for (std::size_t i = 0; i < pa.size(); ++i) {
    INFO(pa[i].name);
    CHECK(test::relative_error(pa[i].parameter->value, pb[i].parameter->value) < 5e-3);  // Adam's first steps magnify rounding
  }
}

TEST_CASE("a network with dropout and batch normalization draws the same masks on the device") {
  const auto build = []<class Space>() { return modern_lenet<float, Space>({.seed = 4}); };
  check_same_losses(losses<Cuda>(build, 2, 2), losses<Cpu>(build, 2, 2));
}

TEST_CASE("training on the device is the same bits every time") {
  const auto build = []<class Space>() { return lenet5<float, Space>({.seed = 6}); };
  CHECK(losses<Cuda>(build, 3, 4) == losses<Cuda>(build, 3, 4));
}

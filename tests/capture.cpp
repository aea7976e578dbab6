#include <tuple>

#include "support.hpp"
#include "ventral/capture.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/dropout.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

bool contains(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

/// Adds a x to y.
void add(double a, const Tensor<float, Cuda>& x, Tensor<float, Cuda>& y) { scaled_sum(x.stream(), a, x.ref(), 1, y.ref()); }

float first(const Tensor<float, Cuda>& x) { return x.to<Cpu>()[0]; }

}  // namespace

TEST_CASE("graph: captures without running, runs as often as it is launched, with the contents of the arrays at that time") {
  Tensor<float, Cuda> x({33}), y({33}), z({33});
  x.fill(2);
  gpu::Graph graph;
  CHECK(graph.size() == 0);
  graph.launch();  // nothing
  graph.capture([&] {
    add(3, x, y);
    z.copy_from(y);
    y.zero();
    y.copy_from(z);
  });
  CHECK(graph.size() == 4);
  CHECK(first(y) == 0);
  graph.launch();
  CHECK(first(y) == 6);
  x.fill(5);
  graph.launch();
  CHECK(first(y) == 21);
  graph.capture([&] { add(1, x, y); });  // another in its place
  graph.launch();
  CHECK(first(y) == 26);
}

TEST_CASE("graph: a number that changes from step to step was fixed when it was captured") {
  Tensor<float, Cuda> x({5}), y({5});
  x.fill(1);
  double rate = 1;
  gpu::Graph graph;
  graph.capture([&] { add(rate, x, y); });
  for (rate = 2; rate <= 4; ++rate) graph.launch();
  CHECK(first(y) == 3);  // and not 9
}

TEST_CASE("graph: what needs the CPU is forbidden while it is captured, and the next capture works") {
  Tensor<float, Cuda> x({5}), y({5});
  x.fill(1);
  gpu::Graph graph;
  const auto message = [&](auto work) { return test::message_of<CudaError>([&] { graph.capture(work); }); };
  const char* const why = " while a graph is captured: the CPU takes no part when the graph runs";
  CHECK(contains(message([&] { first(x); }), (std::string("copy_to_host") + why).c_str()));
  CHECK(contains(message([&] { x.fill(3); }), (std::string("copy_from_host") + why).c_str()));
  CHECK(contains(message([&] { gpu::synchronize(); }), (std::string("synchronize") + why).c_str()));
  CHECK(contains(message([&] { gpu::Event().synchronize(); }), "Event::synchronize while"));
  CHECK(contains(message([&] { gpu::Graph().capture([] {}); }), "inside another capture"));
  CHECK(contains(message([&] { graph.launch(); }), "Graph::launch while"));
  CHECK(graph.size() == 0);
  CHECK(first(x) == 1);
  graph.capture([&] { add(1, x, y); });
  graph.launch();
  CHECK(first(y) == 1);
}

TEST_CASE("graph: temporary arrays are its own; arrays that stay, or go, are errors") {
  Tensor<float, Cuda> x({100}), y({100}), kept;
  x.fill(1);
  gpu::Graph graph;
  const auto before = gpu::memory_use();
  graph.capture([&] {
    for (int i = 0; i < 3; ++i) {
      auto half = Tensor<float, Cuda>::uninitialized({100});
      scaled_sum(x.stream(), 0.5, x.ref(), 0, half.ref());
      add(1, half, y);
    }
  });
  CHECK(gpu::memory_use().arrays == before.arrays + 1);  // the same array three times
  graph.launch();
  graph.launch();
  CHECK(first(y) == 3);
  CHECK(gpu::memory_use().arrays == before.arrays + 1);

  const auto message = [&](auto work) { return test::message_of<CudaError>([&] { graph.capture(work); }); };
  CHECK(contains(message([&] { kept.resize({10}); }), "allocated 1 arrays (40 bytes) and kept them: run it once before it is captured"));
  kept.fill(7);  // it is an array like any other
  CHECK(first(kept) == 7);
  CHECK(contains(message([&] { kept = Tensor<float, Cuda>(); }), "freed 40 bytes that it had before"));
  graph.capture([&] { add(1, x, y); });
  CHECK(gpu::memory_use().arrays == before.arrays);
}

#if defined(VENTRAL_CUDA_EMULATED)
TEST_CASE("graph: the emulator shows an array that is gone, and temporary arrays are fresh in each run") {
  Tensor<float, Cuda> x({5}), y({5});
  gpu::Graph graph;
  graph.capture([&] { add(1, x, y); });
  x = Tensor<float, Cuda>();
  CHECK(contains(test::message_of<CudaError>([&] { graph.launch(); }), "has an argument that points to no array in device memory"));

  Tensor<float, Cuda> z({5});
  graph.capture([&] {
    auto forgotten = Tensor<float, Cuda>::uninitialized({5});
    add(1, forgotten, z);  // reads what nobody wrote
  });
  graph.launch();
  CHECK(first(z) != first(z));
}
#endif

namespace {

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

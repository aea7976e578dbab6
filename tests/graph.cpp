#include "support.hpp"
#include "ventral/optimizer.hpp"

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
  add(0, x, y);  // loads the kernel, as a capture should not
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
  scaled_sum(x.stream(), 0, x.ref(), 0, y.ref());
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

// What moving memory costs: the device's own copy and launches, and the operations that only move memory. Traffic is what cannot be avoided (each input read
// once, each output written once; batch normalization reads its input twice). The reference is a copy of as many bytes, so the ratio is the share of its rate.
#include <cmath>

#include "cuda/layer.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/pool2d.hpp"

namespace bench::device {

namespace {

void add_copies(Program& program) {
  for (const int mebibytes : {1024, 256, 64, 8, 1}) {
    if (program.tiny() && mebibytes > 1) continue;
    const double bytes = 2.0 * mebibytes * 0x1p20;
    program.add(ventral::concat("copy/", mebibytes, "MiB"), {.bytes = bytes}, [=] {
      Contest c;
      c.sets = sets_for(bytes);
      c.ours = copy_side(bytes, c.sets);
      return c;
    });
  }
}

/// What the smallest pieces of work cost, in time alone.
void add_launches(Program& program) {
  struct Cell {
    Tensor<float, Cuda> x = Tensor<float, Cuda>::full({1}, 1.5f), y = Tensor<float, Cuda>({1});
    gpu::Event mark;
  };
  const auto add = [&](const char* name, double result, auto run) {
    program.add(name, {}, [=] {
      const auto cell = std::make_shared<Cell>();
      Contest c;
      c.ours = {"ventral",
                [=](int) { run(*cell); },
                {check<float>(
                    "cell", cell->y, [=](Index) { return result; }, 1e-7, result == 0 ? NAN : result)}};
      return c;
    });
  };
  add("launch/clear-4-bytes", 0, [](Cell& c) { Cuda::zero(c.y.data(), sizeof(float)); });
  add("launch/clear-and-wait", 0, [](Cell& c) { Cuda::zero(c.y.data(), sizeof(float)), gpu::synchronize(); });
  add("launch/event", 2.5, [](Cell& c) { c.mark.record(); });
  program.add("launch/relu-of-1", {}, [] {
    const auto cell = std::make_shared<Cell>();
    Contest c;
    c.ours = {"ventral",
              [=](int) { activation_forward(Cuda::stream(), ventral::activation::Relu<float>{}, cell->x, cell->y.ref()); },
              {check<float>(
                  "cell", cell->y, [](Index) { return 1.5; }, 1e-7)}};
    return c;
  });
}

Shape lenet{64, 6, 28, 28}, alex{64, 96, 55, 55}, res{64, 64, 56, 56};  // smaller with --scale tiny

void add_activations(Program& program) {
  const auto relu = [&]<class T>(T, Shape shape) {
    add_layer<T, ventral::ReLU>(program, "relu", shape, 2 * bytes_of<T>(shape), 3 * bytes_of<T>(shape), tolerance<T>);
  };
  relu(0.0f, lenet), relu(0.0f, res), relu(bfloat16(0), res);
  add_layer<float, ventral::Tanh>(program, "tanh", res, 2 * bytes_of<float>(res), 3 * bytes_of<float>(res), tolerance<float>, ventral::TanhOptions{});
  add_layer<float, ventral::Sigmoid>(program, "sigmoid", res, 2 * bytes_of<float>(res), 3 * bytes_of<float>(res), tolerance<float>);
}

void add_sum(Program& program) {
  struct Sum {
    Tensor<float> a = random_numbers<float>(res, 1), b = random_numbers<float>(res, 2);
    Sets<float> device_a, device_b, y;
    explicit Sum(int sets) : device_a(copies(a, sets)), device_b(copies(b, sets)), y(zeros<float>(res, sets)) {}
  };
  const double bytes = 3 * bytes_of<float>(res);
  program.add("add/" + name_of(res) + "/float", {.bytes = bytes}, [=] {
    Contest c;
    c.sets = sets_for(bytes);
    const auto s = std::make_shared<Sum>(c.sets);
    c.ours = {"ventral",
              [s](int set) { add_tensors<float>(Cuda::stream(), of(s->device_a, set), of(s->device_b, set), of(s->y, set)); },
              {check<float>(
                  "y", of(s->y, 0), [s](Index i) { return static_cast<double>(s->a[i] + s->b[i]); }, 1e-7)}};
    c.reference = copy_side(bytes, c.sets);
    return c;
  });
}

void add_pools(Program& program) {
  const ventral::MaxPool2dOptions options{.kernel = 3, .stride = 2};
  for (const Shape& x : {alex, res}) {  // traffic counts the winner's position, 4 bytes an output, as the layer keeps it
    const double out = 2 * bytes_of<float>(ventral::MaxPool2d<float>(options).output_shape(x));
    add_layer<float, ventral::MaxPool2d>(program, "max3x3s2", x, bytes_of<float>(x) + out, bytes_of<float>(x) + out, tolerance<float>, options);
  }
}

void add_norms(Program& program) {
  const auto divisive = [&](const char* name, Index channels, Index height, Index width) {
    add_layer<float, ventral::DivisiveNorm>(
        program, name, alex, 2 * bytes_of<float>(alex), 3 * bytes_of<float>(alex), 1e-4,
        ventral::DivisiveNormOptions{.channels = channels, .height = height, .width = width, .k = 1, .alpha = 0.5, .beta = 0.75});
  };
  divisive("divisive-channels5", 5, 1, 1), divisive("divisive-space5x5", 1, 5, 5), divisive("divisive-box5x5x5", 5, 5, 5);
  for (const Shape& x : {lenet, res})
    add_layer<float, ventral::BatchNorm2d>(program, "batch-norm", x, 3 * bytes_of<float>(x), 5 * bytes_of<float>(x), 1e-4,
                                           ventral::BatchNorm2dOptions{.channels = x[1]});
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  Program program(argc, argv, "cuda_memory", "a copy of as many bytes within the device; the ratio is the share of its rate");
  if (program.tiny()) lenet = {2, 3, 5, 7}, alex = {1, 7, 9, 7}, res = {2, 4, 6, 5};
  add_copies(program);
  add_launches(program);
  add_activations(program);
  add_sum(program);
  add_pools(program);
  add_norms(program);
  return program.run();
}

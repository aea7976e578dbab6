// What moving memory costs: the device's own copy and launches, and the operations that only move memory. Traffic is what cannot be avoided (each input read
// once, each output written once; batch normalization reads its input twice). The reference is a copy of as many bytes, so the ratio is the share of its rate.
#include <algorithm>
#include <cmath>

#include "cuda/data.hpp"
#include "support/layer_contender.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/batch_norm2d.hpp"
#include "ventral/layers/divisive_norm.hpp"
#include "ventral/layers/pool2d.hpp"

namespace bench::device {

namespace {

using ventral::Cpu;

/// `64x96x55x55`.
std::string name_of(const Shape& shape) {
  std::string name = ventral::to_string(shape);
  std::replace(name.begin(), name.end(), ',', 'x');
  return name.substr(1, name.size() - 2);
}

/// Copies within the device that read and write so many bytes in all.
Side copy_side(double bytes, int sets) {
  struct Copy {
    Tensor<float> host;
    Sets<float> from, to;
    Copy(Index n, int count) : host(random_numbers<float>({n}, 9)), from(copies(host, count)), to(zeros<float>({n}, count)) {}
  };
  const auto c = std::make_shared<Copy>(std::max(Index{1}, static_cast<Index>(bytes / 8)), sets);
  return {"copy",
          [c](int set) { Cuda::copy(of(c->to, set).data(), of(c->from, set).data(), static_cast<std::size_t>(c->host.size()) * sizeof(float)); },
          {check<float>(
              "copy", of(c->to, 0), [c](Index i) { return static_cast<double>(c->host[i]); }, 1e-7)}};
}

void add_copies(Program& program) {
  for (const int mebibytes : {1, 8, 64, 256, 1024}) {
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

/// A layer on the device and, for what it must give, on the CPU in float; forward, or the gradient by the input.
template <class OnDevice, class OnHost>
struct Layer {
  using T = typename OnDevice::Scalar;

  Tensor<T> x, dy;
  Tensor<float> expected;
  Sets<T> device_x, device_dy, y, dx;
  OnDevice layer;
  std::vector<std::unique_ptr<ventral::Pass<Cuda>>> passes;

  Layer(OnDevice on_device, OnHost on_host, Shape shape, Part part, int sets)
      : x(random_numbers<T>(shape, 1)), dy(random_numbers<T>(on_device.output_shape(shape), 2)), layer(std::move(on_device)) {
    for (auto& p : ventral::parameters_of(layer)) p.parameter->frozen = true;
    for (auto& p : ventral::parameters_of(on_host)) p.parameter->frozen = true;
    device_x = copies(x, sets), y = zeros<T>(dy.shape(), sets);
    if (part == Part::data) device_dy = copies(dy, sets), dx = zeros<T>(shape, sets);
    for (int i = 0; i < sets; ++i) {
      passes.push_back(std::make_unique<ventral::Pass<Cuda>>(ventral::Mode::training));
      forward(i);
    }
    const Tensor<float> host_x = x.template cast<float>(), host_dy = dy.template cast<float>();
    Tensor<float> host_y(dy.shape());
    ventral::Pass<Cpu> pass(ventral::Mode::training);
    on_host.forward(host_x, host_y, pass);
    if (part == Part::data) {
      expected = Tensor<float>(shape);
      TensorRef<float> host_dx = expected;
      on_host.backward(host_x, host_y, host_dy, &host_dx, pass);
    } else {
      expected = std::move(host_y);
    }
  }
  void forward(int set) { layer.forward(of(device_x, set), of(y, set), *passes[static_cast<std::size_t>(set)]); }
  void backward(int set) {
    TensorRef<T, Cuda> gradient = of(dx, set);
    layer.backward(of(device_x, set), of(y, set), of(device_dy, set), &gradient, *passes[static_cast<std::size_t>(set)]);
  }
};

/// Adds forward and backward of a layer, each with its traffic in bytes.
template <class OnDevice, class OnHost>
void add_layer(Program& program, const std::string& name, const OnDevice& on_device, const OnHost& on_host, Shape shape, double forward_bytes,
               double backward_bytes, double allowed) {
  using T = typename OnDevice::Scalar;
  for (const Part part : {Part::forward, Part::data}) {
    const bool forward = part == Part::forward;
    const double bytes = forward ? forward_bytes : backward_bytes;
    program.add(ventral::concat(name, forward ? "/forward/" : "/data/", name_of(shape), "/", type_name<T>), {.bytes = bytes}, [=] {
      const int sets = sets_for(bytes);
      const auto l = std::make_shared<Layer<OnDevice, OnHost>>(on_device, on_host, shape, part, sets);
      Contest c;
      c.sets = sets;
      Check right = check<T>(
          forward ? "y" : "dx", forward ? of(l->y, 0) : of(l->dx, 0), [l](Index i) { return static_cast<double>(l->expected[i]); }, allowed);
      right.samples = shape.size();
      c.ours = {"ventral", [=](int set) { forward ? l->forward(set) : l->backward(set); }, {right}};
      c.reference = copy_side(bytes, sets);
      return c;
    });
  }
}

/// The same for a layer template, made for the device and for the CPU from the same options.
template <class T, template <class, class> class L, class... Options>
void add_layer(Program& program, const std::string& name, Shape shape, double forward_bytes, double backward_bytes, double allowed, const Options&... options) {
  add_layer(program, name, L<T, Cuda>(options...), L<float, Cpu>(options...), shape, forward_bytes, backward_bytes, allowed);
}

const Shape lenet{64, 6, 28, 28}, alex{64, 96, 55, 55}, res{64, 64, 56, 56};

void add_activations(Program& program) {
  const auto relu = [&]<class T>(T, Shape shape) {
    add_layer<T, ventral::ReLU>(program, "relu", shape, 2 * bytes_of<T>(shape), 3 * bytes_of<T>(shape), tolerance<T>);
  };
  relu(0.0f, lenet), relu(0.0f, res), relu(bfloat16(0), res);
  add_layer<float, ventral::Tanh>(program, "tanh", res, 2 * bytes_of<float>(res), 3 * bytes_of<float>(res), tolerance<float>, ventral::TanhOptions{});
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
  add_copies(program);
  add_launches(program);
  add_activations(program);
  add_sum(program);
  add_pools(program);
  add_norms(program);
  return program.run();
}

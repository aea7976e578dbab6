// Layers that cuDNN has too (pooling, normalization across channels, activations), softmax with cross-entropy, and optimizers. Where cuDNN has no such thing, the
// reference is a copy of as many bytes within the device, and the ratio is the share of its rate.
#include <cmath>

#include "cuda/layer.hpp"
#include "cuda/reference.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/local_response_norm.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/loss.hpp"
#include "ventral/optimizer.hpp"

namespace bench::device {

namespace {

struct Places {
  std::vector<Shape> images;
  Index classes, rows, parameters;
};

void add_pools(Program& program, const Places& places) {
  for (const Shape& x : places.images) {
    const ventral::MaxPool2dOptions large{.kernel = 3, .stride = 2};
    const ventral::MeanPool2dOptions small{.kernel = 2, .stride = 2};
    const double in = bytes_of<float>(x), max = bytes_of<float>(ventral::MaxPool2d<float>(large).output_shape(x));
    const double mean = bytes_of<float>(ventral::MeanPool2d<float>(small).output_shape(x));
    // Max pooling keeps the winner's place, 4 bytes an output.
    add_layer(program, "max3x3s2", [=] { return ventral::MaxPool2d<float, Cuda>(large); }, [=] { return ventral::MaxPool2d<float>(large); }, x, in + 2 * max, in + 2 * max, tolerance<float>,
              cudnn::pooling({.x = x, .kernel = 3, .stride = 2, .max = true}));
    add_layer(program, "mean2x2s2", [=] { return ventral::MeanPool2d<float, Cuda>(small); }, [=] { return ventral::MeanPool2d<float>(small); }, x, in + mean, in + mean, tolerance<float>,
              cudnn::pooling({.x = x, .kernel = 2, .stride = 2, .max = false}));
  }
}

void add_response_norms(Program& program, const Places& places) {
  const ventral::LocalResponseNormOptions o{.size = 5, .alpha = 0.5, .beta = 0.75, .k = 2};
  for (const Shape& x : places.images)
    add_layer(program, "response-norm5", [=] { return ventral::LocalResponseNorm<float, Cuda>(o); }, [=] { return ventral::LocalResponseNorm<float>(o); }, x, 2 * bytes_of<float>(x),
              3 * bytes_of<float>(x), 1e-4, cudnn::response_norm({.x = x, .size = o.size, .alpha = o.alpha, .beta = o.beta, .k = o.k}));
}

void add_activations(Program& program, const Places& places) {
  for (const Shape& x : places.images) {
    const double bytes = bytes_of<float>(x);
    add_layer(program, "relu", [=] { return ventral::ReLU<float, Cuda>(); }, [=] { return ventral::ReLU<float>(); }, x, 2 * bytes, 3 * bytes, tolerance<float>, cudnn::activation(x, cudnn::Function::relu));
    add_layer(program, "sigmoid", [=] { return ventral::Sigmoid<float, Cuda>(); }, [=] { return ventral::Sigmoid<float>(); }, x, 2 * bytes, 3 * bytes, tolerance<float>,
              cudnn::activation(x, cudnn::Function::sigmoid));
  }
}

/// Loss and gradient of scores [rows,classes]; the scores are read once, the gradient written once.
void add_cross_entropy(Program& program, const Places& places) {
  struct Scores {
    Tensor<float> x;
    Tensor<std::int32_t> labels;
    Sets<float> device_x, dx, p, theirs;
    Tensor<std::int32_t, Cuda> device_labels;
    ventral::SoftmaxCrossEntropy<float, Cuda> loss;

    Scores(Shape shape, int sets) : x(random_numbers<float>(shape, 1, -4, 4)), labels({shape[0]}), device_x(copies(x, sets)), dx(zeros<float>(shape, sets)) {
      for (Index i = 0; i < labels.size(); ++i) labels[i] = static_cast<std::int32_t>((i * 7919) % shape[1]);
      device_labels = labels.to<Cuda>();
    }
    /// (softmax(x) - one-hot) / rows.
    double gradient(Index i) const {
      const Index classes = x.shape()[1], row = i / classes, c = i % classes;
      double sum = 0;
      for (Index j = 0; j < classes; ++j) sum += std::exp(static_cast<double>(x[row * classes + j]));
      return (std::exp(static_cast<double>(x[i])) / sum - (c == labels[row] ? 1 : 0)) / static_cast<double>(labels.size());
    }
  };
  const Shape shape{places.rows, places.classes};
  const double bytes = 2 * bytes_of<float>(shape);
  program.add("softmax-cross-entropy/" + name_of(shape) + "/float", {.bytes = bytes}, [=] {
    Contest c;
    c.sets = sets_for(bytes), c.set_bytes = bytes;
    const auto s = std::make_shared<Scores>(shape, c.sets);
    c.ours = {"ventral", [s](int set) { static_cast<void>(s->loss(of(s->device_x, set), s->device_labels, of(s->dx, set))); },
              {check<float>("dx", of(s->dx, 0), [s](Index i) { return s->gradient(i); }, 1e-4)}};
    c.reference = cudnn::softmax_pair(s->device_x);
    if (!c.reference.run) c.reference = copy_side(bytes, c.sets);
    return c;
  });
}

/// One step on an array. `arrays`: how many arrays of its size go through the processor; `change`: of a parameter in the first step, by its gradient.
template <class O, class Options>
void add_optimizer(Program& program, const char* name, Index count, Options options, double arrays, double (*change)(double)) {
  struct Step {
    Tensor<float> w, gradient;
    ventral::Parameter<float, Cuda> parameter;
    std::unique_ptr<O> optimizer;
    Options options;

    Step(Index n, Options o) : w(random_numbers<float>({n}, 1)), gradient(random_numbers<float>({n}, 2)), options(o) { reset(); }
    void reset() {
      parameter.value = w.to<Cuda>();
      parameter.gradient = gradient.to<Cuda>();
      optimizer = std::make_unique<O>(std::vector{ventral::NamedParameter<float, Cuda>{"w", &parameter}}, options);
    }
  };
  const double bytes = arrays * 4 * static_cast<double>(count);
  program.add(ventral::concat(name, "/", count), {.bytes = bytes}, [=] {
    const auto s = std::make_shared<Step>(count, options);
    const auto fetch = [s] {
      const Tensor<float> found = s->parameter.value.template to<Cpu>();
      return std::vector<double>(found.begin(), found.end());
    };
    const auto expected = [=](Index i) { return static_cast<double>(s->w[i]) - change(static_cast<double>(s->gradient[i])); };
    Contest c;
    c.set_bytes = bytes;
    c.ours = {"ventral", [s](int) { s->optimizer->step(); }, {{.name = "w", .prepare = [s] { s->reset(); }, .fetch = fetch, .expected = expected, .tolerance = 1e-5}}};
    c.reference = copy_side(bytes, 1);
    return c;
  });
}

void add_optimizers(Program& program, const Places& places) {
  constexpr double rate = 0.01;
  add_optimizer<ventral::SGD<float, Cuda>>(program, "sgd", places.parameters, ventral::SGDOptions{.rate = rate}, 3, [](double g) { return rate * g; });
  add_optimizer<ventral::SGD<float, Cuda>>(program, "sgd-momentum", places.parameters, ventral::SGDOptions{.rate = rate, .momentum = 0.9}, 5,
                                           [](double g) { return rate * g; });
  add_optimizer<ventral::Adam<float, Cuda>>(program, "adam", places.parameters, ventral::AdamOptions{.rate = rate}, 7,
                                            [](double g) { return rate * g / (std::abs(g) + 1e-8); });
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  const std::string reference = bench::cudnn::version();
  Program program(argc, argv, "cuda_layers", reference.empty() ? "a copy of as many bytes within the device" : reference + ", or a copy of as many bytes");
  const Places places = program.tiny() ? Places{{{2, 7, 9, 7}}, 11, 5, 1000} : Places{{{64, 96, 55, 55}, {64, 64, 56, 56}}, 1000, 4096, bench::Index{1} << 25};
  add_pools(program, places);
  add_response_norms(program, places);
  add_cross_entropy(program, places);
  add_optimizers(program, places);
  add_activations(program, places);
  return program.run();
}

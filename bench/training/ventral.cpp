// LeNet-5 on 4,096 random images, batch 64: what bench/process compiles and starts. Argument: training steps; 0 shows how long a start takes.
#include <cstdio>
#include <cstdlib>
#include <ventral/ventral.hpp>

using namespace ventral;

int main(int argc, char** argv) {
  const Index steps = argc > 1 ? std::atoi(argv[1]) : 64, images = 4096, batch = 64;
  if (steps == 0) return 0;
  Tensor<float> x({images, 1, 28, 28});
  Tensor<std::int32_t> labels({images});
  Random random(1);
  for (float& v : x) v = static_cast<float>(random.uniform(0, 1));
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(10));

  Sequential<float> net = lenet5<float>();
  SGD<float> optimizer(net.parameters(), {.rate = 0.05, .momentum = 0.9});
  SoftmaxCrossEntropy<float> loss;
  Tensor<float> dy({batch, 10});
  double last = 0;
  for (Index step = 0; step < steps; ++step) {
    const Index first = step * batch % images;
    optimizer.zero_gradients();
    last = loss(net.forward(x.slice(first, first + batch), Mode::training), labels.slice(first, first + batch), dy);
    net.backward(dy);
    optimizer.step();
  }
  std::printf("loss %.4f\n", last);
}

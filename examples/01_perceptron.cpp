// The perceptron learns AND, OR and two digits, and cannot learn XOR; a network with one hidden layer can.
//   01_perceptron [--first 0] [--second 1] [--seed 1] [--data DIR] [--device cpu|cuda|auto]
#include <cstdio>

#include "support/options.hpp"
#include "ventral/cuda.hpp"
#include "ventral/data/digits.hpp"
#include "ventral/data/find.hpp"
#include "ventral/data/mnist.hpp"
#include "ventral/layers/activation.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/loss.hpp"
#include "ventral/models/perceptron.hpp"
#include "ventral/optimizer.hpp"
#include "ventral/sequential.hpp"

using namespace ventral;

namespace {

const Tensor<double> corners({4, 2}, {0, 0, 0, 1, 1, 0, 1, 1});

/// The square [-0.5, 1.5]^2: `#` where the classifier says 1, `.` where 0, and the four corners as 0 or 1.
template <class Classify>
void draw(Classify classify, const Tensor<std::int32_t>& labels) {
  for (int row = 8; row >= 0; --row) {
    std::printf("    ");
    for (int column = 0; column < 17; ++column) {
      const double x = column / 8.0 - 0.5, y = row / 4.0 - 0.5;
      const bool corner = (column == 4 || column == 12) && (row == 2 || row == 6);
      std::printf("%c", corner ? (labels[(column == 12) * 2 + (row == 6)] > 0 ? '1' : '0') : classify(x, y) ? '#' : '.');
    }
    std::printf("\n");
  }
}

/// Learns until an epoch has no mistake, at most `epochs` of them; returns the largest number of examples that were ever right.
Index teach(const char* name, Perceptron& p, const Tensor<double>& x, const Tensor<std::int32_t>& labels, int epochs) {
  std::printf("%s: mistakes per epoch", name);
  Index total = 0, mistakes = 1, best = 0;
  std::vector<Index> order(static_cast<std::size_t>(labels.size()));
  for (Index n = 0; n < labels.size(); ++n) order[static_cast<std::size_t>(n)] = n;
  Random random(1);
  for (int epoch = 0; epoch < epochs && mistakes > 0; ++epoch) {
    mistakes = 0;
    random.shuffle(order.begin(), order.end());
    for (const Index n : order)
      if (p.learn(x.slice(n, n + 1).data, labels[n])) ++mistakes, best = std::max(best, p.right(x, labels));
    total += mistakes;
    std::printf(" %lld", static_cast<long long>(mistakes));
  }
  std::printf("\n");
  if (mistakes == 0) {
    const double bound = mistake_bound(p, x, labels);
    std::printf("  %lld mistakes in all; (R/gamma)^2 = %.1f\n", static_cast<long long>(total), bound);
    require(static_cast<double>(total) <= bound, "more mistakes than Novikoff's bound allows");
  } else {
    std::printf("  never right on all: at best %lld of %lld\n", static_cast<long long>(best), static_cast<long long>(labels.size()));
  }
  return best;
}

Index teach_gate(const char* name, std::initializer_list<std::int32_t> outputs) {
  const Tensor<std::int32_t> labels({4}, outputs);
  Perceptron p(2);
  const Index best = teach(name, p, corners, labels, 30);
  draw(
      [&](double x, double y) {
        const double point[] = {x, y};
        return p.predict(point) == 1;
      },
      labels);
  return best;
}

/// Two digits, one against the other; x in 0..1.
bool teach_digits(const std::string& data, int first, int second, std::uint64_t seed) {
  const DataFolder found = find_mnist(data);
  const Dataset digits = found ? read_mnist_set(found.path, "train") : draw_digits(4000, {.seed = seed});
  std::vector<double> pixels;
  std::vector<std::int32_t> labels;
  for (Index n = 0; n < digits.size() && labels.size() < 500; ++n) {
    if (digits.labels[n] != first && digits.labels[n] != second) continue;
    labels.push_back(digits.labels[n] == second ? 1 : -1);
    for (Index i = 0; i < 784; ++i) pixels.push_back(digits.images[n * 784 + i] / 255.0);
  }
  const Index count = static_cast<Index>(labels.size());
  std::printf("%lld pictures of %d and %d, %s\n", static_cast<long long>(count), first, second, found ? to_string(found).c_str() : "drawn by the program");
  Perceptron p(784);
  return teach("digits", p, Tensor<double>({count, 784}, pixels), Tensor<std::int32_t>({count}, labels), 200) == count;
}

/// XOR by a hidden layer of four units and backpropagation.
template <class Space>
Index teach_network(std::uint64_t seed) {
  const Tensor<std::int32_t> labels({4}, {0, 1, 1, 0});
  const auto x = corners.to<Space>();
  const auto target = labels.to<Space>();
  Sequential<double, Space> net;
  net.add("hidden", Linear<double, Space>({.in = 2, .out = 4})).add("tanh", Tanh<double, Space>()).add("output", Linear<double, Space>({.in = 4, .out = 2}));
  net.initialize(seed);
  SoftmaxCrossEntropy<double, Space> loss;
  SGD<double, Space> optimizer(net.parameters(), {.rate = 0.5, .momentum = 0.9});
  Tensor<double, Space> dy({4, 2});
  double value = 0;
  for (int step = 0; step < 200; ++step) {
    value = loss(net.forward(x, Mode::training), target, dy);
    optimizer.zero_gradients();
    net.backward(dy);
    optimizer.step();
  }
  const auto classify = [&](double a, double b) {
    const auto point = Tensor<double>({1, 2}, {a, b}).to<Space>();
    double out[2];
    Space::copy_to_host(out, net.forward(point).data, sizeof out);
    return out[1] > out[0];
  };
  Index right = 0;
  for (Index i = 0; i < 4; ++i) right += classify(corners[2 * i], corners[2 * i + 1]) == (labels[i] == 1);
  std::printf("XOR by a multi-layer perceptron: %lld of 4, loss %.4f\n", static_cast<long long>(right), value);
  draw(classify, labels);
  return right;
}

int example(int argc, char** argv) {
  int first = 0, second = 1;
  std::uint64_t seed = 1;
  std::string data, device = "auto";
  Options options("01_perceptron", "Rosenblatt's rule on AND, OR, two digits and XOR; then XOR by backpropagation.");
  options.add("first", first, "one digit").add("second", second, "the other digit").add("seed", seed, "of the network and the drawn digits").add("data", data, "folder with MNIST");
  options.add("device", device, "of the network: cpu, cuda, or auto: the GPU if there is one");
  options.parse(argc, argv);
  const DeviceChoice choice = choose_device(device);
  std::printf("device: %s\n", to_string(choice).c_str());

  const Index gate_and = teach_gate("AND", {-1, -1, -1, 1}), gate_or = teach_gate("OR", {-1, 1, 1, 1}), gate_xor = teach_gate("XOR", {-1, 1, 1, -1});
  const bool digits = teach_digits(data, first, second, seed);
  const Index network = on_device(choice, [&]<class Space>(Space) { return teach_network<Space>(seed); });
  std::printf("result: AND %lld, OR %lld, XOR %lld, XOR with a hidden layer %lld of 4; digits %s\n", static_cast<long long>(gate_and), static_cast<long long>(gate_or),
              static_cast<long long>(gate_xor), static_cast<long long>(network), digits ? "separated" : "not separated");
  return gate_and == 4 && gate_or == 4 && gate_xor <= 3 && network == 4 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return run_example("01_perceptron", example, argc, argv); }

// A layer of your own: a plain class, its gradient checked by finite differences, then trained inside a network.
// The layer is y = sign(x) log(1 + gain |x|): a compressive response like that of a photoreceptor, with a learned gain per channel.
#include <cmath>
#include <cstdio>

#include "support/options.hpp"
#include "ventral/gradient_check.hpp"
#include "ventral/layers/flatten.hpp"
#include "ventral/layers/linear.hpp"
#include "ventral/loss.hpp"
#include "ventral/optimizer.hpp"
#include "ventral/sequential.hpp"

using namespace ventral;

namespace {

/// y = sign(x) log(1 + g_c |x|), x [N,C,...], g [C] > 0.
/// dy/dx = g / (1 + g |x|); dy/dg = x / (1 + g |x|), summed over the elements of channel c.
template <class T>
class LogCompression {
 public:
  using Scalar = T;
  using Space = Cpu;
  static constexpr const char* kind = "LogCompression";

  Parameter<T, Cpu> gain;

  explicit LogCompression(Index channels) : gain({channels}) { gain.value.fill(T(1)); }

  Shape output_shape(const Shape& x) const {
    require<ShapeError>(x.rank() >= 2 && x[1] == gain.value.size(), "LogCompression: input ", x, " must have ", gain.value.size(), " channels");
    return x;
  }
  void forward(In<T> x, Out<T> y, Pass<Cpu>&) {
    each(x.shape, [&](Index i, Index c) { y.data[i] = std::copysign(std::log1p(gain.value[c] * std::abs(x.data[i])), x.data[i]); });
  }
  void backward(In<T> x, In<T>, In<T> dy, Out<T>* dx, Pass<Cpu>&) {
    const Out<T> dgain = gain.accumulated_gradient();
    each(x.shape, [&](Index i, Index c) {
      const T g = gain.value[c], slope = T(1) / (T(1) + g * std::abs(x.data[i]));
      dgain.data[c] += dy.data[i] * x.data[i] * slope;
      if (dx) dx->data[i] = dy.data[i] * g * slope;
    });
  }
  std::vector<NamedParameter<T, Cpu>> parameters() { return {{"gain", &gain}}; }

 private:
  /// Calls body(flat position, channel) for every element.
  template <class Body>
  static void each(const Shape& s, Body body) {
    const Index inner = s.product(2, s.rank());
    for (Index i = 0; i < s.size(); ++i) body(i, i / inner % s[1]);
  }
};
static_assert(Layer<LogCompression<float>>);

int example(int argc, char** argv) {
  int steps = 400;
  std::uint64_t seed = 1;
  Options options("04_own_layer", "Writes a layer, checks its gradient, and trains a network that contains it.");
  options.add("steps", steps, "training steps").add("seed", seed, "of weights and data");
  options.parse(argc, argv);

  // 1. The gradient, in double, against finite differences.
  Random random(seed);
  Tensor<double> probe({3, 2, 4, 5});
  for (double& v : probe) v = random.normal();
  LogCompression<double> layer(2);
  const GradientReport report = gradient_check(layer, probe);
  std::printf("gradient check: %s\n", to_string(report).c_str());
  require(report.passed(1e-6), "the gradient is wrong");

  // 2. Training: tell dim from bright patches whose contrast varies 100-fold. The target is the sign of a hidden direction in log contrast.
  Sequential<float> net;
  net.add("compress", LogCompression<float>(1)).add("flat", Flatten<float>()).add("readout", Linear<float>({.in = 16, .out = 2}));
  net.initialize(seed);
  SoftmaxCrossEntropy<float> loss;
  SGD<float> optimizer(net.parameters(), {.rate = 0.05, .momentum = 0.9});
  Tensor<float> x({64, 1, 4, 4}), dy({64, 2});
  Tensor<std::int32_t> target({64});
  double value = 0, recent = 0.7;  // recent: a running mean of the loss
  Index right = 0;
  for (int step = 0; step < steps; ++step) {
    for (Index n = 0; n < 64; ++n) {
      double sum = 0;
      for (Index i = 0; i < 16; ++i) {
        const double contrast = random.normal(0, 1);  // of log10 units
        x[n * 16 + i] = static_cast<float>(std::pow(10.0, contrast));
        sum += i % 2 ? contrast : -contrast;
      }
      target[n] = sum > 0;
    }
    const In<float> y = net.forward(x, Mode::training);
    right = 0;
    for (Index n = 0; n < 64; ++n) right += (y.data[2 * n + 1] > y.data[2 * n]) == (target[n] == 1);
    value = loss(y, target, dy);
    recent += 0.02 * (value - recent);
    optimizer.zero_gradients();
    net.backward(dy);
    optimizer.step();
    if (step % 100 == 0 || step + 1 == steps) std::printf("step %4d  loss %.4f  right %lld of 64\n", step, value, static_cast<long long>(right));
  }
  std::printf("learned gain: %.2f\nresult: gradient error below 1e-6, loss %.2f\n", static_cast<double>(net.layer<LogCompression<float>>("compress").gain.value[0]), recent);
  return recent < 0.5 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) { return run_example("04_own_layer", example, argc, argv); }

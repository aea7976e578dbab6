// Optimizer steps on one array: LeNet-5's parameters (in cache) and 16 million (in memory). Traffic: what must be read and written of parameters, gradient and
// state.
#include "ventral/optimizer.hpp"

#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"

namespace {

using namespace bench;
using Kind = libtorch::Optimizer;
using Parameter = ventral::Parameter<float, ventral::Cpu>;

constexpr double rate = 0.01;

struct Data {
  Tensor<float> w, gradient;
};

template <class O>
class Step final : public Contender {
 public:
  template <class Options>
  Step(std::shared_ptr<const Data> data, Options options)
      : data_(std::move(data)), make_([=, this] {
          return std::make_unique<O>(std::vector{ventral::NamedParameter<float, ventral::Cpu>{"w", &w_}}, options);
        }) {
    clear();
  }
  void run() override { optimizer_->step(); }
  void clear() override {
    w_.value = data_->w.clone();
    w_.gradient = data_->gradient.clone();
    optimizer_ = make_();
  }
  std::vector<Output> outputs() override { return {w_.value.ref()}; }

 private:
  std::shared_ptr<const Data> data_;
  Parameter w_;
  std::function<std::unique_ptr<O>()> make_;
  std::unique_ptr<O> optimizer_;
};

/// `arrays`: how many arrays of the size of the parameters go through the processor. `first`: the change of a parameter in the first step, by its gradient.
template <class O, class Options>
void add(Program& program, const char* name, Kind kind, Options options, double arrays, double (*first)(double)) {
  for (const Index count : {Index{61706}, Index{1} << 24}) {
    program.add(std::string(name) + (count == 61706 ? "/lenet-61706" : "/16M"), {.bytes = float_bytes(arrays * static_cast<double>(count))}, [=] {
      const auto d = std::make_shared<const Data>(Data{random_tensor({count}, 1), random_tensor({count}, 2)});
      Contest c;
      c.data = d;
      c.ours = std::make_unique<Step<O>>(d, options);
      c.reference = libtorch::optimizer_step(kind, rate, d->w, d->gradient);
      c.expected = {{"w", [=](Index i) { return static_cast<double>(d->w[i]) - first(static_cast<double>(d->gradient[i])); }, 1e-5}};
      return c;
    });
  }
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "optimizer");
  add<ventral::SGD<float>>(program, "sgd_momentum", Kind::sgd_momentum, ventral::SGDOptions{.rate = rate, .momentum = 0.9}, 5,
                           [](double g) { return rate * g; });
  add<ventral::Adam<float>>(program, "adam", Kind::adam, ventral::AdamOptions{.rate = rate}, 7, [](double g) { return rate * g / (std::abs(g) + 1e-8); });
  add<ventral::RMSProp<float>>(program, "rmsprop", Kind::rmsprop, ventral::RMSPropOptions{.rate = rate}, 5,
                               [](double g) { return rate * g / (std::sqrt(0.01 * g * g) + 1e-8); });
  return program.run();
}

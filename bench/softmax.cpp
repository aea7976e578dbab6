// Softmax alone, and with cross-entropy and its gradient as a loss: rows of a few classes, where the cost of a call shows, and of a thousand.
#include "ventral/layers/softmax.hpp"

#include <algorithm>
#include <cmath>

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"
#include "ventral/loss.hpp"

namespace {

using namespace bench;

struct Data {
  Tensor<float> x;
  Tensor<std::int32_t> labels;

  double probability(Index i) const {
    const Index classes = x.dim(1), first = i / classes * classes;
    double largest = static_cast<double>(x[first]), sum = 0;
    for (Index c = 0; c < classes; ++c) largest = std::max(largest, static_cast<double>(x[first + c]));
    for (Index c = 0; c < classes; ++c) sum += std::exp(static_cast<double>(x[first + c]) - largest);
    return std::exp(static_cast<double>(x[i]) - largest) / sum;
  }
  double gradient(Index i) const {
    const Index classes = x.dim(1);
    return (probability(i) - (labels[i / classes] == i % classes ? 1 : 0)) / static_cast<double>(x.dim(0));
  }
};

std::shared_ptr<const Data> data(Index rows, Index classes) {
  Data d{random_tensor({rows, classes}, 1, -4, 4), Tensor<std::int32_t>({rows})};
  ventral::Random random(2);
  for (std::int32_t& label : d.labels) label = static_cast<std::int32_t>(random.below(classes));
  return std::make_shared<const Data>(std::move(d));
}

class Loss final : public Contender {
 public:
  explicit Loss(std::shared_ptr<const Data> data) : data_(std::move(data)), dx_(data_->x.shape()) {}
  void run() override { loss_(data_->x, data_->labels, dx_); }
  std::vector<Output> outputs() override { return {dx_.ref()}; }

 private:
  std::shared_ptr<const Data> data_;
  Tensor<float> dx_;
  ventral::SoftmaxCrossEntropy<float> loss_;
};

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "softmax");
  for (const auto& [rows, classes] : {std::pair<Index, Index>{64, 10}, {256, 10}, {256, 1000}}) {
    const std::string size = std::to_string(rows) + "x" + std::to_string(classes);
    const Work work{.bytes = float_bytes(2 * static_cast<double>(rows * classes))};
    const Index n = rows, k = classes;
    program.add("softmax/forward/" + size, work, [=] {
      const auto d = data(n, k);
      Contest c;
      c.data = d;
      c.ours = layer_contender(ventral::Softmax<float>(), Part::forward, d->x);
      c.reference = libtorch::softmax_forward(d->x);
      c.expected = {{"y", [=](Index i) { return d->probability(i); }, 1e-5}};
      return c;
    });
    program.add("softmax_cross_entropy/both/" + size, work, [=] {
      const auto d = data(n, k);
      Contest c;
      c.data = d;
      c.ours = std::make_unique<Loss>(d);
      c.reference = libtorch::softmax_cross_entropy_both(d->x, d->labels);
      c.expected = {{"dx", [=](Index i) { return d->gradient(i); }, 1e-4}};
      return c;
    });
  }
  return program.run();
}

#include "support/torch_tensor.hpp"

namespace bench::libtorch {

namespace {

namespace nn = torch::nn;

struct Net : nn::Module {
  Net(bool lecun, Index padding) : lecun_(lecun) {
    conv1 = register_module("conv1", nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(padding)));
    conv2 = register_module("conv2", nn::Conv2d(6, 16, 5));
    fc1 = register_module("fc1", nn::Linear(400, 120));
    fc2 = register_module("fc2", nn::Linear(120, 84));
    fc3 = register_module("fc3", nn::Linear(84, 10));
  }
  at::Tensor forward(at::Tensor x) {
    x = pool(f(conv1(x)));
    x = pool(f(conv2(x)));
    x = f(fc1(x.flatten(1)));
    x = f(fc2(x));
    return fc3(x);
  }
  at::Tensor f(const at::Tensor& x) const { return lecun_ ? torch::tanh(x * (2.0 / 3)) * 1.7159 : torch::relu(x); }
  at::Tensor pool(const at::Tensor& x) const { return lecun_ ? torch::avg_pool2d(x, 2) : torch::max_pool2d(x, 2); }

  bool lecun_;
  nn::Conv2d conv1{nullptr}, conv2{nullptr};
  nn::Linear fc1{nullptr}, fc2{nullptr}, fc3{nullptr};
};

class LeNetContender final : public LeNet {
 public:
  LeNetContender(const LeNetPlan& plan, const std::vector<In<float>>& weights, In<float> x, In<std::int32_t> labels)
      : plan_(plan),
        net_(plan.lecun, plan.padding),
        x_(borrow(x)),
        labels_(borrow(labels).to(at::kLong)),
        optimizer_(net_.parameters(), torch::optim::SGDOptions(plan.rate).momentum(0.9)) {
    const std::vector<at::Tensor> parameters = net_.parameters();
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      at::Tensor p = parameters[i];
      p.copy_(borrow(weights.at(i)).reshape(p.sizes()));
    }
  }
  const char* name() const override { return "LibTorch"; }

  void run() override {
    if (!plan_.training) {
      y_.reset();
      y_ = net_.forward(x_);
      return;
    }
    torch::AutoGradMode enabled(true);
    optimizer_.zero_grad();
    const at::Tensor loss = nn::functional::cross_entropy(net_.forward(x_), labels_);
    loss.backward();
    optimizer_.step();
    loss_ = loss.item<double>();
  }
  std::vector<Output> outputs() override {
    if (plan_.training) return {};
    return {view(y_)};
  }
  double loss() const override { return loss_; }
  void set_rate(double rate) override { static_cast<torch::optim::SGDOptions&>(optimizer_.param_groups()[0].options()).lr(rate); }

 private:
  LeNetPlan plan_;
  Net net_;
  at::Tensor x_, labels_, y_ = at::empty({0});
  torch::optim::SGD optimizer_;
  double loss_ = 0;
};

}  // namespace

std::unique_ptr<LeNet> lenet(const LeNetPlan& plan, const std::vector<In<float>>& weights, In<float> x, In<std::int32_t> labels) {
  return std::make_unique<LeNetContender>(plan, weights, x, labels);
}

}  // namespace bench::libtorch

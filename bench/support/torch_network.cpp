#include "support/torch_tensor.hpp"

namespace bench::libtorch {

namespace {

namespace nn = torch::nn;
using Kind = LayerPlan::Kind;

class NetworkContender final : public Network {
 public:
  NetworkContender(const std::vector<LayerPlan>& layers, bool training, double rate, const std::vector<In<float>>& weights, In<float> x, In<std::int32_t> labels)
      : training_(training), x_(borrow(x)), labels_(borrow(labels).to(at::kLong)) {
    std::size_t next = 0;
    for (const LayerPlan& p : layers) {
      if (p.kind == Kind::conv) {
        const Index in = weights.at(next).shape[1];
        add(nn::Conv2d(nn::Conv2dOptions(in, p.out, p.kernel).stride(p.stride).padding(p.padding)), weights, next);
      } else if (p.kind == Kind::linear) {
        add(nn::Linear(weights.at(next).shape[1], p.out), weights, next);
      } else {
        net_->push_back(nn::Functional([p](const at::Tensor& in) { return apply(p, in); }));
      }
    }
    optimizer_ = std::make_unique<torch::optim::SGD>(net_->parameters(), torch::optim::SGDOptions(rate).momentum(0.9));
  }
  const char* name() const override { return "LibTorch"; }

  void run() override {
    if (!training_) {
      y_.reset();
      y_ = net_->forward(x_);
      return;
    }
    torch::AutoGradMode enabled(true);
    optimizer_->zero_grad();
    const at::Tensor loss = nn::functional::cross_entropy(net_->forward(x_), labels_);
    loss.backward();
    optimizer_->step();
    loss_ = loss.item<double>();
  }
  std::vector<Output> outputs() override {
    if (training_) return {};
    return {view(y_)};
  }
  double loss() const override { return loss_; }
  void set_rate(double rate) override { static_cast<torch::optim::SGDOptions&>(optimizer_->param_groups()[0].options()).lr(rate); }

 private:
  template <class Module>
  void add(Module module, const std::vector<In<float>>& weights, std::size_t& next) {
    for (at::Tensor& p : module->parameters()) p.copy_(borrow(weights.at(next++)).reshape(p.sizes()));
    net_->push_back(module);
  }
  static at::Tensor apply(const LayerPlan& p, const at::Tensor& x) {
    switch (p.kind) {
      case Kind::relu: return torch::relu(x);
      case Kind::scaled_tanh: return torch::tanh(x * tanh_gain) * tanh_amplitude;
      case Kind::max_pool: return torch::max_pool2d(x, p.kernel, p.stride);
      case Kind::mean_pool: return torch::avg_pool2d(x, p.kernel, p.stride);
      case Kind::response_norm:
        return nn::functional::local_response_norm(x, nn::functional::LocalResponseNormFuncOptions(norm_size).alpha(norm_alpha).beta(norm_beta).k(norm_k));
      default: return x.flatten(1);
    }
  }

  bool training_;
  nn::Sequential net_;
  at::Tensor x_, labels_, y_ = at::empty({0});
  std::unique_ptr<torch::optim::SGD> optimizer_;
  double loss_ = 0;
};

}  // namespace

std::unique_ptr<Network> network(const std::vector<LayerPlan>& layers, bool training, double rate, const std::vector<In<float>>& weights, In<float> x,
                                 In<std::int32_t> labels) {
  return std::make_unique<NetworkContender>(layers, training, rate, weights, x, labels);
}

}  // namespace bench::libtorch

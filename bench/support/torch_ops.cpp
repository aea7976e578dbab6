#include <dlfcn.h>
#include <malloc.h>

#include "support/torch_tensor.hpp"

namespace bench::libtorch {

namespace {

using Sizes = std::vector<std::int64_t>;

Sizes pair(ventral::Pair p) { return {p.h, p.w}; }
Sizes padding(const ventral::Window& w) { return {w.padding.top, w.padding.left}; }

/// Which OpenBLAS was loaded, and for which processor it runs: the two things that make LibTorch slow when wrong.
std::string openblas() {
  const auto parallel = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_parallel"));
  const auto core = reinterpret_cast<char* (*)()>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (!parallel || !core) return "BLAS unknown";
  const int kind = parallel();
  return std::string("OpenBLAS ") +
         (kind == 2   ? "OpenMP"
          : kind == 1 ? "pthread (slow on several threads: see docs/benchmarks.md)"
                      : "sequential") +
         " " + core();
}

}  // namespace

std::string version() { return "LibTorch " TORCH_VERSION ", " + openblas(); }

void prepare(int threads) {
  at::set_num_threads(threads);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);   // outputs that LibTorch insists on allocating come from memory that was touched before,
  mallopt(M_TRIM_THRESHOLD, -1);        // else their page faults are what is measured
  torch::GradMode::set_enabled(false);  // where a gradient is measured through autograd, that operation enables it
}

std::unique_ptr<Contender> activation_forward(Activation kind, In<float> input) {
  const at::Tensor x = borrow(input);
  return operation({at::empty_like(x)}, [=](auto& r) {
    switch (kind) {
      case Activation::relu:
        at::clamp_min_out(r[0], x, 0);
        break;
      case Activation::leaky_relu:
        at::leaky_relu_out(r[0], x, 0.01);
        break;
      case Activation::sigmoid:
        at::sigmoid_out(r[0], x);
        break;
      case Activation::tanh:
        at::tanh_out(r[0], x);
        break;
      case Activation::elu:
        at::elu_out(r[0], x);
        break;
      case Activation::softplus:
        at::softplus_out(r[0], x);
        break;
    }
  });
}

std::unique_ptr<Contender> activation_backward(Activation kind, In<float> input, In<float> gradient) {
  const at::Tensor x = borrow(input), dy = borrow(gradient), y = kind == Activation::tanh ? at::tanh(x) : at::sigmoid(x);
  return operation({at::empty_like(x)}, [=](auto& r) {
    switch (kind) {
      case Activation::relu:
        at::threshold_backward_out(r[0], dy, x, 0);
        break;
      case Activation::leaky_relu:
        at::leaky_relu_backward_out(r[0], dy, x, 0.01, false);
        break;
      case Activation::sigmoid:
        at::sigmoid_backward_out(r[0], dy, y);
        break;
      case Activation::tanh:
        at::tanh_backward_out(r[0], dy, y);
        break;
      case Activation::elu:
        at::elu_backward_out(r[0], dy, 1, 1, 1, false, x);
        break;
      case Activation::softplus:
        at::softplus_backward_out(r[0], dy, x, 1, 20);
        break;
    }
  });
}

namespace {

std::unique_ptr<Contender> product(const at::Tensor& a, const at::Tensor& stored, bool transposed) {
  const at::Tensor b = transposed ? stored.t() : stored;
  return operation({at::empty({a.size(0), b.size(1)}, a.scalar_type())}, [=](auto& r) { at::mm_out(r[0], a, b); });
}

}  // namespace

std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed) { return product(borrow(a), borrow(b), b_transposed); }
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed) { return product(borrow(a), borrow(b), b_transposed); }

std::unique_ptr<Contender> conv2d_forward(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> b) {
  return operation({at::empty({0})}, [=, x = borrow(x), w = borrow(w), b = b.data ? borrow(b) : at::Tensor()](auto& r) {
    r[0].reset();
    r[0] = at::conv2d(x, w, b, pair(window.stride), padding(window), pair(window.dilation), groups);
  });
}

namespace {

std::unique_ptr<Contender> conv2d_backward(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy, bool data) {
  return operation(Operation::Results(data ? 1 : 2, at::empty({0})), [=, x = borrow(x), w = borrow(w), dy = borrow(dy)](auto& r) {
    for (at::Tensor& t : r) t.reset();
    auto [dx, dw, db] = at::convolution_backward(dy, x, w, at::IntArrayRef(w.size(0)), pair(window.stride), padding(window), pair(window.dilation), false,
                                                 Sizes{0, 0}, groups, {data, !data, !data});
    if (data) r[0] = dx;
    else r[0] = dw, r[1] = db;
  });
}

}  // namespace

std::unique_ptr<Contender> conv2d_backward_data(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy) {
  return conv2d_backward(window, groups, x, w, dy, true);
}
std::unique_ptr<Contender> conv2d_backward_weights(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy) {
  return conv2d_backward(window, groups, x, w, dy, false);
}

std::unique_ptr<Contender> pool2d_forward(Pool kind, const ventral::Window& window, In<float> input) {
  const at::Tensor x = borrow(input);
  at::Tensor indices = at::empty({0}, at::kLong);
  const bool ceil = window.rounding == ventral::Rounding::ceil;
  return operation({at::empty({0})}, [=](auto& r) mutable {
    if (kind == Pool::max)
      at::max_pool2d_with_indices_out(r[0], indices, x, pair(window.kernel), pair(window.stride), padding(window), pair(window.dilation), ceil);
    else at::avg_pool2d_out(r[0], x, pair(window.kernel), pair(window.stride), padding(window), ceil);
  });
}

std::unique_ptr<Contender> pool2d_backward(Pool kind, const ventral::Window& window, In<float> input, In<float> gradient) {
  const at::Tensor x = borrow(input), dy = borrow(gradient);
  const bool ceil = window.rounding == ventral::Rounding::ceil;
  at::Tensor indices;
  if (kind == Pool::max)
    indices = std::get<1>(at::max_pool2d_with_indices(x, pair(window.kernel), pair(window.stride), padding(window), pair(window.dilation), ceil));
  return operation({at::empty_like(x)}, [=](auto& r) {
    if (kind == Pool::max)
      at::max_pool2d_with_indices_backward_out(r[0], dy, x, pair(window.kernel), pair(window.stride), padding(window), pair(window.dilation), ceil, indices);
    else at::avg_pool2d_backward_out(r[0], dy, x, pair(window.kernel), pair(window.stride), padding(window), ceil, true, c10::nullopt);
  });
}

std::unique_ptr<Contender> batch_norm2d_forward(In<float> input, In<float> gamma, In<float> beta) {
  const at::Tensor x = borrow(input), mean = at::zeros({x.size(1)}), variance = at::ones({x.size(1)});
  return operation({at::empty({0})}, [=, gamma = borrow(gamma), beta = borrow(beta)](auto& r) {
    r[0].reset();
    r[0] = std::get<0>(at::native_batch_norm(x, gamma, beta, mean, variance, true, 0.1, 1e-5));
  });
}

std::unique_ptr<Contender> batch_norm2d_backward(In<float> input, In<float> gamma_, In<float> beta, In<float> gradient) {
  const at::Tensor x = borrow(input), gamma = borrow(gamma_), dy = borrow(gradient), mean = at::zeros({x.size(1)}), variance = at::ones({x.size(1)});
  const auto [y, saved_mean, saved_scale] = at::native_batch_norm(x, gamma, borrow(beta), mean, variance, true, 0.1, 1e-5);
  return operation(Operation::Results(3, at::empty({0})), [=, m = saved_mean, s = saved_scale](auto& r) {
    for (at::Tensor& t : r) t.reset();
    std::tie(r[0], r[1], r[2]) = at::native_batch_norm_backward(dy, x, gamma, mean, variance, m, s, true, 1e-5, {true, true, true});
  });
}

namespace {

at::Tensor response_norm(const ResponseNorm& o, const at::Tensor& x) {
  return torch::nn::functional::local_response_norm(x, torch::nn::functional::LocalResponseNormFuncOptions(o.size).alpha(o.alpha).beta(o.beta).k(o.k));
}

}  // namespace

std::unique_ptr<Contender> local_response_norm_forward(const ResponseNorm& options, In<float> x) {
  return operation({at::empty({0})}, [=, x = borrow(x)](auto& r) {
    r[0].reset();
    r[0] = response_norm(options, x);
  });
}

std::unique_ptr<Contender> local_response_norm_both(const ResponseNorm& options, In<float> input, In<float> dy) {
  const at::Tensor x = borrow(input).detach().requires_grad_(true);
  return operation({at::empty({0})}, [=, dy = borrow(dy)](auto& r) {
    torch::AutoGradMode enabled(true);
    r[0].reset();
    r[0] = torch::autograd::grad({response_norm(options, x)}, {x}, {dy})[0];
  });
}

std::unique_ptr<Contender> softmax_forward(In<float> input) {
  const at::Tensor x = borrow(input);
  return operation({at::empty_like(x)}, [=](auto& r) { at::_softmax_out(r[0], x, 1, false); });
}

std::unique_ptr<Contender> softmax_cross_entropy_both(In<float> input, In<std::int32_t> labels) {
  const at::Tensor x = borrow(input), target = borrow(labels).to(at::kLong);
  at::Tensor log_softmax = at::empty_like(x), d = at::empty_like(x), loss = at::empty({}), total = at::empty({}), one = at::ones({});
  return operation({at::empty_like(x)}, [=](auto& r) mutable {
    at::_log_softmax_out(log_softmax, x, 1, false);
    at::nll_loss_forward_out(loss, total, log_softmax, target, {}, at::Reduction::Mean, -100);
    at::nll_loss_backward_out(d, one, log_softmax, target, {}, at::Reduction::Mean, -100, total);
    at::_log_softmax_backward_data_out(r[0], d, log_softmax, 1, at::kFloat);
  });
}

std::unique_ptr<Contender> optimizer_step(Optimizer kind, double rate, In<float> w, In<float> gradient) {
  at::Tensor parameter = borrow(w).clone().requires_grad_(true);
  parameter.mutable_grad() = borrow(gradient);
  std::shared_ptr<torch::optim::Optimizer> optimizer;
  const std::vector<at::Tensor> list{parameter};
  if (kind == Optimizer::sgd_momentum) optimizer = std::make_shared<torch::optim::SGD>(list, torch::optim::SGDOptions(rate).momentum(0.9));
  if (kind == Optimizer::adam) optimizer = std::make_shared<torch::optim::Adam>(list, torch::optim::AdamOptions(rate));
  if (kind == Optimizer::rmsprop) optimizer = std::make_shared<torch::optim::RMSprop>(list, torch::optim::RMSpropOptions(rate));
  return operation({}, [=](auto&) { optimizer->step(); });
}

}  // namespace bench::libtorch

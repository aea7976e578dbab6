#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "support/harness.hpp"
#include "support/layer_plan.hpp"
#include "ventral/window.hpp"

/// LibTorch as the reference. Its headers take 15 s to compile, so that only torch_*.cpp see them; without LibTorch no_torch.cpp stands in
/// and every maker returns null. Inputs are borrowed, not copied: they must outlive the contender. Outputs are preallocated where LibTorch lets them be.
namespace bench::libtorch {

using ventral::In;

/// "LibTorch 1.13.1, OpenBLAS openmp SkylakeX", or empty without LibTorch.
std::string version();
/// Sets its threads, and makes the memory that it frees be used again. Called before anything else of it.
void prepare(int threads);

enum class Activation { relu, leaky_relu, sigmoid, tanh, elu, softplus };
std::unique_ptr<Contender> activation_forward(Activation kind, In<float> x);
std::unique_ptr<Contender> activation_backward(Activation kind, In<float> x, In<float> dy);

/// c = a b, or a b^T. The output is in double if the inputs are.
std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed);
std::unique_ptr<Contender> gemm(In<double> a, In<double> b, bool b_transposed);

std::unique_ptr<Contender> conv2d_forward(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> b);
std::unique_ptr<Contender> conv2d_backward_data(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy);
/// Outputs dw, db.
std::unique_ptr<Contender> conv2d_backward_weights(const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy);

enum class Pool { max, mean };
std::unique_ptr<Contender> pool2d_forward(Pool kind, const ventral::Window& window, In<float> x);
std::unique_ptr<Contender> pool2d_backward(Pool kind, const ventral::Window& window, In<float> x, In<float> dy);

/// Training mode: statistics of the batch.
std::unique_ptr<Contender> batch_norm2d_forward(In<float> x, In<float> gamma, In<float> beta);
/// Outputs dx, dgamma, dbeta.
std::unique_ptr<Contender> batch_norm2d_backward(In<float> x, In<float> gamma, In<float> beta, In<float> dy);

/// y = x / (k + alpha / size * sum of the squares of `size` channels)^beta.
struct ResponseNorm {
  Index size = 5;
  double alpha = 1e-4, beta = 0.75, k = 1;
};
std::unique_ptr<Contender> local_response_norm_forward(const ResponseNorm& options, In<float> x);
/// Forward and backward together: LibTorch has no backward of its own for it.
std::unique_ptr<Contender> local_response_norm_both(const ResponseNorm& options, In<float> x, In<float> dy);

std::unique_ptr<Contender> softmax_forward(In<float> x);
/// Mean cross-entropy of softmax(x) and its gradient. Output dx.
std::unique_ptr<Contender> softmax_cross_entropy_both(In<float> x, In<std::int32_t> labels);

enum class Optimizer { sgd_momentum, adam, rmsprop };
/// One step on one array of parameters with a fixed gradient. Output: the parameters.
std::unique_ptr<Contender> optimizer_step(Optimizer kind, double rate, In<float> w, In<float> gradient);

/// A network of LayerPlans, in training or inference.
class Network : public Contender {
 public:
  /// Loss of the last training step, before it changed the weights.
  virtual double loss() const = 0;
  virtual void set_rate(double rate) = 0;
};
/// Training is a step of SGD with momentum 0.9 on the mean cross-entropy, inference a forward pass with the scores as output.
/// `weights`: weight, then bias of each layer that has them, in order; they are copied.
std::unique_ptr<Network> network(const std::vector<LayerPlan>& layers, bool training, double rate, const std::vector<In<float>>& weights, In<float> x,
                                 In<std::int32_t> labels);

}  // namespace bench::libtorch

#include "support/libtorch.hpp"

// Compiled instead of torch_*.cpp where LibTorch is not found.
namespace bench::libtorch {

std::string version() { return {}; }
void prepare(int) {}

std::unique_ptr<Contender> activation_forward(Activation, In<float>) { return nullptr; }
std::unique_ptr<Contender> activation_backward(Activation, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> gemm(In<float>, In<float>, bool) { return nullptr; }
std::unique_ptr<Contender> gemm(In<double>, In<double>, bool) { return nullptr; }
std::unique_ptr<Contender> conv2d_forward(const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> conv2d_backward_data(const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> conv2d_backward_weights(const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> pool2d_forward(Pool, const ventral::Window&, In<float>) { return nullptr; }
std::unique_ptr<Contender> pool2d_backward(Pool, const ventral::Window&, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> batch_norm2d_forward(In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> batch_norm2d_backward(In<float>, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> local_response_norm_forward(const ResponseNorm&, In<float>) { return nullptr; }
std::unique_ptr<Contender> local_response_norm_both(const ResponseNorm&, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> softmax_forward(In<float>) { return nullptr; }
std::unique_ptr<Contender> softmax_cross_entropy_both(In<float>, In<std::int32_t>) { return nullptr; }
std::unique_ptr<Contender> optimizer_step(Optimizer, double, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Network> network(const std::vector<LayerPlan>&, bool, double, const std::vector<In<float>>&, In<float>, In<std::int32_t>) { return nullptr; }

}  // namespace bench::libtorch

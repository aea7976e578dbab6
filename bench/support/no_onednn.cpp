#include "support/peers.hpp"

namespace bench::onednn {

std::string version() { return {}; }
void prepare(int) {}
std::unique_ptr<Contender> gemm(In<float>, In<float>, bool) { return nullptr; }
std::unique_ptr<Contender> conv2d_forward(Way, const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> conv2d_backward_data(Way, const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }
std::unique_ptr<Contender> conv2d_backward_weights(Way, const ventral::Window&, Index, In<float>, In<float>, In<float>) { return nullptr; }

}  // namespace bench::onednn

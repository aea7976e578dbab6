#include <ventral/tensor.hpp>

ventral::Tensor<float> convolved(const ventral::Tensor<float>& x);  // of the CUDA unit: Tensor<float> is the same type there

int main() { return convolved(ventral::Tensor<float>({1, 1, 8, 8})).size() == 72 ? 0 : 1; }

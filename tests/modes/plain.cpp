// A unit without CUDA: Tensor<float, Cpu> is the same type in every mode.
#include "ventral/tensor.hpp"

ventral::Index plain_elements(const ventral::Tensor<float>& x) { return x.size(); }

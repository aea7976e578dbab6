#pragma once
#include "ventral/cuda/space.hpp"
#include "ventral/tensor.hpp"

ventral::Index elements(ventral::TensorRef<float, ventral::Cuda> x);
ventral::Index plain_elements(const ventral::Tensor<float>& x);

// Must not compile without CUDA: the message says what to do.
#include "ventral/cuda.hpp"
#include "ventral/tensor.hpp"

int main() { return static_cast<int>(ventral::Tensor<float, ventral::Cuda>({3}).size()); }

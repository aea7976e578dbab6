// Must not compile: no kernel exists for this type.
#include "ventral/cuda.hpp"

int main() { return static_cast<int>(ventral::Tensor<long double, ventral::Cuda>({3}).size()); }

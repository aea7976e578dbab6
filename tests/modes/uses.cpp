// Calls a function of another unit. `Cuda` is another type in each include mode, so this links only when both units are of one mode.
#include "modes/shared.hpp"

int main() { return elements(ventral::TensorRef<float, ventral::Cuda>(nullptr, {2, 3})) == 6 && plain_elements(ventral::Tensor<float>({2, 3})) == 6 ? 0 : 1; }

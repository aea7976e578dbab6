#include "modes/shared.hpp"

ventral::Index elements(ventral::TensorRef<float, ventral::Cuda> x) { return x.size(); }

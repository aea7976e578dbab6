// A part of the library ventral::kernels: products of matrices, and the steps of optimizers.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/linear.hpp"
#include "ventral/cpu/optimizer.hpp"

// A part of the library ventral::kernels: activations, and the steps of optimizers.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/activation.hpp"
#include "ventral/cpu/optimizer.hpp"

// A part of the library ventral::kernels: products of matrices.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/linear.hpp"

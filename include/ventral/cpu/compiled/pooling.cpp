// A part of the library ventral::kernels: pooling.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/global_pool.hpp"
#include "ventral/cpu/pool2d.hpp"

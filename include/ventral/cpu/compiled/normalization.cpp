// A part of the library ventral::kernels: normalizations and losses.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/batch_norm2d.hpp"
#include "ventral/cpu/divisive_norm.hpp"
#include "ventral/cpu/local_contrast_norm.hpp"
#include "ventral/cpu/loss.hpp"
#include "ventral/cpu/softmax.hpp"

// A part of the library ventral::kernels: convolution, and conversion between formats.
#define VENTRAL_COMPILE_KERNELS
#include "ventral/cpu/conv2d.hpp"
#include "ventral/cpu/convert.hpp"

namespace {

// Tables that are inline functions: their addresses are taken, so that they are written out.
[[gnu::used]] const auto block_table = &ventral::cpu::detail::block_kernels;
[[gnu::used]] const auto winograd_table = &ventral::cpu::detail::winograd_kernels;
[[gnu::used]] const auto lane_table = &ventral::cpu::detail::lane_kernels;

}  // namespace

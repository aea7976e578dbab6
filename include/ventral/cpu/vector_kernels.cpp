// The kernels of convolution in blocks, for programs that nvcc compiles: its front end cannot read them, so the target ventral::cuda_headers
// hands this file to the host's compiler.
#include "ventral/cpu/conv2d_blocks.hpp"

namespace {

// Their addresses are taken, so that they are written out.
[[gnu::used]] const auto block_table = &ventral::cpu::detail::block_kernels;
[[gnu::used]] const auto winograd_table = &ventral::cpu::detail::winograd_kernels;
[[gnu::used]] const auto lane_table = &ventral::cpu::detail::lane_kernels;

}  // namespace

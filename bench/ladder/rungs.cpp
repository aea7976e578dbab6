// The ladders, rung by rung. nvcc compiles this file for bench_ladder, any C++ compiler for ladder_emulated.
#include "ladder/convolution.cuh"
#include "ladder/divisive_norm.cuh"
#include "ladder/gemm.cuh"
#include "ladder/max_pool.cuh"
#include "ladder/softmax.cuh"

namespace bench::ladder {

std::vector<Rung<Product>> gemm_rungs() {
  return {{"naive", "a thread for each result, down the columns", gemm_down_columns},
          {"coalesced", "neighbouring threads read neighbouring numbers", gemm_along_rows},
          {"shared", "squares of 32 x 32 in shared memory", gemm_shared_tile},
          {"registers", "8 x 8 results for each thread", gemm_register_tile},
          {"vectors", "16 bytes at a time", gemm_vectors},
          {"async", "copies run beside the arithmetic", gemm_async},
          {"product", "ventral's own, exact", gemm_product<ventral::Math::exact>},
          {"tensor", "mma.sync in tf32", gemm_tensor, true},
          {"warpgroups", "wgmma and the copy engine, on Hopper", gemm_warpgroups, true},
          {"product-tf32", "ventral's own, tf32", gemm_product<ventral::Math::tf32>, true}};
}

std::vector<Rung<Convolution>> convolution_rungs() {
  return {{"naive", "a thread for each result, along the outputs", convolution_along_outputs},
          {"coalesced", "neighbouring threads read neighbouring pixels", convolution_along_pixels},
          {"outputs", "8 outputs for each thread, filters in shared memory", convolution_outputs},
          {"halo", "the input tile in shared memory, with its border", convolution_halo},
          {"implicit", "a product of matrices, one of them gathered", convolution_product},
          {"product", "ventral's own", convolution_ventral}};
}

std::vector<Rung<Pooling>> max_pool_rungs() {
  return {{"naive", "a thread for each row of results", max_pool_rows},
          {"coalesced", "a thread for each result", max_pool_results},
          {"constants", "the window known to the compiler, positions in int", max_pool_constants},
          {"shared", "the input tile in shared memory", max_pool_shared},
          {"vectors", "4 results for each thread, 16 bytes at a time", max_pool_vectors},
          {"product", "ventral's own", max_pool_product}};
}

std::vector<Rung<Normalization>> divisive_norm_rungs() {
  return {{"naive", "a thread for each result, along the channels", norm_along_channels},
          {"coalesced", "neighbouring threads take neighbouring pixels", norm_along_pixels},
          {"walking", "a thread for each pixel, the window in registers", norm_walking},
          {"segments", "a thread for 16 channels of a pixel", norm_segments},
          {"vectors", "4 pixels for each thread, 16 bytes at a time", norm_vectors},
          {"roots", "square roots in place of pow", norm_roots},
          {"product", "ventral's own", norm_product}};
}

std::vector<Rung<Softmax>> softmax_rungs() {
  return {{"naive", "a thread for each row, three passes", softmax_threads},
          {"warps", "a warp for each row, shuffles", softmax_warps},
          {"online", "largest and sum in one pass", softmax_online},
          {"registers", "the row stays in registers", softmax_registers},
          {"blocks", "a block for each long row", softmax_blocks},
          {"product", "ventral's own", softmax_product}};
}

}  // namespace bench::ladder

// The ladders, rung by rung. nvcc compiles this file for bench_ladder, any C++ compiler for ladder_emulated.
#include "ladder/gemm.cuh"

namespace bench::ladder {

std::vector<Rung<Product>> gemm_rungs() {
  return {{"naive", "a thread for each result, down the columns", gemm_down_columns},
          {"coalesced", "neighbouring threads read neighbouring numbers", gemm_along_rows},
          {"shared", "squares of 32 x 32 in shared memory", gemm_shared_tile},
          {"registers", "8 x 8 results for each thread", gemm_register_tile},
          {"vectors", "16 bytes at a time", gemm_vectors},
          {"async", "copies run beside the arithmetic", gemm_async},
          {"product", "ventral's own, exact", gemm_product<Precision::exact>},
          {"tensor", "mma.sync in tf32", gemm_tensor, true},
          {"product-tf32", "ventral's own, tf32", gemm_product<Precision::tf32>, true}};
}

}  // namespace bench::ladder

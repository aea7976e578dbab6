// Kernels that no program has yet, compiled as they would be: the product on Hopper's tensor cores, which no tuning picks before a GPU has measured it.
#include "ventral/cuda/gemm.cuh"

namespace ventral::inline v0::cuda::device::detail {

template bool run_hopper<bfloat16>(Stream, const GemmProblem<bfloat16>&, Index);
template bool run_hopper<float>(Stream, const GemmProblem<float>&, Index);

}  // namespace ventral::inline v0::cuda::device::detail

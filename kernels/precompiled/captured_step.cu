#include "instantiate.cuh"
#include "ventral/cuda/captured_step.cuh"

namespace ventral::inline v0::cuda::device {

VENTRAL_FOR_REAL(gather_rows)
VENTRAL_INSTANTIATE(gather_rows, std::int32_t)
VENTRAL_FOR_REAL(finish_step)

}  // namespace ventral::inline v0::cuda::device

#include "instantiate.cuh"
#include "ventral/cuda/optimizer.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

VENTRAL_FOR_REAL(sgd_update)
VENTRAL_FOR_REAL(adam_update)
VENTRAL_FOR_REAL(rmsprop_update)
VENTRAL_FOR_REAL(adagrad_update)
VENTRAL_FOR_REAL(dot)
VENTRAL_FOR_REAL(squared_norm)
VENTRAL_FOR_REAL(absolute_sum)
VENTRAL_FOR_REAL(absolute_max)
VENTRAL_FOR_REAL(scaled_sum)
VENTRAL_FOR_REAL(limit_values)

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

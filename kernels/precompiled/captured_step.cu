#include "instantiate.cuh"
#include "ventral/cuda/captured_step.cuh"
#include "ventral/cuda/small_network.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

#define VENTRAL_FOR_TARGETS(f, T) template decltype(f<T, T>) f<T, T>; template decltype(f<T, std::int32_t>) f<T, std::int32_t>;
VENTRAL_FOR_TARGETS(gather_batch, float)
VENTRAL_FOR_TARGETS(gather_batch, double)
VENTRAL_FOR_TARGETS(gather_batch_of_bytes, float)
VENTRAL_FOR_TARGETS(gather_batch_of_bytes, double)
VENTRAL_FOR_REAL(finish_step)
template class SmallNetwork<float>;
template class SmallNetwork<double>;

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

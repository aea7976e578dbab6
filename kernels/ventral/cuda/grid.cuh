#pragma once
/// Kernels whose blocks all run at once, so that they can wait for each other (a cooperative launch): launch_together, blocks_together, and for kernels
/// grid_sync(). It knows the difference between a GPU and the emulator, as runtime.cuh does. (cooperative_groups.h has such a barrier, too; it makes every
/// source that includes the kernels compile for four seconds more, and brings a global name `half`.)
#include "ventral/cuda/runtime.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

#if defined(VENTRAL_CUDA_EMULATED)

/// Blocks of so many threads and bytes of dynamic shared memory that the device can run at once; 0 where a block needs more than there is.
template <class... Parameters>
Index blocks_together(void (*)(Parameters...), Extent, std::size_t shared) {
  return shared <= emulator::SharedMemory::limit ? emulator::most_blocks_together : 0;
}

/// launch(), of a grid of at most blocks_together() blocks. Throws CudaError while a graph is captured.
template <class... Parameters, class... Arguments>
void launch_together(Stream stream, const Launch& l, void (*kernel)(Parameters...), const Arguments&... arguments) {
  detail::forbid_in_capture(l.kernel);
  emulator::LateCopies::instance().deliver(stream);
  auto body = [&] { kernel(static_cast<Parameters>(arguments)...); };
  emulator::run_together(l, [](void* context) { (*static_cast<decltype(body)*>(context))(); }, &body);
}

#else

namespace detail {

template <class... Parameters>
void allow_shared(void (*kernel)(Parameters...), const Launch& l) {
  if (l.shared > 48 * 1024) check(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize, static_cast<int>(l.shared)), l);
}

}  // namespace detail

template <class... Parameters>
Index blocks_together(void (*kernel)(Parameters...), Extent threads, std::size_t shared) {
  int device = 0, processors = 0, most = 0, each = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device), "cudaDeviceGetAttribute");
  if (shared > static_cast<std::size_t>(most)) return 0;
  detail::allow_shared(kernel, {.kernel = "blocks_together", .blocks = 1, .threads = threads, .shared = shared});
  check(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&each, kernel, static_cast<int>(threads.size()), shared), "cudaOccupancyMaxActiveBlocksPerMultiprocessor");
  return Index{each} * processors;
}

template <class... Parameters, class... Arguments>
void launch_together(Stream stream, const Launch& l, void (*kernel)(Parameters...), const Arguments&... arguments) {
  detail::forbid_in_capture(l.kernel);
  detail::allow_shared(kernel, l);
  [&](Parameters... values) {
    void* places[] = {&values...};
    check(cudaLaunchCooperativeKernel(reinterpret_cast<const void*>(kernel), dim3(l.blocks.x, l.blocks.y, l.blocks.z), dim3(l.threads.x, l.threads.y, l.threads.z), places,
                                      l.shared, native(stream)),
          l);
  }(static_cast<Parameters>(arguments)...);
  check_launch(stream, l);
}

/// Waits for all threads of the grid; what they wrote before, all read after. All threads must come here, with one *arrivals in global memory, 0 before the
/// first kernel that waits with it. Its top bit flips when all blocks have added their part; the rest is 0 again by then, ready for the next wait.
VENTRAL_DEVICE void grid_sync(unsigned* arrivals) {
  constexpr unsigned flip = 1u << 31;
  __syncthreads();
  if (threadIdx.x == 0 && threadIdx.y == 0 && threadIdx.z == 0) {
    const bool first = blockIdx.x == 0 && blockIdx.y == 0 && blockIdx.z == 0;
    const unsigned part = first ? flip - (gridDim.x * gridDim.y * gridDim.z - 1) : 1;
    unsigned before, now;
    asm volatile("atom.add.release.gpu.u32 %0, [%1], %2;" : "=r"(before) : "l"(arrivals), "r"(part) : "memory");
    do asm volatile("ld.acquire.gpu.u32 %0, [%1];" : "=r"(now) : "l"(arrivals) : "memory");
    while (((before ^ now) & flip) == 0);
  }
  __syncthreads();
}

#endif

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

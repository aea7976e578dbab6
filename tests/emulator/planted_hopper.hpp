#pragma once
/// A product by Hopper's instructions, right, or wrong in one place: the mistakes that the emulator is there to show.
#include "ventral/cuda/hopper.cuh"

namespace ventral::inline v0::cuda::emulated::planted {

enum class HopperBug {
  none,
  no_init,             ///< a barrier that nobody initialised
  init_twice,
  no_init_fence,       ///< the copy engine cannot see the barriers
  no_init_barrier,     ///< other threads cannot
  barrier_overwritten,
  too_many_arrivals,
  too_many_bytes,      ///< expected in one phase
  too_few_bytes,       ///< copied, of those expected
  wrong_parity,        ///< of a phase that never ends
  ended_parity,        ///< of a phase that ended long ago
  no_release,          ///< of the slabs
  misaligned_box,
  box_past_array,
  copy_without_wait,   ///< at the end of the block
  no_copy_wait,        ///< before the product
  no_warpgroup_fence,
  early_release,       ///< of slabs that are still read
  no_product_wait,     ///< before the sums are read
  exit_without_wait,
  three_warps,
  different_products,
  no_async_fence,      ///< after an ordinary write to a slab
  wrong_swizzle,       ///< of that write
};

/// Copies pixels from a window at (line, position) of the first image, each `right` of it.
VENTRAL_KERNEL void pixels_kernel(const TensorMap map, int line, int position, int right, int pixels) {
  VENTRAL_SHARED(Mbarrier, full, 1);
  VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
  mbarrier_init(full, 1);
  async_fence();
  __syncthreads();
  mbarrier_expect(full, 128 * static_cast<unsigned>(pixels));
  copy_pixels(shared + (1024 - reinterpret_cast<std::uintptr_t>(shared) % 1024) % 1024, map, 0, position, line, 0, right, 0, full);
  mbarrier_wait(full, 0);
}

/// d [64,256] = a [64,128] b [256,128]^T of bfloat16, in two slabs of k that take turns in one place: warp 4 copies, a warpgroup multiplies. a's second slab gets
/// its number (1, 16) doubled by an ordinary write.
template <HopperBug bug>
VENTRAL_KERNEL void hopper_kernel(const TensorMap a, const TensorMap b, float* d) {
  using enum HopperBug;
  VENTRAL_SHARED(Mbarrier, full, 1);
  VENTRAL_SHARED(Mbarrier, empty, 1);
  VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
  unsigned char *const left = shared + (1024 - reinterpret_cast<std::uintptr_t>(shared) % 1024) % 1024, *const right = left + 64 * 128;
  constexpr unsigned bytes = (64 + 256) * 128;
  const int t = thread_in_block();
  if (t == 0) {
    mbarrier_init(full, 1);
    if constexpr (bug != no_init) mbarrier_init(empty, 4);
    if constexpr (bug == init_twice) mbarrier_init(full, 1);
    if constexpr (bug != no_init_fence) async_fence();
  }
  if constexpr (bug != no_init_barrier) __syncthreads();
  if (bug == barrier_overwritten && t == 0) full->state = 1;
  if (t >= 128) {
    if (t == 128)
      for (unsigned slab = 0; slab < 2; ++slab) {
        mbarrier_wait(empty, bug == wrong_parity ? slab : slab ^ 1);
        mbarrier_expect(full, bug == too_few_bytes ? bytes + 16 : bytes);
        if constexpr (bug == too_many_arrivals) mbarrier_arrive(full);
        if constexpr (bug == too_many_bytes) mbarrier_expect(empty, 1 << 20);
        copy_box(bug == misaligned_box ? left + 128 : left, a, static_cast<int>(64 * slab), 0, full);
        copy_box(bug == box_past_array ? right + 1024 : right, b, static_cast<int>(64 * slab), 0, full);
        if constexpr (bug == copy_without_wait)
          if (slab == 1) copy_box(left, a, 0, 0, empty);
      }
    return;
  }
  if (bug == three_warps && t >= 96) return;
  float sums[128] = {};
  const auto write = [&] {
    for (int i = 0; i < 128; ++i) d[(16 * (t / 32) + t % 32 / 4 + i / 2 % 2 * 8) * 256 + i / 4 * 8 + t % 4 * 2 + i % 2] = sums[i];
  };
  for (unsigned slab = 0; slab < 2; ++slab) {
    const auto release = [&] {
      if (t % 32 == 0 && (bug != no_release || t < 32)) mbarrier_arrive(empty);
    };
    if constexpr (bug != no_copy_wait) mbarrier_wait(full, bug == ended_parity ? 1 : slab);
    if (slab == 1) {
      auto* const number = reinterpret_cast<bfloat16*>(left + (bug == wrong_swizzle ? 128 + 32 : 128 + 16 * 3));  // of row 1, k 16: piece 2, swizzled
      if (t == 0) *number = bfloat16(2 * static_cast<float>(*number));
      if constexpr (bug != no_async_fence) async_fence();
      warpgroup_wait<0>(sums);  // all come together
    }
    if constexpr (bug != no_warpgroup_fence) warpgroup_fence();
    for (unsigned step = 0; step < 4; ++step)
      warpgroup_multiply<bfloat16, false, false>(sums, later(matrix_descriptor(left, 16, 1024), 32 * (bug == different_products && t == 40 ? 0 : step)),
                                                 later(matrix_descriptor(right, 16, 1024), 32 * step));
    warpgroup_commit();
    if constexpr (bug == exit_without_wait)
      if (slab == 1) return;
    if constexpr (bug == early_release) release();
    if (bug == no_product_wait && slab == 1) write();
    warpgroup_wait<0>(sums);
    if constexpr (bug != early_release) release();
  }
  if constexpr (bug != no_product_wait) write();
}

}  // namespace ventral::inline v0::cuda::emulated::planted

#pragma once
#include <cmath>

#include "ventral/cuda/elementwise.cuh"
#include "ventral/random.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// A thread draws block q of the random numbers and decides on elements 4 q to 4 q + 3 with it. Packed: all arrays are aligned for four elements.
template <bool Packed, class T>
VENTRAL_KERNEL void dropout_forward_kernel(Index n, StepRandom step_random, std::uint32_t threshold, Compute<T> scale, const T* x, T* y, unsigned char* mask) {
  const Random random = step_random.in_kernel();
  for (Index q = first_element(); 4 * q < n; q += element_step()) {
    const auto words = random.block(static_cast<std::uint64_t>(q));
    const Index at = 4 * q;
    if (Packed && at + 4 <= n) {
      const Pack<T, 4> from = load_pack<4>(x + at);
      Pack<T, 4> to;
      Pack<unsigned char, 4> kept;
      VENTRAL_DEVICE_UNROLL
      for (int l = 0; l < 4; ++l) {
        kept.v[l] = words[static_cast<unsigned>(l)] >> 8 >= threshold;
        store(&to.v[l], kept.v[l] ? load(&from.v[l]) * scale : Compute<T>(0));
      }
      store_pack<4>(y + at, to);
      store_pack<4>(mask + at, kept);
    } else {
      VENTRAL_DEVICE_UNROLL
      for (int l = 0; l < 4; ++l) {
        if (at + l >= n) continue;
        mask[at + l] = words[static_cast<unsigned>(l)] >> 8 >= threshold;
        store(y + at + l, mask[at + l] ? load(x + at + l) * scale : Compute<T>(0));
      }
    }
  }
}

/// x scale where the mask is 1, else 0 (also for NaN).
template <class C>
struct ScaleWhereKept {
  C scale;
  VENTRAL_DEVICE C operator()(unsigned char kept, C x) const { return kept ? x * scale : C(0); }
};

/// What a kept element is multiplied by.
template <class T>
Compute<T> dropout_scale(double rate) {
  return rate < 1 ? static_cast<Compute<T>>(1 / (1 - rate)) : Compute<T>(0);
}

}  // namespace detail

/// mask_i = 1 where element i of `random` is at least rate, else 0; y_i = x_i / (1 - rate) where the mask is 1, else 0. Any shape. The mask
/// depends on the position of the element alone, so it is the same on every space. Reads x once and writes y and the mask, a byte an element, once.
template <class T>
void dropout_forward(Stream stream, const StepRandom& random, double rate, In<T> x, Out<T> y, Out<unsigned char> mask) {
  const Index n = y.size();
  const std::uint32_t threshold = static_cast<std::uint32_t>(std::ceil(rate * 0x1p24));  // uniform_at(i) >= rate, in whole numbers
  const Compute<T> scale = detail::dropout_scale<T>(rate);
  const Launch l{.kernel = "dropout_forward_kernel", .blocks = blocks_for((n + 3) / 4), .shape = x.shape};
  if (packs_fit<4>(x.data, y.data, mask.data))
    launch(stream, l, detail::dropout_forward_kernel<true, T>, n, random, threshold, scale, x.data, y.data, mask.data);
  else launch(stream, l, detail::dropout_forward_kernel<false, T>, n, random, threshold, scale, x.data, y.data, mask.data);
}

/// dx = dy / (1 - rate) where the mask is 1, else 0. Reads dy and the mask once and writes dx once.
template <class T>
void dropout_backward(Stream stream, double rate, In<unsigned char> mask, In<T> dy, Out<T> dx) {
  map_elements(stream, "dropout_backward", detail::ScaleWhereKept<Compute<T>>{detail::dropout_scale<T>(rate)}, dx.shape, dx.data, mask.data, dy.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

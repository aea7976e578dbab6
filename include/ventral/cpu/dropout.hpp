#pragma once
#include <cmath>
#include <cstdint>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/random.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Philox blocks drawn at a time: loops of this fixed length become vector code.
constexpr int philox_lanes = 16;

/// words[w][l] = word w of random.block(first + l step).
VENTRAL_ALWAYS_INLINE void draw_blocks(const Random& random, std::uint64_t first, std::uint64_t step, std::uint32_t (&words)[4][philox_lanes]) {
  for (int l = 0; l < philox_lanes; ++l) {
    const std::uint64_t i = first + static_cast<std::uint64_t>(l) * step;
    words[0][l] = static_cast<std::uint32_t>(i);
    words[1][l] = static_cast<std::uint32_t>(i >> 32);
    words[2][l] = static_cast<std::uint32_t>(random.stream());
    words[3][l] = static_cast<std::uint32_t>(random.stream() >> 32);
  }
  std::uint32_t key0 = static_cast<std::uint32_t>(random.seed()), key1 = static_cast<std::uint32_t>(random.seed() >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int l = 0; l < philox_lanes; ++l) {
      const std::uint64_t a = std::uint64_t{0xD2511F53u} * words[0][l], b = std::uint64_t{0xCD9E8D57u} * words[2][l];
      words[0][l] = static_cast<std::uint32_t>(b >> 32) ^ words[1][l] ^ key0;
      words[1][l] = static_cast<std::uint32_t>(b);
      words[2][l] = static_cast<std::uint32_t>(a >> 32) ^ words[3][l] ^ key1;
      words[3][l] = static_cast<std::uint32_t>(a);
    }
    key0 += 0x9E3779B9u;
    key1 += 0xBB67AE85u;
  }
}

/// y = mask ? x scale : 0, a register at a time: the mask's bytes become the lanes of a number, 0 or 1.
template <class I, class T>
VENTRAL_ALWAYS_INLINE void apply_mask(const unsigned char* mask, T scale, const T* x, T* y, Index n) {
  using V = Simd<T, I>;
  const V factor = V::all(scale), zero = V::zero();
  Index i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    T kept[V::lanes];
    for (Index l = 0; l < V::lanes; ++l) kept[l] = static_cast<T>(mask[i + l]);
    V::select(zero < V::load(kept), V::load(x + i) * factor, zero).store(y + i);
  }
  for (; i < n; ++i) y[i] = mask[i] ? x[i] * scale : T(0);
}

/// What a kept element is multiplied by.
template <class T>
T dropout_scale(double rate) {
  return rate < 1 ? static_cast<T>(1 / (1 - rate)) : T(0);
}

constexpr Index dropout_grain = Index{1} << 13;  // a multiple of the elements drawn at a time

}  // namespace detail

namespace detail {

/// The masks of a tensor in blocks whose images have a multiple of four elements: of 16 images, four elements each are drawn at once.
template <class T>
void dropout_forward_blocks(const Random& random, std::uint32_t threshold, T scale, In<T> x, Out<T> y, Out<unsigned char> mask) {
  static_assert(philox_lanes == block_images);
  const Index image = x.shape.product(1, x.shape.rank()), draws = image / 4, run = 4 * block_images;
  parallel_ranges(stored_images(x.shape[0], x.format) / block_images * draws, dropout_grain / run, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index i = first; i < last; ++i) {
        std::uint32_t words[4][philox_lanes];
        draw_blocks(random, static_cast<std::uint64_t>(i / draws * block_images * draws + i % draws), static_cast<std::uint64_t>(draws), words);
        for (int w = 0; w < 4; ++w)
          for (int l = 0; l < philox_lanes; ++l) mask.data[i * run + w * philox_lanes + l] = words[w][l] >> 8 >= threshold;
      }
      apply_mask<decltype(isa)>(mask.data + first * run, scale, x.data + first * run, y.data + first * run, (last - first) * run);
    });
  });
}

}  // namespace detail

/// Whether dropout works on a tensor in blocks: then a mask of 16 images is drawn at once.
inline bool dropout_takes_blocks(const Shape& x) { return x.rank() > 0 && x.product(1, x.rank()) % 4 == 0; }

/// mask_i = 1 where element i of `random` is at least rate, else 0; y_i = x_i / (1 - rate) where the mask is 1, else 0. Any shape. The mask
/// depends on the position of the element alone, counted in rows, so it is the same on every space and in every format.
/// Reads x once and writes y and the mask, a byte an element, once.
template <class T>
void dropout_forward(Stream, const Random& random, double rate, In<T> x, Out<T> y, Out<unsigned char> mask) {
  constexpr Index drawn = 4 * detail::philox_lanes;
  const std::uint32_t threshold = static_cast<std::uint32_t>(std::ceil(rate * 0x1p24));  // uniform_at(i) >= rate, in whole numbers
  if (x.format == Format::blocks) return detail::dropout_forward_blocks<T>(random, threshold, detail::dropout_scale<T>(rate), x, y, mask);
  parallel_ranges(y.size(), detail::dropout_grain, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      for (Index i = first; i < last; i += drawn) {
        std::uint32_t words[4][detail::philox_lanes];
        detail::draw_blocks(random, static_cast<std::uint64_t>(i / 4), 1, words);
        unsigned char bits[drawn];
        for (int l = 0; l < detail::philox_lanes; ++l)
          for (int w = 0; w < 4; ++w) bits[4 * l + w] = words[w][l] >> 8 >= threshold;
        std::memcpy(mask.data + i, bits, static_cast<std::size_t>(last - i < drawn ? last - i : drawn));
      }
      detail::apply_mask<decltype(isa)>(mask.data + first, detail::dropout_scale<T>(rate), x.data + first, y.data + first, last - first);
    });
  });
}

/// dx = dy / (1 - rate) where the mask is 1, else 0.
template <class T>
void dropout_backward(Stream, double rate, In<unsigned char> mask, In<T> dy, Out<T> dx) {
  parallel_ranges(stored_size(dx.shape, dx.format), detail::dropout_grain, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      detail::apply_mask<decltype(isa)>(mask.data + first, detail::dropout_scale<T>(rate), dy.data + first, dx.data + first, last - first);
    });
  });
}

}  // namespace ventral::inline v0::cpu

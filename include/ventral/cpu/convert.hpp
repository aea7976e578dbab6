#pragma once
#include <algorithm>

#include "ventral/cpu/block_kernels.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// Up to 16 images of `count` numbers each, `stride` numbers apart in rows; [count, 16] in lanes. To lanes, those beyond the images become 0.
struct LaneCopy {
  Index images, count;
  const float* from;
  float* to;
  Index stride;
};

// Shuffles are in templates: nvcc's front end crashes on those of a known type.

/// Four numbers of four images, transposed in place.
template <class Vector>
VENTRAL_ALWAYS_INLINE void transpose_quads(Vector (&q)[4]) {
  const Vector ab = __builtin_shufflevector(q[0], q[1], 0, 4, 1, 5), cd = __builtin_shufflevector(q[2], q[3], 0, 4, 1, 5);
  const Vector ef = __builtin_shufflevector(q[0], q[1], 2, 6, 3, 7), gh = __builtin_shufflevector(q[2], q[3], 2, 6, 3, 7);
  q[0] = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
  q[1] = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
  q[2] = __builtin_shufflevector(ef, gh, 0, 1, 4, 5);
  q[3] = __builtin_shufflevector(ef, gh, 2, 3, 6, 7);
}

/// to[j * to_row + i] = from[i * from_row + j] for 16 x 16 numbers, in 16 registers of 64 bytes.
template <class Number>
VENTRAL_ALWAYS_INLINE void transpose_block(const Number* from, Index from_row, Number* to, Index to_row) {
  typedef Number Line __attribute__((vector_size(64)));
  Line r[16], t[16];
  VENTRAL_UNROLL for (Index i = 0; i < 16; ++i) __builtin_memcpy(&r[i], from + i * from_row, sizeof r[i]);
  VENTRAL_UNROLL for (Index i = 0; i < 16; i += 2) {
    t[i] = __builtin_shufflevector(r[i], r[i + 1], 0, 16, 1, 17, 4, 20, 5, 21, 8, 24, 9, 25, 12, 28, 13, 29);
    t[i + 1] = __builtin_shufflevector(r[i], r[i + 1], 2, 18, 3, 19, 6, 22, 7, 23, 10, 26, 11, 27, 14, 30, 15, 31);
  }
  VENTRAL_UNROLL for (Index i = 0; i < 16; i += 4) {
    VENTRAL_UNROLL for (Index q = 0; q < 2; ++q) {
      r[i + 2 * q] = __builtin_shufflevector(t[i + q], t[i + q + 2], 0, 1, 16, 17, 4, 5, 20, 21, 8, 9, 24, 25, 12, 13, 28, 29);
      r[i + 2 * q + 1] = __builtin_shufflevector(t[i + q], t[i + q + 2], 2, 3, 18, 19, 6, 7, 22, 23, 10, 11, 26, 27, 14, 15, 30, 31);
    }
  }
  VENTRAL_UNROLL for (Index i = 0; i < 4; ++i) {
    VENTRAL_UNROLL for (Index h = 0; h < 2; ++h) {
      t[i + 8 * h] = __builtin_shufflevector(r[i + 8 * h], r[i + 8 * h + 4], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
      t[i + 8 * h + 4] = __builtin_shufflevector(r[i + 8 * h], r[i + 8 * h + 4], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    }
  }
  VENTRAL_UNROLL for (Index i = 0; i < 8; ++i) {
    r[i] = __builtin_shufflevector(t[i], t[i + 8], 0, 1, 2, 3, 8, 9, 10, 11, 16, 17, 18, 19, 24, 25, 26, 27);
    r[i + 8] = __builtin_shufflevector(t[i], t[i + 8], 4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23, 28, 29, 30, 31);
    __builtin_memcpy(to + i * to_row, &r[i], sizeof r[i]);
    __builtin_memcpy(to + (i + 8) * to_row, &r[i + 8], sizeof r[i]);
  }
}

/// Runs of pixels that stay in the first-level cache in lanes, four images at a time: sixteen rows of images may share cache sets.
/// body(first pixel, image) for every four pixels and images; the last four pixels overlap those before.
template <class Body>
VENTRAL_ALWAYS_INLINE void each_quad(Index images, Index count, const Body& body) {
  constexpr Index run = 64;
  for (Index first = 0; first < count; first += run)
    for (Index image = 0; image < images; image += 4)
      for (Index p = first; p < std::min(count, first + run); p += 4) body(std::min(p, count - 4), image);
}

struct ToLanesKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const LaneCopy& t) {
    if (t.count < 4) {
      for (Index p = 0; p < t.count; ++p)
        for (Index image = 0; image < block_images; ++image) t.to[p * block_images + image] = image < t.images ? t.from[image * t.stride + p] : 0.f;
      return;
    }
    if constexpr (I::level == SimdLevel::avx512)
      if (t.images == block_images && t.count >= block_images) {
        for (Index p = 0; p < t.count; p += block_images) {
          const Index first = std::min(p, t.count - block_images);  // the last one overlaps the one before
          transpose_block(t.from + first, t.stride, t.to + first * block_images, block_images);
        }
        return;
      }
    each_quad(block_images, t.count, [&](Index p, Index image) VENTRAL_ALWAYS_INLINE_LAMBDA {
      Quad q[4];
      VENTRAL_UNROLL for (Index i = 0; i < 4; ++i) q[i] = image + i < t.images ? load_quad(t.from + (image + i) * t.stride + p) : Quad{};
      transpose_quads(q);
      VENTRAL_UNROLL for (Index i = 0; i < 4; ++i) __builtin_memcpy(t.to + (p + i) * block_images + image, &q[i], sizeof q[i]);
    });
  }
};

struct FromLanesKernel {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const LaneCopy& t) {
    if (t.count < 4) {
      for (Index image = 0; image < t.images; ++image)
        for (Index p = 0; p < t.count; ++p) t.to[image * t.stride + p] = t.from[p * block_images + image];
      return;
    }
    if constexpr (I::level == SimdLevel::avx512)
      if (t.images == block_images && t.count >= block_images) {
        for (Index p = 0; p < t.count; p += block_images) {
          const Index first = std::min(p, t.count - block_images);
          transpose_block(t.from + first * block_images, block_images, t.to + first, t.stride);
        }
        return;
      }
    each_quad(t.images, t.count, [&](Index p, Index image) VENTRAL_ALWAYS_INLINE_LAMBDA {
      Quad q[4];
      VENTRAL_UNROLL for (Index i = 0; i < 4; ++i) q[i] = load_quad(t.from + (p + i) * block_images + image);
      transpose_quads(q);
      VENTRAL_UNROLL for (Index i = 0; i < 4; ++i)
        if (image + i < t.images) __builtin_memcpy(t.to + (image + i) * t.stride + p, &q[i], sizeof q[i]);
    });
  }
};

struct LaneKernels {
  void (*to)(const LaneCopy&);
  void (*from)(const LaneCopy&);
};

/// Between rows and lanes. AVX2 has nothing over registers of 16 bytes here: it would fill them by as many loads.
#if defined(VENTRAL_KERNELS_ELSEWHERE)
const LaneKernels& lane_kernels(SimdLevel level = simd_level());
#else
inline const LaneKernels& lane_kernels(SimdLevel level = simd_level()) {
  static const auto kernels = [](SimdLevel l) { return LaneKernels{simd_function<ToLanesKernel, void(const LaneCopy&)>(l), simd_function<FromLanesKernel, void(const LaneCopy&)>(l)}; };
  static const LaneKernels all[] = {kernels(SimdLevel::baseline), kernels(SimdLevel::avx512)};
  return all[level == SimdLevel::avx512];
}
#endif
inline void rows_to_lanes(Index images, Index count, const float* from, Index stride, float* to) { lane_kernels().to({images, count, from, to, stride}); }
inline void lanes_to_rows(Index images, Index count, const float* from, float* to, Index stride) { lane_kernels().from({images, count, from, to, stride}); }

/// The same for any type.
template <class T>
void rows_to_lanes(Index images, Index count, const T* from, Index stride, T* to) {
  for (Index p = 0; p < count; ++p)
    for (Index image = 0; image < block_images; ++image) to[p * block_images + image] = image < images ? from[image * stride + p] : T(0);
}
template <class T>
void lanes_to_rows(Index images, Index count, const T* from, T* to, Index stride) {
  for (Index image = 0; image < images; ++image)
    for (Index p = 0; p < count; ++p) to[image * stride + p] = from[p * block_images + image];
}

}  // namespace detail

/// y = x in the format of y; both of one shape [N,...]. In blocks, lanes beyond N become 0. Memory-bound: every number is read and written once.
template <class T>
void convert(Stream, In<T> x, Out<T> y) {
  const Index images = x.shape[0], image = x.shape.product(1, x.shape.rank());
  constexpr Index grain = 1024;  // numbers of an image in a chunk
  if (x.format == y.format) {
    const Index size = stored_size(x.shape, x.format);
    return parallel_ranges(size, grain * block_images, [&](Index first, Index last) { std::copy(x.data + first, x.data + last, y.data + first); });
  }
  const Index parts = (image + grain - 1) / grain, blocks = (images + block_images - 1) / block_images;
  parallel_for(blocks * parts, [&](Index chunk) {
    const Index n = chunk / parts * block_images, first = chunk % parts * grain, count = std::min(grain, image - first), valid = std::min(block_images, images - n);
    const Index in_rows = n * image + first, in_lanes = n * image + first * block_images;
    if (y.format == Format::blocks) detail::rows_to_lanes(valid, count, x.data + in_rows, image, y.data + in_lanes);
    else detail::lanes_to_rows(valid, count, x.data + in_lanes, y.data + in_rows, image);
  });
}

// In the library ventral::kernels.
VENTRAL_COMPILED(convert)

}  // namespace ventral::inline v0::cpu

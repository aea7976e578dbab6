#pragma once
#include "ventral/shape.hpp"

namespace ventral::inline v0 {

/// How the numbers of a tensor [N,...] lie in memory. The user sees rows; a network plans blocks where its layers run faster on them.
enum class Format : unsigned char {
  rows,   ///< row-major: image after image
  blocks  ///< images in blocks of 16 with the image innermost, [ceil(N/16), C,H,W, 16]: one register holds one place of 16 images. The lanes beyond N
          ///< hold 0 in gradients and anything finite in activations, and kernels keep it so.
};

/// Images in a block.
constexpr Index block_images = 16;

/// Images that memory is laid out for: with blocks, N rounded up to whole blocks.
constexpr Index stored_images(Index n, Format format) { return format == Format::rows ? n : (n + block_images - 1) / block_images * block_images; }

/// Share of the lanes of its blocks that so many images fill, in percent.
constexpr Index filled_percent(Index n) { return n > 0 ? 100 * n / stored_images(n, Format::blocks) : 100; }

/// Numbers in memory for a tensor of this shape.
constexpr Index stored_size(const Shape& shape, Format format) {
  return format == Format::rows || shape.rank() == 0 ? shape.size() : stored_images(shape[0], format) * shape.product(1, shape.rank());
}

constexpr const char* to_string(Format format) { return format == Format::rows ? "rows" : "blocks"; }

}  // namespace ventral::inline v0

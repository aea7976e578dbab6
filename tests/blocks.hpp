#pragma once
#include "support.hpp"

// Layers on Format::blocks, compared with themselves on rows.

namespace test {

/// The same numbers in blocks, with `unused` in the lanes without an image.
inline Tensor<float> in_blocks(const Tensor<float>& x, float unused = 0) {
  auto b = Tensor<float>::uninitialized(x.shape(), Format::blocks);
  b.fill(unused);
  const Index image = x.shape().product(1, x.rank());
  for (Index i = 0; i < x.size(); ++i) b[(i / image / block_images * image + i % image) * block_images + i / image % block_images] = x[i];
  return b;
}
inline Tensor<float> in_rows(const Tensor<float>& b) {
  Tensor<float> x(b.shape());
  const Index image = x.shape().product(1, x.rank());
  for (Index i = 0; i < x.size(); ++i) x[i] = b[(i / image / block_images * image + i % image) * block_images + i / image % block_images];
  return x;
}

/// Forward and backward of two copies of a layer, on rows and on blocks: y, dx, parameter gradients and buffers within the tolerance; of lanes without an
/// image, y is finite and dx is 0.
template <class L>
void check_blocks(const L& layer, const Tensor<float>& x, double tolerance) {
  L rows_layer = layer, blocks_layer = layer;
  const auto dy = random_tensor<float>(layer.output_shape(x.shape()), 5);
  const auto rows = run_backward(rows_layer, x, dy);
  REQUIRE(layer.takes_blocks(x.shape()));
  const auto bx = in_blocks(x, 3), bdy = in_blocks(dy);
  auto by = Tensor<float>::uninitialized(dy.shape(), Format::blocks), bdx = Tensor<float>::uninitialized(x.shape(), Format::blocks);
  by.fill(NAN);
  bdx.fill(NAN);
  Pass<Cpu> pass(Mode::training);
  blocks_layer.forward(bx, by, pass);
  Out<float> out = bdx.ref();
  blocks_layer.backward(bx, by, bdy, &out, pass);
  CHECK(relative_error(in_rows(by), rows.y) <= tolerance);
  CHECK(relative_error(in_rows(bdx), rows.dx) <= tolerance);
  bool clean = true;
  for (const float v : by) clean = clean && std::isfinite(v);
  for (Index i = 0; i < stored_size(x.shape(), Format::blocks); ++i) {
    const Index image = i / (block_images * x.shape().product(1, x.rank())) * block_images + i % block_images;
    clean = clean && (image < x.dim(0) || bdx[i] == 0);
  }
  CHECK(clean);
  const auto left = parameters_of(rows_layer);
  const auto right = parameters_of(blocks_layer);
  for (std::size_t i = 0; i < left.size(); ++i) CHECK(relative_error(right[i].parameter->gradient, left[i].parameter->gradient) <= tolerance);
  const auto mine = buffers_of(rows_layer);
  const auto theirs = buffers_of(blocks_layer);
  for (std::size_t i = 0; i < mine.size(); ++i) CHECK(relative_error(theirs[i].buffer->value, mine[i].buffer->value) <= tolerance);
}

}  // namespace test

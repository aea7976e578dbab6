#pragma once
#include <algorithm>

#include "ventral/cuda/elementwise.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

struct AddTwo {
  template <class C>
  VENTRAL_DEVICE C operator()(C a, C b) const {
    return a + b;
  }
};

/// Rows of an array, `step` units apart.
template <class Unit>
struct RowsApart {
  Unit* first;
  Index step;
};

/// to[row][i] = from[row][i], i < length: threads along the n units of all rows. I, the type of the division, holds n.
template <class Unit, class I>
VENTRAL_KERNEL void copy_rows_kernel(Index n, I length, RowsApart<const Unit> from, RowsApart<Unit> to) {
  for (Index u = first_element(); u < n; u += element_step()) {
    const Index row = static_cast<Index>(static_cast<I>(u) / length), i = u - row * static_cast<Index>(length);
    to.first[row * to.step + i] = from.first[row * from.step + i];
  }
}

template <class Unit>
void copy_rows(Stream stream, const char* kernel, const Shape& shape, Index rows, Index length, RowsApart<const Unit> from, RowsApart<Unit> to) {
  const Index n = rows * length;
  if (n == 0) return;
  const Launch l{.kernel = kernel, .blocks = blocks_for(n), .shape = shape};
  if (n <= (Index{1} << 31)) launch(stream, l, copy_rows_kernel<Unit, std::uint32_t>, n, length, from, to);
  else launch(stream, l, copy_rows_kernel<Unit, Index>, n, length, from, to);
}

/// The same in packs of 16 bytes where lengths, steps and pointers allow.
template <class T>
void copy_rows_packed(Stream stream, const char* kernel, const Shape& shape, Index rows, Index length, RowsApart<const T> from, RowsApart<T> to) {
  constexpr int width = pack_width<T>;
  using Unit = Pack<T, width>;
  if (length % width == 0 && from.step % width == 0 && to.step % width == 0 && packs_fit<width>(from.first, to.first))
    copy_rows<Unit>(stream, kernel, shape, rows, length / width, {reinterpret_cast<const Unit*>(from.first), from.step / width},
                    {reinterpret_cast<Unit*>(to.first), to.step / width});
  else copy_rows<T>(stream, kernel, shape, rows, length, from, to);
}

}  // namespace detail

/// y = a + b, element by element; y may be a or b. Reads a and b once and writes y once.
template <class T>
void add_tensors(Stream stream, In<T> a, In<T> b, Out<T> y) {
  map_elements(stream, "add_tensors", detail::AddTwo{}, y.shape, y.data, a.data, b.data);
}

/// Copies `part` [N,P,...] into channels [channel, channel + P) of `whole` [N,C,...]. Reads and writes each element of the part once.
template <class T>
void insert_channels(Stream stream, In<T> part, Index channel, Out<T> whole) {
  if (part.shape.size() == 0) return;
  const Index plane = part.shape.product(2, part.shape.rank()), from = part.shape[1] * plane, to = whole.shape[1] * plane;
  detail::copy_rows_packed<T>(stream, "insert_channels", part.shape, part.shape[0], from, {part.data, from}, {whole.data + channel * plane, to});
}

/// Copies channels [channel, channel + P) of `whole` [N,C,...] into `part` [N,P,...]: the gradient of insert_channels.
template <class T>
void extract_channels(Stream stream, In<T> whole, Index channel, Out<T> part) {
  if (part.shape.size() == 0) return;
  const Index plane = part.shape.product(2, part.shape.rank()), from = whole.shape[1] * plane, to = part.shape[1] * plane;
  detail::copy_rows_packed<T>(stream, "extract_channels", part.shape, part.shape[0], to, {whole.data + channel * plane, from}, {part.data, to});
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

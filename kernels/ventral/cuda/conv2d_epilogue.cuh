#pragma once
#include "ventral/activation_function.hpp"
#include "ventral/cuda/elementwise.cuh"

/// What a gather does to its sums before they are written: ReLU, then the maxima of windows of two by two, side by side. What is compared is rounded to T
/// before, so y and the gradients are the same bits as those of the layers one by one.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// v as it would be read back from an array of T.
template <class T>
VENTRAL_DEVICE Compute<T> stored(Compute<T> v) {
  T there;
  store(&there, v);
  return load(&there);
}

/// The end of a gather. In training each maximum keeps a byte: the place in its window, in row-major order, of the pixel that the gradient goes to; 4 where
/// ReLU lets none through.
struct ConvEnding {
  bool relu = false, max_pool = false;
  unsigned char* takers = nullptr;

  template <class C>
  VENTRAL_DEVICE C finish(C sum) const {
    return relu ? activation::Relu<C>{}.value(sum) : sum;
  }

  /// The largest of a window's four sums into y[at]; a NaN wins, the last of several takes the gradient, as in max_pool_forward.
  template <class T, class I>
  VENTRAL_DEVICE void write_largest(T* y, I at, const Compute<T> (&sums)[4]) const {
    const Compute<T> v[4] = {stored<T>(sums[0]), stored<T>(sums[1]), stored<T>(sums[2]), stored<T>(sums[3])};
    Compute<T> largest = v[0];
    VENTRAL_DEVICE_UNROLL
    for (int i = 1; i < 4; ++i) largest = v[i] <= largest || largest != largest ? largest : v[i];
    largest = finish(largest);
    store(y + at, largest);
    if (!takers) return;
    int taker = 4;
    VENTRAL_DEVICE_UNROLL
    for (int i = 3; i >= 0; --i)
      if (v[i] == largest || (taker == 4 && v[i] != v[i])) taker = i;
    takers[at] = static_cast<unsigned char>(relu && !(largest > Compute<T>(0)) ? 4 : taker);
  }
};

/// dx, the gradient before a convolution's epilogue, from dy after its pooling: dy where the output's byte says so, else 0.
/// A thread for each pair of rows and columns of dx; the last row and column of odd extents are under no window and get 0.
template <class I, class T>
VENTRAL_KERNEL void unpool_pairs_kernel(Index pairs, I rows, I columns, const unsigned char* takers, const T* dy, T* dx) {
  const I down = (rows + 1) / 2, across = (columns + 1) / 2;
  for (Index e = first_element(); e < pairs; e += element_step()) {
    const I line = static_cast<I>(e) / across, column = static_cast<I>(e) % across, plane = line / down, row = line % down;
    int taker = 4;
    Compute<T> share = 0;
    if (2 * row + 1 < rows && 2 * column + 1 < columns) {
      const I at = (plane * (rows / 2) + row) * (columns / 2) + column;
      taker = takers[at];
      share += load(dy + at);  // a sum, so -0 becomes 0
    }
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const I r = 2 * row + i / 2, c = 2 * column + i % 2;
      if (r < rows && c < columns) store(dx + (plane * rows + r) * columns + c, i == taker ? share : Compute<T>(0));
    }
  }
}

/// Reads dy and a byte for each of its numbers once and writes dx once.
template <class T>
void unpool_pairs(Stream stream, In<unsigned char> takers, In<T> dy, Out<T> dx) {
  const Index rows = dx.shape[2], columns = dx.shape[3], pairs = dx.shape[0] * dx.shape[1] * ((rows + 1) / 2) * ((columns + 1) / 2);
  const Launch l{.kernel = "unpool_pairs_kernel", .blocks = blocks_for(pairs), .shape = dx.shape, .other = dy.shape};
  const auto run = [&]<class I>(I, auto kernel) { launch(stream, l, kernel, pairs, static_cast<I>(rows), static_cast<I>(columns), takers.data, dy.data, dx.data); };
  if (dx.size() < Index{1} << 31) run(int{}, unpool_pairs_kernel<int, T>);
  else run(Index{}, unpool_pairs_kernel<Index, T>);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

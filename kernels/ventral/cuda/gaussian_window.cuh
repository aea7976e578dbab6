#pragma once
#include "ventral/cuda/quotient.cuh"

/// Weighted sums under a Gaussian window over images [N,H,W], in a pass along rows and one along columns.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

struct Pixel {
  Index image, row, column;
};

/// A Gaussian window for images of one size: its taps, and for each row and column one over the part of it that lies inside.
template <class S>
struct GaussianWindow {
  Index height, width, positions;
  int rows, columns;                         ///< reach, no further than the image
  S *taps, *inverse_rows, *inverse_columns;  ///< taps [2 reach + 1] for the larger reach, tap 0 in the middle

  VENTRAL_DEVICE S tap(int k) const { return taps[(rows > columns ? rows : columns) + k]; }
  VENTRAL_DEVICE S inverse(Pixel p) const { return inverse_rows[p.row] * inverse_columns[p.column]; }
  VENTRAL_DEVICE Pixel pixel(Index at) const {
    const Index image = quotient(at, positions), row = quotient(at - image * positions, width);
    return {image, row, at - image * positions - row * width};
  }
  VENTRAL_DEVICE Index place(Pixel p) const { return p.image * positions + p.row * width + p.column; }
};

/// Fills in the window: g_k = exp(-k^2 / (2 sigma^2)), and the inverses. A thread for each row, then each column; each makes its taps anew.
template <class S>
VENTRAL_KERNEL void gaussian_window_kernel(double sigma, GaussianWindow<S> w) {
  const auto tap = [sigma](Index k) { return static_cast<S>(std::exp(-0.5 * static_cast<double>(k * k) / (sigma * sigma))); };
  const Index most = w.rows > w.columns ? w.rows : w.columns;
  for (Index k = first_element(); k <= 2 * most; k += element_step()) w.taps[k] = tap(k - most);
  for (Index i = first_element(); i < w.height + w.width; i += element_step()) {
    const Index length = i < w.height ? w.height : w.width, reach = i < w.height ? w.rows : w.columns, at = i < w.height ? i : i - w.height;
    double sum = 0;
    for (Index k = -at > -reach ? -at : -reach; k <= reach && at + k < length; ++k) sum += static_cast<double>(tap(k));
    (i < w.height ? w.inverse_rows : w.inverse_columns)[at] = static_cast<S>(1 / sum);
  }
}

/// Weighted sums along rows or columns: finish(pixel, sum over k of g_k load(pixel k steps on)).
/// A thread for each pixel; neighbours share what they read in cache. window extent multiply-adds a pixel.
template <bool along_rows, class S, class Load, class Finish>
VENTRAL_KERNEL void gaussian_pass_kernel(Index pixels, GaussianWindow<S> w, Load load, Finish finish) {
  for (Index i = first_element(); i < pixels; i += element_step()) {
    const Pixel p = w.pixel(i);
    const Index at = along_rows ? p.column : p.row, beyond = (along_rows ? w.width : w.height) - 1 - at;
    const int reach = along_rows ? w.columns : w.rows, low = at < reach ? static_cast<int>(-at) : -reach,
              high = beyond < reach ? static_cast<int>(beyond) : reach;
    S sum = S(0);
    for (int k = low; k <= high; ++k) sum = sum + w.tap(k) * load(along_rows ? Pixel{p.image, p.row, at + k} : Pixel{p.image, at + k, p.column});
    finish(p, sum);
  }
}

}  // namespace detail

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

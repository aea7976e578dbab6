#pragma once
#include <algorithm>

#include "ventral/cpu/local_contrast_norm.hpp"
#include "ventral/cuda/gaussian_window.cuh"
#include "ventral/cuda/normalization.cuh"
#include "ventral/cuda/reduce.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// The window and the maps [N,H,W] that the passes need, all in one scratch array.
template <class S>
struct ContrastScratch {
  GaussianWindow<S> window;
  S *map[3], *floors;  ///< floors [N,2]: of each image, the least divisor and the share of its gradient for each pixel
  Index size;

  ContrastScratch(const ContrastRule& rule, const Shape& x, S* scratch) {
    const auto reach = [&](Index length) { return static_cast<int>(std::min(rule.size / 2, std::max(Index{0}, length - 1))); };
    window = {x[2], x[3], x[2] * x[3], reach(x[2]), reach(x[3]), nullptr, nullptr, nullptr};
    S* end = scratch;
    size = 0;
    const auto place = [&](Index n) {
      S* const begin = end;
      size += n;
      end = scratch ? end + n : nullptr;
      return begin;
    };
    window.taps = place(2 * std::max(window.rows, window.columns) + 1);
    window.inverse_rows = place(x[2]);
    window.inverse_columns = place(x[3]);
    for (S*& m : map) m = place(x[0] * window.positions);
    floors = place(2 * x[0]);
  }
};

// What the passes read and write: maps, times what renormalizes the window at borders (after the passes, or before them in the transpose).

template <class S>
struct LoadMap {
  GaussianWindow<S> window;
  const S* map;
  bool transposed;
  VENTRAL_DEVICE S operator()(Pixel p) const {
    const S v = map[window.place(p)];
    return transposed ? v * window.inverse(p) : v;
  }
};
/// The gradient by the energy under sigma's root: that by the divisor where sigma is it, and sigma's share of that by the least divisor.
template <class S, class T>
struct LoadEnergyGradient {
  GaussianWindow<S> window;
  const S *by_divisor, *floors;
  const T* sigma;
  VENTRAL_DEVICE S operator()(Pixel p) const {
    const Index at = window.place(p);
    const S s = load(sigma + at), least = floors[2 * p.image], each = floors[2 * p.image + 1];
    return s > S(0) ? ((s > least ? by_divisor[at] : S(0)) + each) / (2 * s) * window.inverse(p) : S(0);
  }
};
template <class S, class T>
struct StoreMap {
  GaussianWindow<S> window;
  T* map;
  bool scaled, root;
  VENTRAL_DEVICE void operator()(Pixel p, S sum) const {
    const S v = scaled ? sum * window.inverse(p) : sum;
    store(map + window.place(p), root ? std::sqrt(v) : v);
  }
};

/// Where channel 0 of pixel i of [N,positions] is in [N,C,positions]; channels are `positions` apart.
VENTRAL_DEVICE Index place_in_image(Index i, Index channels, Index positions) { return i + quotient(i, positions) * (channels - 1) * positions; }

/// to [N,H,W] = the mean over channels of x, or of (x - mean)^2 where a mean [N,H,W] is given. A thread for each pixel: reads x once.
template <class T>
VENTRAL_KERNEL void channel_mean_kernel(Index pixels, Index channels, Index positions, const T* x, const Compute<T>* mean, Compute<T>* to) {
  using S = Compute<T>;
  for (Index i = first_element(); i < pixels; i += element_step()) {
    const T* from = x + place_in_image(i, channels, positions);
    S sum = S(0);
    for (Index c = 0; c < channels; ++c, from += positions) {
      const S v = mean ? load(from) - mean[i] : load(from);
      sum = sum + (mean ? v * v : v);
    }
    to[i] = sum * (S(1) / static_cast<S>(channels));
  }
}

/// floors [N,2]: of each image the least divisor, max(smallest, constant or mean sigma), and, where `by_divisor` is given, the share of each pixel in
/// the gradient by it: the sum of by_divisor where sigma does not exceed it, over the pixels if it is the mean. A block for each image.
template <class T, int threads>
VENTRAL_BOUNDED_KERNEL(threads) void contrast_floor_kernel(Index positions, Compute<T> smallest, Compute<T> constant, const T* sigma,
                                                           const Compute<T>* by_divisor, Compute<T>* floors) {
  using S = Compute<T>;
  const Index image = blockIdx.x, first = image * positions;
  S c = constant;
  if (!(constant > S(0))) {
    double sum = 0;
    for (Index p = threadIdx.x; p < positions; p += threads) sum += static_cast<double>(load(sigma + first + p));
    c = static_cast<S>(block_sum<threads>(sum) / static_cast<double>(positions));
  }
  const S least = smallest < c ? c : smallest;
  double by_floor = 0;
  if (by_divisor) {
    for (Index p = threadIdx.x; p < positions; p += threads)
      if (!(load(sigma + first + p) > least)) by_floor += static_cast<double>(by_divisor[first + p]);
    by_floor = block_sum<threads>(by_floor);
  }
  if (threadIdx.x != 0) return;
  floors[2 * image] = least;
  floors[2 * image + 1] = !(constant > S(0)) && c >= smallest ? static_cast<S>(by_floor / static_cast<double>(positions)) : S(0);
}

/// divisor = max(least, sigma), y = (x - mean) / divisor. A thread for each pixel: reads x and writes y once.
template <class T>
VENTRAL_KERNEL void contrast_divide_kernel(Index pixels, Index channels, Index positions, const T* x, const Compute<T>* mean,
                                           const Compute<T>* floors, const T* sigma, T* divisor, T* y) {
  using S = Compute<T>;
  for (Index i = first_element(); i < pixels; i += element_step()) {
    const S s = load(sigma + i), least = floors[2 * quotient(i, positions)], d = s < least ? least : s, m = mean[i];  // NaN stays
    store(divisor + i, d);
    Index at = place_in_image(i, channels, positions);
    for (Index c = 0; c < channels; ++c, at += positions) store(y + at, (load(x + at) - m) / d);
  }
}

/// by_divisor [N,H,W] = -sum over channels of dy y / divisor.
template <class T>
VENTRAL_KERNEL void divisor_gradient_kernel(Index pixels, Index channels, Index positions, const T* y, const T* dy, const T* divisor,
                                            Compute<T>* by_divisor) {
  using S = Compute<T>;
  for (Index i = first_element(); i < pixels; i += element_step()) {
    Index at = place_in_image(i, channels, positions);
    S sum = S(0);
    for (Index c = 0; c < channels; ++c, at += positions) sum = sum + load(dy + at) * load(y + at);
    by_divisor[i] = -sum / load(divisor + i);
  }
}

/// With dv = dy / divisor + 2 / C v h: total = the mean of dv over channels, or with that blurred given as `total`, dx = dv - total.
template <class T>
VENTRAL_KERNEL void contrast_gradient_kernel(Index pixels, Index channels, Index positions, const T* y, const T* dy, const T* divisor,
                                             const Compute<T>* h, Compute<T>* total, T* dx) {
  using S = Compute<T>;
  for (Index i = first_element(); i < pixels; i += element_step()) {
    const S share = S(1) / static_cast<S>(channels), d = load(divisor + i), e = 2 * share * h[i] * d, blurred = dx ? total[i] : S(0);
    Index at = place_in_image(i, channels, positions);
    S sum = S(0);
    for (Index c = 0; c < channels; ++c, at += positions) {
      const S dv = load(dy + at) / d + e * load(y + at);
      if (dx) store(dx + at, dv - blurred);
      else sum = sum + dv;
    }
    if (!dx) total[i] = sum * share;
  }
}

/// The launches of local contrast normalization on images of one shape: each takes a thread or block for each pixel or image.
template <class T>
class ContrastPasses {
 public:
  using S = Compute<T>;

  ContrastPasses(Stream stream, const ContrastRule& rule, const Shape& x, Out<T> scratch)
      : stream_(stream), rule_(rule), x_(x), pixels_(x[0] * x[2] * x[3]), room_(scratch, ContrastScratch<S>(rule, x, nullptr).size),
        maps_(rule, x, room_.data()) {
    run("gaussian_window_kernel", x[2] + x[3], gaussian_window_kernel<S>, rule.sigma, maps_.window);
  }
  S* map(int i) const { return maps_.map[i]; }
  const GaussianWindow<S>& window() const { return maps_.window; }
  S* floors() const { return maps_.floors; }

  /// A kernel with a thread for each pixel, which begins with the numbers of pixels, channels and positions.
  template <class... Parameters, class... Arguments>
  void over_pixels(const char* name, void (*kernel)(Parameters...), const Arguments&... arguments) const {
    run(name, pixels_, kernel, pixels_, x_[1], x_[2] * x_[3], arguments...);
  }
  /// Every pixel becomes the weighted mean of those around it, by way of `middle`.
  template <class Load, class To>
  void blur(const Load& load, S* middle, const StoreMap<S, To>& finish) const {
    using Middle = StoreMap<S, S>;
    run("gaussian_pass_kernel (rows)", pixels_, gaussian_pass_kernel<true, S, Load, Middle>, pixels_, window(), load,
        Middle{window(), middle, false, false});
    run("gaussian_pass_kernel (columns)", pixels_, gaussian_pass_kernel<false, S, LoadMap<S>, StoreMap<S, To>>, pixels_, window(),
        LoadMap<S>{window(), middle, false}, finish);
  }
  void find_floors(const T* sigma, const S* by_divisor) const {
    const Index positions = x_[2] * x_[3];
    const bool small = positions <= 128;
    launch(stream_, {.kernel = "contrast_floor_kernel", .blocks = x_[0], .threads = small ? 32 : 256, .shape = x_},
           small ? contrast_floor_kernel<T, 32> : contrast_floor_kernel<T, 256>, positions, static_cast<S>(rule_.smallest),
           static_cast<S>(rule_.constant), sigma, by_divisor, floors());
  }

 private:
  template <class... Parameters, class... Arguments>
  void run(const char* name, Index n, void (*kernel)(Parameters...), const Arguments&... arguments) const {
    const Index threads = std::min(Index{256}, (n + 31) / 32 * 32);
    launch(stream_, {.kernel = name, .blocks = blocks_for(n, threads), .threads = threads, .shape = x_}, kernel, arguments...);
  }

  Stream stream_;
  ContrastRule rule_;
  Shape x_;
  Index pixels_;
  ComputeScratch<T> room_;
  ContrastScratch<S> maps_;
};

}  // namespace detail

/// Elements of T that the kernels below need as scratch for x [N,C,H,W]; 16-bit types bring their own.
template <class T>
Index local_contrast_scratch(Stream, const ContrastRule& rule, const Shape& x) {
  return std::is_same_v<T, Compute<T>> ? detail::ContrastScratch<Compute<T>>(rule, x, nullptr).size : 0;
}

/// v = x - B mean_c x, y = v / max(c, sigma) with sigma = sqrt(B mean_c v^2) and c its mean over the image, or the constant; B is the
/// Gaussian window, renormalized at borders. x, y [N,C,H,W]; sigma and divisor [N,H,W] are kept for backward.
/// Reads x three times and writes y once; maps [N,H,W] pass through memory between nine launches. About 4 (size + C) multiply-adds a pixel.
template <class T>
void local_contrast_forward(Stream stream, const ContrastRule& rule, In<T> x, Out<T> sigma, Out<T> divisor, Out<T> scratch, Out<T> y) {
  if (x.size() == 0) return;
  using S = Compute<T>;
  const detail::ContrastPasses<T> passes(stream, rule, x.shape, scratch);
  S *const mean = passes.map(0), *const middle = passes.map(1), *const energy = passes.map(2);
  const auto map_of = [&](const S* map) { return detail::LoadMap<S>{passes.window(), map, false}; };
  passes.over_pixels("channel_mean_kernel", detail::channel_mean_kernel<T>, x.data, static_cast<const S*>(nullptr), mean);
  passes.blur(map_of(mean), middle, detail::StoreMap<S, S>{passes.window(), mean, true, false});
  passes.over_pixels("channel_mean_kernel", detail::channel_mean_kernel<T>, x.data, mean, energy);
  passes.blur(map_of(energy), middle, detail::StoreMap<S, T>{passes.window(), sigma.data, true, true});
  passes.find_floors(sigma.data, nullptr);
  passes.over_pixels("contrast_divide_kernel", detail::contrast_divide_kernel<T>, x.data, mean, passes.floors(), sigma.data, divisor.data, y.data);
}

/// With d the divisor, s = sigma: g = -sum_c dy y / d, which goes to s where s > c, else to c, and from c to every s in equal parts;
/// h = B^T (g / (2 s)), 0 where s is 0; dv = dy / d + 2 / C v h; dx = dv - B^T mean_c dv. A divisor held by `smallest` has no gradient.
/// Reads y and dy three times, writes dx once, in nine launches.
template <class T>
void local_contrast_backward(Stream stream, const ContrastRule& rule, In<T> y, In<T> dy, In<T> sigma, In<T> divisor, Out<T> scratch, Out<T> dx) {
  if (y.size() == 0) return;
  using S = Compute<T>;
  const detail::ContrastPasses<T> passes(stream, rule, y.shape, scratch);
  S *const h = passes.map(0), *const middle = passes.map(1), *const total = passes.map(2);
  const detail::GaussianWindow<S>& window = passes.window();
  passes.over_pixels("divisor_gradient_kernel", detail::divisor_gradient_kernel<T>, y.data, dy.data, divisor.data, h);
  passes.find_floors(sigma.data, h);
  passes.blur(detail::LoadEnergyGradient<S, T>{window, h, passes.floors(), sigma.data}, middle, detail::StoreMap<S, S>{window, h, false, false});
  const auto gradient = [&](T* to) {
    passes.over_pixels("contrast_gradient_kernel", detail::contrast_gradient_kernel<T>, y.data, dy.data, divisor.data, h, total, to);
  };
  gradient(nullptr);
  passes.blur(detail::LoadMap<S>{window, total, true}, middle, detail::StoreMap<S, S>{window, total, false, false});
  gradient(dx.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include "ventral/cuda/channel_sums.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// x where `by` > 0, else the slope times x: the slope of the plane's channel, or the only one.
template <class T>
struct SlopeWhereNegative {
  const T* w;
  Index channels;
  template <class C>
  VENTRAL_DEVICE C operator()(C by, C x) const {
    return by > C(0) ? x : load(w) * x;
  }
  template <class I, class C>
  VENTRAL_DEVICE C operator()(I plane, C by, C x) const {
    return by > C(0) ? x : load(w + plane % static_cast<I>(channels)) * x;
  }
};

template <class T>
struct AddSlopeGradient {
  T* dw;
  VENTRAL_DEVICE void operator()(Index channel, Pair<double> sum) const {
    store(dw + channel, load(dw + channel) + static_cast<Compute<T>>(sum.first));
  }
};

/// All values are one channel when they share a slope.
inline ChannelShape slope_shape(const Shape& x, Index slopes) { return slopes == 1 ? ChannelShape{1, 1, x.size()} : channel_shape(x); }

template <class T>
void scale_where_negative(Stream stream, const char* kernel, In<T> w, In<T> by, In<T> x, Out<T> y) {
  const SlopeWhereNegative<T> f{w.data, w.size()};
  if (w.size() == 1) map_elements(stream, kernel, f, x.shape, y.data, by.data, x.data);
  else map_planes(stream, kernel, f, x.shape, x.shape.product(2, x.shape.rank()), y.data, by.data, x.data);
}

}  // namespace detail

/// y = x where x > 0, else w_c x; w [C], c along axis 1 of x, or w [1] for all. y may be x. Reads x once and writes y once.
template <class T>
void prelu_forward(Stream stream, In<T> w, In<T> x, Out<T> y) {
  detail::scale_where_negative(stream, "prelu_forward", w, x, x, y);
}

/// dx = dy where x > 0, else w_c dy. dx may be dy. Reads x and dy once and writes dx once.
template <class T>
void prelu_backward(Stream stream, In<T> w, In<T> x, In<T> dy, Out<T> dx) {
  detail::scale_where_negative(stream, "prelu_backward", w, x, dy, dx);
}

/// Number of partial sums that prelu_backward_slope needs.
VENTRAL_CUDA_FUNCTION Index prelu_partial_sums(Stream, const Shape& x, Index slopes) {
  return detail::channel_partial_sums(detail::slope_shape(x, slopes));
}

/// dw_c += the sum of dy x where x <= 0, in double and in an order fixed by the shape. `partial` [prelu_partial_sums(...)] is scratch.
/// Reads x and dy once.
template <class T>
void prelu_backward_slope(Stream stream, In<T> x, In<T> dy, Out<double> partial, Out<T> dw) {
  if (x.size() == 0) return;
  detail::channel_sums(stream, "prelu_slope_sums", detail::SumWhereNegative{}, x.shape, detail::slope_shape(x.shape, dw.size()), x.data, dy.data,
                       nullptr, partial.data, detail::AddSlopeGradient<T>{dw.data});
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

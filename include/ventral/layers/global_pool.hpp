#pragma once
#include "ventral/cpu/global_pool.hpp"
#include "ventral/layer.hpp"

namespace ventral::inline v0 {

namespace detail {

/// [N,C,H,W] -> [N,C,1,1]. Throws ShapeError for another rank and for planes without a cell or with 2^31 and more.
inline Shape global_pool_shape(const Shape& x, const char* kind) {
  require<ShapeError>(x.rank() == 4, kind, ": input ", x, " has rank ", x.rank(), "; [N,C,H,W] expected");
  const Index cells = x[2] * x[3];
  require<ShapeError>(0 < cells && cells <= (Index{1} << 31), kind, ": input ", x, " has planes of ", cells, " cells; 1 to 2^31 expected");
  return {x[0], x[1], 1, 1};
}

/// One window over the whole plane.
inline WindowPlan whole_plane(const Shape& x) {
  return {WindowAxis{.in = x[2], .out = 1, .kernel = x[2]}, WindowAxis{.in = x[3], .out = 1, .kernel = x[3]}};
}

}  // namespace detail

/// y[n,c] = the largest of x[n,c,:,:]. x [N,C,H,W] -> y [N,C,1,1]. A NaN wins. Gradient to the first maximum in row-major order.
/// Throws ShapeError for an empty plane.
template <class T, class SpaceType = Cpu>
class GlobalMaxPool {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "GlobalMaxPool";

  Shape output_shape(const Shape& x) const { return detail::global_pool_shape(x, kind); }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    global_max_pool_forward(x.stream(), x, y, pass.training() ? pass.template keep<std::int32_t>(0, y.shape, y.format) : Out<std::int32_t, Space>());
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if (dx) max_pool_backward(dy.stream(), detail::whole_plane(x.shape), pass.template kept<std::int32_t>(0, dy.shape, dy.format), dy, *dx);
  }
  /// Of the winners.
  Index kept_bytes(const Shape& x, Format format) const { return stored_size(output_shape(x), format) * 4; }
  /// Whether x, y and their gradients may lie in blocks.
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }
  Index flops(const Shape& x) const { return x.size(); }
};

/// y[n,c] = the mean of x[n,c,:,:]. x [N,C,H,W] -> y [N,C,1,1]. Gradient dy / (H W). Throws ShapeError for an empty plane.
/// Source: Lin, Chen, Yan 2014 (network in network).
template <class T, class SpaceType = Cpu>
class GlobalMeanPool {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "GlobalMeanPool";

  Shape output_shape(const Shape& x) const { return detail::global_pool_shape(x, kind); }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { global_mean_pool_forward(x.stream(), x, y); }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) global_mean_pool_backward(x.stream(), dy, *dx);
  }
  /// Whether x, y and their gradients may lie in blocks.
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }
  Index flops(const Shape& x) const { return x.size(); }
};

}  // namespace ventral::inline v0

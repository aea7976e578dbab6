#pragma once
#include "ventral/cpu/pool2d.hpp"
#include "ventral/epilogue.hpp"
#include "ventral/layer.hpp"
#include "ventral/small_stage.hpp"

namespace ventral::inline v0 {

namespace detail {

/// The window of a pooling layer and the shapes it gives.
template <class T, class SpaceType>
class PoolWindow {
 public:
  using Scalar = T;
  using Space = SpaceType;

  const Window& window() const { return window_; }
  /// Whether x, y and their gradients may lie in blocks.
  bool takes_blocks(const Shape&) const { return std::is_same_v<T, float> && std::is_same_v<Space, Cpu>; }

 protected:
  PoolWindow(Window window, const char* kind) : window_(window) { require_window(window, kind); }

  /// The window on an image [N,C,H,W]. Throws ShapeError for another rank, a window that does not fit, and one that covers padding alone.
  WindowPlan plan(const Shape& x, const char* kind) const {
    require<ShapeError>(x.rank() == 4, kind, ": input ", x, " has rank ", x.rank(), "; [N,C,H,W] expected");
    const WindowPlan p = place(window_, x[2], x[3], kind);
    require_cells(p.h, kind, "row");
    require_cells(p.w, kind, "column");
    return p;
  }
  Shape pooled(const Shape& x, const char* kind) const {
    const WindowPlan p = plan(x, kind);
    return {x[0], x[1], p.h.out, p.w.out};
  }
  /// Puts the pooling of an image x into the epilogue of the layer before it: windows of two by two, side by side.
  bool join(Epilogue& e, Epilogue::Pool pool, const Shape& x, const char* kind) const {
    const Padding& p = window_.padding;
    const bool fits = window_.kernel == Pair(2) && window_.stride == Pair(2) && window_.dilation == Pair(1) && p == Padding(0);
    if (!fits || e.pool != Epilogue::Pool::none) return false;
    e.pool = pool;
    e.window = plan(x, kind);
    return true;
  }
  /// One operation per tap.
  Index pooled_flops(const Shape& x, const char* kind) const { return pooled(x, kind).size() * window_.kernel.h * window_.kernel.w; }

 private:
  static void require_cells(const WindowAxis& a, const char* kind, const char* axis) {
    if (a.before == 0 && a.after == 0) return;
    for (Index o = 0; o < a.out; ++o)
      require<ShapeError>(a.first_tap(o) < a.last_tap(o), kind, ": the window at output ", axis, " ", o, " covers padding alone (input ", a.in,
                          ", padding ", a.before, "+", a.after, ", kernel ", a.kernel, ", dilation ", a.dilation, ")");
  }

  Window window_;
};

}  // namespace detail

struct MaxPool2dOptions {
  Pair kernel = 2;
  Pair stride = kernel;
  Padding padding = 0;
  Pair dilation = 1;
  Rounding rounding = Rounding::floor;
};
/// Max pooling: y[n,c,i,j] = the largest x under the window at (i, j). x [N,C,H,W] -> y [N,C,Ho,Wo]. Padding never wins, a NaN does.
/// Gradient to the first maximum of each window in row-major order. Throws ShapeError for a window that covers padding alone.
/// Source: Riesenhuber, Poggio 1999 (HMAX); Ranzato, Huang, Boureau, LeCun 2007.
template <class T, class SpaceType = Cpu>
class MaxPool2d : public detail::PoolWindow<T, SpaceType> {
  using Base = detail::PoolWindow<T, SpaceType>;
  /// How winners are kept: on the CPU by their tap in the window, as a number beside those of y; elsewhere by their position in the plane.
  using Winner = std::conditional_t<std::is_same_v<SpaceType, Cpu>, T, std::int32_t>;

 public:
  using Space = SpaceType;
  using Options = MaxPool2dOptions;
  static constexpr const char* kind = "MaxPool2d";

  explicit MaxPool2d(Options o = {}) : Base({o.kernel, o.stride, o.padding, o.dilation, o.rounding}, kind) {}

  Shape output_shape(const Shape& x) const {
    const Shape y = this->pooled(x, kind);
    require<ShapeError>(x.with(0, 1).with(1, 1).size() <= (Index{1} << 31), kind, ": input ", x, " has planes of more than 2^31 cells");
    require<ShapeError>(this->window().kernel.h * this->window().kernel.w <= (Index{1} << 24), kind, ": windows of more than 2^24 cells");
    return y;
  }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>& pass) {
    max_pool_forward(x.stream(), this->plan(x.shape, kind), x, y, pass.training() ? pass.template keep<Winner>(0, y.shape, y.format) : Out<Winner, Space>());
  }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>& pass) {
    if (dx) max_pool_backward(dy.stream(), this->plan(x.shape, kind), pass.template kept<Winner>(0, dy.shape, dy.format), dy, *dx);
  }
  /// Of the winners.
  Index kept_bytes(const Shape& x, Format format) const { return stored_size(this->pooled(x, kind), format) * static_cast<Index>(sizeof(Winner)); }
  bool join(Epilogue& e, const Shape& x) const { return Base::join(e, Epilogue::Pool::max, x, kind); }
  bool describe(SmallStage<T, Space>& s, const Shape& x) const {
    s.kind = SmallStage<T, Space>::Kind::max_pool;
    s.window = this->plan(x, kind);
    return true;
  }
  Index flops(const Shape& x) const { return this->pooled_flops(x, kind); }
};

struct MeanPool2dOptions {
  Pair kernel = 2;
  Pair stride = kernel;
  Padding padding = 0;
  Pair dilation = 1;
  Rounding rounding = Rounding::floor;
  bool count_include_pad = true;  ///< divide by the padded cells under the window too, not by those inside the image alone
};
/// Mean pooling: y[n,c,i,j] = the sum of x under the window at (i, j) / the number of cells that count. x [N,C,H,W] -> y [N,C,Ho,Wo].
/// Cells beyond the padding, which Rounding::ceil reaches, never count. Gradient dy / count to every cell under the window.
/// Throws ShapeError for a window that covers padding alone. Source: Fukushima 1980; LeCun 1998 (subsampling, without its weights).
template <class T, class SpaceType = Cpu>
class MeanPool2d : public detail::PoolWindow<T, SpaceType> {
  using Base = detail::PoolWindow<T, SpaceType>;

 public:
  using Space = SpaceType;
  using Options = MeanPool2dOptions;
  static constexpr const char* kind = "MeanPool2d";

  explicit MeanPool2d(Options o = {}) : Base({o.kernel, o.stride, o.padding, o.dilation, o.rounding}, kind), count_include_pad_(o.count_include_pad) {}

  Shape output_shape(const Shape& x) const { return this->pooled(x, kind); }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { mean_pool_forward(x.stream(), this->plan(x.shape, kind), count_include_pad_, x, y); }
  void backward(In<T, Space> x, In<T, Space>, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) mean_pool_backward(x.stream(), this->plan(x.shape, kind), count_include_pad_, dy, *dx);
  }
  bool join(Epilogue& e, const Shape& x) const { return Base::join(e, Epilogue::Pool::mean, x, kind); }
  bool describe(SmallStage<T, Space>& s, const Shape& x) const {
    s.kind = SmallStage<T, Space>::Kind::mean_pool;
    s.window = this->plan(x, kind);
    s.count_include_pad = count_include_pad_;
    return true;
  }
  Index flops(const Shape& x) const { return this->pooled_flops(x, kind); }

 private:
  bool count_include_pad_;
};

struct LpPool2dOptions {
  Pair kernel = 2;
  Pair stride = kernel;
  Padding padding = 0;
  Pair dilation = 1;
  Rounding rounding = Rounding::floor;
  double p = 2;  ///< 1: sum of magnitudes; 2: energy, the pooling of complex cells; towards infinity: the largest magnitude
};
/// Lp pooling: y[n,c,i,j] = (sum |x|^p)^(1/p) over the window at (i, j), p >= 1. x [N,C,H,W] -> y [N,C,Ho,Wo]; padding counts as 0.
/// Gradient dy sign(x) (|x| / y)^(p-1); at the kinks, y = 0 and x = 0 with p = 1, it is 0. Throws Error for p below 1, ShapeError for a
/// window that covers padding alone. Source: Adelson, Bergen 1985 (p = 2); Sermanet, Chintala, LeCun 2012.
template <class T, class SpaceType = Cpu>
class LpPool2d : public detail::PoolWindow<T, SpaceType> {
  using Base = detail::PoolWindow<T, SpaceType>;

 public:
  using Space = SpaceType;
  using Options = LpPool2dOptions;
  static constexpr const char* kind = "LpPool2d";

  explicit LpPool2d(Options o = {}) : Base({o.kernel, o.stride, o.padding, o.dilation, o.rounding}, kind), p_(o.p) {
    require(o.p >= 1 && o.p <= 1e6, kind, ": p is ", o.p, "; a number of at least 1, and finite, is needed");
  }

  Shape output_shape(const Shape& x) const { return this->pooled(x, kind); }
  void forward(In<T, Space> x, Out<T, Space> y, Pass<Space>&) { lp_pool_forward(x.stream(), this->plan(x.shape, kind), p_, x, y); }
  void backward(In<T, Space> x, In<T, Space> y, In<T, Space> dy, Out<T, Space>* dx, Pass<Space>&) {
    if (dx) lp_pool_backward(x.stream(), this->plan(x.shape, kind), p_, x, y, dy, *dx);
  }
  Index flops(const Shape& x) const { return 2 * this->pooled_flops(x, kind); }

 private:
  double p_;
};

}  // namespace ventral::inline v0

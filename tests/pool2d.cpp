#include "ventral/layers/pool2d.hpp"

#include <cstring>
#include <vector>

#include "agreement.hpp"
#include "blocks.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// Window by window, as the formula says: value, winner and number of cells that count.
struct Cell {
  double max = -INFINITY, sum = 0;
  Index winner = -1, inside = 0, padded = 0;
};
template <class T>
Cell look(const Tensor<T>& x, Index plane, const WindowPlan& p, Index i, Index j) {
  Cell found;
  for (Index r = 0; r < p.h.kernel; ++r)
    for (Index c = 0; c < p.w.kernel; ++c) {
      const Index a = p.h.origin(i) + r * p.h.dilation, b = p.w.origin(j) + c * p.w.dilation;
      if (a < p.h.in + p.h.after && b < p.w.in + p.w.after) ++found.padded;
      if (a < 0 || a >= p.h.in || b < 0 || b >= p.w.in) continue;
      const double v = static_cast<double>(x[(plane * p.h.in + a) * p.w.in + b]);
      ++found.inside;
      found.sum += v;
      if (found.winner < 0 || v > found.max || std::isnan(v)) found.max = v, found.winner = a * p.w.in + b;
    }
  return found;
}

const std::vector<Window>& windows() {
  static const std::vector<Window> all = {
      {2, 2},
      {2, 2, 0, 1, Rounding::ceil},
      {3, 2},
      {3, 2, 1},
      {3, 1, 1},
      {{1, 4}, {1, 4}},
      {{5, 2}, {3, 1}, {2, 0, 1, 1}},
      {2, 3},                     // stride > window
      {3, {2, 3}, {1, 2, 0, 1}, {2, 1}},
      {2, 1, Padding::same()},
      {3, 2, Padding::same_lower(), 2},
      {3, 3, 1, 1, Rounding::ceil},
  };
  return all;
}

template <class T>
Tensor<T> levels(Shape shape) {
  Random random(3);
  Tensor<T> x(shape);
  for (T& v : x) v = static_cast<T>(random.below(5)) - 2;  // many ties
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("pooling: every window against the formula, forward and backward", T, float, double) {
  for (const Window& w : windows())
    for (const Index width : {Index{7}, Index{13}, Index{40}, Index{67}}) {
      INFO("kernel " << w.kernel.h << "x" << w.kernel.w << ", stride " << w.stride.w << ", width " << width);
      const Shape shape{2, 3, 9, width};
      const auto x = levels<T>(shape);
      MaxPool2d<T> max({w.kernel, w.stride, w.padding, w.dilation, w.rounding});
      MeanPool2d<T> mean({w.kernel, w.stride, w.padding, w.dilation, w.rounding}), inside({w.kernel, w.stride, w.padding, w.dilation, w.rounding, false});
      const WindowPlan plan = place(w, 9, width, "test");
      const auto dy = test::random_tensor<T>(max.output_shape(shape));
      Tensor<T> y_max(dy.shape()), y_mean(dy.shape()), y_inside(dy.shape());
      Tensor<double> dx_max(shape), dx_mean(shape), dx_inside(shape);
      for (Index o = 0; o < dy.size(); ++o) {
        const Index p = o / (plan.h.out * plan.w.out), i = o / plan.w.out % plan.h.out, j = o % plan.w.out;
        const Cell cell = look(x, p, plan, i, j);
        const double d = static_cast<double>(dy[o]), padded = static_cast<double>(cell.padded), real = static_cast<double>(cell.inside);
        y_max[o] = static_cast<T>(cell.max);
        y_mean[o] = static_cast<T>(cell.sum / padded);
        y_inside[o] = static_cast<T>(cell.sum / real);
        dx_max[p * 9 * width + cell.winner] += d;
        for (Index r = plan.h.first_tap(i); r < plan.h.last_tap(i); ++r)
          for (Index c = plan.w.first_tap(j); c < plan.w.last_tap(j); ++c) {
            const Index at = (p * 9 + plan.h.origin(i) + r * plan.h.dilation) * width + plan.w.origin(j) + c * plan.w.dilation;
            dx_mean[at] += d / padded;
            dx_inside[at] += d / real;
          }
      }
      const double tolerance = sizeof(T) == 4 ? 1e-6 : 1e-14;
      const auto a = test::run_backward(max, x, dy), b = test::run_backward(mean, x, dy), c = test::run_backward(inside, x, dy);
      CHECK(test::relative_error(a.y, y_max) == 0);
      CHECK(test::relative_error(test::run(max, x), y_max) == 0);
      CHECK(test::relative_error(a.dx, dx_max) < tolerance);
      CHECK(test::relative_error(b.y, y_mean) < tolerance);
      CHECK(test::relative_error(b.dx, dx_mean) < tolerance);
      CHECK(test::relative_error(c.y, y_inside) < tolerance);
      CHECK(test::relative_error(c.dx, dx_inside) < tolerance);
    }
}

TEST_CASE_TEMPLATE("pooling: values by hand", Space, VENTRAL_TEST_SPACES) {
  const Tensor<double, Space> x = Tensor<double, Cpu>({1, 1, 3, 4}, {1, 5, 2, 0, 3, 4, 8, 6, 7, -9, -3, 4}).to<Space>();
  const auto at = [&](auto layer) { return test::run(layer, x).template to<Cpu>(); };
  CHECK(test::relative_error(at(MaxPool2d<double, Space>()), Tensor<double>({1, 1, 1, 2}, {5, 8})) == 0);
  CHECK(test::relative_error(at(MaxPool2d<double, Space>({.rounding = Rounding::ceil})), Tensor<double>({1, 1, 2, 2}, {5, 8, 7, 4})) == 0);
  CHECK(test::relative_error(at(MeanPool2d<double, Space>({.kernel = 2, .stride = {1, 2}})), Tensor<double>({1, 1, 2, 2}, {3.25, 4, 1.25, 3.75})) == 0);
  CHECK(test::relative_error(at(MeanPool2d<double, Space>({.kernel = 2, .padding = {1, 0}})), Tensor<double>({1, 1, 2, 2}, {1.5, 0.5, 1.25, 3.75})) == 0);
  CHECK(test::relative_error(at(MeanPool2d<double, Space>({.kernel = 2, .padding = {1, 0}, .count_include_pad = false})),
                             Tensor<double>({1, 1, 2, 2}, {3, 1, 1.25, 3.75})) == 0);
  CHECK(test::relative_error(at(LpPool2d<double, Space>()), Tensor<double>({1, 1, 1, 2}, {std::sqrt(51.0), std::sqrt(104.0)})) < 1e-15);
  CHECK(test::relative_error(at(LpPool2d<double, Space>({.p = 1})), Tensor<double>({1, 1, 1, 2}, {13, 16})) < 1e-15);
  CHECK(test::relative_error(at(LpPool2d<double, Space>({.p = 3})), Tensor<double>({1, 1, 1, 2}, {std::cbrt(217.0), std::cbrt(736.0)})) < 1e-15);
}

TEST_CASE_TEMPLATE("pooling: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({1, 2, 7, 8});
  const auto check = [&](auto layer) {
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("pool", layer);
    test::check_gradient(behind, x);
  };
  for (const Window& w : windows()) {
    INFO("kernel " << w.kernel.h << "x" << w.kernel.w << ", stride " << w.stride.w);
    check(MaxPool2d<double, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding}));
    check(MeanPool2d<double, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding}));
    check(LpPool2d<double, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding, 2}));
  }
  check(MeanPool2d<double, Space>({.kernel = 3, .stride = 2, .padding = 1, .count_include_pad = false}));
  check(LpPool2d<double, Space>({.kernel = 3, .stride = 1, .p = 1}));
  check(LpPool2d<double, Space>({.kernel = 3, .stride = 2, .padding = 1, .p = 3.5}));
}

TEST_CASE_TEMPLATE("max pooling: the first of equal maxima gets the gradient, negative input survives padding, NaN is not hidden", Space,
                   VENTRAL_TEST_SPACES) {
  const auto both = [](auto& layer, const Tensor<float>& x, const Tensor<float>& dy) {
    const auto r = test::run_backward(layer, x.to<Space>(), dy.to<Space>());
    return test::Result<float, Cpu>{r.y.template to<Cpu>(), r.dx.template to<Cpu>()};
  };
  MaxPool2d<float, Space> pool({.kernel = 3, .stride = 3, .padding = 1, .rounding = Rounding::ceil});
  const auto equal = both(pool, Tensor<float>::full({1, 1, 4, 4}, -7), Tensor<float>({1, 1, 2, 2}, {1, 2, 3, 4}));
  CHECK(test::relative_error(equal.y, Tensor<float>::full({1, 1, 2, 2}, -7)) == 0);
  CHECK(test::relative_error(equal.dx, Tensor<float>({1, 1, 4, 4}, {1, 0, 2, 0, 0, 0, 0, 0, 3, 0, 4, 0, 0, 0, 0, 0})) == 0);

  MaxPool2d<float, Space> pairs({.kernel = {1, 2}});
  for (const Index w : {Index{8}, Index{34}, Index{70}}) {  // scalars and each width of register
    auto x = Tensor<float>::full({1, 1, 1, w}, -INFINITY);
    x[1] = x[2] = x[w - 1] = NAN;
    x[w - 3] = INFINITY;
    const auto r = both(pairs, x, Tensor<float>::full({1, 1, 1, w / 2}, 1));
    bool right = true;
    for (Index o = 0; o < w / 2; ++o) {
      const bool nan = o < 2 || o == w / 2 - 1;
      right = right && std::isnan(r.y[o]) == nan && (nan || r.y[o] == (o == w / 2 - 2 ? INFINITY : -INFINITY));
      const Index winner = o == 0 || o >= w / 2 - 2 ? 2 * o + 1 : 2 * o;
      right = right && r.dx[winner] == 1 && r.dx[winner ^ 1] == 0;
    }
    CHECK(right);
  }
}

TEST_CASE_TEMPLATE("max pooling: winners from the kernel, on the CPU by their tap, on Cuda by their position", Space, VENTRAL_TEST_SPACES) {
  using Winner = std::conditional_t<std::is_same_v<Space, Cpu>, float, std::int32_t>;
  const auto x = Tensor<float>({1, 2, 2, 4}, {1, 9, 3, 3, 4, 5, 2, 3, 0, 0, 0, 8, 0, 0, 7, 0}).to<Space>();
  const Window window{2, 2};
  Tensor<float, Space> y({1, 2, 1, 2});
  Tensor<Winner, Space> winners(y.shape());
  max_pool_forward(x.stream(), place(window, 2, 4, "test"), x, y.ref(), winners.ref());
  CHECK(test::relative_error(y.template to<Cpu>(), Tensor<float>({1, 2, 1, 2}, {9, 3, 0, 8})) == 0);
  const auto expected = std::is_same_v<Space, Cpu> ? Tensor<Winner>({1, 2, 1, 2}, {1, 0, 0, 1}) : Tensor<Winner>({1, 2, 1, 2}, {1, 2, 0, 3});
  CHECK(test::relative_error(winners.template to<Cpu>(), expected) == 0);
}

TEST_CASE_TEMPLATE("Lp pooling: no gradient where the norm is 0, large powers do not overflow in backward", Space, VENTRAL_TEST_SPACES) {
  LpPool2d<float, Space> pool({.kernel = {1, 2}, .p = 1}), high({.kernel = {1, 2}, .p = 30});
  const auto r =
      test::run_backward(pool, Tensor<float>({1, 1, 1, 6}, {0, 0, -3, 0, 2, -2}).to<Space>(), Tensor<float>::full({1, 1, 1, 3}, 1).to<Space>());
  CHECK(test::relative_error(r.y.template to<Cpu>(), Tensor<float>({1, 1, 1, 3}, {0, 3, 4})) == 0);
  CHECK(test::relative_error(r.dx.template to<Cpu>(), Tensor<float>({1, 1, 1, 6}, {0, 0, -1, 0, 1, -1})) == 0);
  LpPool2d<float, Space> energy({.kernel = {1, 2}});
  const auto e = test::run_backward(energy, Tensor<float>({1, 1, 1, 4}, {0, 0, -3, 4}).to<Space>(), Tensor<float>::full({1, 1, 1, 2}, 5).to<Space>());
  CHECK(test::relative_error(e.dx.template to<Cpu>(), Tensor<float>({1, 1, 1, 4}, {0, 0, -3, 4})) < 1e-6);
  const auto s = test::run_backward(high, Tensor<float>({1, 1, 1, 2}, {8, 1}).to<Space>(), Tensor<float>::full({1, 1, 1, 1}, 1).to<Space>());
  CHECK(s.y.template to<Cpu>()[0] == doctest::Approx(8));
  CHECK(s.dx.template to<Cpu>()[0] == doctest::Approx(1));
}

TEST_CASE_TEMPLATE("pooling: Cuda agrees with Cpu", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-13;
  for (const Window& w : windows())
    for (const Shape& shape : {Shape{2, 3, 7, 11}, Shape{1, 1, 9, 8}}) {
      INFO("kernel " << w.kernel.h << "x" << w.kernel.w << ", stride " << w.stride.w);
      test::check_agreement<T>(
          [&]<class U, class Space> {
            return MaxPool2d<U, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding});
          },
          levels<T>(shape), tolerance);
      for (const bool pad : {false, true})
        test::check_agreement<T>(
            [&]<class U, class Space> {
              return MeanPool2d<U, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding, pad});
            },
            shape);
      for (const double p : {1.0, 2.0, 3.5})
        test::check_agreement<T>(
            [&]<class U, class Space> {
              return LpPool2d<U, Space>({w.kernel, w.stride, w.padding, w.dilation, w.rounding, p});
            },
            shape);
    }
  for (const Shape& shape : {Shape{1, 1, 1, 1}, Shape{3, 1, 1, 5}, Shape{1, 2, 31, 1}}) {
    const Window w{{shape[2] > 1 ? 3 : 1, shape[3] > 1 ? 3 : 1}, 2, {shape[2] > 1 ? 1 : 0, shape[3] > 1 ? 1 : 0}};
    test::check_agreement<T>([&]<class U, class Space> { return MaxPool2d<U, Space>({w.kernel, w.stride, w.padding}); }, shape);
    test::check_agreement<T>([&]<class U, class Space> { return MeanPool2d<U, Space>({w.kernel, w.stride, w.padding}); }, shape);
  }
}

TEST_CASE_TEMPLATE("pooling: 16-bit numbers agree with float", T, bfloat16, half) {
  for (const Window& w : {Window{2, 2}, Window{3, 2, 1}, Window{{5, 2}, {3, 1}, {2, 0, 1, 1}}}) {
    const Shape shape{2, 3, 7, 11};
    test::check_narrow<T>([&]<class U, class Space> { return MaxPool2d<U, Space>({w.kernel, w.stride, w.padding}); }, shape);
    test::check_narrow<T>([&]<class U, class Space> { return MeanPool2d<U, Space>({w.kernel, w.stride, w.padding}); }, shape);
    test::check_narrow<T>([&]<class U, class Space> { return LpPool2d<U, Space>({.kernel = w.kernel, .stride = w.stride, .padding = w.padding}); },
                          shape, 4);
    test::check_narrow<T>(
        [&]<class U, class Space> { return LpPool2d<U, Space>({.kernel = w.kernel, .stride = w.stride, .padding = w.padding, .p = 3}); }, shape, 4);
  }
}

TEST_CASE("pooling on Cuda: 64-bit positions give what 32-bit positions give") {
  const Window w{{3, 2}, {2, 1}, {1, 1}, {1, 2}};
  const Shape shape{2, 3, 7, 11};
  const WindowPlan plan = place(w, 7, 11, "test");
  WindowPlan wide = plan;  // no output reaches padding this wide, but it does not fit an int
  wide.h.after += Index{1} << 31;
  const auto x = test::random_tensor<double, Cuda>(shape);
  const Shape pooled{2, 3, plan.h.out, plan.w.out};
  const auto dy = test::random_tensor<double, Cuda>(pooled, 2);
  Tensor<double, Cuda> y(pooled), y_wide(pooled), dx(shape), dx_wide(shape);
  Tensor<std::int32_t, Cuda> winners(pooled), winners_wide(pooled);
  max_pool_forward(x.stream(), plan, x, y.ref(), winners.ref());
  max_pool_forward(x.stream(), wide, x, y_wide.ref(), winners_wide.ref());
  CHECK(test::relative_error(y_wide.to<Cpu>(), y.to<Cpu>()) == 0);
  CHECK(test::relative_error(winners_wide.to<Cpu>(), winners.to<Cpu>()) == 0);
  max_pool_backward(x.stream(), plan, winners, dy, dx.ref());
  max_pool_backward(x.stream(), wide, winners, dy, dx_wide.ref());
  CHECK(test::relative_error(dx_wide.to<Cpu>(), dx.to<Cpu>()) == 0);
  mean_pool_backward(x.stream(), plan, false, dy, dx.ref());
  mean_pool_backward(x.stream(), wide, false, dy, dx_wide.ref());
  CHECK(test::relative_error(dx_wide.to<Cpu>(), dx.to<Cpu>()) == 0);
}

TEST_CASE_TEMPLATE("pooling: empty batch, empty image, one cell", Space, VENTRAL_TEST_SPACES) {
  MaxPool2d<float, Space> max({.kernel = 3, .stride = 2, .padding = 1});
  MeanPool2d<float, Space> mean({.kernel = 3, .stride = 2, .padding = 1});
  const Tensor<float, Space> none({0, 3, 5, 5}), nothing({0, 3, 3, 3});
  CHECK(test::run_backward(max, none, nothing).dx.shape() == Shape{0, 3, 5, 5});
  CHECK(test::run_backward(mean, none, nothing).y.shape() == Shape{0, 3, 3, 3});
  CHECK(test::run(max, Tensor<float, Space>({2, 3, 0, 5})).shape() == Shape{2, 3, 0, 3});
  CHECK(test::run(mean, Tensor<float>::full({1, 1, 1, 1}, 9).to<Space>()).template to<Cpu>()[0] == 1);
}

TEST_CASE("pooling in blocks: as in rows, every window and number of images") {
  for (const Window& w : windows())
    for (const Index n : {1, 15, 16, 17}) {
      INFO("kernel " << w.kernel.h << "x" << w.kernel.w << ", stride " << w.stride.w << ", images " << n);
      const auto x = levels<float>({n, 2, 7, 10});
      test::check_blocks(MaxPool2d<float>({w.kernel, w.stride, w.padding, w.dilation, w.rounding}), x, 0);
      for (const bool pad : {false, true}) test::check_blocks(MeanPool2d<float>({w.kernel, w.stride, w.padding, w.dilation, w.rounding, pad}), x, 1e-6);
      for (const double p : {1.0, 2.0, 3.5}) test::check_blocks(LpPool2d<float>({w.kernel, w.stride, w.padding, w.dilation, w.rounding, p}), x, 1e-6);
    }
  MaxPool2d<float> pool;
  auto x = Tensor<float>::full({2, 1, 2, 2}, -INFINITY);
  x[2] = NAN;
  const auto bx = test::in_blocks(x);
  auto y = Tensor<float>::uninitialized({2, 1, 1, 1}, Format::blocks), dx = Tensor<float>::uninitialized(x.shape(), Format::blocks);
  Pass<Cpu> pass(Mode::training);
  pool.forward(bx, y, pass);
  CHECK(std::isnan(y[0]));
  CHECK(y[1] == -INFINITY);
  Out<float> out = dx.ref();
  pool.backward(bx, y, test::in_blocks(Tensor<float>::full({2, 1, 1, 1}, 1)), &out, pass);
  CHECK(test::relative_error(test::in_rows(dx), Tensor<float>({2, 1, 2, 2}, {0, 0, 1, 0, 1, 0, 0, 0})) == 0);
  CHECK(!MaxPool2d<double>().takes_blocks({16, 1, 4, 4}));
}

TEST_CASE("max pooling: numbers of both infinities, in every column of a register") {
  for (const Index w : {Index{8}, Index{34}, Index{70}})
    for (const Pair kernel : {Pair(2), Pair(3)}) {
      MaxPool2d<float> pool({.kernel = kernel, .stride = 2});
      const Shape shape{1, 3, 8, w};
      auto x = test::random_tensor<float>(shape);
      for (Index i = 0; i < x.size(); ++i) x[i] = i % 7 == 0 ? INFINITY : i % 5 == 0 ? -INFINITY : x[i];
      const auto dy = Tensor<float>::full(pool.output_shape(shape), 1);
      const auto r = test::run_backward(pool, x, dy);
      double taken = 0;
      bool right = true;
      for (const float v : r.dx) taken += static_cast<double>(v);
      const WindowPlan plan = place({kernel, 2}, 8, w, "test");
      for (Index o = 0; o < dy.size(); ++o) {
        const Cell cell = look(x, o / (plan.h.out * plan.w.out), plan, o / plan.w.out % plan.h.out, o % plan.w.out);
        right = right && static_cast<double>(r.y[o]) == cell.max;
      }
      CHECK(right);
      CHECK(taken == static_cast<double>(dy.size()));
    }
}

TEST_CASE("pooling: joins the layer before when it is two by two, side by side") {
  Epilogue e;
  const Shape x{4, 3, 8, 9};
  CHECK(!MaxPool2d<float>({.kernel = 3, .stride = 2}).join(e, x));
  CHECK(!MaxPool2d<float>({.kernel = 2, .stride = 1}).join(e, x));
  CHECK(!MeanPool2d<float>({.kernel = 2, .padding = 1}).join(e, x));
  CHECK(e.empty());
  CHECK(MeanPool2d<float>().join(e, x));
  CHECK(e.pool == Epilogue::Pool::mean);
  CHECK(e.window.w.out == 4);
  CHECK(!MaxPool2d<float>().join(e, x));
  Epilogue relu;
  relu.relu = true;
  CHECK(MaxPool2d<float>().join(relu, x));
  CHECK(relu.pool == Epilogue::Pool::max);
}

TEST_CASE("pooling: the same bits on one and two threads") {
  MaxPool2d<float> max({.kernel = 3, .stride = 2, .padding = 1});
  MeanPool2d<float> mean({.kernel = 3, .stride = 2, .padding = 1});
  const auto x = test::random_tensor<float>({5, 4, 61, 53}), dy = test::random_tensor<float>({5, 4, 31, 27}, 2);
  const int before = cpu::threads();
  cpu::set_threads(1);
  const auto a = test::run_backward(max, x, dy), b = test::run_backward(mean, x, dy);
  cpu::set_threads(2);
  const auto c = test::run_backward(max, x, dy), d = test::run_backward(mean, x, dy);
  cpu::set_threads(before);
  CHECK(test::relative_error(a.dx, c.dx) == 0);
  CHECK(test::relative_error(b.y, d.y) == 0);
  CHECK(test::relative_error(b.dx, d.dx) == 0);
}

TEST_CASE("pooling: shapes, cost and messages") {
  const MaxPool2d<float> pool({.kernel = 3, .stride = 2});
  CHECK(pool.output_shape({8, 6, 28, 31}) == Shape{8, 6, 13, 15});
  CHECK(pool.flops({1, 1, 3, 3}) == 9);
  CHECK(pool.window().kernel == Pair(3));
  CHECK(MaxPool2d<float>({.kernel = {2, 5}}).output_shape({1, 1, 10, 10}) == Shape{1, 1, 5, 2});  // the stride is the kernel
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(pool.output_shape({8, 6})); }) == "MaxPool2d: input [8,6] has rank 2; [N,C,H,W] expected");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(pool.output_shape({1, 1, 2, 9})); }) ==
        "MaxPool2d: height 2 with padding 0+0 is smaller than the window, which spans 3");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(MeanPool2d<float>({.kernel = 2, .stride = 1, .padding = 2}).output_shape({1, 1, 5, 5})); }) ==
        "MeanPool2d: the window at output row 0 covers padding alone (input 5, padding 2+2, kernel 2, dilation 1)");
  CHECK(test::message_of<ShapeError>([] { MaxPool2d<float>({.kernel = 0}); }) == "MaxPool2d: kernel 0x0 must be positive");
  CHECK(test::message_of<Error>([] { LpPool2d<float>({.p = 0.5}); }) == "LpPool2d: p is 0.5; a number of at least 1, and finite, is needed");
  MaxPool2d<float> fresh;
  Pass<Cpu> pass;
  Tensor<float> x({1, 1, 2, 2}), y({1, 1, 1, 1}), dx({1, 1, 2, 2});
  Out<float> out = dx.ref();
  fresh.forward(x, y, pass);
  CHECK(test::message_of<Error>([&] { fresh.backward(x, y, y, &out, pass); }) == "backward needs a forward pass in Mode::training of the same input before it");
}

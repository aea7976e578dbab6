#include "ventral/layers/locally_connected2d.hpp"

#include <vector>

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

const std::vector<LocallyConnected2dOptions>& settings() {
  static const std::vector<LocallyConnected2dOptions> all = {
      {.in = 2, .out = 3, .height = 5, .width = 6, .kernel = 3},
      {.in = 1, .out = 1, .height = 4, .width = 4, .kernel = 1},
      {.in = 3, .out = 2, .height = 6, .width = 5, .kernel = {2, 3}, .stride = {2, 1}, .padding = {1, 0, 0, 2}, .bias = false},
      {.in = 1, .out = 4, .height = 7, .width = 7, .kernel = 3, .stride = 2, .padding = Padding::same(), .dilation = 2},
      {.in = 4, .out = 2, .height = 3, .width = 3, .kernel = 3},  // one place: a linear layer
      {.in = 1, .out = 2, .height = 5, .width = 5, .kernel = 2, .stride = 3},
      {.in = 2, .out = 2, .height = 3, .width = 3, .kernel = 2, .padding = 3},  // windows in the padding alone
  };
  return all;
}

}  // namespace

TEST_CASE_TEMPLATE("locally connected: every output and gradient against the formula", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-13;
  for (const auto& o : settings())
    for (const Index batch : {1, 3, 21}) {
      INFO("kernel " << o.kernel.h << "x" << o.kernel.w << ", stride " << o.stride.h << ", batch " << batch);
      LocallyConnected2d<T> layer(o);
      const auto x = test::random_tensor<T>({batch, o.in, o.height, o.width}, 3);
      const auto dy = test::random_tensor<T>(layer.output_shape(x.shape()), 4);
      if (o.bias) layer.bias.value = test::random_tensor<T>(layer.bias.value.shape(), 5);
      const WindowPlan p = place(layer.window(), o.height, o.width, "test");
      const Index places = p.h.out * p.w.out, taps = o.in * o.kernel.h * o.kernel.w;
      Tensor<double> y(dy.shape()), dx(x.shape()), dw(layer.weight.value.shape()), db({o.out, p.h.out, p.w.out});
      for (Index n = 0; n < batch; ++n)
        for (Index f = 0; f < o.out; ++f)
          for (Index at = 0; at < places; ++at) {
            const Index to = (n * o.out + f) * places + at;
            const double d = static_cast<double>(dy[to]);
            db[f * places + at] += d;
            if (o.bias) y[to] = static_cast<double>(layer.bias.value[f * places + at]);
            for (Index c = 0; c < o.in; ++c)
              for (Index r = 0; r < o.kernel.h; ++r)
                for (Index k = 0; k < o.kernel.w; ++k) {
                  const Index a = p.h.origin(at / p.w.out) + r * p.h.dilation, b = p.w.origin(at % p.w.out) + k * p.w.dilation;
                  if (a < 0 || a >= o.height || b < 0 || b >= o.width) continue;
                  const Index from = ((n * o.in + c) * o.height + a) * o.width + b, weight = (at * o.out + f) * taps + (c * o.kernel.h + r) * o.kernel.w + k;
                  y[to] += static_cast<double>(layer.weight.value[weight]) * static_cast<double>(x[from]);
                  dx[from] += static_cast<double>(layer.weight.value[weight]) * d;
                  dw[weight] += static_cast<double>(x[from]) * d;
                }
          }
      const auto r = test::run_backward(layer, x, dy);
      CHECK(test::relative_error(r.y, y) < tolerance);
      CHECK(test::relative_error(r.dx, dx) < tolerance);
      CHECK(test::relative_error(layer.weight.gradient, dw) < tolerance);
      if (o.bias) CHECK(test::relative_error(layer.bias.gradient, db) < tolerance);
    }
}

namespace {

/// The CUDA kernels against those of the CPU in double: y, dx, and gradients added to what is there already.
template <class T>
void check_on_cuda(const LocallyConnected2dOptions& o, Index batch, double tolerance) {
  INFO("kernel " << o.kernel.h << "x" << o.kernel.w << ", stride " << o.stride.h << ", in " << o.in << ", out " << o.out << ", batch " << batch);
  const LocallyConnected2d<T, Cuda> shapes(o);
  const Shape in{batch, o.in, o.height, o.width}, out = shapes.output_shape(in), weights = shapes.weight.value.shape(), biases{o.out, out[2], out[3]};
  const WindowPlan plan = place(shapes.window(), o.height, o.width, "test");
  const auto x = test::random_tensor<T>(in, 1), w = test::random_tensor<T>(weights, 2), b = test::random_tensor<T>(biases, 3);
  const auto dy = test::random_tensor<T>(out, 4), dw = test::random_tensor<T>(weights, 5), db = test::random_tensor<T>(biases, 6);

  Tensor<double> y(out), dx(in), dw_sum = dw.template cast<double>(), db_sum = db.template cast<double>();
  const auto x_ = x.template cast<double>(), w_ = w.template cast<double>(), b_ = b.template cast<double>(), dy_ = dy.template cast<double>();
  locally_connected_forward<double>(Cpu::stream(), plan, x_, w_, o.bias ? In<double>(b_) : In<double>(), y);
  locally_connected_backward_input<double>(Cpu::stream(), plan, w_, dy_, dx);
  locally_connected_backward_weight<double>(Cpu::stream(), plan, x_, dy_, dw_sum);
  locally_connected_backward_bias<double>(Cpu::stream(), dy_, db_sum);

  const auto on = [](const Tensor<T>& values) { return values.template to<Cuda>(); };
  const auto cx = on(x), cw = on(w), cb = on(b), cdy = on(dy);
  auto cy = Tensor<T, Cuda>::full(out, T(NAN)), cdx = Tensor<T, Cuda>::full(in, T(NAN)), cdw = on(dw), cdb = on(db), again = on(dw);
  locally_connected_forward<T>(Cuda::stream(), plan, cx, cw, o.bias ? In<T, Cuda>(cb) : In<T, Cuda>(), cy);
  locally_connected_backward_input<T>(Cuda::stream(), plan, cw, cdy, cdx);
  locally_connected_backward_weight<T>(Cuda::stream(), plan, cx, cdy, cdw);
  locally_connected_backward_weight<T>(Cuda::stream(), plan, cx, cdy, again);
  locally_connected_backward_bias<T>(Cuda::stream(), cdy, cdb);
  CHECK(test::relative_error(cy.template to<Cpu>(), y) < tolerance);
  CHECK(test::relative_error(cdx.template to<Cpu>(), dx) < tolerance);
  CHECK(test::relative_error(cdw.template to<Cpu>(), dw_sum) < tolerance);
  CHECK(test::relative_error(cdb.template to<Cpu>(), db_sum) < tolerance);
  CHECK(test::relative_error(cdw.template to<Cpu>(), again.template to<Cpu>()) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("locally connected: Cuda agrees with Cpu", T, float, double, bfloat16, half) {
  const double tolerance = sizeof(T) == 8 ? 1e-14 : sizeof(T) == 4 ? 2e-6 : std::is_same_v<T, half> ? 5e-4 : 4e-3;
  for (const auto& o : settings())
    for (const Index batch : {1, 3, 21}) check_on_cuda<T>(o, batch, tolerance);
  // more than a tile of everything
  check_on_cuda<T>({.in = 5, .out = 9, .height = 9, .width = 11, .kernel = {4, 3}, .stride = {1, 2}, .padding = {2, 0, 0, 1}}, 9, tolerance);
  check_on_cuda<T>({.in = 5, .out = 6, .height = 13, .width = 10, .kernel = 3, .padding = 1}, 2, tolerance);
  check_on_cuda<T>({.in = 2, .out = 5, .height = 4, .width = 3, .kernel = 2}, 67, tolerance);
  check_on_cuda<T>({.in = 2, .out = 2, .height = 7, .width = 8, .kernel = 3, .stride = {3, 2}, .padding = 2, .dilation = {2, 3}}, 10, tolerance);
  check_on_cuda<T>({.in = 1, .out = 1, .height = 3, .width = 4, .kernel = 2, .stride = 9}, 2, tolerance);  // stride larger than the image
  for (const Index batch : {2, 11})  // a stride that needs 64 bits
    check_on_cuda<T>({.in = 2, .out = 3, .height = 3, .width = 4, .kernel = 2, .stride = (Index{1} << 31) - 1, .padding = 1}, batch, tolerance);
}

TEST_CASE_TEMPLATE("locally connected: gradients", Space, VENTRAL_TEST_SPACES) {
  for (const auto& o : settings()) {
    if (o.padding.top == 3) continue;  // weights that see padding alone have no gradient
    LocallyConnected2d<double, Space> layer(o);
    const auto x = test::random_tensor<double, Space>({3, o.in, o.height, o.width});
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>({.amplitude = 1.7159, .gain = 2.0 / 3})).add("local", layer);
    test::check_gradient(behind, x);
  }
}

TEST_CASE_TEMPLATE("locally connected: gradients accumulate, frozen parameters are left alone, empty batch", Space, VENTRAL_TEST_SPACES) {
  LocallyConnected2d<double, Space> layer({.in = 1, .out = 1, .height = 1, .width = 2, .kernel = 1});
  layer.weight.value = Tensor<double, Space>({2, 1, 1}, {2, 3});
  const Tensor<double, Space> x({1, 1, 1, 2}, {5, 7}), dy({1, 1, 1, 2}, {1, 10});
  const auto has = [](const Tensor<double, Space>& values, const Tensor<double>& expected) {
    return test::relative_error(values.template to<Cpu>(), expected) == 0;
  };
  CHECK(has(test::run_backward(layer, x, dy).y, Tensor<double>({1, 1, 1, 2}, {10, 21})));
  layer.bias.frozen = true;
  test::run_backward(layer, x, dy);
  CHECK(has(layer.weight.gradient, Tensor<double>({2, 1, 1}, {10, 140})));
  CHECK(has(layer.bias.gradient, Tensor<double>({1, 1, 2}, {1, 10})));
  CHECK(test::run_backward(layer, Tensor<double, Space>({0, 1, 1, 2}), Tensor<double, Space>({0, 1, 1, 2})).dx.shape() == Shape{0, 1, 1, 2});
  CHECK(has(layer.weight.gradient, Tensor<double>({2, 1, 1}, {10, 140})));
}

TEST_CASE("locally connected: the same bits on one and two threads") {
  LocallyConnected2d<float> one({.in = 3, .out = 5, .height = 14, .width = 11, .kernel = 5, .padding = 2}), two = one;
  const auto x = test::random_tensor<float>({19, 3, 14, 11}), dy = test::random_tensor<float>({19, 5, 14, 11}, 2);
  const int before = cpu::threads();
  cpu::set_threads(1);
  const auto a = test::run_backward(one, x, dy);
  cpu::set_threads(2);
  const auto b = test::run_backward(two, x, dy);
  cpu::set_threads(before);
  CHECK(test::relative_error(a.y, b.y) == 0);
  CHECK(test::relative_error(a.dx, b.dx) == 0);
  CHECK(test::relative_error(one.weight.gradient, two.weight.gradient) == 0);
  CHECK(test::relative_error(one.bias.gradient, two.bias.gradient) == 0);
}

TEST_CASE("locally connected: shapes, cost and messages") {
  const LocallyConnected2d<float> layer({.in = 3, .out = 8, .height = 10, .width = 12, .kernel = 3, .stride = 2});
  CHECK(layer.weight.value.shape() == Shape{20, 8, 27});
  CHECK(layer.bias.value.shape() == Shape{8, 4, 5});
  CHECK(layer.output_shape({2, 3, 10, 12}) == Shape{2, 8, 4, 5});
  CHECK(layer.flops({2, 3, 10, 12}) == 2 * 2 * 8 * 20 * 27);
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(layer.output_shape({2, 3, 12, 12})); }) ==
        "LocallyConnected2d: input [2,3,12,12]; [N,3,10,12] expected");
  CHECK(test::message_of<ShapeError>([] { LocallyConnected2d<float>({.in = 1, .out = 1, .kernel = 3}); }) ==
        "LocallyConnected2d: in 1, out 1, height 0 and width 0 must be positive");
  CHECK(test::message_of<ShapeError>([] { LocallyConnected2d<float>({.in = 1, .out = 1, .height = 2, .width = 9, .kernel = 3}); }) ==
        "LocallyConnected2d: height 2 with padding 0+0 is smaller than the window, which spans 3");
}

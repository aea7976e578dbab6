#include "ventral/layers/linear.hpp"

#include <algorithm>

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

template <class T, class Space>
void check_by_hand() {
  Linear<T, Space> layer({.in = 3, .out = 2});
  layer.weight.value = Tensor<T, Space>({2, 3}, {1, 2, 3, -1, 0, 1});
  layer.bias.value = Tensor<T, Space>({2}, {10, 20});
  const auto result = test::run_backward(layer, Tensor<T, Space>({2, 3}, {1, 1, 1, 0, 2, 4}), Tensor<T, Space>({2, 2}, {1, 0, 2, -1}));
  CHECK(test::relative_error(result.y.template to<Cpu>(), Tensor<T>({2, 2}, {16, 20, 26, 24})) == 0);
  CHECK(test::relative_error(result.dx.template to<Cpu>(), Tensor<T>({2, 3}, {1, 2, 3, 3, 4, 5})) == 0);
  CHECK(test::relative_error(layer.weight.gradient.template to<Cpu>(), Tensor<T>({2, 3}, {1, 5, 9, 0, -2, -4})) == 0);
  CHECK(test::relative_error(layer.bias.gradient.template to<Cpu>(), Tensor<T>({2}, {3, -1})) == 0);
}

}  // namespace

TEST_CASE_TEMPLATE("Linear: a product worked by hand", Space, VENTRAL_TEST_SPACES) {
  check_by_hand<float, Space>();
  check_by_hand<double, Space>();
}

TEST_CASE_TEMPLATE("Linear: gradients by finite differences", Space, VENTRAL_TEST_SPACES) {
  for (const Shape& shape : {Shape{1, 7}, Shape{5, 7}, Shape{2, 3, 7}, Shape{2, 1, 2, 2, 7}}) {
    const auto x = test::random_tensor<double, Space>(shape);
    for (const bool bias : {true, false}) {
      Linear<double, Space> layer({.in = 7, .out = 4, .bias = bias});
      test::check_gradient(layer, x);
      Sequential<double, Space> behind;
      behind.add("front", Tanh<double, Space>()).add("linear", layer);
      test::check_gradient(behind, x);
    }
  }
}

TEST_CASE_TEMPLATE("Linear: leading axes are a batch, also an empty one", Space, VENTRAL_TEST_SPACES) {
  Linear<double, Space> layer({.in = 6, .out = 33});
  const auto x = test::random_tensor<double, Space>({4, 5, 6});
  const auto y = test::run(layer, x).template to<Cpu>();
  CHECK(y.shape() == Shape{4, 5, 33});
  Tensor<double, Space> flat({20, 6});
  flat.copy_from(x.reshaped({20, 6}));
  const auto flat_y = test::run(layer, flat).template to<Cpu>();
  CHECK(std::equal(y.begin(), y.end(), flat_y.begin()));
  const auto empty = test::run_backward(layer, Tensor<double, Space>({0, 6}), Tensor<double, Space>({0, 33}));
  CHECK(empty.y.shape() == Shape{0, 33});
  for (const double v : layer.weight.gradient.template to<Cpu>()) CHECK(v == 0);
  for (const double v : layer.bias.gradient.template to<Cpu>()) CHECK(v == 0);
}

TEST_CASE("Linear: the same bits for any number of threads") {
  const int before = cpu::threads();
  const auto x = test::random_tensor<float>({64, 400}), dy = test::random_tensor<float>({64, 120}, 2);
  Linear<float> a({.in = 400, .out = 120}), b({.in = 400, .out = 120});
  cpu::set_threads(1);
  const auto one = test::run_backward(a, x, dy);
  cpu::set_threads(2);
  const auto two = test::run_backward(b, x, dy);
  cpu::set_threads(before);
  CHECK(std::equal(one.y.begin(), one.y.end(), two.y.begin()));
  CHECK(std::equal(one.dx.begin(), one.dx.end(), two.dx.begin()));
  CHECK(std::equal(a.weight.gradient.begin(), a.weight.gradient.end(), b.weight.gradient.begin()));
}

TEST_CASE_TEMPLATE("Linear: ReLU in its epilogue is a ReLU behind it", T, float, double) {
  const Epilogue relu{.relu = true};
  for (const Shape& s : {Shape{1, 7, 10}, Shape{2, 3, 1}, Shape{15, 84, 10}, Shape{16, 1, 33}, Shape{17, 20, 150}, Shape{64, 120, 84}, Shape{0, 5, 4}})
    for (const bool bias : {true, false}) {
      CAPTURE(to_string(s));
      const Index rows = s[0], in = s[1], out = s[2];
      Linear<T> plain({.in = in, .out = out, .bias = bias});
      if (bias) plain.bias.value = test::random_tensor<T>({out}, 5);
      Linear<T> fused = plain;
      ReLU<T> behind;
      CHECK(fused.fuses(relu, {rows, in}));
      CHECK(!fused.fuses({.pool = Epilogue::Pool::max}, {rows, in}));
      const auto x = test::random_tensor<T>({rows, in}, 1), dy = test::random_tensor<T>({rows, out}, 2);
      const auto before = test::run_backward(plain, x, Tensor<T>({rows, out}));
      const auto expected = test::run_backward(behind, before.y, dy);
      const auto expected_before = test::run_backward(plain, x, expected.dx);

      Pass<Cpu> pass(Mode::training);
      Tensor<T> y({rows, out}), dx({rows, in});
      Out<T> to_dx = dx.ref();
      fused.forward(x, y.ref(), pass, relu);
      fused.backward(x, y, dy, &to_dx, pass, relu);
      CHECK(std::equal(y.begin(), y.end(), expected.y.begin()));
      CHECK(std::equal(dx.begin(), dx.end(), expected_before.dx.begin()));
      CHECK(std::equal(fused.weight.gradient.begin(), fused.weight.gradient.end(), plain.weight.gradient.begin()));
      if (bias) CHECK(std::equal(fused.bias.gradient.begin(), fused.bias.gradient.end(), plain.bias.gradient.begin()));
    }
}

TEST_CASE("Linear: frozen parameters get no gradient, nor does an input nobody asks about") {
  const auto x = test::random_tensor<float>({9, 20}, 1), y = test::random_tensor<float>({9, 6}, 2), dy = test::random_tensor<float>({9, 6}, 3);
  for (const bool weight : {true, false})
    for (const bool bias : {true, false}) {
      Linear<float> layer({.in = 20, .out = 6});
      layer.weight.frozen = !weight, layer.bias.frozen = !bias;
      Pass<Cpu> pass(Mode::training);
      layer.backward(x, y, dy, nullptr, pass, {.relu = true});
      CHECK((layer.weight.gradient.size() > 0) == weight);
      CHECK((layer.bias.gradient.size() > 0) == bias);
    }
}

TEST_CASE_TEMPLATE("Linear: Cuda agrees with Cpu, gradients accumulate", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;
  for (const bool bias : {true, false})
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{1, 13, 7}, Shape{3, 300, 5}, Shape{70, 17, 33}, Shape{600, 9, 2}, Shape{20, 64, 128}}) {
      const Index rows = shape[0], in = shape[1], out = shape[2];
      CAPTURE(to_string(shape));
      Linear<T> layer({.in = in, .out = out, .bias = bias});
      Linear<T, Cuda> on_cuda({.in = in, .out = out, .bias = bias});
      on_cuda.weight.value = layer.weight.value.template to<Cuda>();
      if (bias) {
        layer.bias.value = test::random_tensor<T>({out}, 5);
        on_cuda.bias.value = layer.bias.value.template to<Cuda>();
      }
      const auto x = test::random_tensor<T>({rows, in}, 1), dy = test::random_tensor<T>({rows, out}, 2);
      for (int pass = 0; pass < 2; ++pass) {
        const auto expected = test::run_backward(layer, x, dy);
        const auto got = test::run_backward(on_cuda, x.template to<Cuda>(), dy.template to<Cuda>());
        CHECK(test::relative_error(got.y.template to<Cpu>(), expected.y) < tolerance);
        CHECK(test::relative_error(got.dx.template to<Cpu>(), expected.dx) < tolerance);
      }
      CHECK(test::relative_error(on_cuda.weight.gradient.template to<Cpu>(), layer.weight.gradient) < tolerance);
      if (bias) CHECK(test::relative_error(on_cuda.bias.gradient.template to<Cpu>(), layer.bias.gradient) < tolerance);
    }
}

TEST_CASE_TEMPLATE("linear kernels: all gradients of a small layer in one launch agree with the products one by one, bit for bit", T, float, double) {
  const Cuda::Stream stream = Cuda::stream();
  for (const Shape& shape : {Shape{1, 1, 1}, Shape{33, 40, 10}, Shape{70, 65, 84}, Shape{200, 31, 3}, Shape{5, 70, 255}, Shape{0, 3, 2}})
    for (const bool relu : {false, true}) {
      const Index rows = shape[0], in = shape[1], out = shape[2];
      CAPTURE(to_string(shape));
      const auto random = [](const Shape& s, unsigned seed) { return test::random_tensor<T>(s, seed).template to<Cuda>(); };
      const auto x = random({rows, in}, 1), w = random({out, in}, 3), dy = random({rows, out}, 4), start = random({out, in}, 5), first = random({out}, 6);
      auto y = random({rows, out}, 2), slope = dy.clone();
      if (relu) activation_backward(stream, activation::Relu<T>{}, y.ref(), y.ref(), dy.ref(), slope.ref());
      Tensor<T, Cuda> dx({rows, in}), dx_alone({rows, in}), dw = start.clone(), dw_alone = start.clone(), db = first.clone(), db_alone = first.clone(),
                                                            gated({rows, out});
      linear_backward_input<T>(stream, w, slope, dx.ref());
      linear_backward_weight<T>(stream, x, slope, dw.ref());
      linear_backward_bias<T>(stream, slope, db.ref());
      Out<T, Cuda> kept = gated.ref(), to_dx = dx_alone.ref(), to_dw = dw_alone.ref(), to_db = db_alone.ref();
      const auto run = [&](auto* a, auto* b, auto* c) { linear_backward<T>(stream, x, y, w, dy, relu ? &kept : nullptr, a, b, c); };
      const auto same = [](const Tensor<T, Cuda>& a, const Tensor<T, Cuda>& b) { return std::ranges::equal(a.template to<Cpu>(), b.template to<Cpu>()); };
      Out<T, Cuda>* const none = nullptr;
      run(&to_dx, none, none), run(none, &to_dw, none), run(none, none, &to_db), run(none, none, none);
      CHECK((same(dx, dx_alone) && same(dw, dw_alone) && same(db, db_alone)));
      Cuda::copy(to_dw.data, start.data(), static_cast<std::size_t>(start.size()) * sizeof(T));
      Cuda::copy(to_db.data, first.data(), static_cast<std::size_t>(first.size()) * sizeof(T));
      dx_alone.fill(T(7));
      run(&to_dx, &to_dw, &to_db);
      CHECK((same(dx, dx_alone) && same(dw, dw_alone) && same(db, db_alone)));
    }
}

TEST_CASE_TEMPLATE("linear kernels: 16 bits stored, float computed", T, bfloat16, half) {
  const Index rows = 37, in = 50, out = 21;
  const auto widen = [](const auto& x) {
    auto y = Tensor<float>::uninitialized(x.shape());
    for (Index i = 0; i < x.size(); ++i) y[i] = static_cast<float>(x[i]);
    return y;
  };
  const auto x = test::random_tensor<T>({rows, in}, 1), w = test::random_tensor<T>({out, in}, 2), b = test::random_tensor<T>({out}, 3),
             dy = test::random_tensor<T>({rows, out}, 4);
  const auto wide_x = widen(x), wide_w = widen(w), wide_b = widen(b), wide_dy = widen(dy);
  Tensor<float> y({rows, out}), dx({rows, in}), dw({out, in}), db({out});
  linear_forward<float>(cpu::Stream{}, wide_x, wide_w, wide_b, y.ref());
  linear_backward_input<float>(cpu::Stream{}, wide_w, wide_dy, dx.ref());
  linear_backward_weight<float>(cpu::Stream{}, wide_x, wide_dy, dw.ref());
  linear_backward_bias<float>(cpu::Stream{}, wide_dy, db.ref());

  const auto cuda_x = x.template to<Cuda>(), cuda_w = w.template to<Cuda>(), cuda_b = b.template to<Cuda>(), cuda_dy = dy.template to<Cuda>();
  Tensor<T, Cuda> cuda_y({rows, out}), cuda_dx({rows, in}), cuda_dw({out, in}), cuda_db({out});
  linear_forward<T>(Cuda::stream(), cuda_x, cuda_w, cuda_b, cuda_y.ref());
  linear_backward_input<T>(Cuda::stream(), cuda_w, cuda_dy, cuda_dx.ref());
  linear_backward_weight<T>(Cuda::stream(), cuda_x, cuda_dy, cuda_dw.ref());
  linear_backward_bias<T>(Cuda::stream(), cuda_dy, cuda_db.ref());
  const double tolerance = std::is_same_v<T, half> ? 0x1p-11 : 0x1p-8;  // rounded once, on writing
  CHECK(test::relative_error(widen(cuda_y.template to<Cpu>()), y) < tolerance);
  CHECK(test::relative_error(widen(cuda_dx.template to<Cpu>()), dx) < tolerance);
  CHECK(test::relative_error(widen(cuda_dw.template to<Cpu>()), dw) < tolerance);
  CHECK(test::relative_error(widen(cuda_db.template to<Cpu>()), db) < tolerance);
}

TEST_CASE("Linear: parameters, FLOPs, error messages") {
  Linear<float> layer({.in = 120, .out = 10});
  CHECK(layer.parameters().size() == 2);
  CHECK(layer.flops({64, 120}) == 2 * 64 * 120 * 10);
  const auto message = [](auto f) { return test::message_of<ShapeError>(f); };
  CHECK(message([&] { layer.output_shape({8, 84}); }) == "Linear: input [8,84] has 84 features; weight [10,120] expects 120");
  CHECK(message([&] { layer.output_shape({120}); }) == "Linear: input [120] has rank 1; [N,...,120] is needed");
  CHECK(message([] { Linear<float>({.in = 3}); }) == "Linear: in 3 and out 0 must be positive");
}

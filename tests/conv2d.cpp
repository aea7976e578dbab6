#include "ventral/layers/conv2d.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"
#include "window_lines.hpp"

using namespace ventral;

namespace {

/// Convolution by its definition: y, and the gradients for a given dy.
struct Reference {
  Tensor<double> y, dx, dw, db;
};

Reference reference(const Conv2dOptions& o, const WindowPlan& p, const Tensor<double>& w, const Tensor<double>& b, const Tensor<double>& x,
                    const Tensor<double>& dy) {
  Reference r{Tensor<double>(dy.shape()), Tensor<double>(x.shape()), Tensor<double>(w.shape()), Tensor<double>({o.out})};
  const Index plane = p.h.out * p.w.out;
  for (Index e = 0; e < dy.size(); ++e) {
    const Index output = e / plane % o.out;
    r.db[output] += dy[e];
    r.y[e] = o.bias ? b[output] : 0;
  }
  test::add_products(p, x.shape(), o.out, o.groups, x.data(), w.data(), r.y.data());
  test::add_gradients(p, x.shape(), o.out, o.groups, x.data(), w.data(), dy.data(), r.dx.data(), r.dw.data());
  return r;
}

/// Compares y, dx, dw and db with the definition, in the layer's own precision.
template <class T, class Space = Cpu>
void check_against_definition(const Conv2dOptions& options, Shape shape) {
  CAPTURE(to_string(shape));
  CAPTURE(options.kernel.h);
  CAPTURE(options.stride.h);
  CAPTURE(options.groups);
  Conv2d<T, Space> layer(options);
  if (options.bias) layer.bias.value = test::random_tensor<T, Space>({options.out}, 7);
  const auto x = test::random_tensor<T>(shape, 1), dy = test::random_tensor<T>(layer.output_shape(shape), 2);
  const auto result = test::run_backward(layer, x.template to<Space>(), dy.template to<Space>());
  const auto in_double = [](const Tensor<T, Space>& values) { return values.template to<Cpu>().template cast<double>(); };
  const WindowPlan plan = place(layer.window(), shape[2], shape[3], "Conv2d");
  const Reference expected = reference(options, plan, in_double(layer.weight.value), in_double(layer.bias.value), x.template cast<double>(),
                                       dy.template cast<double>());
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-14;
  CHECK(test::relative_error(in_double(result.y), expected.y) < tolerance);
  CHECK(test::relative_error(in_double(result.dx), expected.dx) < tolerance);
  CHECK(test::relative_error(in_double(layer.weight.gradient), expected.dw) < tolerance);
  if (options.bias) CHECK(test::relative_error(in_double(layer.bias.gradient), expected.db) < tolerance);
}

/// The textbook's image, 0 to 8.
Tensor<double> textbook_image() { return Tensor<double>({1, 1, 3, 3}, {0, 1, 2, 3, 4, 5, 6, 7, 8}); }
Conv2d<double> textbook_layer(Padding padding) {
  Conv2d<double> layer({.in = 1, .out = 1, .kernel = 2, .padding = padding, .bias = false});
  layer.weight.value = Tensor<double>({1, 1, 2, 2}, {0, 1, 2, 3});
  return layer;
}

}  // namespace

TEST_CASE("Conv2d: the textbook case") {
  auto plain = textbook_layer(0), padded = textbook_layer(1);
  CHECK(test::relative_error(test::run(plain, textbook_image()), Tensor<double>({1, 1, 2, 2}, {19, 25, 37, 43})) == 0);
  CHECK(test::relative_error(test::run(padded, textbook_image()), Tensor<double>({1, 1, 4, 4}, {0, 3, 8, 4, 9, 19, 25, 10, 21, 37, 43, 16, 6, 7, 8, 0})) == 0);
}

TEST_CASE_TEMPLATE("Conv2d: agrees with the definition", T, float, double) {
  const auto check = [](const Conv2dOptions& o, Shape x) {
    check_against_definition<T, Cpu>(o, x);
    check_against_definition<T, Cuda>(o, x);
  };
  check({.in = 3, .out = 4, .kernel = 3}, {2, 3, 7, 6});
  check({.in = 1, .out = 6, .kernel = 5, .padding = 2}, {5, 1, 28, 28});  // LeNet-5
  check({.in = 6, .out = 16, .kernel = 5}, {3, 6, 14, 14});
  check({.in = 1, .out = 13, .kernel = 3, .padding = 1}, {2, 1, 8, 12});  // fewer taps than outputs, pixels in whole registers
  check({.in = 2, .out = 22, .kernel = 3, .stride = 2, .padding = 1, .groups = 2}, {2, 2, 8, 15});
  check({.in = 2, .out = 3, .kernel = {1, 4}, .stride = {1, 2}, .padding = {0, 3}}, {2, 2, 8, 5});
  check({.in = 2, .out = 3, .kernel = {3, 2}, .stride = {2, 3}, .padding = {1, 0, 2, 1}}, {2, 2, 9, 10});  // asymmetric
  check({.in = 2, .out = 13, .kernel = 2, .stride = 3, .padding = 1}, {1, 2, 8, 11});                      // stride > kernel
  check({.in = 2, .out = 2, .kernel = 1, .stride = 2}, {1, 2, 7, 7});
  check({.in = 2, .out = 5, .kernel = 3, .dilation = {2, 3}}, {1, 2, 9, 9});
  check({.in = 3, .out = 5, .kernel = 3, .stride = 2, .padding = 2, .dilation = 2}, {2, 3, 11, 9});
  check({.in = 3, .out = 2, .kernel = 2, .stride = {3, 2}, .dilation = {2, 5}}, {2, 3, 11, 9});
  check({.in = 4, .out = 6, .kernel = 3, .padding = 1, .groups = 2}, {2, 4, 5, 5});
  check({.in = 3, .out = 3, .kernel = 3, .groups = 3, .bias = false}, {2, 3, 6, 9});                    // depthwise
  check({.in = 3, .out = 6, .kernel = 3, .stride = 2, .padding = 1, .groups = 3}, {1, 3, 33, 35});      // with a multiplier
  check({.in = 3, .out = 9, .kernel = 5, .padding = 2, .groups = 3}, {1, 3, 8, 8});
  check({.in = 5, .out = 2, .kernel = 1}, {3, 5, 4, 4});
  check({.in = 2, .out = 3, .kernel = 5}, {3, 2, 5, 5});  // the whole image
  check({.in = 2, .out = 3, .kernel = {4, 5}, .groups = 1}, {1, 2, 4, 5});
  check({.in = 2, .out = 4, .kernel = 5, .groups = 2}, {2, 2, 5, 5});
  check({.in = 2, .out = 3, .kernel = 4, .padding = Padding::same()}, {2, 2, 7, 6});
  check({.in = 2, .out = 3, .kernel = 3, .stride = 2, .padding = Padding::same()}, {2, 2, 8, 7});
  check({.in = 2, .out = 3, .kernel = 4, .stride = 3, .padding = Padding::same_lower()}, {2, 2, 8, 10});
  check({.in = 1, .out = 1, .kernel = 1}, {1, 1, 1, 1});
  check({.in = 1, .out = 2, .kernel = 3, .padding = 4}, {1, 1, 2, 1});  // windows in the padding alone
}

TEST_CASE_TEMPLATE("Conv2d: large enough to be cut into blocks of rows and channels", T, float, double) {
  check_against_definition<T>({.in = 40, .out = 14, .kernel = 3, .padding = 1}, {1, 40, 17, 40});
  check_against_definition<T>({.in = 2, .out = 3, .kernel = 3, .padding = 1}, {1, 2, 60, 300});
  check_against_definition<T>({.in = 1, .out = 7, .kernel = {2, 3}}, {2, 1, 57, 210});  // the last block is shorter
  check_against_definition<T>({.in = 32, .out = 3, .kernel = 1}, {1, 32, 60, 64});  // channels a power of two apart
  check_against_definition<T, Cuda>({.in = 17, .out = 14, .kernel = 3, .padding = 1}, {2, 17, 17, 40});
}

TEST_CASE_TEMPLATE("Conv2d: windows of one pixel on small images, and that skip pixels", T, float, double) {
  check_against_definition<T>({.in = 70, .out = 45, .kernel = 1}, {5, 70, 7, 7});
  check_against_definition<T>({.in = 37, .out = 20, .kernel = 1, .stride = 2}, {7, 37, 13, 15});
  check_against_definition<T>({.in = 33, .out = 15, .kernel = 1, .stride = 2, .padding = 3}, {6, 33, 7, 7});  // whole rows in the padding
  check_against_definition<T>({.in = 3, .out = 17, .kernel = 1, .stride = {3, 1}, .padding = {0, 1, 2, 3}}, {4, 3, 10, 5});
  check_against_definition<T>({.in = 1, .out = 1, .kernel = 1, .stride = {1, 5}}, {33, 1, 1, 5});
  check_against_definition<T>({.in = 3, .out = 3500, .kernel = 1}, {7, 3, 7, 7});  // dy is packed in pieces
}

TEST_CASE_TEMPLATE("Conv2d: batches that leave many lanes empty", T, float, double) {
  for (const Index images : {9, 11, 18}) check_against_definition<T>({.in = 14, .out = 25, .kernel = 5, .padding = 2}, {images, 14, 9, 9});
}

TEST_CASE_TEMPLATE("Conv2d: gradients by finite differences", Space, VENTRAL_TEST_SPACES) {
  const auto check = [](const Conv2dOptions& options, Shape shape) {
    const auto x = test::random_tensor<double, Space>(shape);
    Conv2d<double, Space> layer(options);
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("conv", layer);
    test::check_gradient(behind, x);
  };
  check({.in = 2, .out = 3, .kernel = {3, 2}, .stride = {2, 1}, .padding = {1, 0, 0, 2}}, {2, 2, 6, 5});
  check({.in = 4, .out = 4, .kernel = 3, .padding = 2, .dilation = 2, .groups = 4}, {1, 4, 5, 6});
  check({.in = 2, .out = 3, .kernel = 4}, {3, 2, 4, 4});
}

TEST_CASE_TEMPLATE("Conv2d: an empty batch", Space, VENTRAL_TEST_SPACES) {
  for (const Index kernel : {3, 6}) {
    Conv2d<float, Space> layer({.in = 2, .out = 3, .kernel = kernel});
    const Shape out = layer.output_shape({0, 2, 6, 6});
    CHECK(out == Shape{0, 3, 7 - kernel, 7 - kernel});
    const auto result = test::run_backward(layer, Tensor<float, Space>({0, 2, 6, 6}), Tensor<float, Space>(out));
    CHECK(result.y.size() == 0);
    CHECK(layer.weight.gradient.shape() == layer.weight.value.shape());
    for (const float v : layer.weight.gradient.template to<Cpu>()) CHECK(v == 0);
    for (const float v : layer.bias.gradient.template to<Cpu>()) CHECK(v == 0);
  }
}

TEST_CASE("Conv2d: the same bits for any number of threads") {
  const int before = cpu::threads();
  for (const Conv2dOptions& options :
       {Conv2dOptions{.in = 1, .out = 6, .kernel = 5, .padding = 2}, Conv2dOptions{.in = 3, .out = 3, .kernel = 3, .groups = 3}}) {
    const Shape shape{37, options.in, 20, 20};
    const auto x = test::random_tensor<float>(shape, 1);
    Conv2d<float> a(options), b(options);
    const auto dy = test::random_tensor<float>(a.output_shape(shape), 2);
    cpu::set_threads(1);
    const auto one = test::run_backward(a, x, dy);
    cpu::set_threads(2);
    const auto two = test::run_backward(b, x, dy);
    CHECK(std::equal(one.y.begin(), one.y.end(), two.y.begin()));
    CHECK(std::equal(one.dx.begin(), one.dx.end(), two.dx.begin()));
    CHECK(std::equal(a.weight.gradient.begin(), a.weight.gradient.end(), b.weight.gradient.begin()));
    CHECK(std::equal(a.bias.gradient.begin(), a.bias.gradient.end(), b.bias.gradient.begin()));
  }
  cpu::set_threads(before);
}

TEST_CASE_TEMPLATE("Conv2d: gradients accumulate, frozen parameters and an unwanted dx are skipped", Space, VENTRAL_TEST_SPACES) {
  Conv2d<double, Space> layer({.in = 2, .out = 3, .kernel = 3});
  const auto x = test::random_tensor<double, Space>({2, 2, 5, 5}), dy = test::random_tensor<double, Space>({2, 3, 3, 3}, 2);
  const auto gradient = [&] { return layer.weight.gradient.template to<Cpu>(); };
  test::run_backward(layer, x, dy);
  auto twice = gradient(), bias_twice = layer.bias.gradient.template to<Cpu>();
  for (double& v : twice) v *= 2;
  for (double& v : bias_twice) v *= 2;
  test::run_backward(layer, x, dy);
  CHECK(test::relative_error(gradient(), twice) < 1e-15);
  CHECK(test::relative_error(layer.bias.gradient.template to<Cpu>(), bias_twice) < 1e-15);
  layer.weight.frozen = true;
  layer.bias.gradient.zero();
  Pass<Space> pass(Mode::training);
  layer.backward(x, dy, dy, nullptr, pass);
  CHECK(test::relative_error(gradient(), twice) < 1e-15);
  CHECK(layer.bias.gradient.template to<Cpu>()[0] != 0);
}

TEST_CASE("Conv2d: parameters, FLOPs, window") {
  Conv2d<float> layer({.in = 6, .out = 16, .kernel = 5});
  CHECK(layer.parameters().size() == 2);
  CHECK(layer.weight.value.shape() == Shape{16, 6, 5, 5});
  CHECK(layer.flops({64, 6, 14, 14}) == 2 * 64 * 16 * 100 * 150);
  CHECK(layer.window().kernel == Pair(5));
  CHECK(Conv2d<float>({.in = 4, .out = 4, .kernel = 3, .groups = 4, .bias = false}).parameters().size() == 1);
  Conv2d<float> again({.in = 6, .out = 16, .kernel = 5});
  CHECK(std::equal(layer.weight.value.begin(), layer.weight.value.end(), again.weight.value.begin()));
  again.initialize(Random(5));
  CHECK(layer.weight.value[0] != again.weight.value[0]);
}

TEST_CASE("Conv2d: error messages") {
  const auto message = [](auto f) { return test::message_of<ShapeError>(f); };
  const Conv2d<float> layer({.in = 1, .out = 6, .kernel = 5});
  CHECK(message([&] { layer.output_shape({8, 3, 32, 32}); }) == "Conv2d: input [8,3,32,32] has 3 channels; weight [6,1,5,5] expects 1");
  CHECK(message([&] { layer.output_shape({8, 784}); }) == "Conv2d: input [8,784] has rank 2; [N,1,H,W] is needed");
  CHECK(message([&] { layer.output_shape({8, 1, 4, 28}); }) == "Conv2d: height 4 with padding 0+0 is smaller than the window, which spans 5");
  CHECK(message([] { Conv2d<float>({.in = 3, .out = 4, .kernel = 3, .groups = 2}); }) == "Conv2d: 3 channels in and 4 out cannot be cut into 2 groups");
  CHECK(message([] { Conv2d<float>({.in = 0, .out = 4, .kernel = 3}); }) == "Conv2d: in 0, out 4 and groups 1 must be positive");
  CHECK(message([] { Conv2d<float>({.in = 1, .out = 4, .kernel = 3, .stride = 0}); }) == "Conv2d: stride 0x0 must be positive");
  CHECK(message([] { Conv2d<float>({.in = 1, .out = 4, .kernel = {3, 0}}); }) == "Conv2d: kernel 3x0 must be positive");
}

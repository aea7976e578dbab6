#include "ventral/layers/conv_transpose2d.hpp"

#include "support.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

namespace {

/// Each input paints its kernel on the output.
template <class T, class Space>
Tensor<double> painted(const ConvTranspose2d<T, Space>& layer, const Tensor<T>& x) {
  const ConvTranspose2dOptions& o = layer.options();
  const auto weight = layer.weight.value.template to<Cpu>(), bias = layer.bias.value.template to<Cpu>();
  Tensor<double> y(layer.output_shape(x.shape()));
  const Index inputs = o.in / o.groups, outputs = o.out / o.groups;
  for (Index n = 0; n < x.dim(0); ++n) {
    for (Index k = 0; k < o.out; ++k)
      for (Index v = 0; v < y.dim(2); ++v)
        for (Index u = 0; u < y.dim(3); ++u) y.at(n, k, v, u) = o.bias ? static_cast<double>(bias[k]) : 0;
    for (Index c = 0; c < o.in; ++c)
      for (Index k = 0; k < outputs; ++k)
        for (Index v = 0; v < x.dim(2); ++v)
          for (Index u = 0; u < x.dim(3); ++u)
            for (Index i = 0; i < o.kernel.h; ++i)
              for (Index j = 0; j < o.kernel.w; ++j) {
                const Index row = v * o.stride.h - o.padding.top + i * o.dilation.h, column = u * o.stride.w - o.padding.left + j * o.dilation.w;
                if (row < 0 || row >= y.dim(2) || column < 0 || column >= y.dim(3)) continue;
                y.at(n, c / inputs * outputs + k, row, column) +=
                    static_cast<double>(x.at(n, c, v, u)) * static_cast<double>(weight.at(c, k, i, j));
              }
  }
  return y;
}

const ConvTranspose2dOptions all_options[] = {
    {.in = 3, .out = 2, .kernel = 3, .stride = 2, .padding = 1, .output_padding = 1},
    {.in = 2, .out = 4, .kernel = {2, 3}, .stride = {1, 3}, .padding = {0, 1, 1, 0}, .output_padding = {0, 2}},
    {.in = 4, .out = 6, .kernel = 3, .stride = 2, .padding = 2, .dilation = 2, .groups = 2},
    {.in = 3, .out = 3, .kernel = 2, .stride = 3, .groups = 3, .bias = false},  // gaps between the painted kernels
    {.in = 1, .out = 1, .kernel = 1},
    {.in = 2, .out = 3, .kernel = 3, .stride = 2, .output_padding = {1, 2}, .dilation = {1, 3}},
};

}  // namespace

TEST_CASE_TEMPLATE("ConvTranspose2d: agrees with the definition", Space, VENTRAL_TEST_SPACES) {
  const auto check = [](const ConvTranspose2dOptions& options, Index batch, auto number, double tolerance) {
    using T = decltype(number);
    ConvTranspose2d<T, Space> layer(options);
    if (options.bias) layer.bias.value = test::random_tensor<T, Space>({options.out}, 3);
    const auto x = test::random_tensor<T>({batch, options.in, 4, 5});
    CHECK(test::relative_error(test::run(layer, x.template to<Space>()).template to<Cpu>(), painted(layer, x)) < tolerance);
  };
  for (const auto& options : all_options)
    for (const Index batch : {0, 1, 3}) {
      check(options, batch, float{}, 1e-6);
      check(options, batch, double{}, 1e-14);
    }
}

TEST_CASE_TEMPLATE("ConvTranspose2d: Cuda agrees with Cpu", T, float, double) {
  const double tolerance = sizeof(T) == 4 ? 1e-5 : 1e-13;  // both round
  for (const auto& options : all_options)
    for (const Index batch : {1, 3}) {
      ConvTranspose2d<T, Cpu> on_cpu(options);
      ConvTranspose2d<T, Cuda> on_cuda(options);
      const auto x = test::random_tensor<T>({batch, options.in, 6, 3}, 4), dy = test::random_tensor<T>(on_cpu.output_shape(x.shape()), 5);
      const auto expected = test::run_backward(on_cpu, x, dy);
      const auto result = test::run_backward(on_cuda, x.template to<Cuda>(), dy.template to<Cuda>());
      CHECK(test::relative_error(result.y.template to<Cpu>(), expected.y) < tolerance);
      CHECK(test::relative_error(result.dx.template to<Cpu>(), expected.dx) < tolerance);
      CHECK(test::relative_error(on_cuda.weight.gradient.template to<Cpu>(), on_cpu.weight.gradient) < tolerance);
      if (options.bias) CHECK(test::relative_error(on_cuda.bias.gradient.template to<Cpu>(), on_cpu.bias.gradient) < tolerance);
    }
}

TEST_CASE_TEMPLATE("ConvTranspose2d: gradients by finite differences", Space, VENTRAL_TEST_SPACES) {
  for (const auto& options : all_options) {
    const auto x = test::random_tensor<double, Space>({2, options.in, 4, 5});
    ConvTranspose2d<double, Space> layer(options);
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("deconv", layer);
    test::check_gradient(behind, x);
  }
}

TEST_CASE_TEMPLATE("ConvTranspose2d: doubles an image, an empty batch stays empty", Space, VENTRAL_TEST_SPACES) {
  ConvTranspose2d<double, Space> layer({.in = 1, .out = 1, .kernel = 2, .stride = 2, .init = {Init::constant, 1}});
  CHECK(test::relative_error(test::run(layer, Tensor<double, Space>({1, 1, 2, 2}, {1, 2, 3, 4})).template to<Cpu>(),
                             Tensor<double>({1, 1, 4, 4}, {1, 1, 2, 2, 1, 1, 2, 2, 3, 3, 4, 4, 3, 3, 4, 4})) == 0);
  CHECK(layer.flops({1, 1, 2, 2}) == 2 * 4 * 4);
  const auto result = test::run_backward(layer, Tensor<double, Space>({0, 1, 2, 2}), Tensor<double, Space>({0, 1, 4, 4}));
  CHECK(result.y.shape() == Shape{0, 1, 4, 4});
  CHECK(layer.weight.gradient.template to<Cpu>()[3] == 0);
}

TEST_CASE("ConvTranspose2d: error messages") {
  const auto message = [](auto f) { return test::message_of<ShapeError>(f); };
  CHECK(message([] { ConvTranspose2d<float>({.in = 1, .out = 1, .kernel = 3, .stride = 2, .output_padding = 2}); }) ==
        "ConvTranspose2d: output_padding 2x2 must be smaller than stride 2x2 or dilation 1x1");
  CHECK(message([] { ConvTranspose2d<float>({.in = 1, .out = 1, .kernel = 3, .padding = Padding::same()}); }) ==
        "ConvTranspose2d: `same` padding does not determine the output; give the rows and columns");
  CHECK(message([] { ConvTranspose2d<float>({.in = 1, .out = 1, .kernel = 1, .padding = 2}).output_shape({1, 1, 3, 3}); }) ==
        "ConvTranspose2d: input [1,1,3,3] gives an output of -1x-1");
  CHECK(message([] { ConvTranspose2d<float>({.in = 2, .out = 1, .kernel = 1}).output_shape({1, 3, 3, 3}); }) ==
        "ConvTranspose2d: input [1,3,3,3] has 3 channels; weight [2,1,1,1] expects 2");
}

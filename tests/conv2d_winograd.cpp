#include <limits>

#include "support.hpp"
#include "ventral/cuda/conv2d_winograd.cuh"

// Winograd's kernel F(2x2,3x3) on CUDA against plain loops in double, over shapes that fit no tile. When it is chosen: conv2d_kernels.cpp.
using namespace ventral;

namespace {

using OnCuda = Tensor<float, Cuda>;

struct Problem {
  Index images, channels, height, width, outputs;
  Padding padding;
};

/// Numbers, and what must come out, by the definition.
struct Experiment {
  WindowPlan plan;
  Tensor<float> x, w, b, dy;
  Tensor<double> y, dx;

  explicit Experiment(const Problem& p)
      : plan(place({3, 1, p.padding, 1}, p.height, p.width, "test")),
        x(test::random_tensor<float>({p.images, p.channels, p.height, p.width}, 1)),
        w(test::random_tensor<float>({p.outputs, p.channels, 3, 3}, 2, 0, 1 / std::sqrt(9.0 * static_cast<double>(p.channels)))),
        b(test::random_tensor<float>({p.outputs}, 3)),
        dy(test::random_tensor<float>({p.images, p.outputs, plan.h.out, plan.w.out}, 4)),
        y(dy.shape()),
        dx(x.shape()) {
    const auto as_double = [](float v) { return static_cast<double>(v); };
    for (Index n = 0; n < p.images; ++n)
      for (Index o = 0; o < p.outputs; ++o)
        for (Index i = 0; i < plan.h.out; ++i)
          for (Index j = 0; j < plan.w.out; ++j) {
            double sum = as_double(b[o]);
            for (Index c = 0; c < p.channels; ++c)
              for (Index q = 0; q < 3; ++q)
                for (Index r = 0; r < 3; ++r) {
                  const Index s = plan.h.origin(i) + q, t = plan.w.origin(j) + r;
                  if (s < 0 || s >= p.height || t < 0 || t >= p.width) continue;
                  sum += as_double(w.at(o, c, q, r)) * as_double(x.at(n, c, s, t));
                  dx.at(n, c, s, t) += as_double(w.at(o, c, q, r)) * as_double(dy.at(n, o, i, j));
                }
            y.at(n, o, i, j) = sum;
          }
  }

  gpu::detail::ConvSizes sizes() const { return {plan, 1, x.shape(), dy.shape()}; }
};

/// NaN where nothing is written.
Tensor<float> forward(const Experiment& e, bool bias = true) {
  const auto x = e.x.to<Cuda>(), w = e.w.to<Cuda>(), b = e.b.to<Cuda>();
  OnCuda y = OnCuda::full(e.y.shape(), NAN);
  gpu::detail::conv_winograd<float>(Cuda::stream(), e.sizes(), false, x, w, bias ? In<float, Cuda>(b) : In<float, Cuda>(), {}, y);
  return y.to<Cpu>();
}
Tensor<float> gradient(const Experiment& e) {
  const auto w = e.w.to<Cuda>(), dy = e.dy.to<Cuda>();
  OnCuda dx = OnCuda::full(e.dx.shape(), NAN);
  gpu::detail::conv_winograd<float>(Cuda::stream(), e.sizes(), true, dy, w, In<float, Cuda>(), {}, dx);
  return dx.to<Cpu>();
}

bool same_bits(const Tensor<float>& a, const Tensor<float>& b) {
  return a.shape() == b.shape() && std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.size()) * sizeof(float)) == 0;
}

void check(const Problem& p) {
  CAPTURE(concat(p.images, "x", p.channels, "x", p.height, "x", p.width, " to ", p.outputs, ", padding ", p.padding.top, " ", p.padding.left, " ", p.padding.bottom,
                 " ", p.padding.right));
  const Experiment e(p);
  CHECK(test::relative_error(forward(e), e.y) < 2e-6);
  CHECK(test::relative_error(gradient(e), e.dx) < 2e-6);
}

}  // namespace

TEST_CASE("convolution kernels: winograd agrees with plain loops") {
  const Problem problems[] = {
      {1, 1, 3, 4, 1, 0},                                               // one channel, one patch
      {2, 3, 7, 5, 4, 1},     {1, 9, 6, 6, 65, 1},  {3, 65, 4, 7, 3, 1},  // no multiples of 4, 8, 64
      {5, 7, 9, 9, 5, 2},     {2, 2, 11, 13, 7, 3},                     // more padding than the gradient's window reaches
      {2, 4, 10, 6, 9, {0, 1, 2, 3}},                                   // asymmetric
      {2, 5, 3, 8, 6, {4, 0, 0, 1}},                                    // windows in the padding alone
      {40, 2, 4, 4, 3, 1},                                              // more patches than a block, several images in one
      {1, 3, 2, 70, 70, 1},                                             // more rows and patches than a block
  };
  for (const Problem& p : problems) check(p);
}

TEST_CASE("convolution kernels: winograd on images of 1 to 5 pixels") {
  // 3 x 3 pixels without padding are a linear layer
  for (Index h = 1; h <= 5; ++h)
    for (Index w = 1; w <= 5; ++w)
      for (const Index padding : {0, 1, 2})
        if (h + 2 * padding >= 3 && w + 2 * padding >= 3 && h + w + padding != 6) check({2, 3, h, w, 5, padding});
}

TEST_CASE("convolution kernels: winograd on an empty batch, without a bias, on odd addresses, the same bits every time") {
  OnCuda none({0, 3, 6, 6}), none_y({0, 4, 6, 6}), w({4, 3, 3, 3}), b({4});
  const gpu::detail::ConvSizes empty(place({3, 1, 1, 1}, 6, 6, "test"), 1, none.shape(), none_y.shape());
  gpu::detail::conv_winograd<float>(Cuda::stream(), empty, false, none, w, b, {}, none_y);
  gpu::detail::conv_winograd<float>(Cuda::stream(), empty, true, none_y, w, In<float, Cuda>(), {}, none);

  const Experiment e({3, 6, 6, 6, 10, 1});
  const auto with = forward(e), without = forward(e, false);
  CHECK(same_bits(with, forward(e)));
  for (Index i = 0; i < with.size(); ++i) CHECK(with[i] - without[i] == doctest::Approx(e.b[i / 36 % 10]).epsilon(1e-5));

  // x, w and y one number beyond a multiple of 16 bytes
  const auto shifted = [](const Tensor<float>& t) {
    Tensor<float> more({t.size() + 1});
    std::copy(t.begin(), t.end(), more.begin() + 1);
    return more.to<Cuda>();
  };
  const auto x = shifted(e.x), weights = shifted(e.w), bias = shifted(e.b);
  OnCuda y({e.y.size() + 1});
  const auto from = [](const OnCuda& t, const Shape& shape) { return In<float, Cuda>(t.data() + 1, shape); };
  gpu::detail::conv_winograd<float>(Cuda::stream(), e.sizes(), false, from(x, e.x.shape()), from(weights, e.w.shape()), from(bias, e.b.shape()), {},
                                    Out<float, Cuda>(y.data() + 1, e.y.shape()));
  const Tensor<float> found = y.to<Cpu>();
  CHECK(found[0] == 0);
  CHECK(std::memcmp(found.data() + 1, with.data(), static_cast<std::size_t>(with.size()) * sizeof(float)) == 0);
}

TEST_CASE("convolution kernels: winograd keeps NaN and infinity within the patches that see them") {
  for (const float bad : {NAN, std::numeric_limits<float>::infinity()}) {
    Experiment e({2, 5, 8, 9, 6, 1});
    const Tensor<float> good = forward(e);
    const Index n = 1, row = 4, column = 2;
    e.x.at(n, 3, row, column) = bad;
    const Tensor<float> y = forward(e);
    for (Index i = 0; i < y.size(); ++i) {
      const Index j = i % 9, r = i / 9 % 8, top = r / 2 * 2 - 1, left = j / 2 * 2 - 1;  // the 4 x 4 pixels of the output's patch
      const bool sees = i / (6 * 72) == n && row >= top && row < top + 4 && column >= left && column < left + 4;
      if (!sees) CHECK(y[i] == good[i]);
      const bool direct = std::abs(r - row) <= 1 && std::abs(j - column) <= 1 && sees;
      if (direct) CHECK_FALSE(std::isfinite(y[i]));
    }
  }
}

TEST_CASE("convolution kernels: winograd in a captured graph follows weights that change") {
  const Experiment e({2, 6, 6, 7, 9, 1});
  const auto x = e.x.to<Cuda>(), b = e.b.to<Cuda>(), dy = e.dy.to<Cuda>();
  OnCuda w(e.w.shape()), y(e.y.shape()), dx(e.dx.shape());
  gpu::Graph graph;
  graph.capture([&] {
    gpu::detail::conv_winograd<float>(Cuda::stream(), e.sizes(), false, x, w, b, {}, y);
    gpu::detail::conv_winograd<float>(Cuda::stream(), e.sizes(), true, dy, w, In<float, Cuda>(), {}, dx);
  });
  w.copy_from(e.w.to<Cuda>());
  graph.launch();
  CHECK(same_bits(y.to<Cpu>(), forward(e)));
  CHECK(same_bits(dx.to<Cpu>(), gradient(e)));
}

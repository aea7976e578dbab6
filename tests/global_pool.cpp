#include "ventral/layers/global_pool.hpp"

#include "agreement.hpp"
#include "blocks.hpp"
#include "ventral/layers/activation.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("global pooling: planes of every size", T, float, double) {
  for (const Index w : {1, 3, 8, 17, 45}) {
    const auto x = test::random_tensor<T>({3, 2, 5, w}), dy = test::random_tensor<T>({3, 2, 1, 1}, 2);
    GlobalMaxPool<T> max;
    GlobalMeanPool<T> mean;
    Tensor<T> y_max({3, 2, 1, 1}), y_mean({3, 2, 1, 1}), dx_max({3, 2, 5, w}), dx_mean({3, 2, 5, w});
    for (Index p = 0; p < 6; ++p) {
      Index best = p * 5 * w;
      double sum = 0;
      for (Index i = p * 5 * w; i < (p + 1) * 5 * w; ++i) {
        if (x[i] > x[best]) best = i;
        sum += static_cast<double>(x[i]);
        dx_mean[i] = dy[p] / static_cast<T>(5 * w);
      }
      y_max[p] = x[best];
      y_mean[p] = static_cast<T>(sum / static_cast<double>(5 * w));
      dx_max[best] = dy[p];
    }
    const auto a = test::run_backward(max, x, dy), b = test::run_backward(mean, x, dy);
    CHECK(test::relative_error(a.y, y_max) == 0);
    CHECK(test::relative_error(test::run(max, x), y_max) == 0);
    CHECK(test::relative_error(a.dx, dx_max) == 0);
    CHECK(test::relative_error(b.y, y_mean) < (sizeof(T) == 4 ? 1e-6 : 1e-14));
    CHECK(test::relative_error(b.dx, dx_mean) == 0);
  }
}

TEST_CASE_TEMPLATE("global pooling: gradients", Space, VENTRAL_TEST_SPACES) {
  const auto x = test::random_tensor<double, Space>({2, 3, 5, 6});
  const auto check = [&](auto layer) {
    test::check_gradient(layer, x);
    Sequential<double, Space> behind;
    behind.add("front", Tanh<double, Space>()).add("pool", layer);
    test::check_gradient(behind, x);
  };
  check(GlobalMaxPool<double, Space>());
  check(GlobalMeanPool<double, Space>());
}

TEST_CASE_TEMPLATE("global max pooling: ties go to the first, NaN wins wherever it is", Space, VENTRAL_TEST_SPACES) {
  GlobalMaxPool<float, Space> pool;
  const auto both = [&](const Tensor<float>& x) {
    const auto r = test::run_backward(pool, x.to<Space>(), Tensor<float>::full({1, 1, 1, 1}, 3).to<Space>());
    return test::Result<float, Cpu>{r.y.template to<Cpu>(), r.dx.template to<Cpu>()};
  };
  for (const Index n : {1, 5, 16, 40, 100, 1500}) {  // 1500: a block for a plane on Cuda
    const auto equal = both(Tensor<float>::full({1, 1, 1, n}, -2)), lowest = both(Tensor<float>::full({1, 1, 1, n}, -INFINITY));
    CHECK(equal.y[0] == -2);
    CHECK(equal.dx[0] == 3);
    CHECK(lowest.y[0] == -INFINITY);
    CHECK(lowest.dx[0] == 3);
    for (Index at = 0; at < n; at += 1 + n / 40) {
      auto x = test::random_tensor<float>({1, 1, 1, n});
      x[at] = NAN;
      const auto one = both(x);
      CHECK(std::isnan(one.y[0]));
      CHECK(one.dx[at] == 3);
      x[at] = x[n - 1] = 50;
      CHECK(both(x).dx[at] == 3);
    }
  }
}

TEST_CASE_TEMPLATE("global pooling: Cuda agrees with Cpu", T, float, double) {
  for (const Shape& shape :
       {Shape{1, 1, 1, 1}, Shape{300, 1, 2, 2}, Shape{3, 5, 7, 1}, Shape{2, 3, 8, 6}, Shape{1, 2, 41, 37}, Shape{1, 1, 32, 33}}) {
    test::check_agreement<T>([]<class U, class Space> { return GlobalMaxPool<U, Space>(); }, shape);
    test::check_agreement<T>([]<class U, class Space> { return GlobalMeanPool<U, Space>(); }, shape, sizeof(T) == 4 ? 1e-5 : 1e-13);
  }
}

TEST_CASE_TEMPLATE("global pooling: 16-bit numbers agree with float", T, bfloat16, half) {
  for (const Shape& shape : {Shape{5, 3, 7, 9}, Shape{2, 1, 40, 35}}) {
    test::check_narrow<T>([]<class U, class Space> { return GlobalMaxPool<U, Space>(); }, shape);
    test::check_narrow<T>([]<class U, class Space> { return GlobalMeanPool<U, Space>(); }, shape);
  }
}

TEST_CASE_TEMPLATE("global pooling: empty batch", Space, VENTRAL_TEST_SPACES) {
  GlobalMaxPool<float, Space> max;
  GlobalMeanPool<float, Space> mean;
  CHECK(test::run(max, Tensor<float, Space>({0, 4, 3, 3})).shape() == Shape{0, 4, 1, 1});
  CHECK(test::run_backward(mean, Tensor<float, Space>({2, 0, 3, 3}), Tensor<float, Space>({2, 0, 1, 1})).dx.shape() == Shape{2, 0, 3, 3});
}

TEST_CASE("global pooling in blocks: as in rows, ties and NaN too") {
  for (const Index n : {1, 15, 16, 17}) {
    auto x = test::random_tensor<float>({n, 3, 5, 7});
    for (float& v : x) v = std::round(v);  // ties
    test::check_blocks(GlobalMaxPool<float>(), x, 0);
    test::check_blocks(GlobalMeanPool<float>(), x, 1e-6);
  }
  Tensor<float> x({2, 1, 1, 3}, {NAN, NAN, 5, -INFINITY, -INFINITY, -INFINITY});
  GlobalMaxPool<float> pool;
  auto y = Tensor<float>::uninitialized({2, 1, 1, 1}, Format::blocks), dx = Tensor<float>::uninitialized(x.shape(), Format::blocks);
  Pass<Cpu> pass(Mode::training);
  const auto bx = test::in_blocks(x), dy = test::in_blocks(Tensor<float>::full(y.shape(), 1));
  pool.forward(bx, y, pass);
  CHECK(std::isnan(y[0]));
  CHECK(y[1] == -INFINITY);
  Out<float> out = dx.ref();
  pool.backward(bx, y, dy, &out, pass);
  CHECK(test::relative_error(test::in_rows(dx), Tensor<float>(x.shape(), {0, 1, 0, 1, 0, 0})) == 0);
}

TEST_CASE("global pooling: messages") {
  GlobalMaxPool<float> max;
  GlobalMeanPool<float> mean;
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(max.output_shape({2, 3})); }) == "GlobalMaxPool: input [2,3] has rank 2; [N,C,H,W] expected");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(mean.output_shape({2, 3, 0, 5})); }) ==
        "GlobalMeanPool: input [2,3,0,5] has planes of 0 cells; 1 to 2^31 expected");
}

#include "ventral/cpu/conv2d_blocks.hpp"

#include <vector>

#include "helpers.hpp"
#include "ventral/cpu/conv2d.hpp"
#include "window_lines.hpp"

// Convolution with 16 images in lanes: against plain loops in double, at every level of this processor, in both formats, over odd shapes.
using namespace ventral;

namespace {

using Pool = Epilogue::Pool;

struct Setting {
  Shape x;
  Index out;
  Window window;
  Index groups = 1;
};

const std::vector<Setting>& settings() {
  static const std::vector<Setting> all = {
      {{17, 1, 12, 12}, 6, {5}},
      {{16, 6, 9, 8}, 16, {5, 1, 1}},
      {{1, 3, 7, 6}, 4, {3}},
      {{15, 2, 8, 9}, 5, {{3, 2}, {2, 3}, {1, 0, 2, 1}}},
      {{33, 3, 6, 7}, 7, {3, 1, 1}},
      {{16, 2, 9, 10}, 13, {2, 3, 1}},
      {{18, 4, 5, 6}, 8, {3, 1, 1}, 2},
      {{16, 3, 7, 9}, 3, {3, 1, 1}, 3},
      {{20, 3, 9, 8}, 6, {3, 2, 1}, 3},
      {{16, 2, 9, 9}, 5, {3, 1, 0, {2, 3}}},
      {{3, 3, 11, 9}, 5, {3, 2, 2, 2}},
      {{16, 3, 11, 9}, 2, {2, {3, 2}, 0, {2, 5}}},
      {{17, 5, 4, 4}, 9, {1}},
      {{17, 2, 7, 7}, 2, {1, 2}},
      {{16, 1, 2, 1}, 2, {3, 1, 4}},
      {{16, 1, 4, 5}, 2, {2, 9}},
      {{2, 1, 1, 1}, 1, {1}},
      {{32, 2, 40, 37}, 3, {3, 1, 1}},
      {{16, 3, 35, 35}, 10, {11, 4, 2}},
      {{16, 20, 21, 30}, 12, {3, 1, 1}},
  };
  return all;
}

Shape output_shape(const Setting& s) {
  const WindowPlan p = place(s.window, s.x[2], s.x[3], "test");
  return {s.x[0], s.out, p.h.out, p.w.out};
}

/// Multiples of 1/4: sums are exact, so that maxima tie and ReLU meets 0 in every precision alike.
Tensor<float> quarters(Shape shape, std::uint64_t seed) {
  auto x = test::random_tensor<float>(shape, seed);
  for (float& v : x) v = std::round(4 * v) / 4;
  return x;
}

/// By the definition, in double: y after the epilogue, the gradients for dy.
struct Reference {
  Tensor<double> y, dx, dw, db;

  Reference(const Setting& s, const Epilogue& e, const Tensor<double>& x, const Tensor<double>& w, const Tensor<double>& b, const Tensor<double>& dy) {
    const WindowPlan plan = place(s.window, s.x[2], s.x[3], "test");
    const Shape before = output_shape(s);
    Tensor<double> z(before), d(before);
    const Index plane = before[2] * before[3];
    for (Index i = 0; i < z.size(); ++i) z[i] = b[i / plane % s.out];
    test::add_products(plan, x.shape(), s.out, s.groups, x.data(), w.data(), z.data());
    y = Tensor<double>(dy.shape());
    const auto gate = [&](double v) { return e.relu ? std::max(v, 0.0) : v; };
    const auto slope = [&](double v) { return e.relu && v <= 0 ? 0.0 : 1.0; };
    for (Index i = 0; i < y.size(); ++i) {
      if (e.pool == Pool::none) {
        y[i] = gate(z[i]), d[i] = dy[i] * slope(z[i]);
        continue;
      }
      const Index columns = before[3] / 2, down = before[2] / 2, c = i % columns, r = i / columns % down, at = i / columns / down * plane + 2 * r * before[3] + 2 * c;
      const Index of[4] = {at, at + 1, at + before[3], at + before[3] + 1};
      Index best = of[0];
      for (const Index k : of) best = z[k] > z[best] ? k : best;
      if (e.pool == Pool::max) y[i] = gate(z[best]), d[best] = dy[i] * slope(z[best]);
      else
        for (const Index k : of) y[i] += gate(z[k]) / 4, d[k] = dy[i] / 4 * slope(z[k]);
    }
    dx = Tensor<double>(x.shape()), dw = Tensor<double>(w.shape()), db = Tensor<double>(b.shape());
    test::add_gradients(plan, x.shape(), s.out, s.groups, x.data(), w.data(), d.data(), dx.data(), dw.data());
    for (Index i = 0; i < d.size(); ++i) db[i / plane % s.out] += d[i];
  }
};

Tensor<float> in_format(const Tensor<float>& x, Format format) {
  auto y = Tensor<float>::uninitialized(x.shape(), format);
  cpu::convert<float>({}, x, y);
  return y;
}
Tensor<double> in_double(const Tensor<float>& x) { return in_format(x, Format::rows).cast<double>(); }

/// Whether the lanes beyond the last image hold 0.
bool clean(const Tensor<float>& x) {
  if (x.format() == Format::rows) return true;
  const Index image = x.shape().product(1, x.rank()), n = x.dim(0);
  for (Index lane = n % block_images; n % block_images && lane < block_images; ++lane)
    for (Index i = 0; i < image; ++i)
      if (x[(n / block_images * image + i) * block_images + lane] != 0) return false;
  return true;
}

std::vector<cpu::SimdLevel> levels() {
  std::vector<cpu::SimdLevel> all;
  for (const auto level : {cpu::SimdLevel::baseline, cpu::SimdLevel::avx2, cpu::SimdLevel::avx512})
    if (level <= cpu::detail::best_simd_level()) all.push_back(level);
  return all;
}

Epilogue epilogue(bool relu, Pool pool, const Shape& before) {
  Epilogue e;
  e.relu = relu, e.pool = pool;
  if (pool != Pool::none) e.window = place({2, 2}, before[2], before[3], "test");
  return e;
}

void check(const Setting& s, bool relu, Pool pool) {
  const Shape before = output_shape(s);
  if (pool != Pool::none && (before[2] < 2 || before[3] < 2)) return;
  const Epilogue e = epilogue(relu, pool, before);
  const WindowPlan plan = place(s.window, s.x[2], s.x[3], "test");
  const Index scale = pool == Pool::none ? 1 : 2;
  const Shape after{before[0], before[1], before[2] / scale, before[3] / scale}, weights{s.out, s.x[1] / s.groups, s.window.kernel.h, s.window.kernel.w};
  INFO("x " << to_string(s.x) << " to " << to_string(before) << ", groups " << s.groups << ", relu " << relu << ", pool " << static_cast<int>(pool));
  CHECK(cpu::fuses_in_conv2d(e, plan));
  const auto x = quarters(s.x, 1), w = quarters(weights, 2), b = quarters({s.out}, 3), dy = quarters(after, 4);
  const Reference expected(s, e, x.cast<double>(), w.cast<double>(), b.cast<double>(), dy.cast<double>());
  for (const auto level : levels())
    for (const Format outside : {Format::rows, Format::blocks})
      for (const Format inside : {Format::rows, Format::blocks}) {
        INFO(to_string(level) << ", x in " << to_string(inside) << ", y in " << to_string(outside));
        const auto& kernels = cpu::detail::block_kernels(level);
        const auto x_ = in_format(x, inside), dy_ = in_format(dy, outside);
        auto y = Tensor<float>::uninitialized(after, outside), dx = Tensor<float>::uninitialized(s.x, inside);
        std::fill(y.begin(), y.end(), 7.f), std::fill(dx.begin(), dx.end(), NAN);
        Tensor<float> dw(weights), db({s.out});
        auto winners = Tensor<unsigned char>::uninitialized(after, Format::blocks);
        cpu::detail::forward_in_blocks(kernels, plan, s.groups, x_, w, b, e, winners, y);
        Out<float> dx_ref = dx, dw_ref = dw, db_ref = db;
        const cpu::detail::ConvSizes sizes(plan, s.groups, s.x, s.out);
        cpu::detail::backward_in_blocks({kernels, plan, sizes, x_, w, y, winners.data(), dy_, e, &dx_ref, &dw_ref, &db_ref});
        CHECK(test::relative_error(in_double(y), expected.y) < 2e-6);
        CHECK(test::relative_error(in_double(dx), expected.dx) < 2e-6);
        CHECK(test::relative_error(dw, expected.dw) < 2e-6);
        CHECK(test::relative_error(db, expected.db) < 2e-6);
        CHECK(clean(dx));
        std::fill(y.begin(), y.end(), 7.f);
        cpu::detail::forward_in_blocks(kernels, plan, s.groups, x_, w, b, e, {}, y);
        CHECK(test::relative_error(in_double(y), expected.y) < 2e-6);
        auto dx_alone = Tensor<float>::uninitialized(s.x, inside);
        Out<float> alone_ref = dx_alone;
        cpu::detail::backward_in_blocks({kernels, plan, sizes, {}, w, y, winners.data(), dy_, e, &alone_ref, nullptr, nullptr});
        CHECK(test::relative_error(in_double(dx_alone), expected.dx) < 2e-6);
        Tensor<float> dw_alone = dw.clone();
        dw_ref = dw_alone;
        cpu::detail::backward_in_blocks({kernels, plan, sizes, x_, w, y, winners.data(), dy_, e, nullptr, &dw_ref, nullptr});
        for (float& v : dw_alone) v /= 2;
        CHECK(test::relative_error(dw_alone, expected.dw) < 2e-6);
      }
}

}  // namespace

TEST_CASE_TEMPLATE("convert: rows to blocks and back", T, float, double) {
  for (const Shape& shape : {Shape{1, 1}, Shape{16, 3, 4, 4}, Shape{17, 5, 7, 3}, Shape{15, 2}, Shape{33, 70}, Shape{32, 3, 31, 33}, Shape{5, 1, 1, 3}, Shape{0, 2, 3}}) {
    INFO(to_string(shape));
    const auto x = test::random_tensor<T>(shape, 1);
    auto y = Tensor<T>::uninitialized(shape, Format::blocks), back = Tensor<T>::uninitialized(shape), copy = Tensor<T>::uninitialized(shape, Format::blocks);
    y.fill(T(7));
    cpu::convert<T>({}, x, y);
    const Index image = shape.product(1, shape.rank());
    bool same = true;
    for (Index i = 0; i < stored_size(shape, Format::blocks); ++i) {
      const Index n = i / block_images / image * block_images + i % block_images;
      same = same && y[i] == (n < shape[0] ? x[n * image + i / block_images % image] : T(0));
    }
    CHECK(same);
    cpu::convert<T>({}, y, copy);
    cpu::convert<T>({}, copy, back);
    CHECK(std::equal(x.begin(), x.end(), back.begin()));
  }
}

TEST_CASE("convert: every level") {
  for (const auto level : levels())
    for (const Index images : {1, 4, 7, 15, 16})
      for (const Index count : {1, 3, 4, 5, 15, 16, 17, 64, 67, 131}) {
        const auto x = test::random_tensor<float>({images, count + 2}, 1);
        Tensor<float> lanes({count, block_images}), back({images, count + 2});
        cpu::detail::lane_kernels(level).to({images, count, x.data() + 1, lanes.data(), count + 2});
        cpu::detail::lane_kernels(level).from({images, count, lanes.data(), back.data() + 1, count + 2});
        bool same = true;
        for (Index p = 0; p < count; ++p)
          for (Index n = 0; n < block_images; ++n) same = same && lanes[p * block_images + n] == (n < images ? x[n * (count + 2) + 1 + p] : 0);
        for (Index i = 0; i < back.size(); ++i) same = same && back[i] == (i % (count + 2) % (count + 1) == 0 ? 0 : x[i]);
        CHECK(same);
      }
}

TEST_CASE("convolution in blocks: agrees with the definition") {
  for (const Setting& s : settings()) check(s, false, Pool::none);
}

TEST_CASE("convolution in blocks: with ReLU and pooling") {
  for (const Setting& s : settings())
    for (const bool relu : {false, true})
      for (const Pool pool : {Pool::none, Pool::max, Pool::mean})
        if (relu || pool != Pool::none) check(s, relu, pool);
}

TEST_CASE("convolution in blocks: NaN is a maximum, infinities pass") {
  const Shape shape{16, 1, 4, 4};
  const WindowPlan plan = place({1}, 4, 4, "test");
  Tensor<float> x = Tensor<float>::full(shape, 1.f), w({1, 1, 1, 1}, {1});
  x.at(0, 0, 0, 0) = NAN, x.at(1, 0, 0, 1) = NAN, x.at(2, 0, 1, 1) = NAN, x.at(3, 0, 1, 0) = INFINITY, x.at(4, 0, 0, 1) = -INFINITY, x.at(4, 0, 1, 0) = 2;
  for (const auto level : levels())
    for (const bool relu : {false, true}) {
      Tensor<float> y({16, 1, 2, 2});
      auto winners = Tensor<unsigned char>::uninitialized(y.shape(), Format::blocks);
      cpu::detail::forward_in_blocks(cpu::detail::block_kernels(level), plan, 1, x, w, {}, epilogue(relu, Pool::max, shape), winners, y);
      for (const Index n : {0, 1, 2}) CHECK(std::isnan(y.at(n, 0, 0, 0)));
      for (const Index n : {0, 1, 2}) CHECK(winners.at(n, 0, 0, 0) == (relu ? 255 : n == 2 ? 3 : n));
      CHECK(y.at(3, 0, 0, 0) == INFINITY);
      CHECK(winners.at(3, 0, 0, 0) == 2);
      CHECK(y.at(4, 0, 0, 0) == 2);
      CHECK(y.at(5, 0, 1, 1) == 1);
      Tensor<float> plain(shape);
      Epilogue e;
      e.relu = relu;
      cpu::detail::forward_in_blocks(cpu::detail::block_kernels(level), plan, 1, x, w, {}, e, {}, plain);
      CHECK(std::isnan(plain.at(0, 0, 0, 0)));
      CHECK(plain.at(4, 0, 0, 1) == (relu ? 0 : -INFINITY));
    }
}

TEST_CASE("convolution in blocks: the same bits for any number of threads") {
  const int before = cpu::threads();
  const Setting s{{70, 6, 14, 14}, 16, {5}};
  const WindowPlan plan = place(s.window, 14, 14, "test");
  const Epilogue e = epilogue(true, Pool::max, output_shape(s));
  const auto x = test::random_tensor<float>(s.x, 1), w = test::random_tensor<float>({16, 6, 5, 5}, 2), b = test::random_tensor<float>({16}, 3), dy = test::random_tensor<float>({70, 16, 5, 5}, 4);
  std::vector<Tensor<float>> results[2];
  for (const int threads : {1, 2}) {
    cpu::set_threads(threads);
    Tensor<float> y(dy.shape()), dx(x.shape()), dw(w.shape()), db(b.shape());
    auto winners = Tensor<unsigned char>::uninitialized(dy.shape(), Format::blocks);
    Out<float> dx_ref = dx, dw_ref = dw, db_ref = db;
    cpu::conv2d_forward_fused<float>({}, plan, 1, x, w, b, e, winners, y);
    cpu::conv2d_backward_fused<float>({}, plan, 1, x, w, y, winners, dy, e, &dx_ref, &dw_ref, &db_ref);
    for (auto* t : {&y, &dx, &dw, &db}) results[threads - 1].push_back(std::move(*t));
  }
  for (std::size_t i = 0; i < 4; ++i) CHECK(std::equal(results[0][i].begin(), results[0][i].end(), results[1][i].begin()));
  cpu::set_threads(before);
}

TEST_CASE("convolution with windows of one pixel: the same bits for any number of threads") {
  const int before = cpu::threads();
  for (const Shape shape : {Shape{5, 70, 20, 30}, Shape{9, 70, 7, 7}}) {
    const WindowPlan plan = place({1}, shape[2], shape[3], "test");
    const auto x = test::random_tensor<float>(shape, 1), w = test::random_tensor<float>({33, 70, 1, 1}, 2), b = test::random_tensor<float>({33}, 3);
    std::vector<Tensor<float>> results[2];
    for (const int threads : {1, 2}) {
      cpu::set_threads(threads);
      Tensor<float> y(shape.with(1, 33)), dx(shape), dw(w.shape());
      cpu::conv2d_forward<float>({}, plan, 1, x, w, b, y);
      cpu::conv2d_backward_input<float>({}, plan, 1, w, y, dx);
      cpu::conv2d_backward_weight<float>({}, plan, 1, x, y, dw);
      for (auto* t : {&y, &dx, &dw}) results[threads - 1].push_back(std::move(*t));
    }
    for (std::size_t i = 0; i < 3; ++i) CHECK(std::equal(results[0][i].begin(), results[0][i].end(), results[1][i].begin()));
  }
  cpu::set_threads(before);
}

TEST_CASE("convolution in blocks: an empty batch") {
  const WindowPlan plan = place({3}, 6, 6, "test");
  Tensor<float> x({0, 2, 6, 6}), w({3, 2, 3, 3}), b({3}), dw(w.shape()), db(b.shape());
  auto y = Tensor<float>::uninitialized({0, 3, 4, 4}, Format::blocks);
  Out<float> dx_ref = x, dw_ref = dw, db_ref = db;
  cpu::conv2d_forward_fused<float>({}, plan, 1, x, w, b, {}, {}, y);
  cpu::conv2d_backward_fused<float>({}, plan, 1, x, w, y, {}, y, {}, &dx_ref, &dw_ref, &db_ref);
  for (const float v : dw) CHECK(v == 0);
  CHECK(y.size() == 0);
}

TEST_CASE("convolution: the plain entry points take both formats") {
  for (const Setting& s : {Setting{{17, 6, 9, 8}, 16, {5, 1, 1}}, Setting{{16, 5, 4, 4}, 9, {1}}, Setting{{20, 3, 5, 5}, 7, {5}}, Setting{{2, 3, 7, 6}, 4, {3, 2, 1}},
                           Setting{{17, 40, 13, 11}, 29, {1}}, Setting{{3, 300, 6, 6}, 13, {1}}, Setting{{2, 5, 40, 40}, 70, {1}}, Setting{{1, 1, 33, 20}, 1, {1}}}) {
    const WindowPlan plan = place(s.window, s.x[2], s.x[3], "test");
    const Shape weights{s.out, s.x[1], s.window.kernel.h, s.window.kernel.w}, after = output_shape(s);
    const auto x = quarters(s.x, 1), w = quarters(weights, 2), b = quarters({s.out}, 3), dy = quarters(after, 4);
    const Epilogue relu{true};
    const Reference expected(s, {}, x.cast<double>(), w.cast<double>(), b.cast<double>(), dy.cast<double>());
    const Reference positive(s, relu, x.cast<double>(), w.cast<double>(), b.cast<double>(), dy.cast<double>());
    for (const Format in : {Format::rows, Format::blocks})
      for (const Format out : {Format::rows, Format::blocks}) {
        auto y = Tensor<float>::uninitialized(after, out), dx = Tensor<float>::uninitialized(s.x, in);
        Tensor<float> dw(weights), db({s.out});
        const auto x_ = in_format(x, in), dy_ = in_format(dy, out);
        cpu::conv2d_forward<float>({}, plan, 1, x_, w, b, y);
        cpu::conv2d_backward_input<float>({}, plan, 1, w, dy_, dx);
        cpu::conv2d_backward_weight<float>({}, plan, 1, x_, dy_, dw);
        cpu::conv2d_backward_bias<float>({}, dy_, db);
        CHECK(test::relative_error(in_double(y), expected.y) < 2e-6);
        CHECK(test::relative_error(in_double(dx), expected.dx) < 2e-6);
        CHECK(test::relative_error(dw, expected.dw) < 2e-6);
        CHECK(test::relative_error(db, expected.db) < 2e-6);
        dw.zero(), db.zero();
        Out<float> dx_ref = dx, dw_ref = dw, db_ref = db;
        cpu::conv2d_forward_fused<float>({}, plan, 1, x_, w, b, relu, {}, y);
        CHECK(test::relative_error(in_double(y), positive.y) < 2e-6);
        cpu::conv2d_backward_fused<float>({}, plan, 1, x_, w, y, {}, dy_, {}, &dx_ref, &dw_ref, &db_ref);
        CHECK(test::relative_error(in_double(dx), expected.dx) < 2e-6);
        CHECK(test::relative_error(dw, expected.dw) < 2e-6);
        CHECK(test::relative_error(db, expected.db) < 2e-6);
      }
  }
}

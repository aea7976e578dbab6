#include <cstring>
#include <limits>

#include "helpers.hpp"
#include "ventral/cpu/convert.hpp"
#include "ventral/cpu/winograd.hpp"
#include "window_lines.hpp"

// Winograd convolution against plain loops in double: all formats, epilogues and gradients, over odd shapes.

using namespace ventral;

namespace {

struct Problem {
  Index images, channels, height, width, outputs;
  Padding padding;
  Index window = 3;

  WindowPlan plan() const { return place({window, 1, padding, 1}, height, width, "test"); }
};

const Problem problems[] = {
    {1, 1, 3, 3, 1, 0},
    {1, 1, 1, 1, 1, 1},
    {2, 3, 7, 5, 4, 1},
    {15, 2, 4, 4, 13, 1},
    {16, 5, 8, 9, 3, 0},
    {17, 17, 6, 6, 33, 1},
    {33, 1, 5, 12, 2, 2},
    {3, 35, 9, 3, 14, 1},
    {4, 2, 11, 13, 7, 3},
    {2, 2, 1, 8, 5, 1},
    {2, 4, 10, 6, 9, {0, 1, 2, 3}},
    {1, 2, 21, 18, 1, 1},
    {16, 16, 14, 14, 16, 1},
    {1, 150, 5, 3, 200, 1},  // weight gradient in panels
    {17, 150, 2, 3, 200, 1},
    {1, 1, 5, 5, 1, 0, 5},
    {1, 1, 1, 1, 1, 2, 5},
    {2, 3, 7, 9, 4, 2, 5},
    {17, 17, 6, 6, 33, 2, 5},
    {33, 2, 5, 12, 2, 4, 5},
    {3, 35, 9, 5, 14, 1, 5},
    {4, 2, 8, 6, 7, 6, 5},
    {2, 4, 10, 7, 9, {0, 1, 2, 5}, 5},
    {16, 16, 14, 14, 16, 2, 5},
    {2, 230, 3, 3, 131, 2, 5},  // in panels
};
const Epilogue::Pool pools[] = {Epilogue::Pool::none, Epilogue::Pool::max, Epilogue::Pool::mean};

/// What a convolution computes before its epilogue, in double, by its definition.
struct Sums {
  WindowPlan plan;
  Tensor<double> x, w, y;

  Sums(const Problem& p, const Tensor<float>& images, const Tensor<float>& filters, const Tensor<float>& b)
      : plan(p.plan()), x(images.cast<double>()), w(filters.cast<double>()), y({p.images, p.outputs, plan.h.out, plan.w.out}) {
    const Index pixels = plan.h.out * plan.w.out;
    for (Index i = 0; i < y.size(); ++i) y[i] = static_cast<double>(b[i / pixels % p.outputs]);
    test::add_products(plan, x.shape(), p.outputs, 1, x.data(), w.data(), y.data());
  }
};

/// Everything a convolution with an epilogue computes, in double. Where rounding decides, which element is the largest or whether one is above 0, dy becomes 0.
struct Reference {
  Tensor<double> y, dx, dw, db;

  Reference(const Sums& sums, const Epilogue& e, Tensor<float>& dy) : y(dy.shape()), dx(sums.x.shape()), dw(sums.w.shape()), db({dw.dim(0)}) {
    const Index size = e.pool == Epilogue::Pool::none ? 1 : 2, count = size * size, outputs = dw.dim(0), h = sums.plan.h.out, v = sums.plan.w.out;
    const double close = 1e-4 * std::sqrt(static_cast<double>(dw.size() / outputs));
    Tensor<double> d(sums.y.shape());
    for (Index n = 0; n < y.dim(0); ++n)
      for (Index o = 0; o < outputs; ++o)
        for (Index i = 0; i < y.dim(2); ++i)
          for (Index j = 0; j < y.dim(3); ++j) {
            double value[4] = {}, mean = 0;
            Index best = 0;
            bool doubtful = false;
            for (Index k = 0; k < count; ++k) {
              const double sum = sums.y.at(n, o, i * size + k / size, j * size + k % size);
              value[k] = e.relu ? std::max(0.0, sum) : sum;
              mean += value[k] / static_cast<double>(count);
              if (value[k] > value[best]) best = k;
              if (e.relu && std::abs(sum) < close) doubtful = true;
            }
            for (Index k = 0; k < count; ++k)
              if (e.pool == Epilogue::Pool::max && k != best && (value[best] > 0 || !e.relu) && value[best] - value[k] < close) doubtful = true;
            float& slope = dy.at(n, o, i, j);
            if (doubtful) slope = 0;
            y.at(n, o, i, j) = e.pool == Epilogue::Pool::mean ? mean : value[best];
            for (Index k = 0; k < count; ++k) {
              const bool passes = e.pool != Epilogue::Pool::max || k == best;
              if (passes && !(e.relu && value[k] <= 0))
                d.at(n, o, i * size + k / size, j * size + k % size) = static_cast<double>(slope) / (e.pool == Epilogue::Pool::mean ? 4 : 1);
            }
          }
    test::add_gradients(sums.plan, dx.shape(), outputs, 1, sums.x.data(), sums.w.data(), d.data(), dx.data(), dw.data());
    for (Index i = 0; i < d.size(); ++i) db[i / (h * v) % outputs] += d[i];
  }
};

Tensor<float> in_format(const Tensor<float>& x, Format format) {
  auto y = Tensor<float>::uninitialized(x.shape(), format);
  if (format == Format::rows) y.copy_from(x);
  else cpu::convert<float>({}, x, y);
  return y;
}
Tensor<float> in_rows(const Tensor<float>& x) {
  auto y = Tensor<float>::uninitialized(x.shape());
  if (x.format() == Format::rows) y.copy_from(x);
  else cpu::convert<float>({}, x, y);
  return y;
}

/// Numbers beyond the last image.
double unused_lanes(const Tensor<float>& x) {
  double sum = 0;
  const Index size = x.shape().product(1, 4), images = x.dim(0);
  if (x.format() == Format::blocks)
    for (Index n = images; n < stored_images(images, Format::blocks); ++n)
      for (Index i = 0; i < size; ++i) sum += std::abs(static_cast<double>(x[(n / 16 * size + i) * 16 + n % 16]));
  return sum;
}

struct Choice {
  explicit Choice(cpu::Winograd w) { cpu::set_winograd(w); }
  ~Choice() { cpu::set_winograd(before); }
  cpu::Winograd before = cpu::winograd();
};

/// A problem with its data.
struct Data {
  Problem p;
  WindowPlan plan;
  Tensor<float> x, w, b;
  Sums sums;

  explicit Data(const Problem& problem)
      : p(problem), plan(p.plan()), x(test::random_tensor<float>({p.images, p.channels, p.height, p.width}, 1)),
        w(test::random_tensor<float>({p.outputs, p.channels, p.window, p.window}, 2)), b(test::random_tensor<float>({p.outputs}, 3)), sums(p, x, w, b) {}
};

/// The same with an epilogue, and what must come out.
struct Trial {
  const Data& data;
  Epilogue e;
  Tensor<float> dy;
  Reference reference;

  Trial(const Data& of, const Epilogue& epilogue) : data(of), e(epilogue), dy(test::random_tensor<float>(y_shape(), 4)), reference(data.sums, e, dy) {}
  Shape y_shape() const {
    const Index size = e.pool == Epilogue::Pool::none ? 1 : 2;
    return {data.p.images, data.p.outputs, data.plan.h.out / size, data.plan.w.out / size};
  }

  void check(Format in, Format out) const {
    const auto& [p, plan, x, w, b, sums] = data;
    const std::string what = concat(p.images, "x", p.channels, "x", p.height, "x", p.width, " to ", p.outputs, ", window ", p.window, ", relu ", e.relu, ", pool ",
                                    static_cast<int>(e.pool), ", ", to_string(in), " to ", to_string(out));
    CAPTURE(what);
    const auto x_in = in_format(x, in), dy_in = in_format(dy, out);
    auto y = Tensor<float>::uninitialized(y_shape(), out), dx = Tensor<float>::uninitialized(x.shape(), in);
    auto winners = Tensor<unsigned char>::uninitialized(y_shape(), Format::blocks);
    cpu::winograd_forward<float>({}, plan, x_in, w, b, e, winners, y);
    CHECK(test::relative_error(in_rows(y), reference.y) < 1e-5);

    auto dw = Tensor<float>::full(w.shape(), 1), db = Tensor<float>::full(b.shape(), 2);
    Out<float> dx_ref = dx.ref(), dw_ref = dw.ref(), db_ref = db.ref();
    cpu::winograd_backward_fused<float>({}, plan, x_in, w, y, winners, dy_in, e, &dx_ref, &dw_ref, &db_ref);
    CHECK(test::relative_error(in_rows(dx), reference.dx) < 1e-5);
    CHECK(unused_lanes(dx) == 0);
    for (float& v : dw) v -= 1;
    for (float& v : db) v -= 2;
    CHECK(test::relative_error(dw, reference.dw) < 1e-5);
    CHECK(test::relative_error(db, reference.db) < 1e-5);
  }
};

}  // namespace

TEST_CASE("winograd: results and gradients, all formats and epilogues") {
  for (const Problem& p : problems) {
    const Data data(p);
    const WindowPlan& plan = data.plan;
    for (const bool relu : {false, true})
      for (const auto pool : pools) {
        if (pool != Epilogue::Pool::none && (plan.h.out < 2 || plan.w.out < 2)) continue;
        if (p.channels > 100 && !(relu && pool == Epilogue::Pool::max)) continue;  // the largest take long
        const Trial trial(data, {relu, pool, {}});
        for (const auto choice : {cpu::Winograd::f4, cpu::Winograd::f2}) {
          if (choice == cpu::Winograd::f2 && p.window == 5) continue;
          const Choice use(choice);
          CAPTURE(static_cast<int>(choice));
          trial.check(Format::blocks, Format::blocks);
          trial.check(Format::rows, Format::rows);
          if (relu) trial.check(Format::rows, Format::blocks);
          else trial.check(Format::blocks, Format::rows);
        }
      }
  }
}

TEST_CASE("winograd: gradients that are not wanted, and empty tensors") {
  const WindowPlan plan = place({3, 1, 1, 1}, 6, 6, "test");
  const auto x = test::random_tensor<float>({2, 3, 6, 6}, 1), w = test::random_tensor<float>({4, 3, 3, 3}, 2), dy = test::random_tensor<float>({2, 4, 6, 6}, 3);
  Tensor<float> dx(x.shape()), dw(w.shape()), dw2(w.shape()), dx2(x.shape());
  Out<float> dx_ref = dx.ref(), dw_ref = dw.ref();
  cpu::winograd_backward_fused<float>({}, plan, x, w, {}, {}, dy, {}, &dx_ref, nullptr, nullptr);
  cpu::winograd_backward_fused<float>({}, plan, x, w, {}, {}, dy, {}, nullptr, &dw_ref, nullptr);
  cpu::winograd_backward_input({}, plan, w, dy, dx2);
  cpu::winograd_backward_weight({}, plan, x, dy, dw2);
  CHECK(test::largest_difference(dx, dx2) == 0);
  CHECK(test::largest_difference(dw, dw2) == 0);

  Tensor<float> none({0, 3, 6, 6}), y({0, 4, 6, 6}), b({4});
  cpu::winograd_forward<float>({}, plan, none, w, b, {}, {}, y);
  cpu::winograd_backward_weight({}, plan, none, y, dw);
  CHECK(test::largest_difference(dw, dw2) == 0);
}

TEST_CASE("winograd: the same bits for any number of threads") {
  const int threads = cpu::threads();
  struct Shapes {
    Shape x, w, y;
  };
  for (const Shapes& s : {Shapes{{37, 6, 13, 10}, {9, 6, 3, 3}, {37, 9, 6, 5}}, Shapes{{3, 150, 5, 4}, {200, 150, 3, 3}, {3, 200, 2, 2}}}) {
    const WindowPlan plan = place({3, 1, 1, 1}, s.x[2], s.x[3], "test");
    const Epilogue e{true, Epilogue::Pool::max, {}};
    const auto x = test::random_tensor<float>(s.x, 1), w = test::random_tensor<float>(s.w, 2), b = test::random_tensor<float>({s.w[0]}, 3),
               dy = test::random_tensor<float>(s.y, 4);
    Tensor<float> before[4];
    for (const int n : {1, 2, 5}) {
      cpu::set_threads(n);
      Tensor<float> result[] = {Tensor<float>(s.y), Tensor<float>(s.x), Tensor<float>(w.shape()), Tensor<float>(b.shape())};
      auto winners = Tensor<unsigned char>::uninitialized(s.y, Format::blocks);
      cpu::winograd_forward<float>({}, plan, x, w, b, e, winners, result[0]);
      Out<float> dx = result[1].ref(), dw = result[2].ref(), db = result[3].ref();
      cpu::winograd_backward_fused<float>({}, plan, x, w, result[0], winners, dy, e, &dx, &dw, &db);
      for (int i = 0; i < 4; ++i) {
        if (n > 1) CHECK(std::memcmp(result[i].data(), before[i].data(), static_cast<std::size_t>(result[i].size()) * sizeof(float)) == 0);
        before[i] = std::move(result[i]);
      }
    }
  }
  cpu::set_threads(threads);
}

TEST_CASE("winograd: pooling of NaN, infinities and ties") {
  const WindowPlan plan = place({3, 1, 1, 1}, 2, 2, "test");
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor<float> w({1, 1, 3, 3}), b({1}), y({1, 1, 1, 1});
  w[4] = 1;  // the identity
  auto winners = Tensor<unsigned char>::uninitialized({1, 1, 1, 1}, Format::blocks);
  const auto winner = [&](const Tensor<float>& x, bool relu) {
    cpu::winograd_forward<float>({}, plan, x, w, b, Epilogue{relu, Epilogue::Pool::max, {}}, winners, y);
    return static_cast<int>(winners[0]);
  };
  CHECK(winner(Tensor<float>({1, 1, 2, 2}, {0, 0, 0, 0}), false) == 0);
  CHECK(winner(Tensor<float>({1, 1, 2, 2}, {-1, 0, 4, 0}), false) == 2);
  CHECK(y[0] == doctest::Approx(4));
  CHECK(winner(Tensor<float>({1, 1, 2, 2}, {0, 0, 0, 0}), true) == 255);
  CHECK(winner(Tensor<float>({1, 1, 2, 2}, {-3, -2, -1, -4}), true) == 255);
  CHECK(y[0] == 0);
  CHECK(winner(Tensor<float>({1, 1, 2, 2}, {1, 2, nan, 9}), true) == 255);  // ReLU's slope at NaN is 0
  CHECK(std::isnan(y[0]));
}

TEST_CASE("winograd: where it pays, and the switch") {
  using enum cpu::Winograd;
  const auto pays = [](Window window, Shape x, Index outputs, Index groups = 1) {
    return cpu::winograd_pays(place(window, x[2], x[3], "test"), groups, x, outputs);
  };
  const Window same{3, 1, 1};
  const Choice use(automatic);
  CHECK(pays(same, {64, 32, 28, 28}, 32));
  CHECK(pays(same, {16, 128, 56, 56}, 256));
  CHECK(pays({3, 1, 0}, {64, 64, 16, 16}, 64));
  const auto weight_pays = [](Shape x, Index outputs) { return cpu::winograd_weight_pays(place({3, 1, 1}, x[2], x[3], "test"), 1, x, outputs); };
  CHECK(weight_pays({64, 32, 28, 28}, 32));
  CHECK(weight_pays({64, 64, 14, 14}, 64));
  CHECK(weight_pays({16, 128, 56, 56}, 256));
  CHECK_FALSE(weight_pays({64, 8, 28, 28}, 8));
  CHECK(cpu::winograd_weight_pays(place({5, 1, 2}, 7, 7, "test"), 1, {16, 48, 7, 7}, 128));
  CHECK_FALSE(weight_pays({64, 3, 28, 28}, 64));
  CHECK_FALSE(weight_pays({0, 64, 14, 14}, 64));
  CHECK_FALSE(pays(same, {64, 1, 28, 28}, 32));
  CHECK_FALSE(pays(same, {64, 3, 28, 28}, 16));
  CHECK_FALSE(pays(same, {1, 64, 14, 14}, 64));
  CHECK_FALSE(pays(same, {0, 64, 14, 14}, 64));
  CHECK_FALSE(pays({3, 2, 1}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({3, 1, 2, 2}, {64, 64, 14, 14}, 64));
  CHECK(pays({5, 1, 2}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({5, 1, 2}, {64, 1, 28, 28}, 6));
  CHECK_FALSE(pays({5, 2, 2}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({7, 1, 3}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({{3, 5}, 1, 0}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({{3, 1}, 1, 0}, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays(same, {64, 64, 14, 14}, 64, 2));
  cpu::set_winograd(f2);
  CHECK(pays(same, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({5, 1, 2}, {64, 64, 14, 14}, 64));
  cpu::set_winograd(off);
  CHECK_FALSE(pays(same, {64, 64, 14, 14}, 64));
  CHECK_FALSE(pays({5, 1, 2}, {64, 64, 14, 14}, 64));
}

TEST_CASE("winograd: rounding error against double") {
  for (const Index channels : {32, 128})
    for (const Index window : {3, 5}) {
      const Problem p{1, channels, 8, 8, 8, window / 2, window};
      const auto x = test::random_tensor<float>({1, channels, 8, 8}, 1), w = test::random_tensor<float>({p.outputs, channels, window, window}, 2);
      Tensor<float> b({p.outputs}), y({1, p.outputs, 8, 8});
      const Sums reference(p, x, w, b);
      for (const auto choice : {cpu::Winograd::f2, cpu::Winograd::f4}) {
        if (choice == cpu::Winograd::f2 && window == 5) continue;
        const Choice use(choice);
        cpu::winograd_forward<float>({}, p.plan(), x, w, b, {}, {}, y);
        const double error = test::relative_error(y, reference.y);
        const Index tile = cpu::detail::winograd_tile(window);
        MESSAGE(channels, " channels, F(", tile, "x", tile, ",", window, "x", window, "): ", error);
        CHECK(error < (choice == cpu::Winograd::f2 ? 1e-6 : 4e-6));
      }
    }
}

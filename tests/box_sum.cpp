#include "ventral/cpu/divisive_norm.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

/// The sums that a divisive normalization of positive x keeps.
template <class Space, class T>
Tensor<T> box_sums(const DivisiveBox& box, const Tensor<T>& x) {
  const DivisiveRule rule{.box = box, .exponent = 1};
  const auto one = Tensor<T, Space>::full({1}, 1), on_space = x.template to<Space>();
  Tensor<T, Space> sums(x.shape()), y(x.shape()), scratch({divisive_norm_scratch(one.stream(), rule, x.shape())});
  divisive_norm_forward(one.stream(), rule, one, one, one, on_space, sums.ref(), scratch.ref(), y.ref());
  return sums.template to<Cpu>();
}

/// Largest relative error of any one box sum against a direct sum in double.
template <class Space, class T>
double worst_error(const DivisiveBox& b, const Tensor<T>& x) {
  const auto y = box_sums<Space>(b, x);
  const Index c = x.dim(1), h = x.dim(2), w = x.dim(3);
  double worst = 0;
  Index at = 0;
  for (Index n = 0; n < x.dim(0); ++n)
    for (Index i = 0; i < c; ++i)
      for (Index j = 0; j < h; ++j)
        for (Index k = 0; k < w; ++k) {
          double sum = 0;
          for (Index p = std::max(Index{0}, i - b.channels.before); p <= std::min(c - 1, i + b.channels.after); ++p)
            for (Index q = std::max(Index{0}, j - b.height.before); q <= std::min(h - 1, j + b.height.after); ++q)
              for (Index r = std::max(Index{0}, k - b.width.before); r <= std::min(w - 1, k + b.width.after); ++r) sum += static_cast<double>(x.at(n, p, q, r));
          worst = std::max(worst, std::abs(static_cast<double>(y[at++]) / sum - 1));
        }
  return worst;
}

/// Squares of numbers between 1e-3 and 1e4: small ones next to ones 1e14 times as large.
template <class T>
Tensor<T> uneven(Shape shape) {
  Random random(7);
  Tensor<T> x(shape);
  for (T& v : x) {
    const double a = std::pow(10.0, random.uniform(-3, 4));
    v = static_cast<T>(a * a);
  }
  return x;
}

}  // namespace

TEST_CASE_TEMPLATE("box sums: every sum agrees with the exact one to a few roundings, small next to large", Space, VENTRAL_TEST_SPACES) {
  const auto check = [](auto zero) {
    using T = decltype(zero);
    const double ulp = static_cast<double>(std::numeric_limits<T>::epsilon());
    const auto x = uneven<T>({2, 5, 9, 13});
    for (const Index n : {1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 16, 23, 40}) {
      INFO("extent " << n);
      const Reach r{n / 3, n - 1 - n / 3};
      CHECK(worst_error<Space>({r, {}, {}}, x) <= 8 * ulp);
      CHECK(worst_error<Space>({{}, r, {}}, x) <= 8 * ulp);
      CHECK(worst_error<Space>({{}, {}, r}, x) <= 8 * ulp);
      CHECK(worst_error<Space>({r, r, r}, x) <= 16 * ulp);
    }
    CHECK(worst_error<Space>({{0, 3}, {2, 0}, {1, 4}}, x) <= 8 * ulp);
    CHECK(worst_error<Space>({9, 9, 9}, uneven<T>({1, 9, 12, 11})) <= 16 * ulp);
  };
  check(float{});
  check(double{});
}

TEST_CASE_TEMPLATE("box sums: shapes of several tiles, lines in segments, windows too long for shared memory", Space, VENTRAL_TEST_SPACES) {
  const DivisiveBox box{3, {4, 5}, {1, 2}};
  CHECK(worst_error<Space>(box, uneven<float>({1, 3, 150, 90})) < 2e-6);
  CHECK(worst_error<Space>(box, uneven<float>({3, 23, 5, 3})) < 2e-6);
  CHECK(worst_error<Space>({{2, 1}, {}, {}}, uneven<float>({2, 30, 31, 33})) < 1e-6);
  CHECK(worst_error<Space>({{3, 5}, {}, {}}, uneven<float>({1, 257, 1, 1})) < 1e-6);
  CHECK(worst_error<Space>({{40, 7}, {}, {}}, uneven<double>({1, 130, 1, 3})) < 1e-14);
  CHECK(worst_error<Space>({{150, 90}, {}, {}}, uneven<double>({2, 300, 1, 2})) < 3e-14);
  CHECK(worst_error<Space>({3, {}, {130, 90}}, uneven<double>({1, 2, 3, 211})) < 3e-14);
  CHECK(worst_error<Space>({1, {12, 11}, {3, 20}}, uneven<double>({1, 2, 41, 37})) < 1e-14);
  CHECK(worst_error<Space>({}, uneven<float>({2, 3, 4, 5})) == 0);
  CHECK(box_sums<Space>(box, Tensor<float>({0, 3, 4, 5})).empty());
  CHECK(box_sums<Space>(box, Tensor<float>({2, 3, 0, 5})).empty());
}

TEST_CASE("box sums: the same bits for one thread and for three") {
  const auto x = test::random_tensor<float>({3, 17, 40, 41});
  const DivisiveBox box{5, 7, 9};
  const int before = cpu::threads();
  cpu::set_threads(1);
  const auto one = box_sums<Cpu>(box, x);
  cpu::set_threads(3);
  const auto three = box_sums<Cpu>(box, x);
  cpu::set_threads(before);
  CHECK(test::relative_error(three, one) == 0);
}

TEST_CASE("Reach: an odd extent is centred, an even one is refused") {
  CHECK(Reach(5) == Reach(2, 2));
  CHECK(Reach(1) == Reach());
  CHECK(Reach(2, 1).extent() == 4);
  CHECK(DivisiveBox{{1, 2}, 3, {0, 4}}.reflected().channels == Reach(2, 1));
  CHECK(DivisiveBox{{1, 2}, 3, {0, 4}}.size() == 4 * 3 * 5);
  CHECK(test::message_of<ShapeError>([] { Reach r(4); }) == "a box extent of 4 has no centre: give an odd one, or how far it reaches {before, after}");
  CHECK(test::message_of<ShapeError>([] { Reach r(-1); }) == "a box extent of -1 has no centre: give an odd one, or how far it reaches {before, after}");
}

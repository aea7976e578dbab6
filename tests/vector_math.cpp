#include "ventral/cpu/vector_math.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

enum class Function { log2, exp2, power };

/// One of the functions on every element, through the registers of the level in use.
template <class T>
Tensor<T> apply(Function f, const Tensor<T>& x, T exponent = 1) {
  Tensor<T> y(x.shape());
  cpu::simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    using V = cpu::Simd<T, decltype(isa)>;
    const V p = V::all(exponent);
    cpu::detail::for_vectors<V>(x.size(), [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
      const V v = lanes.load(x.data() + i);
      lanes.store(y.data() + i, f == Function::log2 ? cpu::log2(v) : f == Function::exp2 ? cpu::exp2(v) : cpu::power(v, p));
    });
  });
  return y;
}

}  // namespace

TEST_CASE_TEMPLATE("vector log2, exp2 and power agree with the C library", T, float, double) {
  const double ulp = static_cast<double>(std::numeric_limits<T>::epsilon());
  Random random(3);
  Tensor<T> x({4001}), t({4001});
  for (T& v : x) v = static_cast<T>(std::exp2(random.uniform(-30, 30)));
  for (T& v : t) v = static_cast<T>(random.uniform(-60, 60));
  double log_error = 0, exp_error = 0, power_error = 0;
  const auto log = apply(Function::log2, x), exp = apply(Function::exp2, t), power = apply<T>(Function::power, x, static_cast<T>(-0.75));
  for (Index i = 0; i < x.size(); ++i) {
    const double v = static_cast<double>(x[i]);
    log_error = std::max(log_error, std::abs(static_cast<double>(log[i]) - std::log2(v)) / std::max(1.0, std::abs(std::log2(v))));
    exp_error = std::max(exp_error, std::abs(static_cast<double>(exp[i]) / std::exp2(static_cast<double>(t[i])) - 1));
    power_error = std::max(power_error, std::abs(static_cast<double>(power[i]) / std::pow(v, -0.75) - 1));
  }
  CHECK(log_error < 2 * ulp);
  CHECK(exp_error < 2 * ulp);
  CHECK(power_error < 20 * ulp);
  CHECK(log_error > 0);
}

TEST_CASE_TEMPLATE("vector power: exact and extreme values", T, float, double) {
  const T inf = std::numeric_limits<T>::infinity(), nan = std::numeric_limits<T>::quiet_NaN();
  const auto y = apply<T>(Function::power, Tensor<T>({6}, {T(1), T(4), T(0.25), T(0), inf, nan}), T(-0.5));
  CHECK(y[0] == 1);
  CHECK(y[1] == T(0.5));
  CHECK(y[2] == 2);
  CHECK(y[3] > T(1e18));  // as the smallest normal number
  CHECK(y[3] < inf);
  CHECK(y[4] > 0);  // as the largest number
  CHECK(y[4] < T(1e-18));
  CHECK(std::isnan(y[5]));
  const auto e = apply(Function::exp2, Tensor<T>({4}, {T(-1e30), T(1e30), T(3), nan}));
  CHECK(e[0] == std::numeric_limits<T>::min());
  CHECK(e[1] > std::numeric_limits<T>::max() / 3);
  CHECK(e[2] == 8);
  CHECK(std::isnan(e[3]));
}

TEST_CASE("vector math: an element's result does not depend on where it stands") {
  Tensor<float> x({77});
  Random random(5);
  for (float& v : x) v = static_cast<float>(random.uniform(0.1, 50));
  const auto whole = apply(Function::power, x, 0.3f);
  bool same = true;
  for (Index i = 0; i < x.size(); ++i) same = same && apply(Function::power, Tensor<float>({1}, {x[i]}), 0.3f)[0] == whole[i];
  CHECK(same);
}

#include "ventral/cpu/vector_math.hpp"

#include <string>
#include <vector>

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

namespace {

// The functions, with the error they state and their values in long double.
struct Exp {
  static constexpr const char* name = "exp";
  static constexpr double ulps = 1.1;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::exp(x); }
  static long double exact(long double x) { return std::exp(x); }
};
struct ExpSmall {
  static constexpr const char* name = "exp_small";
  static constexpr double ulps = 1.1;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::exp_small(x); }
  static long double exact(long double x) { return std::exp(x); }
};
struct Expm1 {
  static constexpr const char* name = "expm1";
  static constexpr double ulps = 1.8;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::expm1(x); }
  static long double exact(long double x) { return std::expm1(x); }
};
struct HyperbolicTangent {
  static constexpr const char* name = "tanh";
  static constexpr double ulps = 2.7;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::tanh(x); }
  static long double exact(long double x) { return std::tanh(x); }
};
struct Logistic {
  static constexpr const char* name = "sigmoid";
  static constexpr double ulps = 2.7;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::sigmoid(x); }
  static long double exact(long double x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
};
struct SoftPlus {
  static constexpr const char* name = "softplus";
  static constexpr double ulps = 3;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::softplus(x); }
  static long double exact(long double x) { return (x > 0 ? x : x == x ? 0 : x) + std::log1p(std::exp(-std::abs(x))); }
};
struct Log {
  static constexpr const char* name = "log";
  static constexpr double ulps = 2.5;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::log(x); }
  static long double exact(long double x) { return std::log(x); }
};
struct Log1p {
  static constexpr const char* name = "log1p";
  static constexpr double ulps = 3;
  template <class V>
  static VENTRAL_ALWAYS_INLINE V of(const V& x) { return cpu::log1p(x); }
  static long double exact(long double x) { return std::log1p(x); }
};

template <class F, class T>
struct Apply {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index n, const T* x, T* y) {
    cpu::detail::map_arrays<cpu::Simd<T, I>>(n, x, x, x, y, [](const auto& v, const auto&, const auto&) VENTRAL_ALWAYS_INLINE_LAMBDA { return F::of(v); });
  }
};

/// |y - exact| in units of the last place of the exact number.
template <class T>
double ulps_between(T y, long double exact) {
  using Limits = std::numeric_limits<T>;
  const bool beyond = std::abs(exact) >= std::scalbn(2.0L - static_cast<long double>(Limits::epsilon()) / 2, Limits::max_exponent - 1);
  if (std::isnan(exact) || std::isnan(y)) return std::isnan(exact) == std::isnan(y) ? 0 : INFINITY;
  if (std::isinf(y) || beyond) return static_cast<long double>(y) == (beyond ? std::copysign(std::numeric_limits<long double>::infinity(), exact) : exact) ? 0 : INFINITY;
  const int exponent = exact == 0 ? Limits::min_exponent : std::max(std::ilogb(exact) + 1, Limits::min_exponent);
  return static_cast<double>(std::abs(static_cast<long double>(y) - exact) / std::scalbn(1.0L, exponent - Limits::digits));
}

template <class F, class T>
void check_ulps(const Tensor<T>& x) {
  for (const auto level : {cpu::SimdLevel::baseline, cpu::SimdLevel::avx2, cpu::SimdLevel::avx512}) {
    if (level > cpu::detail::best_simd_level()) continue;
    Tensor<T> y(x.shape());
    cpu::simd_function<Apply<F, T>, void(Index, const T*, T*)>(level)(x.size(), x.data(), y.data());
    double worst = 0;
    Index at = 0;
    for (Index i = 0; i < x.size(); ++i) {
      const long double exact = F::exact(static_cast<long double>(x[i]));
      if (std::is_same_v<F, ExpSmall> && x[i] > 40) continue;
      if (const double u = ulps_between(y[i], exact); u > worst) worst = u, at = i;
    }
    INFO(std::string(F::name) << " on " << std::string(cpu::to_string(level)) << " at " << x[at] << ": " << y[at]);
    CHECK(worst < F::ulps);
    CHECK((worst > 0 || sizeof(T) == 8));
  }
}

}  // namespace

TEST_CASE_TEMPLATE("vector exp, tanh, logarithms and others: ulps over all exponents, limits, NaN, every level", T, float, double) {
  const T inf = std::numeric_limits<T>::infinity(), edge = std::numeric_limits<T>::max_exponent * T(0.6931471805599453);
  std::vector<T> list{0, -T(0), 1, -1, 40, -40, inf, -inf, std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()};
  for (const T v : {std::numeric_limits<T>::max(), std::numeric_limits<T>::min(), edge, std::nextafter(edge, T(0)), std::nextafter(edge, inf)}) list.push_back(v), list.push_back(-v);
  Random random(11);
  for (int i = 0; i < 40000; ++i) list.push_back(static_cast<T>(random.uniform(-1, 1) * std::exp2(random.uniform(-40, 5))));
  for (int i = 0; i < 10000; ++i) list.push_back(static_cast<T>(random.uniform(-1, 1)) * T(1.1) * edge);
  const auto x = Tensor<T>({static_cast<Index>(list.size())}, list);
  check_ulps<Exp>(x);
  check_ulps<ExpSmall>(x);
  check_ulps<Expm1>(x);
  check_ulps<HyperbolicTangent>(x);
  check_ulps<Logistic>(x);
  check_ulps<SoftPlus>(x);
  check_ulps<Log>(x);
  check_ulps<Log1p>(x);
}

TEST_CASE("vector tanh: odd to the bit, -0 included") {
  auto x = test::random_tensor<float>({1001}), minus = x.clone();
  x[7] = 0;
  for (Index i = 0; i < x.size(); ++i) minus[i] = -x[i];
  Tensor<float> y(x.shape()), z(x.shape());
  const auto apply_tanh = cpu::simd_function<Apply<HyperbolicTangent, float>, void(Index, const float*, float*)>(cpu::simd_level());
  apply_tanh(x.size(), x.data(), y.data()), apply_tanh(x.size(), minus.data(), z.data());
  for (Index i = 0; i < x.size(); ++i) REQUIRE(y[i] == -z[i]);
  CHECK(std::signbit(z[7]));
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

#include "ventral/cpu/simd.hpp"

#include "support.hpp"

using namespace ventral;

namespace {

/// out[0..] = a b + c, max(a, b), a < b ? a : b, the sum of a; and the same through load_part and store_part.
template <class T>
struct Arithmetic {
  template <class I>
  static VENTRAL_ALWAYS_INLINE Index run(const T* a, const T* b, T* out) {
    using V = cpu::Simd<T, I>;
    const V x = V::load(a), y = V::load(b), c = V::all(T(0.5));
    multiply_add(x, y, c).store(out);
    max(x, y).store(out + 16);
    V::select(x < y, x, y).store(out + 32);
    ((x - y) * (x + y) / y).store(out + 48);
    out[64] = x.sum();
    V::load_part(a, V::lanes - 1, T(9)).store(out + 80);
    y.store_part(out + 96, V::lanes - 1);
    return V::lanes;
  }
};

template <class T>
void check_level(cpu::SimdLevel level) {
  T a[16], b[16], out[112] = {}, sum = 0;
  for (int i = 0; i < 16; ++i) a[i] = static_cast<T>(i - 4), b[i] = static_cast<T>(7 - i) + T(0.5);
  const Index lanes = cpu::simd_function<Arithmetic<T>, Index(const T*, const T*, T*)>(level)(a, b, out);
  REQUIRE(lanes <= 16);
  for (Index i = 0; i < lanes; ++i) {
    CHECK(out[i] == a[i] * b[i] + T(0.5));
    CHECK(out[16 + i] == std::max(a[i], b[i]));
    CHECK(out[32 + i] == std::min(a[i], b[i]));
    CHECK(out[48 + i] == doctest::Approx((a[i] - b[i]) * (a[i] + b[i]) / b[i]));
    CHECK(out[80 + i] == (i + 1 < lanes ? a[i] : T(9)));
    CHECK(out[96 + i] == (i + 1 < lanes ? b[i] : T(0)));
    sum += a[i];
  }
  CHECK(out[64] == sum);
}

}  // namespace

TEST_CASE("simd: arithmetic at every level this processor has") {
  for (const auto level : {cpu::SimdLevel::baseline, cpu::SimdLevel::avx2, cpu::SimdLevel::avx512}) {
    if (level > cpu::detail::best_simd_level()) continue;
    CAPTURE(to_string(level));
    check_level<float>(level);
    check_level<double>(level);
  }
}

TEST_CASE("simd: dispatch runs the body once, at the level in use") {
  int runs = 0;
  auto seen = cpu::SimdLevel::baseline;
  cpu::simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
    ++runs;
    seen = decltype(isa)::level;
  });
  CHECK(runs == 1);
  CHECK(seen == cpu::simd_level());
}

TEST_CASE("simd: VENTRAL_SIMD forces a level, and says what is wrong with another text") {
  const char* const held = std::getenv("VENTRAL_SIMD");
  const std::string before = held ? held : "";
  setenv("VENTRAL_SIMD", "baseline", 1);
  CHECK(cpu::detail::choose_simd_level() == cpu::SimdLevel::baseline);
  setenv("VENTRAL_SIMD", "", 1);
  CHECK(cpu::detail::choose_simd_level() == cpu::detail::best_simd_level());
  setenv("VENTRAL_SIMD", "sse9", 1);
  CHECK(test::message_of<Error>([] { cpu::detail::choose_simd_level(); }) == "VENTRAL_SIMD is 'sse9'; one of baseline, avx2, avx512 is needed");
  if (held) setenv("VENTRAL_SIMD", before.c_str(), 1);
  else unsetenv("VENTRAL_SIMD");
}

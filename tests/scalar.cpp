#include "ventral/scalar.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace ventral;

static_assert(sizeof(bfloat16) == 2 && sizeof(half) == 2 && std::is_trivially_copyable_v<bfloat16> && std::is_trivially_copyable_v<half>);
static_assert(std::is_same_v<Compute<bfloat16>, float> && std::is_same_v<Compute<half>, float> && std::is_same_v<Compute<float>, float> &&
              std::is_same_v<Compute<double>, double>);
static_assert(bfloat16(1.0f).bits() == 0x3F80 && half(1.0f).bits() == 0x3C00 && static_cast<float>(half::from_bits(0xC000)) == -2.0f);

namespace {

/// What a format is made of: bits below the sign, infinity, the quiet bit of a NaN.
template <class T>
struct Format;
template <>
struct Format<bfloat16> {
  static constexpr int mantissa = 7, smallest_exponent = -126;
  static constexpr std::uint16_t infinity = 0x7F80, quiet = 0x40;
};
template <>
struct Format<half> {
  static constexpr int mantissa = 10, smallest_exponent = -14;
  static constexpr std::uint16_t infinity = 0x7C00, quiet = 0x200;
};

/// The number that bits stand for, by the definition of the format.
template <class T>
double value_of(std::uint16_t bits) {
  using F = Format<T>;
  const int exponent = (bits & 0x7FFF) >> F::mantissa, fraction = bits & ((1 << F::mantissa) - 1);
  const double magnitude = exponent == 0 ? std::ldexp(fraction, F::smallest_exponent - F::mantissa)
                                         : std::ldexp(fraction + (1 << F::mantissa), F::smallest_exponent - F::mantissa + exponent - 1);
  return bits & 0x8000 ? -magnitude : magnitude;
}

template <class T>
std::uint16_t bits_of(float value) {
  return T(value).bits();
}

}  // namespace

TEST_CASE_TEMPLATE("scalar: all 65536 patterns are what the format says, and come back", T, bfloat16, half) {
  using F = Format<T>;
  int wrong = 0, nan = 0;
  for (int i = 0; i < 65536; ++i) {
    const auto bits = static_cast<std::uint16_t>(i);
    const float value = T::from_bits(bits);
    if ((bits & 0x7FFF) > F::infinity) {  // a NaN comes back quiet, with its sign and payload
      ++nan;
      wrong += !std::isnan(value) || bits_of<T>(value) != (bits | F::quiet);
    } else if ((bits & 0x7FFF) == F::infinity) {
      wrong += !std::isinf(value) || std::signbit(value) != (bits >> 15 != 0) || bits_of<T>(value) != bits;
    } else {
      wrong += static_cast<double>(value) != value_of<T>(bits) || std::signbit(value) != (bits >> 15 != 0) || bits_of<T>(value) != bits;
    }
  }
  CHECK(wrong == 0);
  CHECK(nan == 2 * ((1 << F::mantissa) - 1));
}

TEST_CASE_TEMPLATE("scalar: between any two neighbours, to the nearer; from the middle, to the even one", T, bfloat16, half) {
  using F = Format<T>;
  int wrong = 0;
  for (int sign = 0; sign < 2; ++sign)
    for (int i = 0; i < F::infinity; ++i) {  // the last pair is the largest number and where the next would be: infinity
      const auto low = static_cast<std::uint16_t>(i | sign << 15), high = static_cast<std::uint16_t>(low + 1);
      const float middle = static_cast<float>((value_of<T>(low) + value_of<T>(high)) / 2), direction = sign ? -INFINITY : INFINITY;
      wrong += bits_of<T>(middle) != (low & 1 ? high : low);
      wrong += bits_of<T>(std::nextafter(middle, 0.0f)) != low;
      wrong += bits_of<T>(std::nextafter(middle, direction)) != high;
    }
  CHECK(wrong == 0);
}

TEST_CASE("scalar: overflow, subnormals, zeros") {
  CHECK(bits_of<half>(65504.0f) == 0x7BFF);
  CHECK(bits_of<half>(65519.996f) == 0x7BFF);
  CHECK(bits_of<half>(65520.0f) == 0x7C00);
  CHECK(bits_of<half>(-1e30f) == 0xFC00);
  CHECK(bits_of<half>(std::numeric_limits<float>::infinity()) == 0x7C00);
  CHECK(bits_of<half>(0x1p-24f) == 1);          // the smallest number
  CHECK(bits_of<half>(0x1p-25f) == 0);          // half of it: to even
  CHECK(bits_of<half>(0x1.000002p-25f) == 1);   // a little more
  CHECK(bits_of<half>(0x1.FF8p-15f) == 0x3FF);  // the largest subnormal
  CHECK(bits_of<half>(-1e-30f) == 0x8000);
  CHECK(bits_of<half>(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(bits_of<bfloat16>(std::numeric_limits<float>::max()) == 0x7F80);
  CHECK(bits_of<bfloat16>(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(bits_of<bfloat16>(0x1p-133f) == 1);
  CHECK(bits_of<bfloat16>(-0.0f) == 0x8000);
  CHECK(bits_of<half>(-0.0f) == 0x8000);
  CHECK(bits_of<bfloat16>(std::bit_cast<float>(0x7F800001u)) == 0x7FC0);  // payload below the kept bits: still NaN
  CHECK(bits_of<half>(std::bit_cast<float>(0xFF800001u)) == 0xFE00);
  CHECK(bits_of<bfloat16>(std::bit_cast<float>(0x7FFFFFFFu)) == 0x7FFF);
}

TEST_CASE_TEMPLATE("scalar: whole numbers and doubles go by way of float", T, bfloat16, half) {
  CHECK(static_cast<float>(T(3)) == 3.0f);
  CHECK(static_cast<float>(T(-0.5)) == -0.5f);
  CHECK(T(0.1).bits() == T(0.1f).bits());
  CHECK(T(2) * T(3) + 1.0f == 7.0f);
}

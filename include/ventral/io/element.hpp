#pragma once
#include <cmath>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>

#include "ventral/io/bytes.hpp"

namespace ventral::inline v0 {

/// Types of numbers that array files hold.
enum class ElementType { boolean, u8, i8, u16, i16, u32, i32, u64, i64, f16, bf16, f32, f64 };

/// What reading into another type may do to a value. Either way a value outside the type's range, or a fraction read into an integer, is an error.
enum class Conversion {
  exact,   ///< a value that the type cannot hold exactly is an error
  rounded  ///< floating-point values are rounded to the nearest
};

constexpr const char* to_string(ElementType type) {
  constexpr const char* names[] = {"bool",  "uint8",  "int8",  "uint16",  "int16",    "uint32",  "int32",
                                   "uint64", "int64", "float16", "bfloat16", "float32", "float64"};
  return names[static_cast<int>(type)];
}

/// Bytes of one element.
constexpr std::size_t element_size(ElementType type) {
  constexpr std::uint8_t sizes[] = {1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
  return sizes[static_cast<int>(type)];
}

namespace detail {

template <class T>
constexpr ElementType element_type() {
  if constexpr (std::is_same_v<T, bool>) return ElementType::boolean;
  else if constexpr (std::is_same_v<T, std::uint8_t>) return ElementType::u8;
  else if constexpr (std::is_same_v<T, std::int8_t>) return ElementType::i8;
  else if constexpr (std::is_same_v<T, std::uint16_t>) return ElementType::u16;
  else if constexpr (std::is_same_v<T, std::int16_t>) return ElementType::i16;
  else if constexpr (std::is_same_v<T, std::uint32_t>) return ElementType::u32;
  else if constexpr (std::is_same_v<T, std::int32_t>) return ElementType::i32;
  else if constexpr (std::is_same_v<T, std::uint64_t>) return ElementType::u64;
  else if constexpr (std::is_same_v<T, std::int64_t>) return ElementType::i64;
  else if constexpr (std::is_same_v<T, float>) return ElementType::f32;
  else {
    static_assert(std::is_same_v<T, double>, "files hold bool, integers of 8 to 64 bits, float and double");
    return ElementType::f64;
  }
}

/// IEEE 754 binary16 -> float, exact.
inline float half_to_float(std::uint16_t h) {
  const int exponent = (h >> 10) & 31, fraction = h & 1023;
  float magnitude;
  if (exponent == 31) magnitude = fraction ? std::numeric_limits<float>::quiet_NaN() : std::numeric_limits<float>::infinity();
  else magnitude = exponent ? std::ldexp(static_cast<float>(1024 + fraction), exponent - 25) : std::ldexp(static_cast<float>(fraction), -24);
  return h & 0x8000 ? -magnitude : magnitude;
}

/// An element of any type, widened without loss.
struct AnyNumber {
  enum class Kind { whole, positive, real } kind;
  std::int64_t whole = 0;
  std::uint64_t positive = 0;
  double real = 0;

  /// Calls visit with the number in its kind.
  template <class Visit>
  auto visit(Visit v) const {
    return kind == Kind::whole ? v(whole) : kind == Kind::positive ? v(positive) : v(real);
  }
};
[[gnu::cold]] inline std::string to_string(const AnyNumber& n) {
  return n.visit([](auto v) { return concat(v); });
}

/// The element at p.
[[gnu::cold]] inline AnyNumber load_any(const std::uint8_t* p, ElementType type, std::endian order) {
  using Kind = AnyNumber::Kind;
  const auto whole = [](std::int64_t v) { return AnyNumber{.kind = Kind::whole, .whole = v}; };
  const auto positive = [](std::uint64_t v) { return AnyNumber{.kind = Kind::positive, .positive = v}; };
  const auto real = [](double v) { return AnyNumber{.kind = Kind::real, .real = v}; };
  switch (type) {
    case ElementType::boolean:
    case ElementType::u8: return positive(*p);
    case ElementType::i8: return whole(static_cast<std::int8_t>(*p));
    case ElementType::u16: return positive(load_number<std::uint16_t>(p, order));
    case ElementType::i16: return whole(load_number<std::int16_t>(p, order));
    case ElementType::u32: return positive(load_number<std::uint32_t>(p, order));
    case ElementType::i32: return whole(load_number<std::int32_t>(p, order));
    case ElementType::u64: return positive(load_number<std::uint64_t>(p, order));
    case ElementType::i64: return whole(load_number<std::int64_t>(p, order));
    case ElementType::f16: return real(static_cast<double>(half_to_float(load_number<std::uint16_t>(p, order))));
    case ElementType::bf16: return real(static_cast<double>(std::bit_cast<float>(std::uint32_t{load_number<std::uint16_t>(p, order)} << 16)));
    case ElementType::f32: return real(static_cast<double>(load_number<float>(p, order)));
    case ElementType::f64: break;
  }
  return real(load_number<double>(p, order));
}

enum class Fit { exact, inexact, outside };

/// Converts one value, and says how well it fits. `to` is written unless it is outside.
template <class From, class To>
Fit convert(From from, To& to) {
  if constexpr (std::is_same_v<From, To>) {
    to = from;
  } else if constexpr (std::is_same_v<To, bool>) {
    if (from != From(0) && from != From(1)) return Fit::outside;
    to = from == From(1);
  } else if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
    if (!std::in_range<To>(from)) return Fit::outside;
    to = static_cast<To>(from);
  } else if constexpr (std::is_integral_v<From>) {
    to = static_cast<To>(from);
    constexpr auto digits = static_cast<unsigned>(std::numeric_limits<To>::digits);
    if constexpr (std::numeric_limits<From>::digits > static_cast<int>(digits)) {
      const auto bits = static_cast<std::uint64_t>(from), magnitude = std::is_signed_v<From> && from < 0 ? 0 - bits : bits;
      if (magnitude != 0 && (magnitude >> std::countr_zero(magnitude)) >> digits != 0) return Fit::inexact;
    }
  } else if constexpr (std::is_integral_v<To>) {
    const double value = static_cast<double>(from), limit = std::ldexp(1.0, std::numeric_limits<To>::digits);
    if (!(value >= (std::is_signed_v<To> ? -limit : 0.0) && value < limit)) return Fit::outside;
    if (value != std::trunc(value)) return Fit::inexact;
    to = static_cast<To>(value);
  } else {
    if (std::isfinite(from) && std::abs(static_cast<double>(from)) > static_cast<double>(std::numeric_limits<To>::max())) return Fit::outside;
    to = static_cast<To>(from);
    if (!std::isnan(from) && static_cast<From>(to) != from) return Fit::inexact;
  }
  return Fit::exact;
}

/// Reads out.size() elements of a file into out. `bytes` must hold just that many; `offset` is where they begin in the file.
template <class T>
[[gnu::cold]] void decode_elements(ByteSpan bytes, ElementType type, std::endian order, std::span<T> out, Conversion conversion, std::string_view name, std::size_t offset) {
  if (type == element_type<T>() && type != ElementType::boolean && (order == std::endian::native || sizeof(T) == 1)) {
    if (!out.empty()) std::memcpy(out.data(), bytes.data(), bytes.size());
    return;
  }
  const std::size_t size = element_size(type);
  for (std::size_t i = 0; i < out.size(); ++i) {
    const AnyNumber value = load_any(bytes.data() + i * size, type, order);
    const std::size_t at = offset + i * size;
    if (type == ElementType::boolean && value.positive > 1) fail_at(name, at, "a bool is 0 or 1; found ", value);
    const Fit fit = value.visit([&](auto v) { return convert(v, out[i]); });
    if (fit == Fit::exact || (fit == Fit::inexact && conversion == Conversion::rounded && std::is_floating_point_v<T>)) continue;
    if (fit == Fit::outside) fail_at(name, at, "element ", i, ", ", value, " in ", to_string(type), ", is outside the range of ", to_string(element_type<T>()));
    fail_at(name, at, "element ", i, ", ", value, " in ", to_string(type), ", is not exact in ", to_string(element_type<T>()),
            std::is_floating_point_v<T> ? "; Conversion::rounded allows that" : "");
  }
}

/// Bytes that a shape takes as elements of a type.
inline std::size_t stored_size(const Shape& shape, ElementType type) { return static_cast<std::size_t>(shape.size()) * element_size(type); }

/// Adds an extent read from a file; what a Shape refuses becomes a FileError.
[[gnu::cold]] inline void push_extent(Shape& shape, std::uint64_t extent, std::string_view name, std::size_t offset) {
  if (shape.rank() >= Shape::max_rank) fail_at(name, offset, "an array of more than ", Shape::max_rank, " axes; at most ", Shape::max_rank, " can be read");
  if (extent > static_cast<std::uint64_t>(std::numeric_limits<Index>::max())) fail_at(name, offset, "extent ", extent, " is too large");
  try {
    shape.push_back(static_cast<Index>(extent));
  } catch (const ShapeError& e) {
    fail_at(name, offset, e.what());
  }
}

/// Appends elements in the given byte order.
template <class T>
void append_elements(Bytes& out, std::span<const T> values, std::endian order) {
  if (order == std::endian::native || sizeof(T) == 1) {
    const std::size_t start = out.size(), size = values.size_bytes();
    out.resize(start + size);
    if (size) std::memcpy(out.data() + start, values.data(), size);
  } else {
    for (const T& v : values) append_number(out, v, order);
  }
}

}  // namespace detail
}  // namespace ventral::inline v0

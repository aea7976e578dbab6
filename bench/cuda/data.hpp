#pragma once
#include "cuda/harness.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/random.hpp"

namespace bench::device {

using ventral::bfloat16;
using ventral::half;

template <class T>
constexpr const char* type_name = "float";
template <>
inline constexpr const char* type_name<bfloat16> = "bfloat16";
template <>
inline constexpr const char* type_name<half> = "half";

/// What a result of type T may differ from the exact one: rounding of the sums in float, and of the stored number.
template <class T>
constexpr double tolerance = 5e-5;  // products of TF32 would be off by 3e-4
template <>
inline constexpr double tolerance<bfloat16> = 1e-2;
template <>
inline constexpr double tolerance<half> = 2e-3;

/// The same of results computed as `math` says; tf32 has 11 significant bits.
template <class T>
double tolerance_of(ventral::Math math) {
  return std::is_same_v<T, float> && math == ventral::Math::tf32 ? 2e-3 : tolerance<T>;
}
template <class T>
Arithmetic arithmetic_of(ventral::Math math) {
  if (sizeof(T) == 2) return Arithmetic::bf16;
  return math == ventral::Math::exact ? Arithmetic::ffma : math == ventral::Math::tf32 ? Arithmetic::tf32 : Arithmetic::tf32x3;
}
inline std::string suffix_of(ventral::Math math) { return math == ventral::Math::tf32 ? "-tf32" : math == ventral::Math::tf32x3 ? "-tf32x3" : ""; }

/// Uniform random numbers in [low, high), rounded to T.
template <class T>
Tensor<T> random_numbers(Shape shape, std::uint64_t seed, double low = -1, double high = 1) {
  auto t = Tensor<T>::uninitialized(shape);
  ventral::cpu::parallel_ranges(t.size(), Index{1} << 16, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) {
      const double u = static_cast<double>(ventral::mix(seed, static_cast<std::uint64_t>(i)) >> 40) * 0x1p-24;
      t[i] = static_cast<T>(static_cast<float>(low + (high - low) * u));
    }
  });
  return t;
}

/// One array for each set.
template <class T>
using Sets = std::vector<Tensor<T, Cuda>>;

template <class T>
Sets<T> copies(const Tensor<T>& host, int sets) {
  Sets<T> all;
  for (int i = 0; i < sets; ++i) all.push_back(host.template to<Cuda>());
  return all;
}
template <class T>
Sets<T> zeros(Shape shape, int sets) {
  Sets<T> all;
  for (int i = 0; i < sets; ++i) all.emplace_back(shape);
  return all;
}
template <class T>
Tensor<T, Cuda>& of(Sets<T>& all, int set) {
  return all[static_cast<std::size_t>(set)];
}

template <class T>
double bytes_of(const Shape& shape) {
  return static_cast<double>(sizeof(T)) * static_cast<double>(shape.size());
}

}  // namespace bench::device

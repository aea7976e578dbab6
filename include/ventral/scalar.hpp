#pragma once
#include <bit>
#include <cstdint>
#include <type_traits>

#include "ventral/version.hpp"

#if defined(__CUDACC__)
#define VENTRAL_HOST_DEVICE __host__ __device__
#else
#define VENTRAL_HOST_DEVICE
#endif

/// The 16-bit floating-point types, to store numbers in: kernels read them as float, compute, and round once when they write.
/// They are ventral's own because plain C++ cannot see CUDA's; the bits are the same. On a GPU each conversion is one instruction where it has that, which
/// gives the same bits but for those of a NaN.
namespace ventral::inline v0 {

template <class T, class... List>
constexpr bool is_one_of = (std::is_same_v<T, List> || ...);

/// The upper half of a float: 8 bits of exponent, 8 of precision, range as float. Rounds to nearest, ties to even.
class bfloat16 {
 public:
  bfloat16() = default;
  VENTRAL_HOST_DEVICE constexpr explicit bfloat16(float value) : bits_(round(value)) {}
  VENTRAL_HOST_DEVICE constexpr explicit bfloat16(double value) : bfloat16(static_cast<float>(value)) {}
  VENTRAL_HOST_DEVICE constexpr explicit bfloat16(int value) : bfloat16(static_cast<float>(value)) {}
  VENTRAL_HOST_DEVICE constexpr operator float() const { return std::bit_cast<float>(static_cast<std::uint32_t>(bits_) << 16); }
  VENTRAL_HOST_DEVICE static constexpr bfloat16 from_bits(std::uint16_t bits) {
    bfloat16 v{};
    v.bits_ = bits;
    return v;
  }
  VENTRAL_HOST_DEVICE constexpr std::uint16_t bits() const { return bits_; }

 private:
  VENTRAL_HOST_DEVICE static constexpr std::uint16_t round(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
    if (!std::is_constant_evaluated()) {
      std::uint16_t bits;
      asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
      return bits;
    }
#endif
    const std::uint32_t f = std::bit_cast<std::uint32_t>(value);
    if ((f & 0x7FFFFFFFu) > 0x7F800000u) return static_cast<std::uint16_t>(f >> 16 | 0x40u);  // NaN stays NaN
    return static_cast<std::uint16_t>((f + 0x7FFFu + (f >> 16 & 1u)) >> 16);
  }
  std::uint16_t bits_;
};

/// IEEE 754 binary16: 5 bits of exponent, 11 of precision, largest number 65504. Rounds to nearest, ties to even; beyond the range is infinity.
class half {
 public:
  half() = default;
  VENTRAL_HOST_DEVICE constexpr explicit half(float value) : bits_(round(value)) {}
  VENTRAL_HOST_DEVICE constexpr explicit half(double value) : half(static_cast<float>(value)) {}
  VENTRAL_HOST_DEVICE constexpr explicit half(int value) : half(static_cast<float>(value)) {}
  VENTRAL_HOST_DEVICE constexpr operator float() const {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      float value;
      asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(bits_));
      return value;
    }
#endif
    const std::uint32_t sign = static_cast<std::uint32_t>(bits_ & 0x8000u) << 16, rest = bits_ & 0x7FFFu;
    if (rest >= 0x7C00u) return std::bit_cast<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
    const float magnitude = rest < 0x400u ? static_cast<float>(rest) * 0x1p-24f : std::bit_cast<float>((rest << 13) + (112u << 23));
    return sign ? -magnitude : magnitude;
  }
  VENTRAL_HOST_DEVICE static constexpr half from_bits(std::uint16_t bits) {
    half v{};
    v.bits_ = bits;
    return v;
  }
  VENTRAL_HOST_DEVICE constexpr std::uint16_t bits() const { return bits_; }

 private:
  VENTRAL_HOST_DEVICE static constexpr std::uint16_t round(float value) {
#if defined(__CUDA_ARCH__)
    if (!std::is_constant_evaluated()) {
      std::uint16_t bits;
      asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
      return bits;
    }
#endif
    const std::uint32_t f = std::bit_cast<std::uint32_t>(value);
    const std::uint32_t sign = f >> 16 & 0x8000u, rest = f & 0x7FFFFFFFu;
    if (rest > 0x7F800000u) return static_cast<std::uint16_t>(sign | 0x7E00u | (rest >> 13 & 0x3FFu));
    if (rest >= 0x477FF000u) return static_cast<std::uint16_t>(sign | 0x7C00u);  // 65520 and above
    if (rest >= 0x38800000u) {                                                   // normal: the exponent moves by 112
      const std::uint32_t r = rest - (112u << 23);
      return static_cast<std::uint16_t>(sign | (r + 0xFFFu + (r >> 13 & 1u)) >> 13);
    }
    if (rest < 0x33000000u) return static_cast<std::uint16_t>(sign);  // below half of the smallest number
    const std::uint32_t shift = 126u - (rest >> 23), mantissa = (rest & 0x7FFFFFu) | 0x800000u;
    const std::uint32_t kept = mantissa >> shift, lost = mantissa & ((1u << shift) - 1), middle = 1u << (shift - 1);
    return static_cast<std::uint16_t>(sign | (kept + (lost > middle || (lost == middle && (kept & 1u)) ? 1u : 0u)));
  }
  std::uint16_t bits_;
};

/// What kernels compute in for numbers stored as T: float for the 16-bit types, else T.
template <class T>
using Compute = std::conditional_t<is_one_of<T, bfloat16, half>, float, T>;

}  // namespace ventral::inline v0

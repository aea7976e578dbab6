#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/random.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// How weights are drawn; `fan_in` and `fan_out` are the numbers of inputs of a unit and of units that an input feeds.
/// Uniform rules draw from [-a, a), normal ones with standard deviation s; a = sqrt(3) s, so both have the same variance.
enum class Init {
  zeros,
  constant,        ///< `{Init::constant, 0.1}`
  lecun_uniform,   ///< s = sqrt(1 / fan_in): keeps the variance of linear units (LeCun, Bottou, Orr, Mueller 1998, "Efficient BackProp", eq. 16)
  lecun_normal,
  xavier_uniform,  ///< s = sqrt(2 / (fan_in + fan_out)): a compromise of both passes (Glorot, Bengio 2010, eq. 16)
  xavier_normal,
  he_uniform,      ///< s = sqrt(2 / fan_in): for units that are silent half of the time, as ReLU (He, Zhang, Ren, Sun 2015, eq. 10)
  he_normal,
  uniform_fan_in,  ///< a = sqrt(1 / fan_in): what PyTorch does when it is told nothing
  orthogonal       ///< rows (or columns, whichever are fewer) of length 1 at right angles (Saxe, McClelland, Ganguli 2014); rows are the first axis
};

/// A rule with its number: the value of `constant`, a gain that multiplies what the other rules draw (5 / 3 for tanh, say).
struct Initializer {
  Init rule = Init::he_uniform;
  double value = 1;
  constexpr Initializer() = default;
  constexpr Initializer(Init r, double v = 1) : rule(r), value(v) {}
};

namespace detail {

/// Half the width (uniform rules) or the standard deviation (normal rules).
[[gnu::cold]] inline double init_scale(Init rule, double fan_in, double fan_out) {
  switch (rule) {
    case Init::lecun_uniform: return std::sqrt(3 / fan_in);
    case Init::lecun_normal: return std::sqrt(1 / fan_in);
    case Init::xavier_uniform: return std::sqrt(6 / (fan_in + fan_out));
    case Init::xavier_normal: return std::sqrt(2 / (fan_in + fan_out));
    case Init::he_uniform: return std::sqrt(6 / fan_in);
    case Init::he_normal: return std::sqrt(2 / fan_in);
    case Init::uniform_fan_in: return std::sqrt(1 / fan_in);
    default: return 0;
  }
}

/// `count` random vectors of the given length, at right angles (Gram-Schmidt, twice: once leaves rounding errors behind).
[[gnu::cold]] inline std::vector<double> orthonormal(Index count, Index length, Random& random) {
  std::vector<double> v(static_cast<std::size_t>(count * length));
  const auto row = [&](Index i) { return v.data() + i * length; };
  const auto dot = [&](const double* a, const double* b) {
    double sum = 0;
    for (Index k = 0; k < length; ++k) sum += a[k] * b[k];
    return sum;
  };
  for (Index i = 0; i < count; ++i) {
    double *const a = row(i), norm = 0;
    do {
      for (Index k = 0; k < length; ++k) a[k] = random.normal();
      for (int pass = 0; pass < 2; ++pass)
        for (Index j = 0; j < i; ++j) {
          const double* const b = row(j);
          const double along = dot(a, b);
          for (Index k = 0; k < length; ++k) a[k] -= along * b[k];
        }
      norm = std::sqrt(dot(a, a));
    } while (norm < 1e-6);  // drawn inside the span of the others, by bad luck
    for (Index k = 0; k < length; ++k) a[k] /= norm;
  }
  return v;
}

}  // namespace detail

/// Draws w anew by a rule. Numbers are drawn in double on the CPU, so that every space and scalar starts from the same weights.
/// Throws Error when a rule needs a fan and it is not positive.
template <class T, class Space>
[[gnu::cold]] void initialize(Tensor<T, Space>& w, Initializer init, Index fan_in, Index fan_out, Random& random) {
  std::vector<T> values(static_cast<std::size_t>(w.size()));
  switch (init.rule) {
    case Init::zeros: break;
    case Init::constant: values.assign(values.size(), static_cast<T>(init.value)); break;
    case Init::orthogonal: {
      require(w.rank() >= 1, "initialize: Init::orthogonal needs a tensor of rank 1 or more");
      const Index rows = w.dim(0), columns = w.shape().product(1, w.rank()), length = std::max(rows, columns);
      const std::vector<double> v = detail::orthonormal(std::min(rows, columns), length, random);
      for (Index r = 0; r < rows; ++r)
        for (Index c = 0; c < columns; ++c)
          values[static_cast<std::size_t>(r * columns + c)] =
              static_cast<T>(init.value * v[static_cast<std::size_t>(rows <= columns ? r * length + c : c * length + r)]);
      break;
    }
    default: {
      require(fan_in > 0 && fan_out > 0, "initialize: fan_in ", fan_in, " and fan_out ", fan_out, " must be positive");
      const double scale = init.value * detail::init_scale(init.rule, static_cast<double>(fan_in), static_cast<double>(fan_out));
      const bool normal = init.rule == Init::lecun_normal || init.rule == Init::xavier_normal || init.rule == Init::he_normal;
      for (T& v : values) v = static_cast<T>(normal ? random.normal(0, scale) : random.uniform(-scale, scale));
    }
  }
  Space::copy_from_host(w.data(), values.data(), values.size() * sizeof(T));
}

}  // namespace ventral::inline v0

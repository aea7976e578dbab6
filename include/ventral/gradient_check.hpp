#pragma once
#include <algorithm>
#include <cmath>
#include <vector>

#include "ventral/layer.hpp"

namespace ventral::inline v0 {

struct GradientCheckOptions {
  double step = 1e-5;        ///< of the central difference, relative to max(1, |value|)
  double kink = 1e-4;        ///< an element is skipped as a kink when differences with step and step / 2 disagree by more than this, relatively
  Index max_elements = 400;  ///< of each array; larger ones are sampled
  std::uint64_t seed = 1;
  Mode mode = Mode::training;
};

/// What gradient_check found. `error` is the largest |analytic - numeric| / (|numeric| + scale) with scale the RMS of the numeric gradient
/// of that array; `where` names the array and element. `passed(1e-6)` also wants that something was checked, that at most
/// one element in ten was skipped at a kink, and that no array's gradient was zero throughout.
struct GradientReport {
  double error = 0;
  Index checked = 0, skipped = 0;
  std::string where, zero;  ///< `zero`: the arrays whose gradient was zero throughout
  bool passed(double tolerance) const { return error <= tolerance && checked > 0 && skipped * 10 <= checked + skipped && zero.empty(); }
};

inline std::string to_string(const GradientReport& r) {
  return concat("largest relative error ", r.error, " at ", r.where, "; ", r.checked, " checked, ", r.skipped, " skipped at kinks",
                r.zero.empty() ? "" : "; zero gradient: ", r.zero);
}

namespace detail {

/// Compares an analytic gradient with central differences of `loss`, a function of the array `value` (in any space).
template <class T, class Space, class Loss>
void compare_gradient(const std::string& name, Out<T, Space> value, const Tensor<T, Cpu>& analytic, Loss loss, const GradientCheckOptions& o, Random random, GradientReport& report) {
  const Index n = value.size();
  std::vector<Index> order(static_cast<std::size_t>(n));
  for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
  random.shuffle(order.begin(), order.end());
  order.resize(static_cast<std::size_t>(std::min(n, o.max_elements)));

  struct Found {
    Index at;
    double numeric;
  };
  std::vector<Found> found;
  double square = 0;
  for (const Index i : order) {
    T held;
    Space::copy_to_host(&held, value.data + i, sizeof(T));
    const auto loss_at = [&](double v) {
      const T shifted = static_cast<T>(v);
      Space::copy_from_host(value.data + i, &shifted, sizeof(T));
      const double l = loss();
      Space::copy_from_host(value.data + i, &held, sizeof(T));
      return l;
    };
    const double v = static_cast<double>(held), h = o.step * std::max(1.0, std::abs(v));
    const double wide = (loss_at(v + h) - loss_at(v - h)) / (2 * h), narrow = (loss_at(v + h / 2) - loss_at(v - h / 2)) / h;
    if (std::abs(wide - narrow) > o.kink * (std::abs(wide) + std::abs(narrow)) + 1e-7) {
      ++report.skipped;
      continue;
    }
    found.push_back({i, (4 * narrow - wide) / 3});  // Richardson: the error falls from h^2 to h^4
    square += found.back().numeric * found.back().numeric;
  }
  const double scale = found.empty() ? 0 : std::sqrt(square / static_cast<double>(found.size()));
  bool any = false;
  for (const Found& f : found) {
    const double a = static_cast<double>(analytic[f.at]), e = std::abs(a - f.numeric) / (std::abs(f.numeric) + scale + 1e-12);
    any = any || a != 0;
    ++report.checked;
    if (!(e <= report.error)) report.error = e, report.where = concat(name, "[", f.at, "]: analytic ", a, ", numeric ", f.numeric);
  }
  if (!found.empty() && !any) report.zero += (report.zero.empty() ? "" : ", ") + name;
}

}  // namespace detail

/// Checks a layer's (or network's) backward against finite differences of sum(y * r), r random: the gradient by the input and by every
/// parameter that is not frozen. Use double. Elements where the layer has a kink within the step are skipped and counted.
/// Random numbers are drawn alike in every evaluation, so Dropout can be checked too.
template <Layer L>
GradientReport gradient_check(L& layer, const Tensor<typename L::Scalar, typename L::Space>& x, GradientCheckOptions o = {}) {
  using T = typename L::Scalar;
  using Space = typename L::Space;
  static_assert(std::is_same_v<T, double>, "finite differences need double: check the layer with Scalar = double");
  const Shape shape = layer.output_shape(x.shape());
  Random random(o.seed);
  Tensor<T, Cpu> r(shape);
  for (T& v : r) v = random.uniform(-1, 1);
  const Tensor<T, Space> dy = r.template to<Space>();
  Tensor<T, Space> input = x.clone(), y(shape), dx(x.shape());
  Pass<Space> pass;

  const auto forward = [&] {
    pass.start(o.mode, o.seed, 0);
    layer.forward(input, y, pass);
  };
  const auto loss = [&] {
    forward();
    const Tensor<T, Cpu> out = y.template to<Cpu>();
    double sum = 0;
    for (Index i = 0; i < out.size(); ++i) sum += out[i] * r[i];
    return sum;
  };

  const auto parameters = parameters_of(layer);
  for (const auto& p : parameters) p.parameter->gradient.zero();
  forward();
  Out<T, Space> dx_ref = dx.ref();
  layer.backward(input, y, dy, &dx_ref, pass);

  GradientReport report;
  detail::compare_gradient<T, Space>("x", input.ref(), dx.template to<Cpu>(), loss, o, random.fork(1), report);
  for (const auto& p : parameters) {
    if (p.parameter->frozen) continue;
    static_cast<void>(p.parameter->accumulated_gradient());  // exists, if only as zeros
    detail::compare_gradient<T, Space>(p.name, p.parameter->value.ref(), p.parameter->gradient.template to<Cpu>(), loss, o, random.fork(2), report);
  }
  return report;
}

}  // namespace ventral::inline v0

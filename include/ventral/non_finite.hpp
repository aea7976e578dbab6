#pragma once
#include <cmath>
#include <string>

#include "ventral/evaluation.hpp"
#include "ventral/loss.hpp"

/// Why the loss of a training step is NaN or infinite.
namespace ventral::inline v0::detail {

/// Position of the first element that is NaN or infinite, or -1.
template <class T, class Space>
[[gnu::cold]] Index first_non_finite(In<T, Space> x) {
  Tensor<T, Cpu> held;
  const In<T, Cpu> values = on_host<T, Space>(x, held);
  for (Index i = 0; i < values.size(); ++i)
    if (!std::isfinite(values.data[i])) return i;
  return -1;
}

/// Why the loss of the forward pass just done on x is not finite, in words.
template <class T, class Space>
[[gnu::cold, gnu::noinline]] std::string explain_non_finite(Sequential<T, Space>& net, In<T, Space> x) {
  if (const Index at = first_non_finite<T, Space>(x); at >= 0)
    return concat("the input ", x.shape, " already holds NaN or infinity, first at ", position_text(x.shape, at));
  for (const std::string& name : net.names()) {
    const In<T, Space> y = net.activation(name);
    const Index at = first_non_finite<T, Space>(y);
    if (at < 0) continue;
    std::string why;
    for (const auto& p : net.parameters())
      if (p.name.substr(0, name.size() + 1) == name + "." && first_non_finite<T, Space>(p.parameter->value) >= 0)
        why = concat("; its parameter '", p.name, "' is not finite, so the step before went wrong: a smaller rate or clip_norm may help");
    return concat("the first activation that is not finite is that of layer '", name, "', ", y.shape, ", at ", position_text(y.shape, at), why);
  }
  return "all activations are finite, so it is the loss itself: look at the targets";
}

}  // namespace ventral::inline v0::detail

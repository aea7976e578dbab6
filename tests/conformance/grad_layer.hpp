#pragma once
#include "conformance/runners.hpp"
#include "ventral/window.hpp"

namespace conformance {

using ventral::Padding;
using ventral::Pair;
using ventral::Rounding;

/// A parameter and the array that holds its value; its gradient is the array with a `d` before.
template <class T, class Space>
struct Held {
  std::string array;
  Parameter<T, Space>* parameter;
};

/// Runs a layer on `x` and compares whatever the case gives of y, dx and the parameters' gradients. y is the same in inference, unless said otherwise.
template <class L, class T = typename L::Scalar, class Space = typename L::Space>
void check_layer(const Case& c, Check<T, Space>& check, L& layer, const std::vector<Held<T, Space>>& parameters = {}, bool same_in_inference = true) {
  for (const Held<T, Space>& p : parameters) set(*p.parameter, c.array(p.array));
  const Tensor<T, Space> x = c.array("x").as<T, Space>();
  if (same_in_inference && c.has("y")) check.compare("y in inference", forward(layer, x), c.array("y"));

  Pass<Space> pass(Mode::training, 1);
  auto y = Tensor<T, Space>::uninitialized(layer.output_shape(x.shape()));
  layer.forward(x, y, pass);
  if (c.has("y")) check.compare("y", y, c.array("y"));
  if (!c.has("dy")) return;
  const Tensor<T, Space> dy = c.array("dy").as<T, Space>();
  if (!(dy.shape() == y.shape())) throw Malformed(concat("dy has shape ", dy.shape(), "; y has ", y.shape()));
  auto dx = Tensor<T, Space>::uninitialized(x.shape());
  Out<T, Space> dx_out = dx.ref();
  layer.backward(x, y, dy, &dx_out, pass);
  if (c.has("dx")) check.compare("dx", dx, c.array("dx"));
  for (const Held<T, Space>& p : parameters)
    if (const std::string name = "d" + p.array; c.has(name)) {
      const In<T, Space> gradient = p.parameter->gradient;
      const bool same_size = gradient.size() == c.array(name).values.size();
      check.compare(name, same_size ? gradient.reshaped(c.array(name).shape()) : gradient, c.array(name));
    }
}

// ---- attributes of windows

inline Pair pair(const Attributes& a, const char* name, Pair absent) {
  const Attributes::Numbers n = a.numbers(name, {static_cast<double>(absent.h), static_cast<double>(absent.w)});
  if (n.size() != 1 && n.size() != 2) throw Malformed(concat("attribute '", name, "' has ", n.size(), " numbers; 2 expected"));
  return {static_cast<Index>(n.front()), static_cast<Index>(n.back())};
}
/// Rows and columns, or top, left, bottom, right, or "same".
inline Padding padding(const Attributes& a) {
  if (a.is_text("padding")) {
    if (const std::string rule = a.text("padding", ""); rule != "same" && rule != "valid") throw Malformed(concat("padding '", rule, "'"));
    return a.text("padding", "") == "same" ? Padding::same() : Padding(0);
  }
  const Attributes::Numbers n = a.numbers("padding", {0, 0});
  if (n.size() != 4) {
    const Pair p = pair(a, "padding", 0);
    return {p.h, p.w};
  }
  return {static_cast<Index>(n[0]), static_cast<Index>(n[1]), static_cast<Index>(n[2]), static_cast<Index>(n[3])};
}
inline Rounding rounding(const Attributes& a) { return a.boolean("ceil_mode", false) ? Rounding::ceil : Rounding::floor; }

}  // namespace conformance

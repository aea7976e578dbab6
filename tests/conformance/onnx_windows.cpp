#include "conformance/runners.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/conv_transpose2d.hpp"
#include "ventral/layers/pool2d.hpp"

namespace conformance {

namespace {

using namespace ventral;
using Numbers = Attributes::Numbers;

/// Images have rows and columns; a signal [N,C,L] becomes one row, [N,C,1,L]. Throws NotOffered for three and more spatial axes.
struct Spatial {
  int axes;  // 1 or 2
  Spatial(const Case& c, const Array& x) : axes(x.rank() - 2) {
    if (axes < 1) throw Malformed(concat(c.op, ": input of shape ", x.shape(), " has no spatial axis"));
    if (axes > 2) throw NotOffered(concat(c.op, " in ", axes, "-D"));
  }
  Shape image(const Shape& s) const { return axes == 2 ? s : Shape{s[0], s[1], 1, s[2]}; }

  /// An attribute with one number for each spatial axis; the row of a signal gets `for_row`.
  Pair pair(const Case& c, const char* name, Pair absent, Index for_row = 1) const {
    if (!c.attributes.has(name)) return absent;
    const Numbers n = c.attributes.numbers(name, {});
    if (static_cast<int>(n.size()) < axes) throw Malformed(concat("attribute '", name, "' has ", n.size(), " numbers; ", axes, " expected"));
    const Index last = static_cast<Index>(n.back());
    return {axes == 2 ? static_cast<Index>(n[n.size() - 2]) : for_row, last};
  }
  /// All begins, then all ends.
  Padding pads(const Case& c) const {
    const Numbers n = c.attributes.numbers("pads", Numbers(static_cast<std::size_t>(2 * axes), 0));
    if (static_cast<int>(n.size()) != 2 * axes) throw Malformed(concat("attribute 'pads' has ", n.size(), " numbers; ", 2 * axes, " expected"));
    const auto at = [&](std::size_t i) { return static_cast<Index>(n[i]); };
    return axes == 2 ? Padding(at(0), at(1), at(2), at(3)) : Padding(0, at(0), 0, at(1));
  }
};

std::string auto_pad(const Case& c) {
  const std::string rule = c.attributes.text("auto_pad", "NOTSET");
  if (rule != "NOTSET" && rule != "VALID" && rule != "SAME_UPPER" && rule != "SAME_LOWER") throw Malformed(concat("auto_pad '", rule, "'"));
  return rule;
}

/// Kernel, stride, padding, dilation and rounding as the attributes give them; `kernel` where kernel_shape is absent.
Window window_of(const Case& c, const Spatial& s, Pair kernel) {
  const std::string rule = auto_pad(c);
  Window w;
  w.kernel = s.pair(c, "kernel_shape", kernel);
  w.stride = s.pair(c, "strides", 1);
  w.dilation = s.pair(c, "dilations", 1);
  const Padding pads = s.pads(c);
  w.padding = rule == "NOTSET" ? pads : rule == "VALID" ? Padding(0) : rule == "SAME_UPPER" ? Padding::same() : Padding::same_lower();
  // VALID keeps whole windows only, whatever ceil_mode says.
  w.rounding = c.attributes.boolean("ceil_mode", false) && rule != "VALID" ? Rounding::ceil : Rounding::floor;
  return w;
}

/// Compares an image with a reference that may lack the row of a signal.
template <class T, class Space, class Memory>
void compare_image(Check<T, Space>& check, const Case& c, std::size_t i, const char* name, const Tensor<T, Memory>& got) {
  const Array* want = c.output(i);
  if (!want) return;
  const bool signal = got.size() == want->values.size() && got.rank() == want->rank() + 1 && got.dim(2) == 1;
  check.compare(name, signal ? got.reshaped(want->shape()) : got.ref(), *want);
}

Pair kernel_of(const Spatial& s, const Array& w) {
  if (w.rank() != s.axes + 2) throw Malformed(concat("weights of shape ", w.shape(), " for ", s.axes, " spatial axes"));
  const Shape image = s.image(w.shape());
  return {image[2], image[3]};
}

template <class T, class Space>
void conv(const Case& c, Check<T, Space>& check) {
  const Array &x = c.input(0), &w = c.input(1);
  const Spatial s(c, x);
  const Window window = window_of(c, s, kernel_of(s, w));
  const Index groups = c.attributes.integer("group", 1);
  const Array* b = c.optional_input(2);
  Conv2d<T, Space> layer({.in = w.shape()[1] * groups,
                          .out = w.shape()[0],
                          .kernel = window.kernel,
                          .stride = window.stride,
                          .padding = window.padding,
                          .dilation = window.dilation,
                          .groups = groups,
                          .bias = b != nullptr});
  set(layer.weight, w);
  if (b) set(layer.bias, *b);
  compare_image(check, c, 0, "Y", forward(layer, x.as<T, Space>().reshaped(s.image(x.shape()))));
}

/// Cuts `total` off an axis: the odd one at the end for SAME_UPPER, else at the beginning. A negative total adds at the end instead.
struct Cut {
  Index before, after, added;
  Cut(Index total, bool upper) : before(std::max<Index>(total, 0)), after(before / 2), added(std::max<Index>(-total, 0)) {
    before -= after;
    if (upper) std::swap(before, after);
  }
};

template <class T, class Space>
void conv_transpose(const Case& c, Check<T, Space>& check) {
  const Array &x = c.input(0), &w = c.input(1);
  const Spatial s(c, x);
  Window window = window_of(c, s, kernel_of(s, w));
  Pair more = s.pair(c, "output_padding", 0, 0);
  const std::string rule = auto_pad(c);
  const bool same = rule == "SAME_UPPER" || rule == "SAME_LOWER";
  if (const Shape image = s.image(x.shape()); same || c.attributes.has("output_shape")) {
    const Pair natural = {image[2] * window.stride.h, image[3] * window.stride.w}, out = s.pair(c, "output_shape", natural);
    const Cut rows((image[2] - 1) * window.stride.h + more.h + (window.kernel.h - 1) * window.dilation.h + 1 - out.h, rule == "SAME_UPPER");
    const Cut columns((image[3] - 1) * window.stride.w + more.w + (window.kernel.w - 1) * window.dilation.w + 1 - out.w, rule == "SAME_UPPER");
    window.padding = {rows.before, columns.before, rows.after, columns.after};
    more = {more.h + rows.added, more.w + columns.added};
  }
  const Index groups = c.attributes.integer("group", 1);
  const Array* b = c.optional_input(2);
  ConvTranspose2d<T, Space> layer({.in = w.shape()[0],
                                   .out = w.shape()[1] * groups,
                                   .kernel = window.kernel,
                                   .stride = window.stride,
                                   .padding = window.padding,
                                   .output_padding = more,
                                   .dilation = window.dilation,
                                   .groups = groups,
                                   .bias = b != nullptr});
  set(layer.weight, w);
  if (b) set(layer.bias, *b);
  compare_image(check, c, 0, "Y", forward(layer, x.as<T, Space>().reshaped(s.image(x.shape()))));
}

template <class T, class Space>
void max_pool(const Case& c, Check<T, Space>& check) {
  const Array& x = c.input(0);
  const Spatial s(c, x);
  const Window w = window_of(c, s, 1);
  MaxPool2d<T, Space> layer({.kernel = w.kernel, .stride = w.stride, .padding = w.padding, .dilation = w.dilation, .rounding = w.rounding});
  const Tensor<T, Space> image = x.as<T, Space>();
  const In<T, Space> in = image.reshaped(s.image(x.shape()));
  Pass<Space> pass(Mode::training);
  auto y = Tensor<T, Space>::uninitialized(layer.output_shape(in.shape));
  layer.forward(in, y, pass);
  compare_image(check, c, 0, "Y", y);

  const bool by_columns = c.attributes.integer("storage_order", 0) != 0;
  if (!c.output(1)) return;
  // The layer keeps each maximum's tap in its window (Cpu) or its place within its plane, row by row; ONNX counts through the whole tensor, in a plane
  // by rows or by columns.
  const Index height = in.shape[2], width = in.shape[3], plane = y.size() / (y.dim(0) * y.dim(1));
  constexpr bool taps = std::is_same_v<Space, Cpu>;
  const auto kept = to_cpu(pass.template kept<std::conditional_t<taps, T, std::int32_t>>(0, y.shape()));
  const WindowPlan plan = place(w, height, width, "MaxPool2d");
  Tensor<T> places(y.shape());
  for (Index i = 0; i < y.size(); ++i) {
    Index at = static_cast<Index>(kept[i]);
    if constexpr (taps) {
      const Index r = plan.h.origin(i % plane / plan.w.out) + at / plan.w.kernel * plan.h.dilation, q = plan.w.origin(i % plan.w.out) + at % plan.w.kernel * plan.w.dilation;
      at = r * width + q;
    }
    const Index row = at / width, column = at % width;
    places[i] = static_cast<T>(i / plane * height * width + (by_columns ? column * height + row : at));
  }
  compare_image(check, c, 1, "Indices", places);
}

template <class T, class Space>
void average_pool(const Case& c, Check<T, Space>& check) {
  const Array& x = c.input(0);
  const Spatial s(c, x);
  const Window w = window_of(c, s, 1);
  MeanPool2d<T, Space> layer({.kernel = w.kernel,
                              .stride = w.stride,
                              .padding = w.padding,
                              .dilation = w.dilation,
                              .rounding = w.rounding,
                              .count_include_pad = c.attributes.boolean("count_include_pad", false)});
  compare_image(check, c, 0, "Y", forward(layer, x.as<T, Space>().reshaped(s.image(x.shape()))));
}

template <class T, class Space>
void lp_pool(const Case& c, Check<T, Space>& check) {
  const Array& x = c.input(0);
  const Spatial s(c, x);
  const Window w = window_of(c, s, 1);
  LpPool2d<T, Space> layer({.kernel = w.kernel,
                            .stride = w.stride,
                            .padding = w.padding,
                            .dilation = w.dilation,
                            .rounding = w.rounding,
                            .p = c.attributes.number("p", 2)});
  compare_image(check, c, 0, "Y", forward(layer, x.as<T, Space>().reshaped(s.image(x.shape()))));
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_windows() {
  return {{"Conv", conv<T, Space>},
          {"ConvTranspose", conv_transpose<T, Space>},
          {"MaxPool", max_pool<T, Space>},
          {"AveragePool", average_pool<T, Space>},
          {"LpPool", lp_pool<T, Space>}};
}

CONFORMANCE_INSTANTIATE(onnx_windows)

}  // namespace conformance

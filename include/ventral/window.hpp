#pragma once
#include <algorithm>
#include <string>

#include "ventral/shape.hpp"

namespace ventral::inline v0 {

/// A vertical and a horizontal extent; one number means both: `.kernel = 5`, `.kernel = {1, 4}`.
struct Pair {
  Index h = 1, w = 1;
  constexpr Pair() = default;
  constexpr Pair(Index both) : h(both), w(both) {}
  constexpr Pair(Index height, Index width) : h(height), w(width) {}
  friend constexpr bool operator==(const Pair&, const Pair&) = default;
};

/// Rows and columns added around an image. `2`: on every side; `{1, 2}`: rows above and below, columns left and right;
/// `{1, 0, 2, 0}`: top, left, bottom, right. `Padding::same()` makes the output ceil(input / stride), with an odd extra
/// row or column at the end (`same_lower()`: at the beginning).
struct Padding {
  Index top = 0, left = 0, bottom = 0, right = 0;
  enum class Rule { given, same_upper, same_lower } rule = Rule::given;
  constexpr Padding() = default;
  constexpr Padding(Index all) : top(all), left(all), bottom(all), right(all) {}
  constexpr Padding(Index rows, Index columns) : top(rows), left(columns), bottom(rows), right(columns) {}
  constexpr Padding(Index t, Index l, Index b, Index r) : top(t), left(l), bottom(b), right(r) {}
  static constexpr Padding same() { return with_rule(Rule::same_upper); }
  static constexpr Padding same_lower() { return with_rule(Rule::same_lower); }
  friend constexpr bool operator==(const Padding&, const Padding&) = default;

 private:
  static constexpr Padding with_rule(Rule rule) {
    Padding p;
    p.rule = rule;
    return p;
  }
};

/// How a window that does not fit whole at the end is counted.
enum class Rounding {
  floor,  ///< left out
  ceil    ///< kept if it starts inside the image or its leading padding
};

/// A window sliding over an image: what convolution and pooling share.
struct Window {
  Pair kernel = 1, stride = 1;
  Padding padding = 0;
  Pair dilation = 1;
  Rounding rounding = Rounding::floor;
};

/// One axis of a window placed on an image, all numbers known. Output o covers the inputs o*stride - before + k*dilation, k < kernel.
struct WindowAxis {
  Index in = 0, out = 0, kernel = 1, stride = 1, before = 0, after = 0, dilation = 1;

  bool operator==(const WindowAxis&) const = default;
  /// Rows from the first to the last tap: (kernel - 1) dilation + 1.
  constexpr Index span() const { return (kernel - 1) * dilation + 1; }
  /// Position of tap 0 of output o; may be negative (in the padding).
  constexpr Index origin(Index o) const { return o * stride - before; }
  /// Taps [first, last) of output o that fall inside the image.
  constexpr Index first_tap(Index o) const { return origin(o) >= 0 ? 0 : std::min(kernel, (-origin(o) + dilation - 1) / dilation); }
  constexpr Index last_tap(Index o) const {
    const Index room = in - origin(o);  // taps k with k*dilation < room
    return room <= 0 ? 0 : std::min(kernel, (room + dilation - 1) / dilation);
  }
};

/// A window placed on an image of given height and width.
struct WindowPlan {
  WindowAxis h, w;
  bool operator==(const WindowPlan&) const = default;
};

namespace detail {

constexpr void require_window(const Window& window, const char* layer) {
  require<ShapeError>(window.kernel.h > 0 && window.kernel.w > 0, layer, ": kernel ", window.kernel.h, "x", window.kernel.w, " must be positive");
  require<ShapeError>(window.stride.h > 0 && window.stride.w > 0, layer, ": stride ", window.stride.h, "x", window.stride.w, " must be positive");
  require<ShapeError>(window.dilation.h > 0 && window.dilation.w > 0, layer, ": dilation ", window.dilation.h, "x", window.dilation.w, " must be positive");
  const Padding& p = window.padding;
  require<ShapeError>(p.top >= 0 && p.left >= 0 && p.bottom >= 0 && p.right >= 0, layer, ": padding ", p.top, ",", p.left, ",", p.bottom, ",", p.right, " must not be negative");
  constexpr Index limit = Index{1} << 31;
  require<ShapeError>(std::max({window.kernel.h, window.kernel.w, window.stride.h, window.stride.w, window.dilation.h, window.dilation.w, p.top, p.left, p.bottom, p.right}) < limit,
                      layer, ": a window extent of 2^31 or more");
}

constexpr WindowAxis place(Index in, Index kernel, Index stride, Index before, Index after, Index dilation, Padding::Rule rule, Rounding rounding,
                           const char* layer, const char* axis) {
  WindowAxis a{in, 0, kernel, stride, before, after, dilation};
  if (rule != Padding::Rule::given) {
    a.out = (in + stride - 1) / stride;
    const Index total = std::max(Index{0}, (a.out - 1) * stride + a.span() - in);
    a.before = rule == Padding::Rule::same_upper ? total / 2 : total - total / 2;
    a.after = total - a.before;
    return a;
  }
  const Index room = in + before + after - a.span();
  require<ShapeError>(room >= 0 || in == 0, layer, ": ", axis, " ", in, " with padding ", before, "+", after, " is smaller than the window, which spans ", a.span());
  if (in == 0) return a;
  a.out = room / stride + 1;
  if (rounding == Rounding::ceil && room % stride != 0 && a.out * stride < in + before) ++a.out;
  return a;
}

}  // namespace detail

/// Places a window on an image of height x width. Output extent: floor((in + before + after - span) / stride) + 1, or ceil without a
/// window that would start in the trailing padding (as PyTorch and ONNX); ceil(in / stride) for `same` padding; 0 for an empty image.
/// Throws ShapeError, prefixed by `layer`, when the window does not fit or an extent is not positive.
constexpr WindowPlan place(const Window& window, Index height, Index width, const char* layer) {
  detail::require_window(window, layer);
  const Padding& p = window.padding;
  return {detail::place(height, window.kernel.h, window.stride.h, p.top, p.bottom, window.dilation.h, p.rule, window.rounding, layer, "height"),
          detail::place(width, window.kernel.w, window.stride.w, p.left, p.right, window.dilation.w, p.rule, window.rounding, layer, "width")};
}

/// Receptive field of a unit along each axis, grown layer by layer: size += (span - 1) * jump; jump *= stride.
struct ReceptiveField {
  Pair size = 1, jump = 1;
  constexpr ReceptiveField after(const Window& w) const {
    const Index span_h = (w.kernel.h - 1) * w.dilation.h, span_w = (w.kernel.w - 1) * w.dilation.w;
    ReceptiveField r;
    r.size = {size.h + span_h * jump.h, size.w + span_w * jump.w};
    r.jump = {jump.h * w.stride.h, jump.w * w.stride.w};
    return r;
  }
};

}  // namespace ventral::inline v0

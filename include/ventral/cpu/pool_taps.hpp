#pragma once
#include <algorithm>

#include "ventral/format.hpp"
#include "ventral/window.hpp"

/// Where the windows of pooling lie: planes, the taps of a window that are inside the image, the outputs whose windows are.
namespace ventral::inline v0::cpu::detail {

/// The planes of a tensor [N,C,H,W], and how many numbers stand side by side for a cell: one, or an image of a block each.
struct ImagePlanes {
  Index unit, count;
  ImagePlanes(const Shape& s, Format f) : unit(f == Format::rows ? 1 : block_images), count(stored_images(s[0], f) / unit * s[1]) {}
};

/// Taps [first, last) of an output that are inside the image, and how many a mean counts: those or, with `padded`, those inside the padded image.
struct Taps {
  Index first, last, counted;
  Index count() const { return last - first; }
};
constexpr Taps taps_of(const WindowAxis& a, Index o, bool padded) {
  if (a.origin(o) >= 0 && a.origin(o) + a.span() <= a.in) return {0, a.kernel, a.kernel};  // no division on the common way
  const Index first = a.first_tap(o), last = a.last_tap(o);
  return {first, last, padded ? std::min(a.kernel, (a.in + a.after - a.origin(o) + a.dilation - 1) / a.dilation) : last - first};
}

/// The outputs [first, last) of an axis whose taps all lie inside the image.
struct Interior {
  Index first, last;
};
constexpr Interior interior(const WindowAxis& a) {
  const Index first = std::min(a.out, (a.before + a.stride - 1) / a.stride), room = a.in + a.before - a.span();
  return {first, std::max(first, room < 0 ? 0 : std::min(a.out, room / a.stride + 1))};
}

}  // namespace ventral::inline v0::cpu::detail

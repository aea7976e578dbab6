#pragma once
/// The definition of convolution as positions, for references in double: quick even where sanitizers look at every access.
#include "ventral/shape.hpp"
#include "ventral/window.hpp"

namespace test {

/// `count` neighbouring weights of a window, from `weight` on, meet as many inputs, from `input` on and `apart` from each other, for `output`: positions in plain
/// N,C,H,W.
struct WindowLine {
  ventral::Index output, input, weight, count, apart;
};

/// body(line) for every line of every window that meets the image. Which taps do is tried here, not asked of WindowAxis, which the layers ask.
template <class Body>
void each_window_line(const ventral::WindowPlan& plan, const ventral::Shape& x, ventral::Index outputs, ventral::Index groups, Body body) {
  using ventral::Index;
  const Index channels = x[1] / groups, per_group = outputs / groups, height = x[2], width = x[3], step = plan.w.dilation;
  WindowLine line{0, 0, 0, 0, step};
  for (Index n = 0; n < x[0]; ++n)
    for (Index o = 0; o < outputs; ++o)
      for (Index v = 0; v < plan.h.out; ++v)
        for (Index u = 0; u < plan.w.out; ++u, ++line.output) {
          const Index left = plan.w.origin(u);
          Index first = 0, last = plan.w.kernel;
          while (first < last && left + first * step < 0) ++first;
          while (first < last && left + (last - 1) * step >= width) --last;
          line.count = last - first;
          for (Index c = 0; c < channels && line.count > 0; ++c)
            for (Index i = 0; i < plan.h.kernel; ++i) {
              const Index row = plan.h.origin(v) + i * plan.h.dilation;
              if (row < 0 || row >= height) continue;
              line.input = ((n * x[1] + o / per_group * channels + c) * height + row) * width + left + first * step;
              line.weight = ((o * channels + c) * plan.h.kernel + i) * plan.w.kernel + first;
              body(line);
            }
        }
}

/// Adds convolution's sums to y.
inline void add_products(const ventral::WindowPlan& plan, const ventral::Shape& x_shape, ventral::Index outputs, ventral::Index groups, const double* x,
                         const double* w, double* y) {
  each_window_line(plan, x_shape, outputs, groups, [&](const WindowLine& l) {
    double sum = 0;
    for (ventral::Index k = 0; k < l.count; ++k) sum += w[l.weight + k] * x[l.input + k * l.apart];
    y[l.output] += sum;
  });
}

/// Adds the gradients of those sums to dx and dw.
inline void add_gradients(const ventral::WindowPlan& plan, const ventral::Shape& x_shape, ventral::Index outputs, ventral::Index groups, const double* x,
                          const double* w, const double* dy, double* dx, double* dw) {
  each_window_line(plan, x_shape, outputs, groups, [&](const WindowLine& l) {
    const double slope = dy[l.output];
    for (ventral::Index k = 0; k < l.count; ++k) {
      dx[l.input + k * l.apart] += w[l.weight + k] * slope;
      dw[l.weight + k] += x[l.input + k * l.apart] * slope;
    }
  });
}

}  // namespace test

#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/data/digit_strokes.hpp"
#include "ventral/random.hpp"

namespace ventral::inline v0 {

/// How much the drawn digits vary. Lengths are in digit heights unless said otherwise; "deviation" is of a normal distribution.
struct DigitStyle {
  double jitter = 0.03;           ///< deviation of each knot of a stroke
  double slant = 0.28;            ///< deviation of the shear
  double rotation = 0.22;         ///< deviation, radians
  double stretch = 0.2;           ///< deviation of the logarithm of width / height
  double bend = 0.06;             ///< amplitude of the smooth distortion of the plane
  double thickness = 2.5;         ///< mean width of the pen, pixels
  double thickness_spread = 0.3;  ///< deviation of its logarithm
};

struct DigitOptions {
  std::uint64_t seed = 1;
  Index first = 0;  ///< number of the first digit: parts of one sequence, say for training and test, need not overlap
  DigitStyle style = {};
};

namespace detail {

struct PenPoint {
  float x, y, radius;
};

/// One digit on its way from knots to pixels, in memory of its own.
class DigitPainter {
 public:
  static constexpr int side = 28, box = 20;  // image and the square that the ink fits, as in MNIST

  DigitPainter(Random random, const DigitStyle& style) : random_(random), style_(style) {
    for (const double v : {style.jitter, style.slant, style.rotation, style.stretch, style.bend, style.thickness_spread})
      require(0 <= v && v <= 1, "DigitStyle: ", v, " is outside [0, 1]");
    require(0.5 <= style.thickness && style.thickness <= box, "DigitStyle: thickness is ", style.thickness, "; 0.5 to ", box, " pixels expected");
  }

  int draw(std::uint8_t* image) {
    const int digit = static_cast<int>(random_.below(10));
    count_ = strokes_ = 0;
    trace(choose(strokes::glyphs_of(digit)));
    distort();
    fit();
    paint(image);
    return digit;
  }

 private:
  static constexpr int steps = 6;  // pieces of the curve between two knots

  float normal(double deviation) { return static_cast<float>(random_.normal(0, deviation)); }
  float uniform(double low, double high) { return static_cast<float>(random_.uniform(low, high)); }

  const strokes::Glyph& choose(std::span<const strokes::Glyph> ways) {
    float total = 0;
    for (const strokes::Glyph& g : ways) total += g.weight;
    float left = uniform(0, total);
    for (const strokes::Glyph& g : ways)
      if ((left -= g.weight) < 0) return g;
    return ways.back();
  }

  /// Moves the knots at random and draws Catmull-Rom curves through them, one for each run between corners.
  void trace(const strokes::Glyph& glyph) {
    PenPoint knot[16];
    for (int i = 0; i < glyph.count; ++i) knot[i] = {glyph.knots[i].x * 0.01f + normal(style_.jitter), glyph.knots[i].y * 0.01f + normal(style_.jitter), 0};
    for (int first = 0; first < glyph.count;) {
      int last = first + 1;
      while (last < glyph.count && glyph.knots[last].pen == strokes::Pen::smooth) ++last;
      const bool turns = last < glyph.count && glyph.knots[last].pen == strokes::Pen::corner;
      if (glyph.knots[first].pen == strokes::Pen::start) begin_[strokes_++] = count_, points_[count_++] = knot[first];
      run(knot, first, turns ? last : last - 1);
      first = last;
    }
    begin_[strokes_] = count_;
  }
  void run(const PenPoint* knot, int first, int last) {
    for (int i = first; i < last; ++i) {
      const PenPoint &a = knot[std::max(i - 1, first)], &b = knot[i], &c = knot[i + 1], &d = knot[std::min(i + 2, last)];
      for (int s = 1; s <= steps; ++s) {
        const float t = static_cast<float>(s) / steps;
        const auto at = [t](float p, float q, float r, float u) {
          return q + 0.5f * t * (r - p + t * (2 * p - 5 * q + 4 * r - u + t * (3 * (q - r) + u - p)));
        };
        points_[count_++] = {at(a.x, b.x, c.x, d.x), at(a.y, b.y, c.y, d.y), 0};
      }
    }
  }

  /// Bends the plane by two slow waves for each coordinate, then stretches, slants and turns it; gives the pen its width along the way.
  void distort() {
    constexpr double two_pi = 6.283185307179586;
    float wave[4][4];  // along x, along y, phase, amplitude
    for (auto& w : wave) w[0] = uniform(-5, 5), w[1] = uniform(-5, 5), w[2] = uniform(0, two_pi), w[3] = normal(style_.bend);
    const float stretch = std::exp(normal(style_.stretch)), slant = normal(style_.slant) - 0.1f, angle = normal(style_.rotation);
    const float c = std::cos(angle), s = std::sin(angle);
    const float radius = static_cast<float>(style_.thickness) / 2 * std::exp(normal(style_.thickness_spread));
    const float swell = uniform(0, 0.25), swell_at = uniform(0, two_pi), swell_rate = uniform(0.05, 0.2);
    for (int i = 0; i < count_; ++i) {
      PenPoint& p = points_[i];
      float d[4];
      for (int k = 0; k < 4; ++k) d[k] = wave[k][3] * std::sin(wave[k][0] * p.x + wave[k][1] * p.y + wave[k][2]);
      const float y = p.y + d[2] + d[3] - 0.5f, x = (p.x + d[0] + d[1] - 0.5f) * stretch + slant * y;
      p = {c * x - s * y, s * x + c * y, std::max(0.55f, radius * (1 + swell * std::sin(swell_at + swell_rate * static_cast<float>(i))))};
    }
  }

  /// Scales the ink to the box and moves its centre of mass, taken along the strokes, to the middle of the image.
  void fit() {
    float low_x = points_[0].x, high_x = low_x, low_y = points_[0].y, high_y = low_y, widest = 0;
    for (int i = 0; i < count_; ++i) {
      low_x = std::min(low_x, points_[i].x), high_x = std::max(high_x, points_[i].x);
      low_y = std::min(low_y, points_[i].y), high_y = std::max(high_y, points_[i].y);
      widest = std::max(widest, points_[i].radius);
    }
    const float scale = std::max(4.0f, static_cast<float>(box) - 2 * widest) / std::max({high_x - low_x, high_y - low_y, 0.01f});
    float mass = 1e-12f, mean_x = 0, mean_y = 0;
    segments([&](const PenPoint& a, const PenPoint& b) {
      const float m = std::hypot(b.x - a.x, b.y - a.y) * (a.radius + b.radius);
      mass += m, mean_x += m * (a.x + b.x) / 2, mean_y += m * (a.y + b.y) / 2;
    });
    const float middle = static_cast<float>(side) / 2, shift_x = middle - scale * mean_x / mass, shift_y = middle - scale * mean_y / mass;
    for (int i = 0; i < count_; ++i) points_[i].x = scale * points_[i].x + shift_x, points_[i].y = scale * points_[i].y + shift_y;
  }

  template <class Visit>
  void segments(Visit visit) const {
    for (int s = 0; s < strokes_; ++s)
      for (int i = begin_[s]; i + 1 < begin_[s + 1]; ++i) visit(points_[i], points_[i + 1]);
  }

  /// A pixel's ink is the part of it that lies under the pen, taken from the distance of its centre to the nearest segment.
  void paint(std::uint8_t* image) {
    float ink[side * side] = {};
    constexpr float soft = 0.65f;  // half of the edge's width
    segments([&](const PenPoint& a, const PenPoint& b) {
      const float dx = b.x - a.x, dy = b.y - a.y, inverse = 1 / std::max(dx * dx + dy * dy, 1e-12f), reach = std::max(a.radius, b.radius) + soft;
      const int left = pixel(std::min(a.x, b.x) - reach), right = pixel(std::max(a.x, b.x) + reach), top = pixel(std::min(a.y, b.y) - reach),
                bottom = pixel(std::max(a.y, b.y) + reach);
      for (int y = top; y <= bottom; ++y)
        for (int x = left; x <= right; ++x) {
          const float px = static_cast<float>(x) + 0.5f - a.x, py = static_cast<float>(y) + 0.5f - a.y;
          const float t = std::clamp((px * dx + py * dy) * inverse, 0.0f, 1.0f), ex = px - t * dx, ey = py - t * dy;
          const float cover = a.radius + t * (b.radius - a.radius) + soft - std::sqrt(ex * ex + ey * ey);
          float& v = ink[y * side + x];
          v = std::max(v, cover);
        }
    });
    const float full = uniform(235, 255) / (2 * soft);
    for (int i = 0; i < side * side; ++i) image[i] = static_cast<std::uint8_t>(full * std::min(ink[i], 2 * soft) + 0.5f);
  }
  static int pixel(float position) { return std::clamp(static_cast<int>(position), 0, side - 1); }

  Random random_;
  const DigitStyle& style_;
  PenPoint points_[16 * steps];
  int begin_[17], count_ = 0, strokes_ = 0;
};

}  // namespace detail

/// Draws digit number `index` of a sequence into 28x28 pixels, ink 255 on 0, and returns which digit it is. Depends on seed, index and style only.
inline int draw_digit(std::uint64_t seed, Index index, std::uint8_t* image, const DigitStyle& style = {}) {
  return detail::DigitPainter(Random(seed).fork(static_cast<std::uint64_t>(index)), style).draw(image);
}

/// A data set that looks like handwritten digits and needs no files: images [count,1,28,28], labels 0..9. Strokes through randomly moved points, bent, slanted,
/// turned, drawn with pens of varying width, scaled to a box of 20x20 and centred by mass as in MNIST. Same bits for any number of threads.
inline Dataset draw_digits(Index count, const DigitOptions& options = {}) {
  require(count >= 0, "draw_digits: count is ", count);
  Dataset out;
  out.classes = 10;
  out.images = Tensor<std::uint8_t>::uninitialized({count, 1, detail::DigitPainter::side, detail::DigitPainter::side});
  out.labels = Tensor<std::int32_t>::uninitialized({count});
  constexpr Index grain = 256, pixels = detail::DigitPainter::side * detail::DigitPainter::side;
  cpu::parallel_ranges(count, grain, [&](Index first, Index last) {
    for (Index i = first; i < last; ++i) out.labels[i] = draw_digit(options.seed, options.first + i, out.images.data() + i * pixels, options.style);
  });
  return out;
}

}  // namespace ventral::inline v0

#pragma once
#include <cmath>

#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/simd.hpp"
#include "ventral/random.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0 {

/// Random distortions of images. Each number is drawn uniformly from [-x, x] (scale: a factor from [1 - x, 1 + x]) for each image anew; 0 leaves it out.
/// For MNIST: shift 1, rotation 10, scale 0.1, shear 0.1, elastic 34 at smoothness 4 (Simard's values for 29x29 pixels).
struct Augmentation {
  double shift = 0;       ///< pixels, along each axis
  double rotation = 0;    ///< degrees, about the centre
  double scale = 0;       ///< of height and of width, separately
  double shear = 0;       ///< horizontal shift per row, pixels
  double elastic = 0;     ///< alpha: a random field in [-1, 1] is smoothed, then multiplied by it; the displacement's RMS is 0.163 alpha / smoothness pixels
  double smoothness = 4;  ///< sigma of the field's Gaussian, pixels
  double background = 0;  ///< value outside the image
};

namespace detail {

/// out[i] = g[0] centre[i] + sum_k g[k] (before_k[i] + after_k[i]) for i in [0, n), n a multiple of 16; `row(k)` gives row k of the input.
template <class I, class Row>
VENTRAL_ALWAYS_INLINE void smooth_row(const float* g, Index radius, Row row, float* out, Index n) {
  using V = cpu::Simd<float, I>;
  for (Index i = 0; i < n; i += V::lanes) {
    V sum = V::all(g[0]) * V::load(row(0) + i);
    for (Index k = 1; k <= radius; ++k) sum = sum + V::all(g[k]) * (V::load(row(-k) + i) + V::load(row(k) + i));
    sum.store(out + i);
  }
}

/// Distorts images of one size, one at a time, in scratch memory.
template <class T>
class Distorter {
 public:
  using Work = std::conditional_t<std::is_same_v<T, double>, double, float>;

  Distorter(const Augmentation& options, Shape image)
      : o_(options), channels_(image[0]), h_(image[1]), w_(image[2]), pitch_((w_ + 15) / 16 * 16), radius_(static_cast<Index>(std::ceil(3 * o_.smoothness))) {}

  /// Bytes of scratch for one thread, and for the weights that all share.
  Index scratch_bytes() const {
    const Index field = h_ * 2 * pitch_;
    return cpu::Arena::bytes<float>(radius_ + 1) + 2 * cpu::Arena::bytes<float>(field) + cpu::Arena::bytes<float>(pitch_ + 2 * radius_) +
           cpu::Arena::bytes<Work>((h_ + 3) * (w_ + 3));
  }

  void run(const T* x, T* y, const Random& random, cpu::Arena scratch) {
    g_ = scratch.take<float>(radius_ + 1);
    field_ = scratch.take<float>(h_ * 2 * pitch_);
    other_ = scratch.take<float>(h_ * 2 * pitch_);
    wrapped_ = scratch.take<float>(pitch_ + 2 * radius_);
    padded_ = scratch.take<Work>((h_ + 3) * (w_ + 3));
    draw_map(random);
    if (o_.elastic > 0) draw_field(random.fork(1));
    for (Index c = 0; c < channels_; ++c) {
      pad(x + c * h_ * w_);
      for (Index row = 0; row < h_; ++row) sample(row, y + (c * h_ + row) * w_);
    }
  }

 private:
  /// The affine part: where in the image an output pixel looks, relative to the centre, in pixels.
  void draw_map(Random random) {
    const auto within = [&](double limit) { return random.uniform(-limit, limit); };
    const double angle = within(o_.rotation) * 0.017453292519943295, tall = 1 + within(o_.scale), wide = 1 + within(o_.scale), shear = within(o_.shear);
    const double c = std::cos(angle), s = std::sin(angle);
    yy_ = c / tall, yx_ = -s / tall;
    xy_ = (s - shear * c) / wide, xx_ = (c + shear * s) / wide;
    shift_y_ = within(o_.shift), shift_x_ = within(o_.shift);
  }

  /// Two fields of uniform noise, dy and dx side by side in each row, smoothed by a Gaussian along both axes; periodic, so that borders are like the middle.
  void draw_field(const Random& noise) {
    const Index n = h_ * 2 * pitch_;  // a multiple of 32
    for (Index i = 0; i < n; i += 8) {
      const auto bits = noise.block(static_cast<std::uint64_t>(i / 8));
      for (Index k = 0; k < 8; ++k)
        field_[i + k] = static_cast<float>(static_cast<std::int16_t>(bits[static_cast<std::size_t>(k / 2)] >> (k % 2 * 16))) * 0x1p-15f;
    }
    double sum = 0;
    for (Index k = 0; k <= radius_; ++k) sum += (k ? 2 : 1) * gaussian(k);
    for (Index k = 0; k <= radius_; ++k) g_[k] = static_cast<float>(gaussian(k) / sum);
    cpu::simd_dispatch([this](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA { this->template smooth<decltype(isa)>(); });
  }
  double gaussian(Index k) const { return std::exp(-0.5 * static_cast<double>(k * k) / (o_.smoothness * o_.smoothness)); }

  template <class I>
  VENTRAL_ALWAYS_INLINE void smooth() {
    for (Index y = 0; y < h_; ++y) {
      const auto row = [&](Index k) { return field_ + ((y + k) % h_ + h_) % h_ * 2 * pitch_; };
      smooth_row<I>(g_, radius_, row, other_ + y * 2 * pitch_, 2 * pitch_);
    }
    for (Index part = 0; part < 2 * h_; ++part) {
      const float* from = other_ + part * pitch_;
      for (Index i = 0, j = (w_ - radius_ % w_) % w_; i < pitch_ + 2 * radius_; ++i, j = j + 1 < w_ ? j + 1 : 0) wrapped_[i] = from[j];
      smooth_row<I>(g_, radius_, [&](Index k) { return wrapped_ + radius_ + k; }, field_ + part * pitch_, pitch_);
    }
  }

  /// The channel with a border of background: one pixel before and two after, so that the four neighbours of any clamped position exist.
  void pad(const T* x) {
    const Index pitch = w_ + 3;
    const Work outside = static_cast<Work>(o_.background);
    for (Index i = 0; i < (h_ + 3) * pitch; ++i) padded_[i] = outside;
    for (Index y = 0; y < h_; ++y)
      for (Index i = 0; i < w_; ++i) padded_[(y + 1) * pitch + i + 1] = static_cast<Work>(x[y * w_ + i]);
  }

  /// One row of the output: bilinear interpolation at the displaced positions.
  void sample(Index row, T* y) const {
    const float middle_y = static_cast<float>(h_ - 1) / 2, middle_x = static_cast<float>(w_ - 1) / 2, alpha = static_cast<float>(o_.elastic);
    const float py = static_cast<float>(row) - middle_y, top = static_cast<float>(h_), right = static_cast<float>(w_);
    const float ay = static_cast<float>(yy_) * py + middle_y + static_cast<float>(shift_y_),
                ax = static_cast<float>(xy_) * py + middle_x + static_cast<float>(shift_x_);
    const float by = static_cast<float>(yx_), bx = static_cast<float>(xx_);
    const float *dy = field_ + row * 2 * pitch_, *dx = dy + pitch_;
    for (Index i = 0; i < w_; ++i) {
      const float px = static_cast<float>(i) - middle_x;
      float sy = ay + by * px, sx = ax + bx * px;
      if (alpha > 0) sy += alpha * dy[i], sx += alpha * dx[i];
      sy = std::min(std::max(sy, -1.0f), top) + 1, sx = std::min(std::max(sx, -1.0f), right) + 1;
      const Index iy = static_cast<Index>(sy), ix = static_cast<Index>(sx);
      const Work fy = static_cast<Work>(sy - static_cast<float>(iy)), fx = static_cast<Work>(sx - static_cast<float>(ix));
      const Work *a = padded_ + iy * (w_ + 3) + ix, *b = a + w_ + 3;
      const Work upper = a[0] + fx * (a[1] - a[0]), lower = b[0] + fx * (b[1] - b[0]), v = upper + fy * (lower - upper);
      if constexpr (std::is_integral_v<T>) y[i] = static_cast<T>(v + Work(0.5));
      else y[i] = v;
    }
  }

  const Augmentation& o_;
  Index channels_, h_, w_, pitch_, radius_;
  double yy_ = 1, yx_ = 0, xy_ = 0, xx_ = 1, shift_y_ = 0, shift_x_ = 0;
  float *g_ = nullptr, *field_ = nullptr, *other_ = nullptr, *wrapped_ = nullptr;
  Work* padded_ = nullptr;
};

inline void check(const Augmentation& o) {
  const auto range = [](const char* name, double v, double low, double high) {
    require(low <= v && v <= high, "Augmentation: ", name, " is ", v, "; ", low, " to ", high, " expected");
  };
  range("shift", o.shift, 0, 1e4);
  range("rotation", o.rotation, 0, 180);
  range("scale", o.scale, 0, 0.9);
  range("shear", o.shear, 0, 10);
  range("elastic", o.elastic, 0, 1e6);
  range("smoothness", o.smoothness, 0.1, 1000);
}

}  // namespace detail

/// Distorts each image of x [N,C,H,W] (uint8, float or double) at random into y, which may be x: shift, rotation, scale and shear, and an elastic
/// distortion, combined into one bilinear interpolation; uint8 is rounded. Image i depends on (random, first + i) only, so batches may be cut as one likes.
/// Throws ShapeError for other shapes, Error for options out of range.
/// Source: Simard, Steinkraus, Platt 2003, "Best practices for convolutional neural networks applied to visual document analysis", ICDAR.
template <class T>
void augment(In<T> x, Out<T> y, const Augmentation& options, const Random& random, Index first = 0) {
  static_assert(std::is_same_v<T, std::uint8_t> || std::is_floating_point_v<T>, "augment works on uint8, float and double");
  require<ShapeError>(x.shape.rank() == 4 && x.shape == y.shape, "augment: x ", x.shape, ", y ", y.shape, "; [N,C,H,W] expected for both");
  detail::check(options);
  if constexpr (std::is_integral_v<T>)
    require(0 <= options.background && options.background <= 255, "Augmentation: background is ", options.background, "; 0 to 255 expected");
  if (x.size() == 0) return;
  const Index size = x.shape.product(1, 4);
  const detail::Distorter<T> blank(options, {x.shape[1], x.shape[2], x.shape[3]});
  cpu::Scratch& scratch = cpu::Scratch::mine();
  scratch.reserve(0, blank.scratch_bytes());
  constexpr Index grain = 16;
  cpu::parallel_ranges(x.shape[0], grain, [&](Index begin, Index end) {
    cpu::Scratch::Lease lease(scratch);
    detail::Distorter<T> distorter = blank;
    for (Index i = begin; i < end; ++i) distorter.run(x.data + i * size, y.data + i * size, random.fork(static_cast<std::uint64_t>(first + i)), lease.arena());
  });
}

}  // namespace ventral::inline v0

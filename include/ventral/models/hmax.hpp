#pragma once
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/models/gabor_filters.hpp"

namespace ventral::inline v0 {

/// The published values: 16 scales of S1 in 8 bands of C1, four sizes of S2 patches.
struct HmaxOptions {
  Index orientations = 4;
  Index bands = 8;  ///< of two S1 scales each; filters of 7, 9 | 11, 13 | ... pixels; C1 pools over 8, 10, ... pixels, half a window apart
  std::vector<Index> patch_sizes = {4, 8, 12, 16};
  double sigma = 1;  ///< of the S2 tuning for patches of 4 x 4
};

/// C1 and C2 responses to images: c1 [N, sum over bands of orientations h w], c2 [N, patches of all sizes, size after size].
template <class T>
struct HmaxFeatures {
  Tensor<T> c1, c2;
};

/// HMAX, the hand-made hierarchy of simple and complex cells: template matching (S) and maximum (C) by turns. Runs on the CPU.
/// S1: |f . x| / |x| for Gabor filters f with x under the filter; 0 where x = 0, and where the filter does not lie inside the image.
/// C1: the maximum of S1 over the two scales of a band and a window of positions.
/// S2: exp(-|x - p|^2 / (2 sigma^2 (n / 4)^2)) for patches p [orientations,n,n] of C1, wherever all of the patch lies inside a band.
/// C2: the maximum of S2 over positions and bands, one number a patch, in (0, 1]; it hardly changes when the image moves.
///
/// Images are grey [N,1,H,W], levels 0..1, their mean not subtracted: S1 divides by local light. Patches are imprinted, cut from C1 of given images
/// (natural ones: a patch of uniform background matches everywhere). The same seed gives the same patches; C1 alone needs none.
/// Throws ShapeError on images of another shape, smaller than the largest filter, or in which a patch fits no band; Error on options out of range.
/// Cost for 140 x 140 pixels and 400 patches: about 1.5 GFLOP an image. |x - p|^2 comes from |x|^2 - 2 x.p + |p|^2: in float, S2 errs by about 1e-6.
/// Sources: Riesenhuber, Poggio 1999, Nat Neurosci 2; Serre, Wolf, Bileschi, Riesenhuber, Poggio 2007, IEEE TPAMI 29 (table 1); Serre, Oliva,
/// Poggio 2007, PNAS 104; the factor (n / 4)^2, which keeps large patches from falling silent: Mutch, Lowe 2008, IJCV 80.
template <class T = float>
class Hmax {
 public:
  explicit Hmax(HmaxOptions o = {}) : options_(std::move(o)) {
    require(options_.orientations >= 1 && options_.bands >= 1 && options_.bands <= 32, "Hmax: ", options_.orientations, " orientations and ",
            options_.bands, " bands; at least 1, and at most 32 bands, are needed");
    require(options_.sigma > 0, "Hmax: sigma ", options_.sigma, " must be positive");
    for (const Index n : options_.patch_sizes) require<ShapeError>(n >= 1, "Hmax: a patch size of ", n);
    for (Index scale = 0; scale < 2 * options_.bands; ++scale) add_scale(scale);
    patches_.resize(options_.patch_sizes.size());
  }

  const HmaxOptions& options() const { return options_; }
  /// The patches of one size, the index of which counts as in the options: [patches,orientations,n,n].
  const Tensor<T>& patches(std::size_t size_index) const { return patches_.at(size_index); }
  /// Number of C2 features.
  Index patch_count() const {
    Index n = 0;
    for (const Tensor<T>& p : patches_) n += p.empty() ? 0 : p.dim(0);
    return n;
  }

  /// Takes `count` patches of each size from C1 of the images [N,1,H,W], each from an image, a band (of those large enough) and a place drawn at
  /// random. Replaces earlier patches. Throws as the class says, and Error when there are no images.
  void imprint(In<T> images, Index count, std::uint64_t seed) {
    check(images.shape);
    require(images.shape[0] >= 1 && count >= 1, "Hmax::imprint: ", count, " patches from ", images.shape[0],
            " images; at least one of each is needed");
    for (std::size_t s = 0; s < patches_.size(); ++s)
      patches_[s] = Tensor<T>({count, options_.orientations, options_.patch_sizes[s], options_.patch_sizes[s]});
    for (Index n = 0; n < images.shape[0]; ++n) {
      std::vector<Tensor<T>> maps;  // computed when the first patch asks for them
      for (std::size_t s = 0; s < patches_.size(); ++s)
        for (Index i = 0; i < count; ++i) {
          Random random = Random(seed).fork(s).fork(static_cast<std::uint64_t>(i));
          if (random.below(images.shape[0]) != n) continue;
          if (maps.empty()) maps = c1_maps(images.slice(n, n + 1));
          cut(maps, s, i, random);
        }
    }
  }

  /// C1 and C2 responses to images [N,1,H,W]; c2 is [N,0] before imprint().
  [[nodiscard]] HmaxFeatures<T> features(In<T> images) const {
    check(images.shape);
    constexpr Index block = 8;  // images at once: enough for two cores, little memory
    const Index count = images.shape[0];
    HmaxFeatures<T> out{Tensor<T>({count, c1_features(images.shape[2], images.shape[3])}), Tensor<T>({count, patch_count()})};
    for (Index first = 0; first < count; first += block) {
      const Index last = std::min(first + block, count);
      const std::vector<Tensor<T>> maps = c1_maps(images.slice(first, last));
      Index column = 0;
      for (const Tensor<T>& m : maps) {
        const Index size = m.shape().product(1, 4);
        for (Index n = first; n < last; ++n) std::copy_n(m.data() + (n - first) * size, size, out.c1.data() + n * out.c1.dim(1) + column);
        column += size;
      }
      column = 0;
      for (const Tensor<T>& p : patches_) {
        if (p.empty()) continue;
        match(maps, p, out.c2.slice(first, last), column);
        column += p.dim(0);
      }
    }
    return out;
  }

  /// The maps of C1, one [N,orientations,h,w] for each band.
  [[nodiscard]] std::vector<Tensor<T>> c1_maps(In<T> images) const {
    check(images.shape);
    std::vector<Tensor<T>> maps;
    for (std::size_t scale = 0; scale < filters_.size(); ++scale) {
      const Tensor<T> s1 = s1_map(scale, images);
      MaxPool2d<T> pool = band_pool(static_cast<Index>(scale) / 2);
      Tensor<T> pooled = run(pool, s1);
      if (scale % 2 == 1)
        for (Index i = 0; i < pooled.size(); ++i) maps.back()[i] = std::max(maps.back()[i], pooled[i]);
      else maps.push_back(std::move(pooled));
    }
    return maps;
  }

 private:
  void check(const Shape& x) const {
    const Index largest = filters_.back().options().kernel.h;
    require<ShapeError>(x.rank() == 4 && x[1] == 1, "Hmax: images ", x, "; grey ones [N,1,H,W] expected");
    require<ShapeError>(x[2] >= largest && x[3] >= largest, "Hmax: images ", x, " are smaller than the largest filter, ", largest, "x", largest,
                        "; resize them, or use fewer than ", options_.bands, " bands");
  }

  /// S1 filters of scale k, n = 7 + 2k pixels wide: wavelength 2 n / (4 - k / 20) and sigma 0.8 wavelengths give the published table (3.5 to 22.8).
  void add_scale(Index scale) {
    const Index size = 7 + 2 * scale;
    const double wavelength = 2 * static_cast<double>(size) / (4 - static_cast<double>(scale) / 20);
    Conv2d<T> layer({.in = 1, .out = options_.orientations, .kernel = size, .bias = false});
    detail::write_filters(layer.weight.value, [&](Index k) {
      const double orientation = std::numbers::pi * static_cast<double>(k) / static_cast<double>(options_.orientations);
      return gabor_filter({.wavelength = wavelength, .orientation = orientation, .sigma = 0.8 * wavelength, .aspect = 0.3, .round = true}, size);
    });
    filters_.push_back(std::move(layer));
  }
  static MaxPool2d<T> band_pool(Index band) { return MaxPool2d<T>({.kernel = 8 + 2 * band, .stride = 4 + band, .rounding = Rounding::ceil}); }
  template <class L>
  static Tensor<T> run(L& layer, In<T> x) {
    Pass<Cpu> pass;
    auto y = Tensor<T>::uninitialized(layer.output_shape(x.shape));
    layer.forward(x, y, pass);
    return y;
  }
  /// Sum of squares under a window of n x n over all channels, at every place: [N,1,h,w].
  static Tensor<T> energy(In<T> x, Index n) {
    auto square = Tensor<T>::uninitialized(x.shape);
    for (Index i = 0; i < x.size(); ++i) square[i] = x.data[i] * x.data[i];
    Conv2d<T> sum({.in = x.shape[1], .out = 1, .kernel = n, .bias = false, .init = {Init::constant, 1}});
    return run(sum, square);
  }
  Index c1_features(Index height, Index width) const {
    Index n = 0;
    for (Index band = 0; band < options_.bands; ++band) n += band_pool(band).output_shape({1, options_.orientations, height, width}).size();
    return n;
  }

  /// [N,orientations,H,W], 0 where the filter does not lie inside the image.
  Tensor<T> s1_map(std::size_t scale, In<T> images) const {
    Conv2d<T> layer = filters_[scale];
    const Index size = layer.options().kernel.h, height = images.shape[2], width = images.shape[3], h = height - size + 1, w = width - size + 1;
    const Tensor<T> response = run(layer, images), square = energy(images, size);
    Tensor<T> map({images.shape[0], options_.orientations, height, width});
    cpu::parallel_for(images.shape[0] * options_.orientations, [&](Index plane) {
      const T *from = response.data() + plane * h * w, *norm = square.data() + plane / options_.orientations * h * w;
      for (Index y = 0; y < h; ++y) {
        T* to = map.data() + (plane * height + y + size / 2) * width + size / 2;
        for (Index x = 0; x < w; ++x) to[x] = norm[y * w + x] > 0 ? std::abs(from[y * w + x]) / std::sqrt(norm[y * w + x]) : T(0);
      }
    });
    return map;
  }

  void cut(const std::vector<Tensor<T>>& maps, std::size_t size_index, Index i, Random& random) {
    const Index n = options_.patch_sizes[size_index];
    std::vector<const Tensor<T>*> large;
    for (const Tensor<T>& m : maps)
      if (m.dim(2) >= n && m.dim(3) >= n) large.push_back(&m);
    require_band(!large.empty(), n, maps);
    const Tensor<T>& map = *large[static_cast<std::size_t>(random.below(static_cast<Index>(large.size())))];
    const Index h = map.dim(2), w = map.dim(3), top = random.below(h - n + 1), left = random.below(w - n + 1);
    for (Index c = 0; c < options_.orientations; ++c)
      for (Index y = 0; y < n; ++y)
        std::copy_n(map.data() + (c * h + top + y) * w + left, n, patches_[size_index].data() + ((i * options_.orientations + c) * n + y) * n);
  }
  static void require_band(bool fits, Index n, const std::vector<Tensor<T>>& maps) {
    require<ShapeError>(fits, "Hmax: patches of ", n, "x", n, " fit no band; the largest C1 map is ", maps[0].dim(2), "x", maps[0].dim(3));
  }

  /// C2 of the patches of one size, into columns from `column` on: the smallest |x - p|^2 = |x|^2 - 2 x.p + |p|^2 decides.
  void match(const std::vector<Tensor<T>>& maps, const Tensor<T>& patches, Out<T> c2, Index column) const {
    const Index count = patches.dim(0), n = patches.dim(2), elements = patches.shape().product(1, 4);
    Conv2d<T> layer({.in = options_.orientations, .out = count, .kernel = n, .init = Init::zeros});
    for (Index p = 0; p < count; ++p) {
      double square = 0;
      for (Index i = p * elements; i < (p + 1) * elements; ++i)
        square += static_cast<double>(patches[i]) * static_cast<double>(patches[i]), layer.weight.value[i] = -2 * patches[i];
      layer.bias.value[p] = static_cast<T>(square);
    }
    Tensor<T> least = Tensor<T>::full({c2.shape[0], count}, std::numeric_limits<T>::infinity());
    bool fits = false;
    for (const Tensor<T>& map : maps) {
      if (map.dim(2) < n || map.dim(3) < n) continue;
      fits = true;
      const Tensor<T> rest = run(layer, map), square = energy(map, n);  // |p|^2 - 2 x.p, |x|^2
      const Index places = rest.dim(2) * rest.dim(3);
      cpu::parallel_for(c2.shape[0] * count, [&](Index plane) {
        const T *a = rest.data() + plane * places, *b = square.data() + plane / count * places;
        for (Index i = 0; i < places; ++i) least[plane] = std::min(least[plane], a[i] + b[i]);
      });
    }
    require_band(fits, n, maps);
    const double width = 2 * options_.sigma * options_.sigma * static_cast<double>(n * n) / 16;
    for (Index image = 0; image < c2.shape[0]; ++image)
      for (Index p = 0; p < count; ++p)
        c2.data[image * c2.shape[1] + column + p] = static_cast<T>(std::exp(-std::max(0.0, static_cast<double>(least[image * count + p])) / width));
  }

  HmaxOptions options_;
  std::vector<Conv2d<T>> filters_;  // one for each S1 scale
  std::vector<Tensor<T>> patches_;  // one for each patch size
};

}  // namespace ventral::inline v0

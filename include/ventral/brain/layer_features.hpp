#pragma once
#include "ventral/brain/distances.hpp"
#include "ventral/sequential.hpp"

namespace ventral::inline v0::brain {

struct LayerFeaturesOptions {
  Index images_at_once = 32;         ///< of a forward pass
  Index max_bytes = Index{1} << 30;  ///< of activations held at a time
};

/// The activations of one layer of a network to n images, each flattened: a FeatureSource. Only this layer's are ever held, for at most max_bytes;
/// images go through the network in blocks, up to that layer and no further. A layer that does not fit is computed again when it is asked for: by
/// gram() and rdm() below with at most 6 forward passes over all images, by for_each_chunk with one for each max_bytes of the layer. Takes a copy of
/// the network; the images [n,...] must live on.
/// Throws Error on an unknown layer, ShapeError when the images do not fit the network.
template <class T, class Space = Cpu>
class LayerFeatures {
 public:
  static constexpr Index most_passes = 6;

  LayerFeatures(const Sequential<T, Space>& net, std::string_view layer, In<T> images, LayerFeaturesOptions options = {})
      : net_(net), layer_(layer), images_(images), options_(options) {
    require(options.images_at_once >= 1 && options.max_bytes >= 1, "LayerFeatures: ", options.images_at_once, " images at once and ",
            options.max_bytes, " bytes; at least 1 is needed");
    net_.truncate(layer);
    require<ShapeError>(images.shape.rank() >= 2 && images.shape[0] >= 1, "LayerFeatures: images of shape ", images.shape,
                        "; [images,...] is needed");
    const Shape out = net_.output_shape(images.shape.with(0, 1));
    features_ = out.product(1, out.rank());
  }
  LayerFeatures(const Sequential<T, Space>& net, std::string_view layer, const Tensor<T>& images, LayerFeaturesOptions options = {})
      : LayerFeatures(net, layer, images.ref(), options) {}

  Index conditions() const { return images_.shape[0]; }
  Index features() const { return features_; }
  const LayerFeaturesOptions& options() const { return options_; }
  /// Whether the activations to all images may be held.
  bool fits() const { return bytes() <= options_.max_bytes; }
  /// Forward passes so far, in units of all images.
  double forward_passes() const { return static_cast<double>(images_computed_) / static_cast<double>(conditions()); }

  /// Activations to the images [first, last), in blocks: calls f(first of block, activations [images, features]).
  template <class F>
  void for_each_block(Index first, Index last, F f) {
    Tensor<T> host;
    for (Index i = first; i < last; i += options_.images_at_once) {
      const TensorRef<const T> x = images_.slice(i, std::min(last, i + options_.images_at_once));
      images_computed_ += x.shape[0];
      const Shape flat{x.shape[0], features_};
      if constexpr (std::is_same_v<Space, Cpu>) {
        f(i, net_.forward(x).reshaped(flat));
      } else {
        device_.resize(x.shape);
        Space::copy_from_host(device_.data(), x.data, static_cast<std::size_t>(x.size()) * sizeof(T));
        host.resize(flat);
        Space::copy_to_host(host.data(), net_.forward(device_).data, static_cast<std::size_t>(host.size()) * sizeof(T));
        f(i, TensorRef<const T>(host.ref()));
      }
    }
  }
  /// The activations to all images, computed once and kept. Throws Error when they do not fit.
  TensorFeatures<T> in_memory() {
    require(fits(), "LayerFeatures: '", layer_, "' takes ", bytes(), " bytes; max_bytes is ", options_.max_bytes);
    if (held_.empty()) held_ = columns(0, features_);
    return TensorFeatures<T>(held_);
  }

  template <class F>
  void for_each_chunk(F f) {
    if (fits()) return in_memory().for_each_chunk(f);
    const Index width = detail::chunk_columns(conditions(), features_, sizeof(T), options_.max_bytes), passes = (features_ + width - 1) / width;
    require(passes <= most_passes, "LayerFeatures: columns of '", layer_, "' take ", passes, " forward passes with max_bytes ", options_.max_bytes,
            "; at most ", most_passes, " are made. gram() needs fewer");
    for (Index k = 0; k < features_; k += width) {
      const Tensor<T> part = columns(k, std::min(features_, k + width));
      TensorFeatures<T>(part).for_each_chunk(f);
    }
  }

 private:
  Index bytes() const { return conditions() * features_ * static_cast<Index>(sizeof(T)); }

  Tensor<T> columns(Index first, Index last) {
    auto out = Tensor<T>::uninitialized({conditions(), last - first});
    for_each_block(0, conditions(), [&](Index i, TensorRef<const T> a) {
      for (Index r = 0; r < a.shape[0]; ++r) std::copy_n(a.data + r * features_ + first, last - first, out.data() + (i + r) * (last - first));
    });
    return out;
  }

  Sequential<T, Space> net_;
  std::string layer_;
  In<T> images_;
  LayerFeaturesOptions options_;
  Index features_ = 0, images_computed_ = 0;
  Tensor<T> held_;
  Tensor<T, Space> device_;
};

/// The Gram matrix of a layer. One that does not fit is computed in blocks of images against blocks of images, recomputed as needed: one pass for the
/// means, then, with the images in g groups of which one is held in double, (g + 1) / 2 passes.
/// Throws Error when that makes more than 6: g > 9.
/// Memory: 8 n^2 bytes, the larger of max_bytes and one block of images, and the network's own. 10,000 images x 100,000 features: 0.8 + 0.9 GB.
template <class T, class Space>
Gram gram(LayerFeatures<T, Space>& layer) {
  if (layer.fits()) return gram(layer.in_memory());
  const Index n = layer.conditions(), p = layer.features();
  const Index most = layer.options().max_bytes / (p * static_cast<Index>(sizeof(double))), groups = most > 0 ? (n + most - 1) / most : n,
              size = (n + groups - 1) / groups;
  require(groups + 1 <= 2 * (LayerFeatures<T, Space>::most_passes - 1), "gram: ", n, " images x ", p, " features in ", groups,
          " groups with max_bytes ", layer.options().max_bytes, "; at most ", 2 * LayerFeatures<T, Space>::most_passes - 3, " can be worked on in ",
          LayerFeatures<T, Space>::most_passes, " forward passes");
  const auto slice = [p](TensorRef<const T> a) { return detail::Slice<T>{a.data, a.shape[0], p, p}; };
  Gram g;
  g.features = p;
  g.mean_product.assign(static_cast<std::size_t>(n), 0.0);
  detail::ColumnMeans<T> columns(p);
  layer.for_each_block(0, n, [&](Index, TensorRef<const T> a) {
    RowMoments moments;
    moments.add(a);
    columns.add(slice(a));
    for (Index r = 0; r < a.shape[0]; ++r) {
      g.sums.push_back(moments.sum(r)), g.squares.push_back(moments.square(r));
      g.deviations.push_back(moments.deviations[static_cast<std::size_t>(r)]);
    }
  });
  const std::vector<double> means = columns.means();
  for (const double m : means) g.mean_square += m * m;

  g.centred = Tensor<double>({n, n});
  Tensor<double> held, z;
  for (Index first = 0; first < n; first += size) {
    const Index last = std::min(n, first + size);
    held.resize({last - first, p});
    layer.for_each_block(first, last,
                         [&](Index i, TensorRef<const T> a) { detail::centre_columns(slice(a), means.data(), held.data() + (i - first) * p); });
    add_symmetric_product(last - first, p, 1, {held.data(), p}, g.centred.data() + first * n + first, n);
    detail::add_mean_products(held, means.data(), g.mean_product.data() + first);
    layer.for_each_block(last, n, [&](Index i, TensorRef<const T> a) {
      z.resize(a.shape);
      detail::centre_columns(slice(a), means.data(), z.data());
      detail::multiply(a.shape[0], last - first, p, 1, {z.data(), p}, {held.data(), p, true}, 0, g.centred.data() + i * n + first, n);
    });
  }
  detail::complete_gram(g);
  return g;
}
/// The RDM of a layer; from its Gram matrix when it does not fit.
template <class T, class Space>
Rdm rdm(LayerFeatures<T, Space>& layer, Distance distance) {
  detail::check_features("rdm", layer.conditions(), layer.features(), 3);
  return layer.fits() ? rdm(layer.in_memory(), distance) : rdm(gram(layer), distance);
}

}  // namespace ventral::inline v0::brain

#pragma once
#include "ventral/brain/pair_tiles.hpp"
#include "ventral/brain/gram.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// Patterns on a device, brought into the form whose product gives a distance: without their own mean for the correlation, without the mean pattern
/// for Euclidean distances. Made of products with vectors of ones, for which every device has kernels.
template <class T, class Space>
class DevicePatterns {
 public:
  /// Takes a copy of x [n,p]; patterns that are not finite are cleared there, and not `defined`.
  explicit DevicePatterns(TensorRef<const T, Space> x)
      : n_(x.shape[0]), p_(x.shape[1]), z_(Tensor<T, Space>::uninitialized(x.shape)), outer_(Tensor<T, Space>::uninitialized(x.shape)) {
    z_.copy_from(x);
    const Tensor<T> sums = sums_weighted(Tensor<T, Space>::full({1, p_}, T(1))).template to<Cpu>();
    for (Index i = 0; i < n_; ++i) {
      defined.push_back(std::isfinite(sums[i]));
      if (!defined.back()) Space::zero(z_.data() + i * p_, static_cast<std::size_t>(p_) * sizeof(T));
    }
  }

  /// Subtracts each pattern's first value, which makes a constant one exactly 0, then what is left of its mean, again for what rounding left.
  void centre_patterns() {
    const Tensor<T, Space> ones = Tensor<T, Space>::full({1, p_}, T(1)), mean = Tensor<T, Space>::full({1, p_}, T(1) / static_cast<T>(p_));
    Tensor<T> first({1, p_});
    first[0] = 1;
    subtract(ones, sums_weighted(first.template to<Space>()));
    for (int round = 0; round < 2; ++round) subtract(ones, sums_weighted(mean));
  }
  /// Subtracts the mean pattern, again for what rounding left.
  void centre_features() {
    const Index count = std::max<Index>(1, std::count(defined.begin(), defined.end(), char{1}));
    Tensor<T> weight({1, n_});
    for (Index i = 0; i < n_; ++i) weight[i] = defined[static_cast<std::size_t>(i)] ? T(1) / static_cast<T>(count) : T(0);
    const Tensor<T, Space> ones = Tensor<T, Space>::full({n_, 1}, T(1)), weights = weight.template to<Space>();
    for (int round = 0; round < 2; ++round) {
      auto mean = Tensor<T, Space>::uninitialized({1, p_});
      linear_backward_input(z_.stream(), z_.ref(), weights.ref(), mean.ref());
      subtract(mean, ones);
    }
  }
  /// All products of two patterns, [n,n].
  Tensor<T> products() {
    auto k = Tensor<T, Space>::uninitialized({n_, n_});
    linear_forward(z_.stream(), z_.ref(), z_.ref(), {}, k.ref());
    return k.template to<Cpu>();
  }

  std::vector<char> defined;

 private:
  Tensor<T, Space> sums_weighted(const Tensor<T, Space>& weights) {
    auto sums = Tensor<T, Space>::uninitialized({n_, 1});
    linear_forward(z_.stream(), z_.ref(), weights.ref(), {}, sums.ref());
    return sums;
  }
  /// z -= column row, with a row [1,p] and a column [n,1].
  void subtract(const Tensor<T, Space>& row, const Tensor<T, Space>& column) {
    linear_backward_input(z_.stream(), row.ref(), column.ref(), outer_.ref());
    scaled_sum(z_.stream(), -1, outer_.ref(), 1, z_.ref());
  }

  Index n_, p_;
  Tensor<T, Space> z_, outer_;
};

}  // namespace detail

/// The RDM of a tensor x [n,...] on a device, each condition's features flattened; distances, what is undefined and errors as in rdm() of a
/// FeatureSource. Centring and product run there, in T throughout (float: about 1e-6 of the distance); pairs too close for that, and undefined,
/// constant, tiny or huge patterns, here: they copy x once.
/// 2 n^2 p operations. Memory on the device: two copies of x and an [n,n] matrix.
template <class T, class Space>
  requires(!std::is_same_v<Space, Cpu>)
Rdm rdm(TensorRef<T, Space> x, Distance distance) {
  using Scalar = std::remove_const_t<T>;
  require<ShapeError>(x.shape.rank() >= 2, "features: shape ", x.shape, "; [conditions,features] is needed");
  const Index n = x.shape[0], p = x.shape.product(1, x.shape.rank());
  detail::check_features("rdm", n, p, 3);
  detail::DevicePatterns<Scalar, Space> patterns(x.reshaped({n, p}));
  const bool standardized = distance == Distance::correlation || distance == Distance::cosine;
  if (distance == Distance::correlation) patterns.centre_patterns();
  else if (!standardized) patterns.centre_features();
  const Tensor<Scalar> k = patterns.products();

  constexpr double cancelled = std::is_same_v<Scalar, double> ? 1e-3 : 0.05;
  const double tiny = static_cast<double>(p) * detail::smallest_square<Scalar>;
  Tensor<Scalar> host;
  Rdm near;  // of the patterns in main memory, when any pair needs it
  Rdm out(n);
  for (Index i = 0; i < n; ++i)
    for (Index j = i + 1; j < n; ++j) {
      double& value = out.values()[static_cast<std::size_t>(pair_position(n, i, j))];
      const double a = static_cast<double>(k[i * n + i]), b = static_cast<double>(k[j * n + j]), c = static_cast<double>(k[i * n + j]);
      const double d = standardized ? std::min(1 - c / (std::sqrt(a) * std::sqrt(b)), 2.0) : a + b - 2 * c;
      value = distance == Distance::euclidean ? std::sqrt(d) : distance == Distance::squared_euclidean_per_feature ? d / static_cast<double>(p) : d;
      const bool defined = patterns.defined[static_cast<std::size_t>(i)] && patterns.defined[static_cast<std::size_t>(j)];
      const bool in_range = (standardized ? std::min(a, b) : a + b) > tiny && a + b <= std::numeric_limits<double>::max();
      if (defined && in_range && d > cancelled * (standardized ? 1 : a + b) && d <= std::numeric_limits<double>::max()) continue;
      if (near.conditions() == 0) {
        host = Tensor<Scalar>::uninitialized({n, p});
        Space::copy_to_host(host.data(), x.data, static_cast<std::size_t>(n * p) * sizeof(Scalar));
        near = rdm(TensorFeatures<Scalar>(host), distance);
      }
      value = near(i, j);
    }
  return out;
}
template <class T, class Space>
  requires(!std::is_same_v<Space, Cpu>)
Rdm rdm(const Tensor<T, Space>& x, Distance distance) {
  return rdm(x.ref(), distance);
}

}  // namespace ventral::inline v0::brain

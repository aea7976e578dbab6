#pragma once
#include <algorithm>
#include <cmath>
#include <concepts>
#include <limits>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain {

namespace detail {

/// What a FeatureSource hands its chunks to, for the concept below.
struct AnyChunkVisitor {
  void operator()(TensorRef<const float>) const {}
  void operator()(TensorRef<const double>) const {}
};

}  // namespace detail

/// Features of n conditions that are visited in chunks of columns, so that they need not fit into memory at once: conditions() rows, features()
/// columns, and for_each_chunk(f), which calls f(chunk) with matrices [n,m] of float or double, contiguous, in the order of the columns, every column
/// once, and may be called again. Sources: TensorFeatures, NpyFeatures (npy_features.hpp), LayerFeatures (layer_features.hpp).
template <class S>
concept FeatureSource = requires(S& source, detail::AnyChunkVisitor visit) {
  { source.conditions() } -> std::convertible_to<Index>;
  { source.features() } -> std::convertible_to<Index>;
  source.for_each_chunk(visit);
};

struct FeatureOptions {
  Index chunk_bytes = Index{64} << 20;  ///< of one chunk, at most, but at least one column
};

namespace detail {

/// Columns of a chunk of at most so many bytes, the chunks of about the same width.
inline Index chunk_columns(Index conditions, Index features, Index element_bytes, Index chunk_bytes) {
  require(chunk_bytes > 0, "features: chunks of ", chunk_bytes, " bytes");
  const Index most = std::max(Index{1}, chunk_bytes / std::max(Index{1}, conditions * element_bytes));
  const Index chunks = std::max(Index{1}, (features + most - 1) / most);
  return std::max(Index{1}, (features + chunks - 1) / chunks);
}

/// Checks what every RDM and Gram matrix needs.
inline void check_features(const char* what, Index conditions, Index features, Index least) {
  require<ShapeError>(conditions >= least, what, ": ", conditions, " conditions; at least ", least, " are needed");
  require<ShapeError>(features >= 1, what, ": conditions of 0 features; at least 1 is needed");
}

/// sum of term(i) for i in [0, n), in eight interleaved sums, which compilers turn into registers.
template <class Term>
double sum_of_terms(Index n, Term term) {
  constexpr Index lanes = 8;
  double part[lanes] = {};
  Index i = 0;
  for (; i + lanes <= n; i += lanes)
    for (Index q = 0; q < lanes; ++q) part[q] += term(i + q);
  for (; i < n; ++i) part[0] += term(i);
  return ((part[0] + part[1]) + (part[2] + part[3])) + ((part[4] + part[5]) + (part[6] + part[7]));
}

/// Rows of a parallel chunk of work on a matrix with so many columns.
inline Index rows_at_once(Index columns) { return (Index{1} << 15) / std::max(Index{1}, columns) + 1; }

}  // namespace detail

/// Sum, mean and sum of squared deviations of every condition's features, gathered chunk by chunk (Chan, Golub, LeVeque 1983, Am Stat 37:242): exact
/// to rounding whatever the offset. deviations is exactly 0 for a constant pattern; all three are NaN where a pattern has a value that is not finite.
struct RowMoments {
  Index features = 0;
  std::vector<double> means, deviations;

  Index conditions() const { return static_cast<Index>(means.size()); }
  double sum(Index i) const { return means[static_cast<std::size_t>(i)] * static_cast<double>(features); }
  /// |x_i|^2
  double square(Index i) const {
    const double mean = means[static_cast<std::size_t>(i)];
    return deviations[static_cast<std::size_t>(i)] + mean * mean * static_cast<double>(features);
  }
  bool defined(Index i) const { return std::isfinite(deviations[static_cast<std::size_t>(i)]); }

  /// Takes the next columns of all conditions, x [n,m].
  template <class T>
  void add(TensorRef<const T> x) {
    const Index n = x.shape[0], m = x.shape[1];
    if (features == 0) means.assign(static_cast<std::size_t>(n), 0.0), deviations = means;
    const double before = static_cast<double>(features), now = static_cast<double>(m), after = before + now;
    cpu::parallel_ranges(n, detail::rows_at_once(m), [&](Index first, Index last) {
      for (Index i = first; i < last; ++i)
        add_row(x.data + i * m, m, before, now, after, means[static_cast<std::size_t>(i)], deviations[static_cast<std::size_t>(i)]);
    });
    features += m;
  }

 private:
  template <class T>
  static void add_row(const T* x, Index m, double before, double now, double after, double& mean, double& deviation) {
    const double origin = static_cast<double>(x[0]);  // a constant row is 0 from its first element, without rounding
    const double shift = detail::sum_of_terms(m, [&](Index k) { return static_cast<double>(x[k]) - origin; }) / now;
    const double here = origin + shift, step = here - mean;
    const double spread = detail::sum_of_terms(m, [&](Index k) {
      const double d = static_cast<double>(x[k]) - here;
      return d * d;
    });
    deviation += spread + (before > 0 ? step * step * before * now / after : 0);
    mean = before > 0 ? mean + step * now / after : here;
    if (!std::isfinite(deviation)) deviation = mean = std::numeric_limits<double>::quiet_NaN();
  }
};

/// The features of a tensor in memory, x [n,...], each condition's flattened. One chunk, a view of x, or copies of columns where chunk_bytes asks for
/// several. x must live on.
template <class T>
class TensorFeatures {
 public:
  explicit TensorFeatures(TensorRef<const T> x, FeatureOptions options = {.chunk_bytes = std::numeric_limits<Index>::max()})
      : x_(x), options_(options) {
    require<ShapeError>(x.shape.rank() >= 2, "features: shape ", x.shape, "; [conditions,features] is needed");
    x_ = x.reshaped({x.shape[0], x.shape.product(1, x.shape.rank())});
  }
  template <class... Options>
  explicit TensorFeatures(const Tensor<T>& x, Options... options) : TensorFeatures(x.ref(), options...) {}

  Index conditions() const { return x_.shape[0]; }
  Index features() const { return x_.shape[1]; }

  template <class F>
  void for_each_chunk(F f) const {
    const Index n = conditions(), p = features(), columns = detail::chunk_columns(n, p, sizeof(T), options_.chunk_bytes);
    if (columns >= p) return f(x_);
    Tensor<T> chunk;
    for (Index k = 0; k < p; k += columns) {
      const Index m = std::min(columns, p - k);
      chunk.resize({n, m});
      for (Index i = 0; i < n; ++i) std::copy_n(x_.data + i * p + k, m, chunk.data() + i * m);
      f(TensorRef<const T>(chunk.ref()));
    }
  }

 private:
  TensorRef<const T> x_;
  FeatureOptions options_;
};

namespace detail {

/// Some columns of a row-major matrix.
template <class T>
struct Slice {
  const T* data;
  Index rows, columns, stride;
  const T* row(Index i) const { return data + i * stride; }
};

/// Cuts a chunk into slices, so that working copies stay in the cache: of 8 MiB, but at least 512 columns.
template <class T, class F>
void for_each_slice(TensorRef<const T> x, F f) {
  constexpr Index bytes = Index{8} << 20, least = 512;
  const Index n = x.shape[0], m = x.shape[1], columns = chunk_columns(n, m, sizeof(T), std::max(bytes, least * n * Index{sizeof(T)}));
  for (Index k = 0; k < m; k += columns) f(Slice<T>{x.data + k, n, std::min(columns, m - k), m});
}

/// Means of columns over the rows that are finite in all of them, gathered by blocks of rows. Sums are of differences from the first such row, so
/// that the mean of a constant column is exact.
template <class T>
class ColumnMeans {
 public:
  explicit ColumnMeans(Index columns) : origin_(static_cast<std::size_t>(columns), 0.0), sums_(origin_) {}

  void add(Slice<T> x) {
    std::vector<char> finite(static_cast<std::size_t>(x.rows));
    cpu::parallel_ranges(x.rows, rows_at_once(x.columns), [&](Index first, Index last) {
      const auto is_finite = [&](const T* row) {
        return sum_of_terms(x.columns, [row](Index k) { return static_cast<double>(row[k] * T(0)); }) == 0;
      };
      for (Index i = first; i < last; ++i) finite[static_cast<std::size_t>(i)] = is_finite(x.row(i));
    });
    const auto found = std::find(finite.begin(), finite.end(), char{1});
    if (found == finite.end()) return;
    if (rows_ == 0) std::copy_n(x.row(found - finite.begin()), x.columns, origin_.begin());
    rows_ += std::count(found, finite.end(), char{1});
    constexpr Index grain = 256;
    cpu::parallel_ranges(x.columns, grain, [&](Index first, Index last) {
      for (Index i = 0; i < x.rows; ++i)
        if (finite[static_cast<std::size_t>(i)])
          for (Index k = first; k < last; ++k)
            sums_[static_cast<std::size_t>(k)] += static_cast<double>(x.row(i)[k]) - origin_[static_cast<std::size_t>(k)];
    });
  }
  /// 0 when there is no such row.
  std::vector<double> means() const {
    std::vector<double> out = origin_;
    for (std::size_t k = 0; k < out.size() && rows_ > 0; ++k) out[k] += sums_[k] / static_cast<double>(rows_);
    return out;
  }

 private:
  Index rows_ = 0;
  std::vector<double> origin_, sums_;
};

template <class T>
std::vector<double> column_means(Slice<T> x) {
  ColumnMeans<T> means(x.columns);
  means.add(x);
  return means.means();
}

/// out [rows,columns] = x minus the means of its columns, rounded once; rows `stride` apart, x.columns by default. `out` may be where x is.
template <class To, class T>
void centre_columns(Slice<T> x, const double* means, To* out, Index stride = 0) {
  if (stride == 0) stride = x.columns;
  cpu::parallel_ranges(x.rows, rows_at_once(x.columns), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      for (Index k = 0; k < x.columns; ++k) out[i * stride + k] = static_cast<To>(static_cast<double>(x.row(i)[k]) - means[k]);
  });
}

}  // namespace detail

}  // namespace ventral::inline v0::brain

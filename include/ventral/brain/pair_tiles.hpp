#pragma once
#include <algorithm>
#include <cmath>
#include <span>

#include "ventral/brain/features.hpp"
#include "ventral/brain/rdm.hpp"
#include "ventral/cpu/packing.hpp"
#include "ventral/cpu/scratch.hpp"

namespace ventral::inline v0::brain::detail {

/// Two matrices [n,p], rows `stride` numbers apart, whose rows are multiplied with each other: a_i . b_j.
template <class T>
struct RowProduct {
  const T *a, *b;
};

/// Sums of products of rows, c_ij = sum over the products of a_i . b_j, for the pairs of one tile at a time; only tiles that touch i <= j are
/// computed.
template <class T>
class PairTiles {
 public:
  PairTiles(Index n, Index p, Index stride, std::span<const RowProduct<T>> products) : n_(n), p_(p), stride_(stride), products_(products) {
    constexpr Index most = 256, parts = 5;
    side_ = std::min(std::max((n + parts - 1) / parts, Index{64}), most);
    const Index whole = (n + side_ - 1) / side_, unit = kernels_.panel();
    side_ = ((n + whole - 1) / whole + unit - 1) / unit * unit;
  }

  /// Calls visit(i, rows, j, columns, c, stride) for each tile, in parallel: c[r * stride + s] belongs to the pair (i + r, j + s).
  template <class Visit>
  void run(Visit visit) const {
    using cpu::Arena;
    const Index blocks = (n_ + side_ - 1) / side_, depth = slab;
    cpu::Scratch& scratch = cpu::Scratch::mine();
    const Index packed = Arena::bytes<T>(kernels_.packed_rows(side_) * depth + 4) + Arena::bytes<T>(kernels_.packed_columns(side_) * depth);
    scratch.reserve(Arena::bytes<Index>(side_) + Arena::bytes<Index>(depth),
                    packed + Arena::bytes<double>(side_ * side_) + Arena::bytes<T>(side_ * side_));
    Arena shared = scratch.shared();
    Index *const row = shared.take<Index>(side_), *const panel_row = shared.take<Index>(depth);
    for (Index i = 0; i < side_; ++i) row[i] = i * stride_;
    for (Index k = 0; k < depth; ++k) panel_row[k] = k * kernels_.panel();
    cpu::parallel_for(blocks * (blocks + 1) / 2, [&](Index tile) {
      Index i = 0, j = tile;
      while (j >= blocks - i) j -= blocks - i, ++i;
      j += i;
      cpu::Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      const Index rows = std::min(side_, n_ - i * side_), columns = std::min(side_, n_ - j * side_);
      const double* const c = multiply(i * side_, rows, j * side_, columns, row, panel_row, arena);
      visit(i * side_, rows, j * side_, columns, c, side_);
    });
  }

 private:
  static constexpr Index slab = 256;  // features after which sums in float are handed on to double

  /// The sums of one tile; on the diagonal, those of i < j only, but for panels that cross it.
  const double* multiply(Index i, Index rows, Index j, Index columns, const Index* row, const Index* panel_row, cpu::Arena arena) const {
    T* const a = arena.take<T>(kernels_.packed_rows(side_) * slab + 4);
    T* const b = arena.take<T>(kernels_.packed_columns(side_) * slab);
    double* const c = arena.take<double>(side_ * side_);
    T* const part = arena.take<T>(side_ * side_);
    const Index panel = kernels_.panel(), band = i == j ? 4 * kernels_.height : rows;
    for (Index k = 0; k < p_; k += slab) {
      const Index depth = std::min(slab, p_ - k);
      for (std::size_t q = 0; q < products_.size(); ++q) {
        pack_tiles(kernels_, rows, depth, products_[q].a + i * stride_ + k, row, a);
        for (Index s = 0; s < columns; s += panel)
          kernels_.pack_transposed(std::min(columns - s, panel), panel, depth, products_[q].b + j * stride_ + k, row + s, b + s * depth);
        for (Index r = 0; r < rows; r += band) {
          const Index skipped = r / panel * panel, at = r * side_ + skipped, band_rows = std::min(band, rows - r);
          const cpu::detail::PackedRows<T> left{a + r * depth, depth};
          const cpu::detail::Panels<T> right{b + skipped * depth, panel_row, panel * depth};
          if constexpr (std::is_same_v<T, double>) {
            multiply_tiles(kernels_, band_rows, columns - skipped, depth, left, right, c + at, side_, k > 0 || q > 0);
          } else {
            multiply_tiles(kernels_, band_rows, columns - skipped, depth, left, right, part + at, side_, q > 0);
            if (q + 1 == products_.size()) add(part + at, band_rows, columns - skipped, k > 0, c + at);
          }
        }
      }
    }
    return c;
  }

  void add(const T* part, Index rows, Index columns, bool to_sum, double* c) const {
    for (Index r = 0; r < rows; ++r, part += side_, c += side_)
      for (Index s = 0; s < columns; ++s) c[s] = (to_sum ? c[s] : 0) + static_cast<double>(part[s]);
  }

  const cpu::detail::MatrixKernels<T>& kernels_ = cpu::detail::matrix_kernels<T>();
  Index n_, p_, stride_, side_;
  std::span<const RowProduct<T>> products_;
};

/// Mean of squares below which products of T lose digits because they vanish.
template <class T>
constexpr double smallest_square = std::is_same_v<T, double> ? 1e-295 : 1e-31;

/// Adds weight * sum_k (a_ik - a_jk)(b_ik - b_jk) to the value of every pair i < j; with b = a, the squared distance. a, b [n,p], rows `stride`
/// apart. The sum comes from products of rows, a_i.b_i + a_j.b_j - a_i.b_j - a_j.b_i. Where it is small against its parts, rounding has eaten its
/// digits, and direct(i, j), which should sum over the features of the pair, says what it is; so too where products of T overflow or vanish. A row
/// that is not finite makes its pairs NaN.
template <class T, class Direct>
void add_pair_distances(Index n, Index p, Index stride, const T* a, const T* b, double weight, std::span<double> values, Direct direct) {
  constexpr double cancelled = std::is_same_v<T, double> ? 1e-3 : 0.05;  // leaves errors of about 1e-12 and 1e-6 of the distance
  const double tiny = static_cast<double>(p) * smallest_square<T>;
  const bool same = a == b;
  const RowProduct<T> products[] = {{a, b}, {b, a}};
  std::vector<double> own(static_cast<std::size_t>(n));
  cpu::parallel_ranges(n, rows_at_once(p), [&](Index first, Index last) {
    for (Index i = first; i < last; ++i)
      own[static_cast<std::size_t>(i)] =
          sum_of_terms(p, [&](Index k) { return static_cast<double>(a[i * stride + k]) * static_cast<double>(b[i * stride + k]); });
  });
  const double twice = same ? 2 : 1;
  PairTiles<T>(n, p, stride, std::span(products, same ? 1 : 2))
      .run([&](Index i0, Index rows, Index j0, Index columns, const double* c, Index c_stride) {
        for (Index r = 0; r < rows; ++r, c += c_stride) {
          const Index i = i0 + r, first = std::max(i + 1, j0);
          const double own_i = own[static_cast<std::size_t>(i)];
          const Index position = pair_position(n, i, first) - first;
          for (Index j = first; j < j0 + columns; ++j) {
            const double own_j = own[static_cast<std::size_t>(j)], parts = std::abs(own_i) + std::abs(own_j);
            double d = own_i + own_j - twice * c[j - j0];
            const bool has_digits = parts > tiny && std::abs(d) > cancelled * parts && std::abs(d) <= std::numeric_limits<double>::max();
            if (!has_digits) d = std::isfinite(parts) ? direct(i, j) : undefined;
            values[static_cast<std::size_t>(position + j)] += weight * d;
          }
        }
      });
}

/// Numbers from row to row of a working copy: not a power of two apart, where all rows would share a few cache lines.
constexpr Index padded_stride(Index columns) { return (columns + 15) / 16 * 16 + 16 * (columns % 256 <= 16 || columns % 256 >= 240 ? 1 : 0); }

}  // namespace ventral::inline v0::brain::detail

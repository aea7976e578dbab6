#pragma once
#include <algorithm>
#include <cmath>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"
#endif

/// For x [rows, n]: e = exp(x - m) with m the largest x of each row, and the sums of e in double; e may be x.
/// Rows follow each other without gaps and exp runs over all of them at once, so that short rows fill registers, too.
template <class T>
struct ExpOfRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index n, const T* x, T* e, T* largest, double* sum) {
    using V = Simd<T, I>;
    for (Index r = 0; r < rows; ++r) {
      const T* const from = x + r * n;
      T* const to = e + r * n;
      const T m = largest[r] = maximum<V>(n, from);
      const V shift = spread<V>(m);
      Index i = 0;
      for (; i + V::lanes <= n; i += V::lanes) (V::load(from + i) - shift).store(to + i);
      for (; i < n; ++i) to[i] = from[i] - m;
    }
    map_arrays<V>(rows * n, e, e, e, e, [](const V& v, const V&, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return exp_small(v); });
    for (Index r = 0; r < rows; ++r) sum[r] = SumOfProducts<T>::template run<I>(n, e + r * n, nullptr);
  }

 private:
  /// The largest number; where there is a NaN, any.
  template <class V>
  static VENTRAL_ALWAYS_INLINE T maximum(Index n, const T* x) {
    T m = x[0];
    Index i = 0;
    if (n >= V::lanes) {
      V most = V::load(x);
      for (i = V::lanes; i + V::lanes <= n; i += V::lanes) most = at_least(most, V::load(x + i));
      T lane[V::lanes];
      most.store(lane);
      for (const T v : lane) m = v > m ? v : m;
    }
    for (; i < n; ++i) m = x[i] > m ? x[i] : m;
    return m;
  }
};

/// y [rows, n] = y_ri factor_r - base_i, or without a base where it is null.
template <class T>
struct ScaleEachRow {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index n, const T* factor, const T* base, T* y) {
    using V = Simd<T, I>;
    for (Index r = 0; r < rows; ++r, y += n) {
      const V f = spread<V>(factor[r]);
      Index i = 0;
      for (; i + V::lanes <= n; i += V::lanes) {
        const V v = f * V::load(y + i);
        (base ? v - V::load(base + i) : v).store(y + i);
      }
      for (; i < n; ++i) y[i] = factor[r] * y[i] - (base ? base[i] : T(0));
    }
  }
};

/// y = (x - m_r) - shift_r for x, y [rows, n].
template <class T>
struct SubtractFromRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index n, const T* x, const T* m, const T* shift, T* y) {
    using V = Simd<T, I>;
    for (Index r = 0; r < rows; ++r, x += n, y += n) {
      const V a = spread<V>(m[r]), b = spread<V>(shift[r]);
      Index i = 0;
      for (; i + V::lanes <= n; i += V::lanes) (V::load(x + i) - a - b).store(y + i);
      for (; i < n; ++i) y[i] = x[i] - m[r] - shift[r];
    }
  }
};

/// Backward of softmax and, with Log, of log_softmax, for y, dy, dx [rows, n]; log_softmax puts exp(y) to e.
template <bool Log, class T>
struct SoftmaxBackwardRows {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index n, const T* y, const T* dy, T* e, T* dx) {
    using V = Simd<T, I>;
    if constexpr (Log) map_arrays<V>(rows * n, y, y, y, e, [](const V& v, const V&, const V&) VENTRAL_ALWAYS_INLINE_LAMBDA { return exp_small(v); });
    const T* p = Log ? e : y;
    for (Index r = 0; r < rows; ++r, p += n, dy += n, dx += n) {
      const T sum = static_cast<T>(SumOfProducts<T>::template run<I>(n, dy, Log ? nullptr : p));
      const V s = spread<V>(sum);
      Index i = 0;
      for (; i + V::lanes <= n; i += V::lanes) {
        const V v = V::load(p + i), d = V::load(dy + i);
        (Log ? d - v * s : v * (d - s)).store(dx + i);
      }
      for (; i < n; ++i) dx[i] = Log ? dy[i] - p[i] * sum : p[i] * (dy[i] - sum);
    }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

/// The lines of an array along an axis: `n` numbers each, `step` apart. Kernels take them as rows, copied together where step is not 1.
struct Lines {
  Index n, step, count;
  Lines(const Shape& x, int axis) : n(x[axis]), step(x.product(axis + 1, x.rank())), count(n > 0 ? x.size() / n : 0) {}

  Index offset(Index line) const { return line / step * step * n + line % step; }
  /// Lines worked on at once: as many as stay in the first-level cache.
  Index at_once() const { return std::max(Index{1}, (Index{1} << 12) / std::max(n, Index{1})); }
  /// Lines [first, first + rows) of x as rows: where they are, or copied to `to`.
  template <class T>
  const T* gather(Index first, Index rows, const T* x, T* to) const {
    if (step == 1) return x + first * n;
    for_each_neighbours(first, rows, [&](Index at, Index row, Index count) {
      for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < count; ++k) to[(row + k) * n + i] = x[at + i * step + k];
    });
    return to;
  }
  /// Where rows for lines [first, ..) of y are written: in place, or to `rows`, to be followed by scatter.
  template <class T>
  T* target(Index first, T* y, T* rows) const {
    return step == 1 ? y + first * n : rows;
  }
  template <class T>
  void scatter(Index first, Index rows, const T* from, T* y) const {
    if (step == 1) return;
    for_each_neighbours(first, rows, [&](Index at, Index row, Index count) {
      for (Index i = 0; i < n; ++i)
        for (Index k = 0; k < count; ++k) y[at + i * step + k] = from[(row + k) * n + i];
    });
  }

 private:
  /// Calls body(where the first begins, its row, how many) for lines that lie side by side.
  template <class Body>
  void for_each_neighbours(Index first, Index rows, const Body& body) const {
    for (Index r = 0, count = 0; r < rows; r += count) {
      count = std::min(rows - r, step - (first + r) % step);
      body(offset(first + r), r, count);
    }
  }
};

/// Temporary memory for `rows` rows of n numbers, and what the kernels say of each row.
template <class T>
struct RowScratch {
  T *first, *second, *largest, *factor;
  double* sum;

  static Index bytes(Index rows, Index n) { return 2 * Arena::bytes<T>(rows * n) + 2 * Arena::bytes<T>(rows) + Arena::bytes<double>(rows); }
  RowScratch(Arena arena, Index rows, Index n)
      : first(arena.take<T>(rows * n)), second(arena.take<T>(rows * n)), largest(arena.take<T>(rows)), factor(arena.take<T>(rows)), sum(arena.take<double>(rows)) {}
};

/// Calls body(first line, lines, scratch) for pieces of the lines, in parallel.
template <class T, class Body>
void for_each_piece(const Lines& lines, const Body& body) {
  Scratch& scratch = Scratch::mine();
  const Index most = std::min(lines.at_once(), lines.count);
  scratch.reserve(0, RowScratch<T>::bytes(most, lines.n));
  parallel_ranges(lines.count, most, [&](Index first, Index last) {
    Scratch::Lease lease(scratch);
    body(first, last - first, RowScratch<T>(lease.arena(), most, lines.n));
  });
}

template <class T>
auto exp_of_rows() {
  return simd_function<ExpOfRows<T>, void(Index, Index, const T*, T*, T*, double*)>(simd_level());
}
template <class T>
auto scale_rows() {
  return simd_function<ScaleEachRow<T>, void(Index, Index, const T*, const T*, T*)>(simd_level());
}

template <bool Log, class T>
void softmax_lines_backward(int axis, In<T> y, In<T> dy, Out<T> dx) {
  const Lines lines(y.shape, axis);
  const auto backward = simd_function<SoftmaxBackwardRows<Log, T>, void(Index, Index, const T*, const T*, T*, T*)>(simd_level());
  for_each_piece<T>(lines, [&](Index first, Index rows, const RowScratch<T>& s) {
    const T *values = lines.gather(first, rows, y.data, s.first), *gradients = lines.gather(first, rows, dy.data, s.second);
    T* const to = lines.target(first, dx.data, s.second);
    backward(rows, lines.n, values, gradients, s.first, to);
    lines.scatter(first, rows, to, dx.data);
  });
}

}  // namespace detail

/// y_k = exp(x_k - m) / sum_j exp(x_j - m) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x.
template <class T>
void softmax_forward(Stream, int axis, In<T> x, Out<T> y) {
  const detail::Lines lines(x.shape, axis);
  const auto exp_of_rows = detail::exp_of_rows<T>();
  const auto scale_rows = detail::scale_rows<T>();
  detail::for_each_piece<T>(lines, [&](Index first, Index rows, const detail::RowScratch<T>& s) {
    T* const to = lines.target(first, y.data, s.first);
    exp_of_rows(rows, lines.n, lines.gather(first, rows, x.data, s.first), to, s.largest, s.sum);
    for (Index r = 0; r < rows; ++r) s.factor[r] = static_cast<T>(1 / s.sum[r]);
    scale_rows(rows, lines.n, s.factor, nullptr, to);
    lines.scatter(first, rows, to, y.data);
  });
}

/// dx_k = y_k (dy_k - sum_j dy_j y_j). dx may be dy.
template <class T>
void softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  detail::softmax_lines_backward<false, T>(axis, y, dy, dx);
}

/// y_k = x_k - m - log(sum_j exp(x_j - m)) along an axis (0 <= axis < rank), m the largest x; sums are taken in double. y may be x.
template <class T>
void log_softmax_forward(Stream, int axis, In<T> x, Out<T> y) {
  const detail::Lines lines(x.shape, axis);
  const auto exp_of_rows = detail::exp_of_rows<T>();
  const auto subtract_from_rows = simd_function<detail::SubtractFromRows<T>, void(Index, Index, const T*, const T*, const T*, T*)>(simd_level());
  detail::for_each_piece<T>(lines, [&](Index first, Index rows, const detail::RowScratch<T>& s) {
    const T* const from = lines.gather(first, rows, x.data, s.first);
    exp_of_rows(rows, lines.n, from, s.second, s.largest, s.sum);
    for (Index r = 0; r < rows; ++r) s.factor[r] = static_cast<T>(std::log(s.sum[r]));
    T* const to = lines.target(first, y.data, s.second);
    subtract_from_rows(rows, lines.n, from, s.largest, s.factor, to);
    lines.scatter(first, rows, to, y.data);
  });
}

/// dx_k = dy_k - exp(y_k) sum_j dy_j. dx may be dy.
template <class T>
void log_softmax_backward(Stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  detail::softmax_lines_backward<true, T>(axis, y, dy, dx);
}

// In the library ventral::kernels.
VENTRAL_COMPILED(softmax_forward)
VENTRAL_COMPILED(softmax_backward)
VENTRAL_COMPILED(log_softmax_forward)
VENTRAL_COMPILED(log_softmax_backward)

}  // namespace ventral::inline v0::cpu

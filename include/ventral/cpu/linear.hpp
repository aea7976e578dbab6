#pragma once
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/gemm.hpp"

namespace ventral::inline v0::cpu {

/// y = x w^T + b, then max(0, y) if `relu`. x [rows,in], w [out,in], b [out] or absent (null), y [rows,out]. 2 rows in out operations.
template <class T>
void linear_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y, bool relu = false) {
  const Index rows = x.shape[0], in = w.shape[1], out = w.shape[0];
  gemm<T>(stream, rows, out, in, 1, {x.data, in}, {w.data, in, true}, 0, y.data, out, {b.data, relu});
}

template <class T>
void linear_relu_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y) {
  linear_forward<T>(stream, x, w, b, y, true);
}

namespace detail {

/// out = dy where gate > 0, else 0, and sum += the columns of out. `rows` rows of `columns` numbers, stride between rows. gate may be null: out is dy,
/// not written; sum may be null.
template <class T>
struct GateAndSum {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(Index rows, Index columns, Index stride, const T* gate, const T* dy, T* out, T* sum) {
    Index i = vectors<I, 4>(0, columns, rows, stride, gate, dy, out, sum);
    i = vectors<I, 1>(i, columns, rows, stride, gate, dy, out, sum);
    if constexpr (I::level != SimdLevel::baseline) i = vectors<Isa<SimdLevel::baseline>, 1>(i, columns, rows, stride, gate, dy, out, sum);
    for (; i < columns; ++i) {
      T total = sum ? sum[i] : T(0);
      for (Index r = 0; r < rows; ++r) {
        const Index at = r * stride + i;
        const T v = !gate || gate[at] > T(0) ? dy[at] : T(0);
        if (gate) out[at] = v;
        total += v;
      }
      if (sum) sum[i] = total;
    }
  }
  template <class I, int V>
  static VENTRAL_ALWAYS_INLINE Index vectors(Index i, Index columns, Index rows, Index stride, const T* gate, const T* dy, T* out, T* sum) {
    using S = Simd<T, I>;
    for (; i + V * S::lanes <= columns; i += V * S::lanes) {
      S total[V];
      VENTRAL_UNROLL for (int q = 0; q < V; ++q) total[q] = sum ? S::load(sum + i + q * S::lanes) : S::zero();
      for (Index r = 0; r < rows; ++r)
        VENTRAL_UNROLL for (int q = 0; q < V; ++q) {
          const Index at = r * stride + i + q * S::lanes;
          S v = S::load(dy + at);
          if (gate) v = S::select(S::load(gate + at) > S::zero(), v, S::zero()), v.store(out + at);
          total[q] = total[q] + v;
        }
      if (sum)
        VENTRAL_UNROLL for (int q = 0; q < V; ++q) total[q].store(sum + i + q * S::lanes);
    }
    return i;
  }
};

/// Gates dy by what ReLU let through (gate null: not at all) and adds the sums of its columns to db (null: not wanted).
template <class T>
void gate_and_sum(In<T> dy, const T* gate, T* gated, T* db) {
  constexpr Index chunk = Index{1} << 14, narrowest = 64;
  const Index rows = dy.shape[0], out = dy.shape[1];
  static const auto kernel = simd_function<GateAndSum<T>, void(Index, Index, Index, const T*, const T*, T*, T*)>(simd_level());
  parallel_ranges(out, std::max(narrowest, chunk / std::max(rows, Index{1})), [&](Index first, Index last) {
    kernel(rows, last - first, out, gate ? gate + first : nullptr, dy.data + first, gated + (gate ? first : 0), db ? db + first : nullptr);
  });
}

template <class T>
Product<T> linear_dx(In<T> w, const T* dy, Out<T> dx) {
  const Index in = w.shape[1], out = w.shape[0];
  return {dx.shape[0], in, out, 1, {dy, out}, {w.data, in}, 0, dx.data, in};
}
template <class T>
Product<T> linear_dw(In<T> x, const T* dy, Out<T> dw) {
  const Index in = dw.shape[1], out = dw.shape[0];
  return {out, in, x.shape[0], 1, {dy, out, true}, {x.data, in}, 1, dw.data, in};
}

}  // namespace detail

/// dx = dy w.
template <class T>
void linear_backward_input(Stream, In<T> w, In<T> dy, Out<T> dx) {
  detail::gemm(detail::matrix_kernels<T>(), detail::linear_dx(w, dy.data, dx));
}

/// dw += dy^T x.
template <class T>
void linear_backward_weight(Stream, In<T> x, In<T> dy, Out<T> dw) {
  detail::gemm(detail::matrix_kernels<T>(), detail::linear_dw(x, dy.data, dw));
}

/// db += sum over the rows of dy.
template <class T>
void linear_backward_bias(Stream, In<T> dy, Out<T> db) {
  detail::gate_and_sum<T>(dy, nullptr, nullptr, db.data);
}

/// All gradients of y = x w^T + b at once, those wanted (not null): dx = dy w, dw += dy^T x, db += sum over the rows of dy. With `gated` [rows,out], y
/// is relu(x w^T + b), and dy counts where y > 0: gated keeps it.
template <class T>
void linear_backward(Stream, In<T> x, In<T> y, In<T> w, In<T> dy, Out<T>* gated, Out<T>* dx, Out<T>* dw, Out<T>* db) {
  if (gated || db) detail::gate_and_sum<T>(dy, gated ? y.data : nullptr, gated ? gated->data : nullptr, db ? db->data : nullptr);
  const T* const slope = gated ? gated->data : dy.data;
  const auto& kernels = detail::matrix_kernels<T>();
  if (dx && dw) return detail::gemm(kernels, detail::linear_dx(w, slope, *dx), detail::linear_dw(x, slope, *dw));
  if (dx) detail::gemm(kernels, detail::linear_dx(w, slope, *dx));
  if (dw) detail::gemm(kernels, detail::linear_dw(x, slope, *dw));
}

// In the library ventral::kernels.
VENTRAL_COMPILED(linear_forward)
VENTRAL_COMPILED(linear_backward)

}  // namespace ventral::inline v0::cpu

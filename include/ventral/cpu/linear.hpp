#pragma once
#include "ventral/cpu/gemm.hpp"

namespace ventral::inline v0::cpu {

/// y = x w^T + b. x [rows,in], w [out,in], b [out] or absent (null), y [rows,out]. 2 rows in out operations.
template <class T>
void linear_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const Index rows = x.shape[0], in = w.shape[1], out = w.shape[0];
  if (b.data)
    for (Index r = 0; r < rows; ++r) std::copy_n(b.data, out, y.data + r * out);
  gemm<T>(stream, rows, out, in, 1, {x.data, in}, {w.data, in, true}, b.data ? T(1) : T(0), y.data, out);
}

/// dx = dy w.
template <class T>
void linear_backward_input(Stream stream, In<T> w, In<T> dy, Out<T> dx) {
  const Index rows = dy.shape[0], in = w.shape[1], out = w.shape[0];
  gemm<T>(stream, rows, in, out, 1, {dy.data, out}, {w.data, in}, 0, dx.data, in);
}

/// dw += dy^T x.
template <class T>
void linear_backward_weight(Stream stream, In<T> x, In<T> dy, Out<T> dw) {
  const Index rows = x.shape[0], in = x.shape[1], out = dy.shape[1];
  gemm<T>(stream, out, in, rows, 1, {dy.data, out, true}, {x.data, in}, 1, dw.data, in);
}

/// db += sum over the rows of dy.
template <class T>
void linear_backward_bias(Stream, In<T> dy, Out<T> db) {
  const Index rows = dy.shape[0], out = dy.shape[1];
  parallel_ranges(out, 256, [&](Index first, Index last) {
    for (Index r = 0; r < rows; ++r) detail::matrix_kernels<T>().add_row(last - first, dy.data + r * out + first, db.data + first);
  });
}

}  // namespace ventral::inline v0::cpu

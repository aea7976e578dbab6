#pragma once
#include "ventral/cuda/activation.cuh"
#include "ventral/cuda/gemm.cuh"
#include "ventral/cuda/linear_gradients.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// y = x w^T + b. x [rows,in], w [out,in], b [out] or absent (null), y [rows,out]. 2 rows in out operations; the bias is added as y is written.
template <class T>
void linear_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y) {
  if (detail::provided(stream, &ProviderTable<T>::linear_forward, x, w, b, y)) return;
  const Index rows = x.shape[0], in = w.shape[1], out = w.shape[0];
  gemm_epilogue<T>(stream, rows, out, in, 1, {x.data, in}, {w.data, in, true}, 0, y.data, out, {.bias = b.data});
}

/// y = max(0, x w^T + b), as linear_forward: one kernel, and where k is cut a second one. Always by ventral's kernels.
template <class T>
void linear_relu_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const Index rows = x.shape[0], in = w.shape[1], out = w.shape[0];
  gemm_epilogue<T>(stream, rows, out, in, 1, {x.data, in}, {w.data, in, true}, 0, y.data, out, {.bias = b.data, .activation = GemmActivation::relu});
}

/// dx = dy w.
template <class T>
void linear_backward_input(Stream stream, In<T> w, In<T> dy, Out<T> dx) {
  if (detail::provided(stream, &ProviderTable<T>::linear_backward_input, w, dy, dx)) return;
  const Index rows = dy.shape[0], in = w.shape[1], out = w.shape[0];
  gemm<T>(stream, rows, in, out, 1, {dy.data, out}, {w.data, in}, 0, dx.data, in);
}

/// dw += dy^T x.
template <class T>
void linear_backward_weight(Stream stream, In<T> x, In<T> dy, Out<T> dw) {
  if (detail::provided(stream, &ProviderTable<T>::linear_backward_weight, x, dy, dw)) return;
  const Index rows = x.shape[0], in = x.shape[1], out = dy.shape[1];
  gemm<T>(stream, out, in, rows, 1, {dy.data, out, true}, {x.data, in}, 1, dw.data, in);
}

namespace detail {

/// Columns a block sums, and threads that share the rows of each.
struct ColumnSumTuning {
  int columns = 32, row_threads = 8;
  Index part_rows = 256, most_parts = 64;
};

/// Sums of the columns of dy [rows,columns] over part_rows rows each, [parts,columns]; a single part is added to db at once (`sums` is null). A block of 32 x 8
/// threads takes 32 columns and one part: a warp reads 32 neighbours of a row; each thread adds every eighth row, then one warp adds the eight sums in order.
template <class T, int across, int down>
VENTRAL_BOUNDED_KERNEL(across* down) void column_sums_kernel(Index rows, Index columns, Index part_rows, const T* dy, Compute<T>* sums, T* db) {
  const Index blocks = (columns + across - 1) / across, part = blockIdx.x / blocks, column = blockIdx.x % blocks * across + threadIdx.x;
  const Index first = part * part_rows, last = first + part_rows < rows ? first + part_rows : rows;
  const auto sum = column_sum<Compute<T>, across, down>(first, column < columns ? last : first, [&](Index r) { return load(dy + r * columns + column); });
  if (threadIdx.y != 0 || column >= columns) return;
  if (sums) sums[part * columns + column] = sum;
  else store(db + column, load(db + column) + sum);
}

/// db += the parts' sums [parts,columns], in order; a thread for each column.
template <class T>
VENTRAL_KERNEL void add_column_sums_kernel(Index parts, Index columns, const Compute<T>* sums, T* db) {
  for (Index j = first_element(); j < columns; j += element_step()) {
    Compute<T> sum = 0;
    for (Index part = 0; part < parts; ++part) sum += sums[part * columns + j];
    store(db + j, load(db + j) + sum);
  }
}

}  // namespace detail

/// db += sum over the rows of dy. dy [rows,out] is read once; rows are summed in parts of 256 or more, the parts in order: one launch for one part.
template <class T>
void linear_backward_bias(Stream stream, In<T> dy, Out<T> db) {
  constexpr detail::ColumnSumTuning tuning;
  const Index rows = dy.shape[0], out = dy.shape[1];
  if (rows == 0 || out == 0) return;
  const Index part_rows = std::max(tuning.part_rows, (rows + tuning.most_parts - 1) / tuning.most_parts), parts = (rows + part_rows - 1) / part_rows;
  auto sums = Tensor<Compute<T>, Space>::uninitialized({parts > 1 ? parts : 0, out});
  const Index blocks = (out + tuning.columns - 1) / tuning.columns * parts;
  launch(stream, {.kernel = "column_sums_kernel", .blocks = blocks, .threads = {tuning.columns, tuning.row_threads}, .shape = dy.shape},
         detail::column_sums_kernel<T, tuning.columns, tuning.row_threads>, rows, out, part_rows, dy.data, sums.data(), db.data);
  if (parts == 1) return;
  launch(stream, {.kernel = "add_column_sums_kernel", .blocks = blocks_for(out), .shape = dy.shape}, detail::add_column_sums_kernel<T>, parts, out,
         sums.data(), db.data);
}

/// All gradients of a linear layer, those wanted (not null). With `gated` [rows,out], y is relu(x w^T + b), and dy counts where y > 0: `gated` is there to
/// keep it. One launch for a small layer of float or double, whose sums are those of the products one by one but for parts of the depth; else one for each.
template <class T>
void linear_backward(Stream stream, In<T> x, In<T> y, In<T> w, In<T> dy, Out<T>* gated, Out<T>* dx, Out<T>* dw, Out<T>* db) {
  if constexpr (is_one_of<T, float, double>) {
    const auto data = [](const Out<T>* to) { return to ? to->data : nullptr; };
    const T* const gate = gated ? y.data : nullptr;
    const detail::LinearGradients<T> p{dy.shape[0], w.shape[1], w.shape[0], x.data, gate, w.data, dy.data, data(dx), data(dw), data(db)};
    if (stream.provider == Provider::ventral && stream.math == Math::exact && p.small()) return detail::run_linear_gradients(stream, p);
  }
  if (gated) activation_backward(stream, activation::Relu<T>{}, y, y, dy, *gated);
  const In<T> slope = gated ? In<T>(*gated) : dy;
  if (dx) linear_backward_input<T>(stream, w, slope, *dx);
  if (dw) linear_backward_weight<T>(stream, x, slope, *dw);
  if (db) linear_backward_bias<T>(stream, slope, *db);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

// Linear layers by cuBLAS.
#include "tables.hpp"

namespace ventral::inline v0::cuda::device::cudnn {

namespace {

/// A matrix as it lies in memory, row by row, and whether it is read transposed.
template <class T>
struct Operand {
  const T* data;
  Index columns;
  bool transposed = false;
};

/// c [m,n] = a b + beta c, sums in float. cuBLAS counts by columns, so what it sees is c^T = b^T a^T. Floats are multiplied exactly unless the stream allows
/// tf32.
template <class T>
bool multiply(Stream stream, Index m, Index n, Index k, Operand<T> a, Operand<T> b, float beta, T* c) {
  if (m == 0 || n == 0 || k == 0 || !fits_int(std::max({m, n, k}))) return false;
  const auto operation = [](const Operand<T>& x) { return x.transposed ? CUBLAS_OP_T : CUBLAS_OP_N; };
  const bool tf32 = std::is_same_v<T, float> && stream.math == Math::tf32;
  check(cublasGemmEx(cublas(stream), operation(b), operation(a), to_int(n), to_int(m), to_int(k), &one, b.data, cuda_type<T>, to_int(b.columns), a.data,
                     cuda_type<T>, to_int(a.columns), &beta, c, cuda_type<T>, to_int(n), tf32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F,
                     CUBLAS_GEMM_DEFAULT),
        "cublasGemmEx");
  return true;
}

template <class T>
bool linear_forward(Stream stream, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const Index rows = x.shape[0], in = w.shape[1], out = w.shape[0];
  if (!multiply<T>(stream, rows, out, in, {x.data, in}, {w.data, in, true}, 0, y.data)) return false;
  if (b.data) device::add_channel_bias<T>(stream, b, y.reshaped({rows, out, 1, 1}));
  return true;
}
template <class T>
bool linear_backward_input(Stream stream, In<T> w, In<T> dy, Out<T> dx) {
  const Index rows = dy.shape[0], in = w.shape[1], out = w.shape[0];
  return multiply<T>(stream, rows, in, out, {dy.data, out}, {w.data, in}, 0, dx.data);
}
template <class T>
bool linear_backward_weight(Stream stream, In<T> x, In<T> dy, Out<T> dw) {
  const Index rows = x.shape[0], in = x.shape[1], out = dy.shape[1];
  return multiply<T>(stream, out, in, rows, {dy.data, out, true}, {x.data, in}, 1, dw.data);
}

}  // namespace

template <class T>
void add_products(ProviderTable<T>& table) {
  table.linear_forward = linear_forward<T>;
  table.linear_backward_input = linear_backward_input<T>;
  table.linear_backward_weight = linear_backward_weight<T>;
}
template void add_products(ProviderTable<float>&);
template void add_products(ProviderTable<bfloat16>&);
template void add_products(ProviderTable<half>&);

}  // namespace ventral::inline v0::cuda::device::cudnn

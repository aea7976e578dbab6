// Mean pooling and softmax by cuDNN, and the table of this program.
#include "tables.hpp"

namespace ventral::inline v0::cuda::device::cudnn {

namespace {

/// Runs f(handle, pooling, x, y), or returns false where cuDNN does not know the windows.
template <class T, class F>
bool with_pooling(Stream stream, const WindowPlan& plan, bool count_include_pad, const Shape& x, const Shape& y, const F& f) {
  const auto plain = [](const WindowAxis& a) { return a.dilation == 1 && a.before < a.kernel && a.before == a.after; };
  if (!knows(plan) || !plain(plan.h) || !plain(plan.w) || x.size() == 0 || y.size() == 0 || !fits_int(x.size()) || !fits_int(y.size())) return false;
  PoolDescriptor pool;
  check(cudnnSetPooling2dDescriptor(pool, count_include_pad ? CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING : CUDNN_POOLING_AVERAGE_COUNT_EXCLUDE_PADDING,
                                    CUDNN_PROPAGATE_NAN, to_int(plan.h.kernel), to_int(plan.w.kernel), to_int(plan.h.before), to_int(plan.w.before),
                                    to_int(plan.h.stride), to_int(plan.w.stride)),
        "cudnnSetPooling2dDescriptor");
  f(cudnn(stream), pool, TensorDescriptor<T>(x), TensorDescriptor<T>(y));
  return true;
}

template <class T>
bool mean_pool_forward(Stream stream, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y) {
  return with_pooling<T>(stream, plan, count_include_pad, x.shape, y.shape, [&](cudnnHandle_t handle, const auto& pool, const auto& of_x, const auto& of_y) {
    check(cudnnPoolingForward(handle, pool, &one, of_x, x.data, &zero, of_y, y.data), "cudnnPoolingForward");
  });
}
/// cuDNN asks for x and y; a mean's gradient does not depend on them, so any array of their sizes will do.
template <class T>
bool mean_pool_backward(Stream stream, const WindowPlan& plan, bool count_include_pad, In<T> dy, Out<T> dx) {
  return with_pooling<T>(stream, plan, count_include_pad, dx.shape, dy.shape, [&](cudnnHandle_t handle, const auto& pool, const auto& of_x, const auto& of_y) {
    check(cudnnPoolingBackward(handle, pool, &one, of_y, dy.data, of_y, dy.data, of_x, dx.data, &zero, of_x, dx.data), "cudnnPoolingBackward");
  });
}

/// [what comes before the axis, the axis, what comes behind, 1].
inline Shape along(const Shape& x, int axis) { return {x.product(0, axis), x[axis], x.product(axis + 1, x.rank()), 1}; }

template <class T>
bool softmax_forward(Stream stream, int axis, In<T> x, Out<T> y) {
  if (x.size() == 0 || !fits_int(x.size())) return false;
  const TensorDescriptor<T> shape(along(x.shape, axis));
  check(cudnnSoftmaxForward(cudnn(stream), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, shape, x.data, &zero, shape, y.data),
        "cudnnSoftmaxForward");
  return true;
}
template <class T>
bool softmax_backward(Stream stream, int axis, In<T> y, In<T> dy, Out<T> dx) {
  if (y.size() == 0 || !fits_int(y.size())) return false;
  const TensorDescriptor<T> shape(along(y.shape, axis));
  check(cudnnSoftmaxBackward(cudnn(stream), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, shape, y.data, shape, dy.data, &zero, shape, dx.data),
        "cudnnSoftmaxBackward");
  return true;
}

template <class T>
void fill_table() {
  ProviderTable<T>& table = provider_table<T>();
  table.name = "cuBLAS and cuDNN";
  add_products(table);
  add_convolutions(table);
  add_layers(table);
}

}  // namespace

template <class T>
void add_layers(ProviderTable<T>& table) {
  table.mean_pool_forward = mean_pool_forward<T>;
  table.mean_pool_backward = mean_pool_backward<T>;
  table.softmax_forward = softmax_forward<T>;
  table.softmax_backward = softmax_backward<T>;
}

}  // namespace ventral::inline v0::cuda::device::cudnn

/// The target ventral::cudnn tells the linker to look for this name, so that the table is filled although no program calls anything here.
extern "C" const int ventral_cudnn_provider = [] {
  namespace provider = ventral::cuda::device::cudnn;
  provider::fill_table<float>(), provider::fill_table<ventral::bfloat16>(), provider::fill_table<ventral::half>();
  return 1;
}();

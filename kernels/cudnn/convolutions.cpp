// Convolutions by cuDNN. Its heuristics choose the algorithm, once for each problem and without timing, among those that give the same bits every time.
#include <map>
#include <memory>
#include <tuple>

#include "tables.hpp"

namespace ventral::inline v0::cuda::device::cudnn {

namespace {

enum class Pass { forward, input, weight };

/// What an algorithm is chosen for.
struct Problem {
  Pass pass;
  Shape x, w, y;
  WindowPlan plan;
  Index groups;
  Math math;

  auto key() const {
    const auto of = [](const WindowAxis& a) { return std::tuple(a.in, a.out, a.kernel, a.stride, a.before, a.dilation); };
    return std::tuple(pass, x[0], x[1], w[0], of(plan.h), of(plan.w), groups, math);
  }
};

template <class T>
struct Convolution {
  TensorDescriptor<T> x, y;
  FilterDescriptor<T> w;
  WindowDescriptor window;
  int algorithm = 0;
  std::size_t workspace = 0;

  explicit Convolution(const Problem& p, cudnnHandle_t handle) : x(p.x), y(p.y), w(p.w) {
    const WindowAxis &h = p.plan.h, &v = p.plan.w;
    check(cudnnSetConvolution2dDescriptor(window, to_int(h.before), to_int(v.before), to_int(h.stride), to_int(v.stride), to_int(h.dilation),
                                          to_int(v.dilation), CUDNN_CROSS_CORRELATION, CUDNN_DATA_FLOAT),
          "cudnnSetConvolution2dDescriptor");
    check(cudnnSetConvolutionGroupCount(window, to_int(p.groups)), "cudnnSetConvolutionGroupCount");
    const cudnnMathType_t math = std::is_same_v<T, float> && p.math != Math::tf32 ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH;
    check(cudnnSetConvolutionMathType(window, math), "cudnnSetConvolutionMathType");
    const auto forward = [&](int most, int* n, auto* list) { return cudnnGetConvolutionForwardAlgorithm_v7(handle, x, w, window, y, most, n, list); };
    const auto input = [&](int most, int* n, auto* list) { return cudnnGetConvolutionBackwardDataAlgorithm_v7(handle, w, y, window, x, most, n, list); };
    const auto weight = [&](int most, int* n, auto* list) { return cudnnGetConvolutionBackwardFilterAlgorithm_v7(handle, x, y, window, w, most, n, list); };
    if (p.pass == Pass::forward) choose<cudnnConvolutionFwdAlgoPerf_t>(math, forward);
    else if (p.pass == Pass::input) choose<cudnnConvolutionBwdDataAlgoPerf_t>(math, input);
    else choose<cudnnConvolutionBwdFilterAlgoPerf_t>(math, weight);
  }

  /// The first of the list, which goes by expected speed, that is deterministic, keeps to the math and has a workspace of a reasonable size.
  template <class Found, class List>
  void choose(cudnnMathType_t math, const List& list_algorithms) {
    constexpr std::size_t most_workspace = std::size_t{1} << 30;
    Found list[16] = {};
    int n = 0;
    check(list_algorithms(16, &n, list), "cudnnGetConvolution...Algorithm_v7");
    for (int i = 0; i < n; ++i) {
      const Found& f = list[i];
      const bool exact = math != CUDNN_FMA_MATH || f.mathType == CUDNN_FMA_MATH || f.mathType == CUDNN_DEFAULT_MATH;
      if (f.status != CUDNN_STATUS_SUCCESS || f.determinism != CUDNN_DETERMINISTIC || !exact || f.memory > most_workspace) continue;
      algorithm = static_cast<int>(f.algo), workspace = f.memory;
      check(cudnnSetConvolutionMathType(window, math == CUDNN_FMA_MATH ? math : f.mathType), "cudnnSetConvolutionMathType");
      return;
    }
    algorithm = -1;
  }
};

/// Runs f(handle, convolution, algorithm, workspace, its bytes), or returns false where cuDNN does not know the problem.
template <class T, class F>
bool with_convolution(Stream stream, const Problem& problem, const F& f) {
  if (!knows(problem.plan) || problem.x.size() == 0 || problem.y.size() == 0 || problem.w.size() == 0) return false;
  if (!fits_int(problem.x.size()) || !fits_int(problem.y.size()) || !fits_int(problem.w.size())) return false;
  static thread_local std::map<decltype(problem.key()), std::unique_ptr<Convolution<T>>> known;
  const cudnnHandle_t handle = cudnn(stream);
  std::unique_ptr<Convolution<T>>& c = known[problem.key()];
  if (!c) c = std::make_unique<Convolution<T>>(problem, handle);
  if (c->algorithm < 0) return false;
  auto workspace = Tensor<unsigned char, Space>::uninitialized({static_cast<Index>(c->workspace)});
  f(handle, *c, workspace.data(), c->workspace);
  return true;
}

template <class T>
bool conv2d_forward(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y) {
  const bool done = with_convolution<T>(stream, {Pass::forward, x.shape, w.shape, y.shape, plan, groups, stream.math},
                                        [&](cudnnHandle_t handle, auto& c, void* room, std::size_t bytes) {
                                          check(cudnnConvolutionForward(handle, &one, c.x, x.data, c.w, w.data, c.window,
                                                                        static_cast<cudnnConvolutionFwdAlgo_t>(c.algorithm), room, bytes, &zero, c.y, y.data),
                                                "cudnnConvolutionForward");
                                        });
  if (done && b.data) device::add_channel_bias<T>(stream, b, y);
  return done;
}

template <class T>
bool conv2d_backward_input(Stream stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx) {
  return with_convolution<T>(stream, {Pass::input, dx.shape, w.shape, dy.shape, plan, groups, stream.math},
                             [&](cudnnHandle_t handle, auto& c, void* room, std::size_t bytes) {
                               check(cudnnConvolutionBackwardData(handle, &one, c.w, w.data, c.y, dy.data, c.window,
                                                                  static_cast<cudnnConvolutionBwdDataAlgo_t>(c.algorithm), room, bytes, &zero, c.x, dx.data),
                                     "cudnnConvolutionBackwardData");
                             });
}

template <class T>
bool conv2d_backward_weight(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw) {
  return with_convolution<T>(stream, {Pass::weight, x.shape, dw.shape, dy.shape, plan, groups, stream.math},
                             [&](cudnnHandle_t handle, auto& c, void* room, std::size_t bytes) {
                               check(cudnnConvolutionBackwardFilter(handle, &one, c.x, x.data, c.y, dy.data, c.window,
                                                                    static_cast<cudnnConvolutionBwdFilterAlgo_t>(c.algorithm), room, bytes, &one, c.w, dw.data),
                                     "cudnnConvolutionBackwardFilter");
                             });
}

}  // namespace

template <class T>
void add_convolutions(ProviderTable<T>& table) {
  table.conv2d_forward = conv2d_forward<T>;
  table.conv2d_backward_input = conv2d_backward_input<T>;
  table.conv2d_backward_weight = conv2d_backward_weight<T>;
}
template void add_convolutions(ProviderTable<float>&);
template void add_convolutions(ProviderTable<bfloat16>&);
template void add_convolutions(ProviderTable<half>&);

}  // namespace ventral::inline v0::cuda::device::cudnn

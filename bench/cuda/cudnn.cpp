#include <cudnn.h>

#include "cuda/reference.hpp"

namespace bench::cudnn {

namespace {

constexpr std::size_t most_workspace = std::size_t{4} << 30;

void require(cudnnStatus_t status, const char* call) { ventral::require(status == CUDNN_STATUS_SUCCESS, call, ": ", cudnnGetErrorString(status)); }

/// The library's state, made at the first call and left to the end of the program.
cudnnHandle_t handle() {
  static const cudnnHandle_t made = [] {
    cudnnHandle_t h = nullptr;
    require(cudnnCreate(&h), "cudnnCreate");
    return h;
  }();
  return made;
}

/// The descriptors of a convolution and the memory that its algorithm asks for.
struct Plan {
  cudnnTensorDescriptor_t x = nullptr, y = nullptr;
  cudnnFilterDescriptor_t w = nullptr;
  cudnnConvolutionDescriptor_t window = nullptr;
  Tensor<unsigned char, ventral::Cuda> workspace;

  Plan(const Convolution& c, cudnnDataType_t type) {
    const auto number = [](Index i) { return static_cast<int>(i); };
    require(cudnnCreateTensorDescriptor(&x), "cudnnCreateTensorDescriptor");
    require(cudnnCreateTensorDescriptor(&y), "cudnnCreateTensorDescriptor");
    require(cudnnCreateFilterDescriptor(&w), "cudnnCreateFilterDescriptor");
    require(cudnnCreateConvolutionDescriptor(&window), "cudnnCreateConvolutionDescriptor");
    require(cudnnSetTensor4dDescriptor(x, CUDNN_TENSOR_NCHW, type, number(c.x[0]), number(c.x[1]), number(c.x[2]), number(c.x[3])),
            "cudnnSetTensor4dDescriptor");
    require(cudnnSetTensor4dDescriptor(y, CUDNN_TENSOR_NCHW, type, number(c.y[0]), number(c.y[1]), number(c.y[2]), number(c.y[3])),
            "cudnnSetTensor4dDescriptor");
    require(cudnnSetFilter4dDescriptor(w, type, CUDNN_TENSOR_NCHW, number(c.w[0]), number(c.w[1]), number(c.w[2]), number(c.w[3])),
            "cudnnSetFilter4dDescriptor");
    require(cudnnSetConvolution2dDescriptor(window, number(c.padding), number(c.padding), number(c.stride), number(c.stride), 1, 1, CUDNN_CROSS_CORRELATION,
                                            CUDNN_DATA_FLOAT),
            "cudnnSetConvolution2dDescriptor");
    require(cudnnSetConvolutionGroupCount(window, number(c.groups)), "cudnnSetConvolutionGroupCount");
  }
  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;
  ~Plan() {
    static_cast<void>(cudnnDestroyTensorDescriptor(x));
    static_cast<void>(cudnnDestroyTensorDescriptor(y));
    static_cast<void>(cudnnDestroyFilterDescriptor(w));
    static_cast<void>(cudnnDestroyConvolutionDescriptor(window));
  }

  /// Lets cuDNN try all its algorithms and takes the first of its list, which goes by time. `find(most, found, list)` is one of
  /// cudnnFindConvolution...Algorithm.
  template <class Choice, class Find>
  Choice choose(bool single, Find find) {
    Choice list[16] = {};
    int found = 0;
    device::gpu::synchronize();
    require(find(16, &found, list), "cudnnFindConvolution...Algorithm");
    for (int i = 0; i < found; ++i)
      if (list[i].status == CUDNN_STATUS_SUCCESS && list[i].memory <= most_workspace) {
        if (!single) require(cudnnSetConvolutionMathType(window, list[i].mathType), "cudnnSetConvolutionMathType");
        workspace.resize({static_cast<Index>(list[i].memory)});
        return list[i];
      }
    throw ventral::Error("cuDNN has no algorithm");
  }
  std::size_t room() const { return static_cast<std::size_t>(workspace.size()); }
};

}  // namespace

std::string version() {
  const std::size_t v = cudnnGetVersion();
  return ventral::concat("cuDNN ", v / 10000, ".", v / 100 % 100, ".", v % 100);
}

template <class T>
Step<T> fastest(const Convolution& convolution, Part part) {
  constexpr bool single = std::is_same_v<T, float>;
  const auto p = std::make_shared<Plan>(convolution, single ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16);
  require(cudnnSetConvolutionMathType(p->window, single ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH), "cudnnSetConvolutionMathType");
  require(cudnnSetStream(handle(), static_cast<cudaStream_t>(ventral::Cuda::stream().handle)), "cudnnSetStream");
  static constexpr float zero = 0, one = 1;
  if (part == Part::forward) {
    const auto chosen = p->choose<cudnnConvolutionFwdAlgoPerf_t>(single, [&](int most, int* found, auto* list) {
      return cudnnFindConvolutionForwardAlgorithm(handle(), p->x, p->w, p->window, p->y, most, found, list);
    });
    return [p, algorithm = chosen.algo](const T* x, const T* w, T* y) {
      require(cudnnConvolutionForward(handle(), &one, p->x, x, p->w, w, p->window, algorithm, p->workspace.data(), p->room(), &zero, p->y, y),
              "cudnnConvolutionForward");
    };
  }
  if (part == Part::data) {
    const auto chosen = p->choose<cudnnConvolutionBwdDataAlgoPerf_t>(single, [&](int most, int* found, auto* list) {
      return cudnnFindConvolutionBackwardDataAlgorithm(handle(), p->w, p->y, p->window, p->x, most, found, list);
    });
    return [p, algorithm = chosen.algo](const T* w, const T* dy, T* dx) {
      require(cudnnConvolutionBackwardData(handle(), &one, p->w, w, p->y, dy, p->window, algorithm, p->workspace.data(), p->room(), &zero, p->x, dx),
              "cudnnConvolutionBackwardData");
    };
  }
  const auto chosen = p->choose<cudnnConvolutionBwdFilterAlgoPerf_t>(single, [&](int most, int* found, auto* list) {
    return cudnnFindConvolutionBackwardFilterAlgorithm(handle(), p->x, p->y, p->window, p->w, most, found, list);
  });
  return [p, algorithm = chosen.algo](const T* x, const T* dy, T* dw) {
    require(cudnnConvolutionBackwardFilter(handle(), &one, p->x, x, p->y, dy, p->window, algorithm, p->workspace.data(), p->room(), &one, p->w, dw),
            "cudnnConvolutionBackwardFilter");
  };
}
template Step<float> fastest<float>(const Convolution&, Part);
template Step<ventral::bfloat16> fastest<ventral::bfloat16>(const Convolution&, Part);

}  // namespace bench::cudnn

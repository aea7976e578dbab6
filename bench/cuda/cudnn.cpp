#include "cuda/cudnn_handle.hpp"
#include "cuda/reference.hpp"

namespace bench::cudnn {

namespace {

constexpr std::size_t most_workspace = std::size_t{4} << 30;
constexpr std::size_t most_ways = 3;

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

  /// Sets how a chosen algorithm multiplies; strict float stays strict.
  void use(cudnnMathType_t math) const { require(cudnnSetConvolutionMathType(window, math), "cudnnSetConvolutionMathType"); }
};

/// Lets cuDNN try all its algorithms and returns the first of its list, which goes by time. `find(most, found, list)` is one of
/// cudnnFindConvolution...Algorithm. They share a workspace.
template <class Choice, class Find>
std::vector<Choice> search(Plan& p, Find find) {
  Choice list[16] = {};
  int found = 0;
  device::gpu::synchronize();
  require(find(16, &found, list), "cudnnFindConvolution...Algorithm");
  std::vector<Choice> chosen;
  std::size_t most = 0;
  for (int i = 0; i < found && chosen.size() < most_ways; ++i)
    if (list[i].status == CUDNN_STATUS_SUCCESS && list[i].memory <= most_workspace) chosen.push_back(list[i]), most = std::max(most, list[i].memory);
  ventral::require(!chosen.empty(), "cuDNN has no algorithm");
  p.workspace.resize({static_cast<Index>(most)});
  return chosen;
}

/// The ways of a pass: `run(choice, first, second, result)` for each choice, multiplied as it says unless that is fixed.
template <class T, class Choice, class Run>
std::vector<Way<T>> ways_of(const std::shared_ptr<Plan>& p, const std::vector<Choice>& choices, bool strict, Run run) {
  std::vector<Way<T>> ways;
  for (const Choice& choice : choices)
    ways.push_back({ventral::concat("searched algorithm ", static_cast<int>(choice.algo)), static_cast<double>(choice.memory),
                    [p, choice, strict, run](const T* first, const T* second, T* result) {
                      if (!strict) p->use(choice.mathType);
                      run(choice, first, second, result);
                    }});
  return ways;
}

}  // namespace

std::string version() {
  const std::size_t v = cudnnGetVersion();
  return ventral::concat("cuDNN ", v / 10000, ".", v / 100 % 100, ".", v % 100);
}

template <class T>
std::vector<Way<T>> searched(const Convolution& convolution, Part part, ventral::Math math) {
  constexpr bool single = std::is_same_v<T, float>;
  const bool strict = single && math != ventral::Math::tf32;
  const auto p = std::make_shared<Plan>(convolution, single ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16);
  p->use(strict ? CUDNN_FMA_MATH : CUDNN_TENSOR_OP_MATH);
  static constexpr float zero = 0, one = 1;
  if (part == Part::forward) {
    const auto choices = search<cudnnConvolutionFwdAlgoPerf_t>(*p, [&](int most, int* found, auto* list) {
      return cudnnFindConvolutionForwardAlgorithm(handle(), p->x, p->w, p->window, p->y, most, found, list);
    });
    return ways_of<T>(p, choices, strict, [d = p.get()](const auto& choice, const T* x, const T* w, T* y) {
      require(cudnnConvolutionForward(handle(), &one, d->x, x, d->w, w, d->window, choice.algo, d->workspace.data(), choice.memory, &zero, d->y, y),
              "cudnnConvolutionForward");
    });
  }
  if (part == Part::data) {
    const auto choices = search<cudnnConvolutionBwdDataAlgoPerf_t>(*p, [&](int most, int* found, auto* list) {
      return cudnnFindConvolutionBackwardDataAlgorithm(handle(), p->w, p->y, p->window, p->x, most, found, list);
    });
    return ways_of<T>(p, choices, strict, [d = p.get()](const auto& choice, const T* w, const T* dy, T* dx) {
      require(cudnnConvolutionBackwardData(handle(), &one, d->w, w, d->y, dy, d->window, choice.algo, d->workspace.data(), choice.memory, &zero, d->x, dx),
              "cudnnConvolutionBackwardData");
    });
  }
  const auto choices = search<cudnnConvolutionBwdFilterAlgoPerf_t>(*p, [&](int most, int* found, auto* list) {
    return cudnnFindConvolutionBackwardFilterAlgorithm(handle(), p->x, p->y, p->window, p->w, most, found, list);
  });
  return ways_of<T>(p, choices, strict, [d = p.get()](const auto& choice, const T* x, const T* dy, T* dw) {
    require(cudnnConvolutionBackwardFilter(handle(), &one, d->x, x, d->y, dy, d->window, choice.algo, d->workspace.data(), choice.memory, &one, d->w, dw),
            "cudnnConvolutionBackwardFilter");
  });
}
template std::vector<Way<float>> searched<float>(const Convolution&, Part, ventral::Math);
template std::vector<Way<ventral::bfloat16>> searched<ventral::bfloat16>(const Convolution&, Part, ventral::Math);

}  // namespace bench::cudnn

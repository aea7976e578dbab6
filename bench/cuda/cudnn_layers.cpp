// Layers by cuDNN's descriptors of single operations.
#include "cuda/cudnn_handle.hpp"
#include "cuda/reference.hpp"

namespace bench::cudnn {

namespace {

using device::Arrays;
using Runs = std::vector<std::pair<std::string, std::function<void(const Arrays<float>&)>>>;

constexpr float zero = 0, one = 1;

/// A descriptor that is destroyed with its last copy.
template <class D>
std::shared_ptr<std::remove_pointer_t<D>> made(cudnnStatus_t (*create)(D*), cudnnStatus_t (*destroy)(D)) {
  D d = nullptr;
  require(create(&d), "cudnnCreate...Descriptor");
  return {d, [destroy](D p) { static_cast<void>(destroy(p)); }};
}
auto images(const Shape& x, cudnnDataType_t type = CUDNN_DATA_FLOAT) {
  auto d = made(cudnnCreateTensorDescriptor, cudnnDestroyTensorDescriptor);
  const auto number = [&](int i) { return static_cast<int>(x[i]); };
  require(cudnnSetTensor4dDescriptor(d.get(), CUDNN_TENSOR_NCHW, type, number(0), number(1), number(2), number(3)), "cudnnSetTensor4dDescriptor");
  return d;
}

}  // namespace

template <class T>
std::function<void(const T*, T*, T*)> ending(const Shape& shape) {
  constexpr cudnnDataType_t type = std::is_same_v<T, float> ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16;
  const auto y = images(shape, type), b = images({1, shape[1], 1, 1}, type), half = images({shape[0], shape[1], shape[2] / 2, shape[3] / 2}, type);
  const auto relu = made(cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor);
  const auto window = made(cudnnCreatePoolingDescriptor, cudnnDestroyPoolingDescriptor);
  require(cudnnSetActivationDescriptor(relu.get(), CUDNN_ACTIVATION_RELU, CUDNN_PROPAGATE_NAN, 0), "cudnnSetActivationDescriptor");
  require(cudnnSetPooling2dDescriptor(window.get(), CUDNN_POOLING_MAX, CUDNN_PROPAGATE_NAN, 2, 2, 0, 0, 2, 2), "cudnnSetPooling2dDescriptor");
  return [=](const T* bias, T* values, T* pooled) {
    require(cudnnAddTensor(handle(), &one, b.get(), bias, &one, y.get(), values), "cudnnAddTensor");
    require(cudnnActivationForward(handle(), relu.get(), &one, y.get(), values, &zero, y.get(), values), "cudnnActivationForward");
    if (pooled) require(cudnnPoolingForward(handle(), window.get(), &one, y.get(), values, &zero, half.get(), pooled), "cudnnPoolingForward");
  };
}
template std::function<void(const float*, float*, float*)> ending<float>(const Shape&);
template std::function<void(const ventral::bfloat16*, ventral::bfloat16*, ventral::bfloat16*)> ending<ventral::bfloat16>(const Shape&);

device::Rivals<float> pooling(const Pooling& p) {
  return [p](Part part) -> Runs {
    const auto window = made(cudnnCreatePoolingDescriptor, cudnnDestroyPoolingDescriptor);
    const cudnnPoolingMode_t mode = p.max ? CUDNN_POOLING_MAX : CUDNN_POOLING_AVERAGE_COUNT_INCLUDE_PADDING;
    require(cudnnSetPooling2dDescriptor(window.get(), mode, CUDNN_PROPAGATE_NAN, p.kernel, p.kernel, 0, 0, p.stride, p.stride), "cudnnSetPooling2dDescriptor");
    const auto across = [&](Index size) { return (size - p.kernel) / p.stride + 1; };
    const auto x = images(p.x), y = images({p.x[0], p.x[1], across(p.x[2]), across(p.x[3])});
    if (part == Part::forward)
      return {{"pooling", [=](const Arrays<float>& a) {
                 require(cudnnPoolingForward(handle(), window.get(), &one, x.get(), a.x, &zero, y.get(), a.result), "cudnnPoolingForward");
               }}};
    return {{"pooling", [=](const Arrays<float>& a) {
               require(cudnnPoolingBackward(handle(), window.get(), &one, y.get(), a.y, y.get(), a.dy, x.get(), a.x, &zero, x.get(), a.result), "cudnnPoolingBackward");
             }}};
  };
}

device::Rivals<float> response_norm(const ResponseNorm& n) {
  return [n](Part part) -> Runs {
    const auto window = made(cudnnCreateLRNDescriptor, cudnnDestroyLRNDescriptor);
    require(cudnnSetLRNDescriptor(window.get(), static_cast<unsigned>(n.size), n.alpha, n.beta, n.k), "cudnnSetLRNDescriptor");
    const auto x = images(n.x);
    if (part == Part::forward)
      return {{"LRN", [=](const Arrays<float>& a) {
                 require(cudnnLRNCrossChannelForward(handle(), window.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1, &one, x.get(), a.x, &zero, x.get(), a.result),
                         "cudnnLRNCrossChannelForward");
               }}};
    return {{"LRN", [=](const Arrays<float>& a) {
               require(cudnnLRNCrossChannelBackward(handle(), window.get(), CUDNN_LRN_CROSS_CHANNEL_DIM1, &one, x.get(), a.y, x.get(), a.dy, x.get(), a.x, &zero,
                                                    x.get(), a.result),
                       "cudnnLRNCrossChannelBackward");
             }}};
  };
}

device::Rivals<float> activation(const Shape& shape, Function f) {
  return [=](Part part) -> Runs {
    const auto function = made(cudnnCreateActivationDescriptor, cudnnDestroyActivationDescriptor);
    require(cudnnSetActivationDescriptor(function.get(), f == Function::relu ? CUDNN_ACTIVATION_RELU : CUDNN_ACTIVATION_SIGMOID, CUDNN_PROPAGATE_NAN, 0),
            "cudnnSetActivationDescriptor");
    const auto x = images(shape);
    if (part == Part::forward)
      return {{"activation", [=](const Arrays<float>& a) {
                 require(cudnnActivationForward(handle(), function.get(), &one, x.get(), a.x, &zero, x.get(), a.result), "cudnnActivationForward");
               }}};
    return {{"activation", [=](const Arrays<float>& a) {
               require(cudnnActivationBackward(handle(), function.get(), &one, x.get(), a.y, x.get(), a.dy, x.get(), a.x, &zero, x.get(), a.result),
                       "cudnnActivationBackward");
             }}};
  };
}

device::Side softmax_pair(const device::Sets<float>& x) {
  struct Pair {
    std::vector<const float*> x;
    device::Sets<float> y, dx;
  };
  const Shape shape = x.front().shape();
  const int sets = static_cast<int>(x.size());
  const auto p = std::make_shared<Pair>(Pair{{}, device::zeros<float>(shape, sets), device::zeros<float>(shape, sets)});
  for (const auto& one_set : x) p->x.push_back(one_set.data());
  const auto d = images({shape[0], shape[1], 1, 1});
  return {"cuDNN",
          [=](int set) {
            float *const y = device::of(p->y, set).data(), *const dx = device::of(p->dx, set).data();
            require(cudnnSoftmaxForward(handle(), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, d.get(), p->x[static_cast<std::size_t>(set)], &zero, d.get(), y),
                    "cudnnSoftmaxForward");
            require(cudnnSoftmaxBackward(handle(), CUDNN_SOFTMAX_ACCURATE, CUDNN_SOFTMAX_MODE_CHANNEL, &one, d.get(), y, d.get(), y, &zero, d.get(), dx),
                    "cudnnSoftmaxBackward");
          },
          {},
          "softmax forward and backward, no loss"};
}

}  // namespace bench::cudnn

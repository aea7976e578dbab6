#pragma once
#include <functional>

#include "conformance/check.hpp"
#include "ventral/cuda.hpp"

namespace conformance {

/// What runs the cases of one operator.
template <class T, class Space>
using Runner = std::function<void(const Case&, Check<T, Space>&)>;
template <class T, class Space>
using Runners = std::map<std::string, Runner<T, Space>>;

// One function for each family of operators; each family is a source file of its own, for the time it takes to compile.
template <class T, class Space>
Runners<T, Space> grad_filters();
template <class T, class Space>
Runners<T, Space> grad_layers();
template <class T, class Space>
Runners<T, Space> grad_losses();
template <class T, class Space>
Runners<T, Space> grad_optimizers();
template <class T, class Space>
Runners<T, Space> onnx_windows();
template <class T, class Space>
Runners<T, Space> onnx_products();
template <class T, class Space>
Runners<T, Space> onnx_elementwise();
template <class T, class Space>
Runners<T, Space> onnx_norms();
template <class T, class Space>
Runners<T, Space> onnx_losses();
template <class T, class Space>
Runners<T, Space> onnx_optimizers();

/// Ends the source file of a family: instantiates it for each scalar type on each space of the program.
#define CONFORMANCE_INSTANTIATE_ON(space, family) \
  template Runners<float, space> family();        \
  template Runners<double, space> family();
#if defined(VENTRAL_CUDA_EMULATED) || defined(VENTRAL_CUDA_DEVICE)
#define CONFORMANCE_INSTANTIATE(family) CONFORMANCE_INSTANTIATE_ON(ventral::Cpu, family) CONFORMANCE_INSTANTIATE_ON(ventral::Cuda, family)
#else
#define CONFORMANCE_INSTANTIATE(family) CONFORMANCE_INSTANTIATE_ON(ventral::Cpu, family)
#endif

/// Runs a case in T on a space. Throws NotOffered and Malformed; any other exception is the layer's and fails the case.
template <class T, class Space>
void run(const Case& c, Check<T, Space>& check) {
  using Families = std::vector<Runners<T, Space>>;
  static const Families grad{grad_filters<T, Space>(), grad_layers<T, Space>(), grad_losses<T, Space>(), grad_optimizers<T, Space>()};
  static const Families onnx{onnx_windows<T, Space>(), onnx_products<T, Space>(), onnx_elementwise<T, Space>(),
                             onnx_norms<T, Space>(),   onnx_losses<T, Space>(),   onnx_optimizers<T, Space>()};
  for (const Runners<T, Space>& family : c.format == Case::Format::onnx ? onnx : grad)
    if (const auto at = family.find(c.op); at != family.end()) return at->second(c, check);
  throw NotOffered(c.op);
}

}  // namespace conformance

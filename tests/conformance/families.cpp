#include "conformance/runners.hpp"

namespace conformance {

template <class T>
void run_grad(const Case& c, Check<T>& check) {
  static const std::vector<Runners<T>> families{grad_layers<T>(), grad_losses<T>(), grad_optimizers<T>()};
  run_by_name(c, check, families);
}

template <class T>
void run_onnx(const Case& c, Check<T>& check) {
  static const std::vector<Runners<T>> families{onnx_windows<T>(), onnx_products<T>(), onnx_elementwise<T>(), onnx_norms<T>(), onnx_losses<T>(), onnx_optimizers<T>()};
  run_by_name(c, check, families);
}

template void run_grad(const Case&, Check<float>&);
template void run_grad(const Case&, Check<double>&);
template void run_onnx(const Case&, Check<float>&);
template void run_onnx(const Case&, Check<double>&);

}  // namespace conformance

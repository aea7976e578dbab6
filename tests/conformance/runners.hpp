#pragma once
#include "conformance/check.hpp"

namespace conformance {

// One function for each family of operators; each family is a source file of its own, for the time it takes to compile.
template <class T>
Runners<T> grad_layers();
template <class T>
Runners<T> grad_losses();
template <class T>
Runners<T> grad_optimizers();
template <class T>
Runners<T> onnx_windows();
template <class T>
Runners<T> onnx_products();
template <class T>
Runners<T> onnx_elementwise();
template <class T>
Runners<T> onnx_norms();
template <class T>
Runners<T> onnx_losses();
template <class T>
Runners<T> onnx_optimizers();

/// What `name` gives by these families; throws NotOffered when none has it.
template <class T>
void run_by_name(const Case& c, Check<T>& check, const std::vector<Runners<T>>& families) {
  for (const Runners<T>& family : families)
    if (const auto at = family.find(c.op); at != family.end()) return at->second(c, check);
  throw NotOffered(c.op);
}

}  // namespace conformance

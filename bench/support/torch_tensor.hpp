#pragma once
// clang-format off
#include <ATen/core/ivalue.h>  // first: clang with C++20 needs it complete in what follows
#include <torch/torch.h>
#include <torch/version.h>
// clang-format on

#include <functional>

#include "support/libtorch.hpp"

/// Helpers of torch_*.cpp.
namespace bench::libtorch {

/// Our elements as a LibTorch tensor, not copied. LibTorch has no read-only tensors; nothing here writes to an input.
template <class T>
at::Tensor borrow(ventral::TensorRef<const T> x) {
  constexpr auto type = std::is_same_v<T, double> ? at::kDouble : std::is_same_v<T, std::int32_t> ? at::kInt : at::kFloat;
  return at::from_blob(const_cast<T*>(x.data), at::IntArrayRef(x.shape.begin(), x.shape.end()), type);
}

/// A result of LibTorch, made contiguous if it is not.
inline Output view(at::Tensor& t) {
  t = t.contiguous();
  if (t.scalar_type() == at::kDouble) return TensorRef<double>(t.data_ptr<double>(), {t.numel()});
  return TensorRef<float>(t.data_ptr<float>(), {t.numel()});
}

/// An operation that writes its results into `results`, replacing or filling them.
class Operation final : public Contender {
 public:
  using Results = std::vector<at::Tensor>;
  Operation(Results results, std::function<void(Results&)> body) : results_(std::move(results)), body_(std::move(body)) {}
  const char* name() const override { return "LibTorch"; }
  void run() override { body_(results_); }
  std::vector<Output> outputs() override {
    std::vector<Output> out;
    for (at::Tensor& t : results_) out.push_back(view(t));
    return out;
  }

 private:
  Results results_;
  std::function<void(Results&)> body_;
};

/// `operation({y, dx}, [=](auto& r) { at::relu_out(r[0], x); })`
template <class Body>
std::unique_ptr<Contender> operation(Operation::Results results, Body body) {
  return std::make_unique<Operation>(std::move(results), std::move(body));
}

}  // namespace bench::libtorch

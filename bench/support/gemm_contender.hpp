#pragma once
#include <functional>
#include <utility>

#include "support/peers.hpp"
#include "ventral/tensor.hpp"

namespace bench {

/// c [m,n] = a [m,k] b, row-major; b is [k,n], or [n,k] and transposed.
template <class T>
struct Product {
  Index m, n, k;
  const T *a, *b;
  bool b_transposed;
  T* c;
};

/// A product by a function of another library.
template <class T>
class GemmContender final : public Contender {
 public:
  using Function = void (*)(const Product<T>&);
  GemmContender(const char* name, Function function, In<T> a, In<T> b, bool b_transposed)
      : name_(name),
        function_(function),
        c_({a.shape[0], b.shape[b_transposed ? 0 : 1]}),
        product_{c_.dim(0), c_.dim(1), a.shape[1], a.data, b.data, b_transposed, c_.data()} {}
  const char* name() const override { return name_; }
  void run() override { function_(product_); }
  std::vector<Output> outputs() override { return {c_.ref()}; }

 private:
  const char* name_;
  Function function_;
  ventral::Tensor<T> c_;
  Product<T> product_;
};

}  // namespace bench

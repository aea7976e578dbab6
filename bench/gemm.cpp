// Matrix products: squares, the products of one image's convolution (out x pixels x window) and dense layers at batch 64 (`-b64`, x w^T).
#include "ventral/cpu/gemm.hpp"

#include "support/layer_contender.hpp"
#include "support/libtorch.hpp"
#include "support/peers.hpp"

namespace {

using namespace bench;

template <class T>
struct Data {
  Tensor<T> a, b;
  bool b_transposed;

  double element(Index i) const {
    const Index depth = a.dim(1), columns = b.dim(b_transposed ? 0 : 1), row = i / columns, column = i % columns;
    double sum = 0;
    for (Index p = 0; p < depth; ++p)
      sum += static_cast<double>(a[row * depth + p]) * static_cast<double>(b_transposed ? b[column * depth + p] : b[p * columns + column]);
    return sum;
  }
};

template <class T>
class Product final : public Contender {
 public:
  explicit Product(std::shared_ptr<const Data<T>> data) : data_(std::move(data)), c_({data_->a.dim(0), data_->b.dim(data_->b_transposed ? 0 : 1)}) {}
  void run() override {
    const Tensor<T>&a = data_->a, &b = data_->b;
    gemm(c_.stream(), c_.dim(0), c_.dim(1), a.dim(1), 1, {a.data(), a.dim(1)}, {b.data(), b.dim(1), data_->b_transposed}, 0, c_.data(), c_.dim(1));
  }
  std::vector<Output> outputs() override { return {c_.ref()}; }

 private:
  std::shared_ptr<const Data<T>> data_;
  Tensor<T> c_;
};

template <class T>
void add(Program& program, const std::string& name, Index m, Index n, Index k, bool b_transposed = false) {
  const double flop = 2 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k);
  program.add((sizeof(T) == 8 ? "double/" : "float/") + name, {.flop = flop, .in_double = sizeof(T) == 8}, [=] {
    const auto d = std::make_shared<const Data<T>>(
        Data<T>{random_tensor({m, k}, 1).template cast<T>(), random_tensor(b_transposed ? Shape{n, k} : Shape{k, n}, 2).template cast<T>(), b_transposed});
    Contest c;
    c.data = d;
    c.ours = std::make_unique<Product<T>>(d);
    c.references.push_back(openblas::gemm(d->a, d->b, b_transposed));
    c.references.push_back(onednn::gemm(d->a, d->b, b_transposed));
    c.references.push_back(eigen::gemm(d->a, d->b, b_transposed));
    c.references.push_back(libtorch::gemm(d->a.ref(), d->b.ref(), b_transposed));
    c.expected = {{"c", [=](Index i) { return d->element(i); }, sizeof(T) == 8 ? 1e-12 : 1e-5}};
    return c;
  });
}

}  // namespace

int main(int argc, char** argv) {
  Program program(argc, argv, "gemm");
  for (const Index n : {64, 128, 256, 512, 1024, 2048}) add<float>(program, "sq" + std::to_string(n), n, n, n);
  add<float>(program, "lenetC1-img", 6, 784, 25);
  add<float>(program, "lenetC3-img", 16, 100, 150);
  add<float>(program, "mnist32-img", 32, 784, 288);
  add<float>(program, "c64-14-img", 64, 196, 576);
  add<float>(program, "alexconv2-img", 192, 729, 1600);
  add<float>(program, "vgg3-img", 256, 3136, 1152);
  add<float>(program, "res1x1-img", 64, 3136, 256);
  add<float>(program, "stem-img", 64, 12544, 147);
  add<float>(program, "fc400x120-b64", 64, 120, 400, true);
  add<float>(program, "fc120x84-b64", 64, 84, 120, true);
  add<float>(program, "fc84x10-b64", 64, 10, 84, true);
  add<float>(program, "fc3136x128-b64", 64, 128, 3136, true);
  add<float>(program, "fc9216x4096-b64", 64, 4096, 9216, true);
  add<float>(program, "fc4096x1000-b64", 64, 1000, 4096, true);
  for (const Index n : {64, 256, 1024}) add<double>(program, "sq" + std::to_string(n), n, n, n);
  return program.run();
}

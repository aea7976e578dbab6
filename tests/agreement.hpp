#pragma once
#include <cstdint>

#include "support.hpp"

/// Checks that a layer does the same on Cuda as on Cpu. `make` gives the layer for a type and a space:
///     test::check_agreement<float>([]<class T, class Space> { return Sigmoid<T, Space>(); }, {3, 5, 7});
namespace test {

/// A copy on Cuda that begins one element into its memory, where kernels that move 16 bytes at once must take another way.
template <class T>
class Shifted {
 public:
  explicit Shifted(const Tensor<T, Cpu>& x) : memory_(Shape{x.size() + 1}), shape_(x.shape()) {
    Cuda::copy_from_host(memory_.data() + 1, x.data(), bytes());
  }
  Out<T, Cuda> ref() { return {memory_.data() + 1, shape_}; }
  Tensor<T, Cpu> to_cpu() const {
    Tensor<T, Cpu> x(shape_);
    Cuda::copy_to_host(x.data(), memory_.data() + 1, bytes());
    return x;
  }

 private:
  std::size_t bytes() const { return static_cast<std::size_t>(shape_.size()) * sizeof(T); }

  Tensor<T, Cuda> memory_;
  Shape shape_;
};

/// Gives both layers the same random parameters near 1, numbers that the narrower type holds.
template <class A, class B>
void share_parameters(A& a, B& b) {
  using T = typename A::Scalar;
  using U = typename B::Scalar;
  auto from = parameters_of(a);
  auto to = parameters_of(b);
  REQUIRE(from.size() == to.size());
  for (std::size_t i = 0; i < from.size(); ++i) {
    const auto w = random_tensor<double>(from[i].parameter->value.shape(), 50 + i, 1, 0.3).template cast<U>();
    from[i].parameter->value = w.template cast<T>().template to<typename A::Space>();
    to[i].parameter->value = w.template to<typename B::Space>();
  }
}

/// Compares parameter gradients and buffers of two layers.
template <class A, class B>
void check_state(A& a, B& b, double tolerance) {
  const auto left = parameters_of(a);
  const auto right = parameters_of(b);
  for (std::size_t i = 0; i < left.size(); ++i) {
    INFO(left[i].name);
    CHECK(relative_error(right[i].parameter->gradient.template to<Cpu>(), left[i].parameter->gradient.template to<Cpu>()) < tolerance);
  }
  const auto mine = buffers_of(a);
  const auto theirs = buffers_of(b);
  for (std::size_t i = 0; i < mine.size(); ++i) {
    INFO(mine[i].name);
    CHECK(relative_error(theirs[i].buffer->value.template to<Cpu>(), mine[i].buffer->value.template to<Cpu>()) < tolerance);
  }
}

/// Forward and backward on Cpu, on Cuda, and on Cuda with shifted arrays, and inference: y, dx, parameter gradients and buffers within the tolerance.
template <class T, class Make>
void check_agreement(const Make& make, const Tensor<T, Cpu>& x, double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-13) {
  auto cpu = make.template operator()<T, Cpu>();
  auto cuda = make.template operator()<T, Cuda>();
  share_parameters(cpu, cuda);
  auto third = cuda;
  INFO(decltype(cpu)::kind << " on " << to_string(x.shape()));
  const auto dy = random_tensor<T>(cpu.output_shape(x.shape()), 91);
  const auto expected = run_backward(cpu, x, dy);
  const auto got = run_backward(cuda, x.template to<Cuda>(), dy.template to<Cuda>());
  CHECK(relative_error(got.y.template to<Cpu>(), expected.y) < tolerance);
  CHECK(relative_error(got.dx.template to<Cpu>(), expected.dx) < tolerance);
  check_state(cpu, cuda, tolerance);
  CHECK(relative_error(run(cuda, x.template to<Cuda>()).template to<Cpu>(), run(cpu, x)) < tolerance);

  Shifted<T> from(x), gradient(dy), y(Tensor<T, Cpu>(dy.shape())), dx(Tensor<T, Cpu>(x.shape()));
  Pass<Cuda> pass(Mode::training);
  Out<T, Cuda> out = dx.ref();
  third.forward(from.ref(), y.ref(), pass);
  third.backward(from.ref(), y.ref(), gradient.ref(), &out, pass);
  INFO("arrays that begin between 16-byte borders");
  CHECK(relative_error(y.to_cpu(), expected.y) < tolerance);
  CHECK(relative_error(dx.to_cpu(), expected.dx) < tolerance);
  check_state(cpu, third, tolerance);
}
template <class T, class Make>
void check_agreement(const Make& make, Shape shape, double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-13) {
  check_agreement<T>(make, random_tensor<T>(shape, 90), tolerance);
}

/// The relative rounding error of a 16-bit type.
template <class T>
constexpr double rounding_of = std::is_same_v<T, bfloat16> ? 0x1p-9 : 0x1p-12;

/// A 16-bit type on Cuda against float on Cpu, both from the same 16-bit numbers: apart by the rounding of what is stored, `times` over.
template <class Narrow, class Make>
void check_narrow(const Make& make, Shape shape, double times = 2) {
  const double tolerance = times * rounding_of<Narrow>;
  auto cpu = make.template operator()<float, Cpu>();
  auto cuda = make.template operator()<Narrow, Cuda>();
  share_parameters(cpu, cuda);
  INFO(decltype(cpu)::kind << " on " << to_string(shape));
  const auto x = random_tensor<Narrow>(shape, 90), dy = random_tensor<Narrow>(cpu.output_shape(shape), 91);
  const auto expected = run_backward(cpu, x.template cast<float>(), dy.template cast<float>());
  const auto got = run_backward(cuda, x.template to<Cuda>(), dy.template to<Cuda>());
  CHECK(relative_error(got.y.template to<Cpu>(), expected.y) < tolerance);
  CHECK(relative_error(got.dx.template to<Cpu>(), expected.dx) < tolerance);
  check_state(cpu, cuda, tolerance);
}

}  // namespace test

#include "ventral/tensor.hpp"

#include <cstdint>

#include "support.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("tensor: owns, moves, clones", T, float, double, std::int32_t, std::int64_t, std::uint8_t) {
  Tensor<T> x({2, 3}, {1, 2, 3, 4, 5, 6});
  CHECK(x.at(1, 2) == T(6));
  CHECK(x[3] == T(4));
  Tensor<T> y = x.clone();
  y[0] = T(9);
  CHECK(x[0] == T(1));
  Tensor<T> z = std::move(x);
  CHECK(x.size() == 0);  // NOLINT: a moved-from tensor is empty
  CHECK(z.at(0, 0) == T(1));
  z = std::move(y);
  CHECK(z[0] == T(9));
  CHECK(z.template to<Cpu>().at(1, 1) == T(5));
  CHECK(Tensor<T>::full({4}, T(3))[3] == T(3));
  CHECK(Tensor<T>({5})[4] == T(0));
  CHECK(reinterpret_cast<std::uintptr_t>(z.data()) % 64 == 0);
}

TEST_CASE("tensor: scalar, empty, resize keeps its memory") {
  Tensor<float> scalar(Shape{}, {2.5f});
  CHECK(scalar.size() == 1);
  Tensor<float> none({0, 3});
  CHECK(none.empty());
  CHECK(none.clone().shape() == Shape{0, 3});
  Tensor<float> x({4, 4});
  const float* held = x.data();
  x.resize({2, 3});
  x.resize({16});
  CHECK(x.data() == held);
  CHECK(x.cast<double>().shape() == Shape{16});
}

TEST_CASE("tensor: views share elements and check shapes") {
  Tensor<float> x({4, 3});
  for (Index i = 0; i < 12; ++i) x[i] = static_cast<float>(i);
  CHECK(x.slice(1, 3).data[0] == 3);
  CHECK(x.slice(1, 3).shape == Shape{2, 3});
  x.reshaped({2, 6}).data[11] = -1;
  CHECK(x.at(3, 2) == -1);
  const TensorRef<const float> read = x.ref();
  CHECK(read.size() == 12);
  CHECK(test::message_of<ShapeError>([&] { x.reshaped({5}); }) == "cannot view [4,3] as [5]: 12 elements against 5");
  CHECK(test::message_of<ShapeError>([&] { x.slice(2, 5); }) == "slice [2,5) of [4,3]");
  CHECK(test::message_of<ShapeError>([&] { x.at(0, 3); }) == "at(): position 3 on axis 1 of a tensor of shape [4,3]");
  CHECK(test::message_of<ShapeError>([&] { x.at(0); }) == "at(): 1 positions for a tensor of shape [4,3]");
  CHECK(test::message_of<ShapeError>([&] { Tensor<float>({2, 2}, {1, 2, 3}); }) == "a tensor of shape [2,2] takes 4 values; got 3");
  CHECK(test::message_of<ShapeError>([&] { x.copy_from(Tensor<float>({3, 4})); }) == "cannot copy a tensor of shape [3,4] into one of shape [4,3]");
}

static_assert(Space<Cpu>);
static_assert(Space<Cuda>, "ventral/cuda.hpp completes the Cuda space");
static_assert(!std::is_copy_constructible_v<Tensor<float>>, "copies are named");

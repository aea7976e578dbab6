#include "ventral/cpu/combine.hpp"

#include "agreement.hpp"
#include "blocks.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("add_tensors: odd sizes, in place, shifted", T, float, double) {
  const auto check = [](auto space) {
    using Space = decltype(space);
    for (const Index n : {0, 1, 7, 16, 33, 40001}) {
      const auto a = test::random_tensor<T>({n}), b = test::random_tensor<T>({n}, 2);
      const auto x = a.template to<Space>(), z = b.template to<Space>();
      Tensor<T, Space> y({n}), own = x.clone();
      Tensor<T> expected({n});
      for (Index i = 0; i < n; ++i) expected[i] = a[i] + b[i];
      add_tensors(y.stream(), x, z, y.ref());
      add_tensors(own.stream(), own, z, own.ref());
      CHECK(test::relative_error(y.template to<Cpu>(), expected) == 0);
      CHECK(test::relative_error(own.template to<Cpu>(), expected) == 0);
      if (n == 0) continue;
      const Out<T, Space> rest = y.slice(1, n);  // overwrites y_i with a_i + b_i again, one element off the borders
      add_tensors(y.stream(), x.slice(1, n), z.slice(1, n), rest);
      add_tensors(y.stream(), rest, z.slice(1, n), rest);
      for (Index i = 1; i < n; ++i) expected[i] += b[i];
      CHECK(test::relative_error(y.template to<Cpu>(), expected) == 0);
    }
  };
  check(Cpu());
  check(Cuda());
}

TEST_CASE_TEMPLATE("insert_channels and extract_channels: every channel to its place and back", Space, VENTRAL_TEST_SPACES) {
  for (const Shape rest : {Shape{3, 5}, Shape{4}, Shape{}, Shape{4, 8}}) {
    const auto shape = [&](Index channels) {
      Shape s{2, channels};
      for (const Index e : rest) s.push_back(e);
      return s;
    };
    const auto a = test::random_tensor<float, Space>(shape(1)), b = test::random_tensor<float, Space>(shape(3), 2);
    Tensor<float, Space> whole(shape(4)), back_a(shape(1)), back_b(shape(3));
    insert_channels(whole.stream(), a, 0, whole.ref());
    insert_channels(whole.stream(), b, 1, whole.ref());
    const Index plane = rest.size();
    const auto y = whole.template to<Cpu>(), first = a.template to<Cpu>(), second = b.template to<Cpu>();
    CHECK(y[0] == first[0]);
    CHECK(y[plane] == second[0]);
    CHECK(y[4 * plane] == first[plane]);
    CHECK(y[8 * plane - 1] == second[6 * plane - 1]);
    extract_channels(whole.stream(), whole, 0, back_a.ref());
    extract_channels(whole.stream(), whole, 1, back_b.ref());
    CHECK(test::relative_error(back_a.template to<Cpu>(), first) == 0);
    CHECK(test::relative_error(back_b.template to<Cpu>(), second) == 0);
  }
  Tensor<float, Space> odd({3, 5, 2}), part_of({3, 2, 2});  // rows of the part of 16 bytes, those of the whole not
  const auto numbers = test::random_tensor<float, Space>(part_of.shape());
  insert_channels(odd.stream(), numbers, 0, odd.ref());
  extract_channels(odd.stream(), odd, 0, part_of.ref());
  CHECK(odd.template to<Cpu>()[10] == numbers.template to<Cpu>()[4]);
  CHECK(test::relative_error(part_of.template to<Cpu>(), numbers.template to<Cpu>()) == 0);
  Tensor<float, Space> none({0, 4, 2}), part({0, 1, 2});
  insert_channels(none.stream(), part, 3, none.ref());
}

TEST_CASE("combining in blocks: as in rows") {
  for (const Index n : {1, 16, 17}) {
    const auto a = test::random_tensor<float>({n, 2, 3, 5}), b = test::random_tensor<float>({n, 2, 3, 5}, 2), c = test::random_tensor<float>({n, 3, 3, 5}, 3);
    Tensor<float> y(a.shape()), whole({n, 5, 3, 5});
    auto by = Tensor<float>::uninitialized(a.shape(), Format::blocks), bwhole = Tensor<float>::uninitialized(whole.shape(), Format::blocks);
    auto back = Tensor<float>::uninitialized(c.shape(), Format::blocks);
    add_tensors(y.stream(), a, b, y.ref());
    add_tensors(y.stream(), test::in_blocks(a), test::in_blocks(b), by.ref());
    CHECK(test::relative_error(test::in_rows(by), y) == 0);
    insert_channels(y.stream(), a, 0, whole.ref());
    insert_channels(y.stream(), c, 2, whole.ref());
    insert_channels(y.stream(), test::in_blocks(a), 0, bwhole.ref());
    insert_channels(y.stream(), test::in_blocks(c), 2, bwhole.ref());
    CHECK(test::relative_error(test::in_rows(bwhole), whole) == 0);
    extract_channels(y.stream(), bwhole, 2, back.ref());
    CHECK(test::relative_error(test::in_rows(back), c) == 0);
  }
}

TEST_CASE_TEMPLATE("combining on Cuda: 16-bit numbers", T, bfloat16, half) {
  const auto a = test::random_tensor<T>({3, 2, 21}), b = test::random_tensor<T>({3, 2, 21}, 2);
  const auto x = a.template to<Cuda>(), z = b.template to<Cuda>();
  Tensor<T, Cuda> y({3, 2, 21}), whole({3, 4, 21}), back({3, 2, 21});
  add_tensors(y.stream(), x, z, y.ref());
  Tensor<T> expected(y.shape());
  for (Index i = 0; i < y.size(); ++i) expected[i] = static_cast<T>(static_cast<float>(a[i]) + static_cast<float>(b[i]));
  CHECK(test::relative_error(y.template to<Cpu>(), expected) == 0);
  insert_channels(y.stream(), x, 0, whole.ref());
  insert_channels(y.stream(), z, 2, whole.ref());
  extract_channels(y.stream(), whole, 2, back.ref());
  CHECK(test::relative_error(back.template to<Cpu>(), b) == 0);
}

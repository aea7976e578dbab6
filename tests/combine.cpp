#include "ventral/cpu/combine.hpp"

#include "support.hpp"

using namespace ventral;

TEST_CASE_TEMPLATE("add_tensors: odd sizes, in place", T, float, double) {
  for (const Index n : {0, 1, 7, 16, 33, 40001}) {
    const auto a = test::random_tensor<T>({n}), b = test::random_tensor<T>({n}, 2);
    Tensor<T> y({n}), own = a.clone(), expected({n});
    for (Index i = 0; i < n; ++i) expected[i] = a[i] + b[i];
    add_tensors(y.stream(), a, b, y.ref());
    add_tensors(own.stream(), own, b, own.ref());
    CHECK(std::equal(y.begin(), y.end(), expected.begin()));
    CHECK(std::equal(own.begin(), own.end(), expected.begin()));
  }
}

TEST_CASE("insert_channels and extract_channels: every channel to its place and back") {
  for (const Shape rest : {Shape{3, 5}, Shape{4}, Shape{}}) {
    const auto shape = [&](Index channels) {
      Shape s{2, channels};
      for (const Index e : rest) s.push_back(e);
      return s;
    };
    const auto a = test::random_tensor<float>(shape(1)), b = test::random_tensor<float>(shape(3), 2);
    Tensor<float> y(shape(4)), back_a(shape(1)), back_b(shape(3));
    insert_channels(y.stream(), a, 0, y.ref());
    insert_channels(y.stream(), b, 1, y.ref());
    const Index plane = rest.size();
    CHECK(y[0] == a[0]);
    CHECK(y[plane] == b[0]);
    CHECK(y[4 * plane] == a[plane]);
    CHECK(y[8 * plane - 1] == b[6 * plane - 1]);
    extract_channels(y.stream(), y, 0, back_a.ref());
    extract_channels(y.stream(), y, 1, back_b.ref());
    CHECK(test::relative_error(back_a, a) == 0);
    CHECK(test::relative_error(back_b, b) == 0);
  }
  Tensor<float> none({0, 4, 2}), part({0, 1, 2});
  insert_channels(none.stream(), part, 3, none.ref());
}

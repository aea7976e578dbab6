#include "ventral/metrics.hpp"

#include <vector>

#include "support.hpp"

using namespace ventral;

TEST_CASE("accuracy and top-k: ties go to the lower class, NaN is never right") {
  const Tensor<float> scores({4, 3}, {1, 3, 2, 5, 5, 1, 0, 0, 0, 2, NAN, 1});
  const Tensor<std::int32_t> labels({4}, {1, 1, 2, 1});
  CHECK(argmax(scores.data(), 3) == 1);
  CHECK(argmax(scores.data() + 3, 3) == 0);
  CHECK(argmax(scores.data() + 9, 3) == 0);
  CHECK(top_k_hits(scores, labels, 1) == 1);
  CHECK(top_k_hits(scores, labels, 2) == 2);
  CHECK(top_k_hits(scores, labels, 3) == 3);
  CHECK(accuracy(scores, labels) == 0.25);
  CHECK(top_k_accuracy(scores, labels, 3) == 0.75);
  CHECK(accuracy(Tensor<float>({0, 3}), Tensor<std::int32_t>(Shape{0})) == 0);
}

TEST_CASE("confusion matrix: counts, accuracy, balanced accuracy, table") {
  ConfusionMatrix m(3);
  CHECK(m.accuracy() == 0);
  CHECK(m.balanced_accuracy() == 0);
  for (int i = 0; i < 8; ++i) m.add(0, 0);
  m.add(0, 1), m.add(0, 1), m.add(1, 1), m.add(1, 0);
  CHECK(m.examples() == 12);
  CHECK(m.errors() == 3);
  CHECK(m.count(0, 1) == 2);
  CHECK(m.accuracy() == doctest::Approx(0.75));
  CHECK(m.recall(0) == doctest::Approx(0.8));
  CHECK(m.recall(2) == 0);
  CHECK(m.precision(1) == doctest::Approx(1.0 / 3));
  CHECK(m.balanced_accuracy() == doctest::Approx(0.65));  // class 2 has no examples and does not count
  const Tensor<float> scores({2, 3}, {0, 0, 1, 1, 0, 0});
  m.add(scores.ref(), Tensor<std::int32_t>({2}, {2, 2}));
  CHECK(m.count(2, 2) == 1);
  CHECK(m.count(2, 0) == 1);
  CHECK(m.table() ==
        "true     0    1    2   recall\n"
        "0        8    2    .   80.00%\n"
        "1        1    1    .   50.00%\n"
        "2        1    .    1   50.00%\n");
  CHECK(m.table({"cat", "dog", "giraffe"}).substr(0, 33) == "true     cat  dog gira   recall\nc");
}

TEST_CASE("metrics: bad input is named") {
  ConfusionMatrix m(2);
  CHECK(test::message_of<Error>([&] { m.add(0, 2); }) == "confusion matrix: class 0 predicted as 2; there are 2 classes, from 0");
  const Tensor<float> scores({2, 3});
  CHECK(test::message_of<ShapeError>([&] { m.add(scores.ref(), Tensor<std::int32_t>({2})); }) == "confusion matrix of 2 classes; scores [2,3]");
  CHECK(test::message_of<Error>([&] { static_cast<void>(accuracy(scores, Tensor<std::int32_t>({2}, {0, 3}))); }) == "metrics: label 3 at [1] is not in 0..2");
  CHECK(test::message_of<ShapeError>([&] { static_cast<void>(accuracy(scores, Tensor<std::int32_t>({3}))); }) ==
        "metrics: scores [2,3] and labels [3]; expected [N,C] and [N]");
}

#include "ventral/brain/rdm.hpp"

#include "helpers.hpp"

using namespace ventral;
using brain::Rdm;
using test::message_of;

namespace {

/// 4 conditions: 1, 2, ..., 6 for (0,1), (0,2), (0,3), (1,2), (1,3), (2,3).
Rdm counted() { return Rdm(std::vector<double>{1, 2, 3, 4, 5, 6}); }

}  // namespace

TEST_CASE("rdm: pairs in row order, and their number") {
  const Rdm rdm = counted();
  CHECK(rdm.conditions() == 4);
  CHECK(rdm.pairs() == 6);
  CHECK(rdm(0, 3) == 3);
  CHECK(rdm(3, 1) == 5);
  CHECK(rdm(2, 2) == 0);
  for (const Index n : {2, 3, 5, 92, 10001}) {
    CHECK(brain::conditions_of(brain::pairs_of(n)) == n);
    CHECK(brain::pair_position(n, 0, 1) == 0);
    CHECK(brain::pair_position(n, n - 2, n - 1) == brain::pairs_of(n) - 1);
  }
  for (const Index pairs : {0, 2, 4, 5, 4185, 4187}) CHECK(message_of<ShapeError>([&] { brain::conditions_of(pairs); }).find("no number of conditions") != std::string::npos);
  CHECK(message_of<ShapeError>([] { Rdm(1); }) == "an RDM of 1 conditions; at least 2 are needed");
}

TEST_CASE("rdm: to a matrix and back; asymmetric and oblong ones are refused") {
  Tensor<double> m = counted().matrix();
  CHECK(m.shape() == Shape{4, 4});
  CHECK(m.at(1, 3) == 5);
  CHECK(m.at(3, 1) == 5);
  CHECK(m.at(2, 2) == 0);
  m.at(0, 0) = 7;  // not read
  m.at(2, 0) += 1e-7;
  m.at(0, 1) = m.at(1, 0) = NAN;
  const Rdm back = Rdm::from_matrix(m);
  CHECK(std::isnan(back(0, 1)));
  CHECK(back(0, 2) == 2);
  m.at(3, 2) = 6.1;
  CHECK(message_of([&] { Rdm::from_matrix(m); }) == "Rdm::from_matrix: not symmetric: 6 at (2,3) and 6.1 at (3,2)");
  m.at(3, 2) = NAN;
  CHECK(message_of([&] { Rdm::from_matrix(m); }).find("not symmetric") != std::string::npos);
  CHECK(message_of<ShapeError>([] { Rdm::from_matrix(Tensor<double>({3, 4})); }) == "Rdm::from_matrix: a matrix of shape [3,4]; a square one is needed");
}

TEST_CASE("rdm: a selection may repeat conditions, whose pairs with themselves are undefined") {
  const std::vector<Index> index{3, 0, 3};
  const Rdm chosen = counted().selected(index);
  CHECK(chosen(0, 1) == 3);
  CHECK(std::isnan(chosen(0, 2)));
  CHECK(chosen(1, 2) == 3);
  const std::vector<Index> outside{0, 4};
  CHECK(message_of([&] { counted().selected(outside); }) == "Rdm::selected: condition 4 of 4");
}

TEST_CASE("rdm: several from one array, and their mean over those in which a pair is defined") {
  Tensor<double> rows({3, 3}, {1, 2, 3, 5, NAN, 7, 3, NAN, NAN});  // as many RDMs as pairs: rows all the same
  const std::vector<Rdm> rdms = brain::rdms_from_rows(rows);
  REQUIRE(rdms.size() == 3);
  CHECK(rdms[1](0, 1) == 5);
  const Rdm mean = brain::mean_rdm(rdms);
  CHECK(mean(0, 1) == 3);
  CHECK(mean(0, 2) == 2);
  CHECK(mean(1, 2) == 5);
  CHECK(std::isnan(brain::mean_rdm(std::vector<Rdm>{rdms[1], rdms[2]})(0, 2)));

  Tensor<double> matrices({2, 1, 3, 3});
  for (Index k = 0; k < 2; ++k)
    for (Index i = 0; i < 3; ++i)
      for (Index j = 0; j < 3; ++j) matrices[(k * 3 + i) * 3 + j] = i == j ? 0.0 : static_cast<double>(10 * k + i + j);
  const std::vector<Rdm> stack = brain::rdms_from_matrices(matrices);
  REQUIRE(stack.size() == 2);
  CHECK(stack[1](1, 2) == 13);
  CHECK(brain::rdms_from_matrices(Tensor<double>({0, 5, 5})).empty());
  CHECK(message_of<ShapeError>([] { brain::rdms_from_matrices(Tensor<double>({2, 3, 4})); }) == "rdms_from_matrices: shape [2,3,4]; [...,n,n] is needed");
  CHECK(message_of<ShapeError>([] { brain::rdms_from_rows(Tensor<double>({2, 3, 4})); }) == "rdms_from_rows: shape [2,3,4]; [RDMs,pairs] is needed");
  CHECK(message_of<ShapeError>([] { brain::mean_rdm({}); }) == "mean_rdm: no RDMs");
  CHECK(message_of<ShapeError>([] { brain::mean_rdm(std::vector<Rdm>{Rdm(3), Rdm(4)}); }) == "mean_rdm: RDMs of 3 and 4 conditions");
}

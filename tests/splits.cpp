#include "helpers.hpp"
#include "ventral/brain/splits.hpp"

#include <doctest/doctest.h>

#include <string>

using namespace ventral;
using brain::Split;
using test::message_of;

namespace {

/// Every stimulus on exactly one side, both ascending.
bool is_partition(const Split& split, Index n) {
  std::vector<Index> all = split.train;
  all.insert(all.end(), split.test.begin(), split.test.end());
  std::sort(all.begin(), all.end());
  bool good = static_cast<Index>(all.size()) == n && std::is_sorted(split.train.begin(), split.train.end()) &&
              std::is_sorted(split.test.begin(), split.test.end());
  for (Index i = 0; good && i < n; ++i) good = all[static_cast<std::size_t>(i)] == i;
  return good;
}

Index count_in(const std::vector<Index>& stimuli, const std::vector<Index>& label, Index wanted) {
  return std::count_if(stimuli.begin(), stimuli.end(), [&](Index i) { return label[static_cast<std::size_t>(i)] == wanted; });
}

/// How often each stimulus is on a test side.
std::vector<Index> times_tested(const std::vector<Split>& splits, Index n) {
  std::vector<Index> times(static_cast<std::size_t>(n), 0);
  for (const Split& s : splits)
    for (const Index i : s.test) ++times[static_cast<std::size_t>(i)];
  return times;
}

const std::vector<Index> categories = {7, 7, 7, 7, 7, 7, 7, 2, 2, 2, 2, 2, -1, -1, -1, -1, -1, -1};  // 7, 5 and 6 stimuli

}  // namespace

TEST_CASE("splits: contiguous folds, the first ones longer") {
  const std::vector<Split> splits = brain::k_fold(8, 3);
  REQUIRE(splits.size() == 3);
  CHECK(splits[0].test == std::vector<Index>{0, 1, 2});
  CHECK(splits[1].test == std::vector<Index>{3, 4, 5});
  CHECK(splits[2].test == std::vector<Index>{6, 7});
  CHECK(splits[1].train == std::vector<Index>{0, 1, 2, 6, 7});
}

TEST_CASE("splits: stratified folds are even in all and within each category, and seeded") {
  const std::vector<Split> splits = brain::stratified_k_fold(categories, 4, Random(3));
  for (const Split& s : splits) {
    CHECK(is_partition(s, 18));
    CHECK((s.test.size() == 4 || s.test.size() == 5));
    for (const auto& [label, size] : {std::pair<Index, Index>{7, 7}, {2, 5}, {-1, 6}}) {
      const Index here = count_in(s.test, categories, label);
      CHECK((here == size / 4 || here == size / 4 + 1));
    }
  }
  CHECK(times_tested(splits, 18) == std::vector<Index>(18, 1));
  CHECK(brain::stratified_k_fold(categories, 4, Random(3))[1].test == splits[1].test);
  CHECK(brain::stratified_k_fold(categories, 4, Random(4))[1].test != splits[1].test);
}

TEST_CASE("splits: groups stay whole, folds are even") {
  const std::vector<Index> group = {0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4};
  const std::vector<Split> splits = brain::group_k_fold(group, 3, Random(1));
  for (const Split& s : splits) {
    CHECK(is_partition(s, 12));
    CHECK(s.test.size() == 4);
    for (Index g = 0; g < 5; ++g) CHECK((count_in(s.test, group, g) == 0 || count_in(s.train, group, g) == 0));
  }
  CHECK(times_tested(splits, 12) == std::vector<Index>(12, 1));
}

TEST_CASE("splits: random and stratified random splits") {
  const std::vector<Split> random = brain::random_splits(10, 0.25, 40, Random(5));
  for (const Split& s : random) {
    CHECK(is_partition(s, 10));
    CHECK(s.test.size() == 3);  // 2.5 rounded
  }
  CHECK(random[0].test != random[1].test);
  CHECK(brain::random_splits(10, 0.25, 2, Random(5))[1].test == random[1].test);  // split i does not depend on their number
  const std::vector<Index> times = times_tested(random, 10);
  CHECK(*std::min_element(times.begin(), times.end()) >= 3);  // 12 expected
  for (const Split& s : brain::stratified_splits(categories, 0.2, 20, Random(6))) {
    CHECK(is_partition(s, 18));
    for (const Index label : {7, 2, -1}) CHECK(count_in(s.test, categories, label) == 1);
  }
  CHECK(brain::random_splits(5, 0.01, 1, Random(1))[0].test.size() == 1);
  CHECK(brain::random_splits(5, 0.99, 1, Random(1))[0].train.size() == 1);
}

TEST_CASE("splits: bad input is named") {
  CHECK(message_of([] { brain::k_fold(3, 4); }) == "splits: 4 folds of 3 stimuli; needs 2 to 3");
  CHECK(message_of([] { brain::k_fold(3, 1); }) == "splits: 1 folds of 3 stimuli; needs 2 to 3");
  CHECK(message_of([] { brain::stratified_k_fold(categories, 6, Random()); }) == "splits: category 2 has 5 stimuli; 6 folds need at least 6");
  CHECK(message_of([] { brain::group_k_fold(std::vector<Index>{1, 1, 2}, 3, Random()); }) == "splits: 3 folds of 2 groups; needs 2 to 2");
  CHECK(message_of([] { brain::random_splits(5, 1, 1, Random()); }) == "splits: test fraction 1; needs to lie between 0 and 1");
  CHECK(message_of([] { brain::random_splits(1, 0.5, 1, Random()); }) ==
        "splits: 1 random splits of 1 stimuli; needs at least 1 split and 2 stimuli");
  CHECK(message_of([] {
          brain::stratified_splits(std::vector<Index>{1, 1, 2}, 0.5, 1, Random());
        }) == "splits: category 2 has 1 stimulus; at least 2 are needed");
}

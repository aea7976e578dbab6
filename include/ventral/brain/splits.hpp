#pragma once
#include <algorithm>
#include <cmath>
#include <map>
#include <span>
#include <vector>

#include "ventral/random.hpp"

namespace ventral::inline v0::brain {

/// Stimuli to fit on and stimuli to score on; both ascending, no stimulus in both.
struct Split {
  std::vector<Index> train, test;
};

namespace detail {

/// The split whose test stimuli are those that `is_test` marks.
inline Split split_by_mark(const std::vector<char>& is_test) {
  Split split;
  for (std::size_t i = 0; i < is_test.size(); ++i) (is_test[i] ? split.test : split.train).push_back(static_cast<Index>(i));
  return split;
}

inline std::vector<Split> splits_by_fold(std::span<const Index> fold_of, Index folds) {
  std::vector<Split> splits(static_cast<std::size_t>(folds));
  for (Index f = 0; f < folds; ++f)
    for (std::size_t i = 0; i < fold_of.size(); ++i)
      (fold_of[i] == f ? splits[static_cast<std::size_t>(f)].test : splits[static_cast<std::size_t>(f)].train).push_back(static_cast<Index>(i));
  return splits;
}

/// Members of each label, labels ascending.
inline std::map<Index, std::vector<Index>> members_of(std::span<const Index> label) {
  std::map<Index, std::vector<Index>> members;
  for (std::size_t i = 0; i < label.size(); ++i) members[label[i]].push_back(static_cast<Index>(i));
  return members;
}

/// Throws Error on a stimulus that is not there, or that serves both sides of a split: a score on what was fitted would be too high.
inline void require_splits(std::span<const Split> splits, Index stimuli, const char* what) {
  for (const Split& split : splits) {
    std::vector<char> fitted(static_cast<std::size_t>(stimuli), 0);
    const auto check = [&](Index i) { require(0 <= i && i < stimuli, what, ": a split names stimulus ", i, " of ", stimuli); };
    for (const Index i : split.train) check(i), fitted[static_cast<std::size_t>(i)] = 1;
    for (const Index i : split.test)
      check(i), require(!fitted[static_cast<std::size_t>(i)], what, ": a split both fits and tests stimulus ", i);
  }
}

inline void require_folds(Index folds, Index n, const char* of) {
  require(2 <= folds && folds <= n, "splits: ", folds, " folds of ", n, " ", of, "; needs 2 to ", n);
}
inline void require_fraction(double f) { require(0 < f && f < 1, "splits: test fraction ", f, "; needs to lie between 0 and 1"); }

/// How many of n go to the test side: fraction n rounded, at least 1, at most n - 1.
inline Index test_count(Index n, double fraction) {
  return std::clamp(static_cast<Index>(std::lround(fraction * static_cast<double>(n))), Index{1}, n - 1);
}

}  // namespace detail

/// Contiguous folds of n stimuli, each the test side of one split; the first n mod folds ones are one stimulus longer. Throws Error unless 2 <= folds
/// <= n.
inline std::vector<Split> k_fold(Index n, Index folds) {
  detail::require_folds(folds, n, "stimuli");
  std::vector<Index> fold_of;
  for (Index f = 0; f < folds; ++f) fold_of.insert(fold_of.end(), static_cast<std::size_t>(n / folds + (f < n % folds ? 1 : 0)), f);
  return detail::splits_by_fold(fold_of, folds);
}

/// Folds in which every category is spread evenly: the stimuli of each category are shuffled and dealt out in turn, each category going on where the
/// last one stopped, so that folds differ by at most one stimulus, in all and within a category. category [n], any labels. The same folds for the
/// same random. Throws Error on a category with fewer stimuli than folds.
inline std::vector<Split> stratified_k_fold(std::span<const Index> category, Index folds, Random random) {
  detail::require_folds(folds, static_cast<Index>(category.size()), "stimuli");
  std::vector<Index> fold_of(category.size());
  Index next = 0;
  for (auto& [label, members] : detail::members_of(category)) {
    const Index size = static_cast<Index>(members.size());
    require(size >= folds, "splits: category ", label, " has ", size, " stimuli; ", folds, " folds need at least ", folds);
    random.shuffle(members.begin(), members.end());
    for (const Index i : members) fold_of[static_cast<std::size_t>(i)] = next++ % folds;
  }
  return detail::splits_by_fold(fold_of, folds);
}

/// Folds that keep groups (objects, sessions) whole: groups in random order, larger ones first, each to the fold with the fewest stimuli so far.
/// group [n], any labels. Throws Error unless 2 <= folds <= number of groups.
inline std::vector<Split> group_k_fold(std::span<const Index> group, Index folds, Random random) {
  std::vector<std::vector<Index>> groups;
  for (auto& [label, members] : detail::members_of(group)) groups.push_back(std::move(members));
  detail::require_folds(folds, static_cast<Index>(groups.size()), "groups");
  random.shuffle(groups.begin(), groups.end());
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) { return a.size() > b.size(); });
  std::vector<Index> fold_of(group.size()), size(static_cast<std::size_t>(folds), 0);
  for (const std::vector<Index>& members : groups) {
    const auto smallest = std::min_element(size.begin(), size.end());
    *smallest += static_cast<Index>(members.size());
    for (const Index i : members) fold_of[static_cast<std::size_t>(i)] = smallest - size.begin();
  }
  return detail::splits_by_fold(fold_of, folds);
}

/// `count` random splits of n stimuli with round(test_fraction n) of them on the test side, at least one on each. Split i draws from random.fork(i).
/// Throws Error unless n >= 2, count >= 1 and 0 < test_fraction < 1.
inline std::vector<Split> random_splits(Index n, double test_fraction, Index count, const Random& random) {
  detail::require_fraction(test_fraction);
  require(n >= 2 && count >= 1, "splits: ", count, " random splits of ", n, " stimuli; needs at least 1 split and 2 stimuli");
  std::vector<Split> splits;
  std::vector<Index> order(static_cast<std::size_t>(n));
  for (Index s = 0; s < count; ++s) {
    for (Index i = 0; i < n; ++i) order[static_cast<std::size_t>(i)] = i;
    random.fork(static_cast<std::uint64_t>(s)).shuffle(order.begin(), order.end());
    std::vector<char> is_test(static_cast<std::size_t>(n), 0);
    for (Index i = 0; i < detail::test_count(n, test_fraction); ++i) is_test[static_cast<std::size_t>(order[static_cast<std::size_t>(i)])] = 1;
    splits.push_back(detail::split_by_mark(is_test));
  }
  return splits;
}

/// random_splits within every category: round(test_fraction size) stimuli of each go to the test side, at least one to each side. category [n], any
/// labels. Throws Error on a category of one stimulus.
inline std::vector<Split> stratified_splits(std::span<const Index> category, double test_fraction, Index count, const Random& random) {
  detail::require_fraction(test_fraction);
  require(!category.empty() && count >= 1, "splits: ", count, " random splits of ", category.size(),
          " stimuli; needs at least 1 split and 2 stimuli");
  const auto categories = detail::members_of(category);
  std::vector<Split> splits;
  for (Index s = 0; s < count; ++s) {
    Random mine = random.fork(static_cast<std::uint64_t>(s));
    std::vector<char> is_test(category.size(), 0);
    for (auto [label, members] : categories) {
      const Index size = static_cast<Index>(members.size());
      require(size >= 2, "splits: category ", label, " has ", size, " stimulus; at least 2 are needed");
      mine.shuffle(members.begin(), members.end());
      for (Index i = 0; i < detail::test_count(size, test_fraction); ++i) is_test[static_cast<std::size_t>(members[static_cast<std::size_t>(i)])] = 1;
    }
    splits.push_back(detail::split_by_mark(is_test));
  }
  return splits;
}

}  // namespace ventral::inline v0::brain

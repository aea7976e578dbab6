#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain::detail {

/// A rank (below 2^31) that counts `weight` times; plain std::uint32_t ranks count once.
struct WeightedRank {
  std::uint32_t rank, weight;
  friend bool operator<(const WeightedRank& a, const WeightedRank& b) { return a.rank < b.rank; }
};
inline std::uint64_t sort_key(WeightedRank item) { return item.rank; }
inline std::uint32_t rank_of(std::uint32_t item) { return item; }
inline std::uint32_t rank_of(WeightedRank item) { return item.rank; }
inline std::uint32_t weight_of(std::uint32_t) { return 1; }
inline std::uint32_t weight_of(WeightedRank item) { return item.weight; }

constexpr Index few_ranks = 32;

/// Inversions among at most few_ranks items by the bits of their ranks from `low` up, comparing all pairs: loops of fixed length over one distance at
/// a time, which compilers turn into vector instructions.
template <class Item>
std::int64_t inversions_of_few(const Item* items, Index n, int low) {
  std::int32_t rank[2 * few_ranks];
  std::uint32_t weight[2 * few_ranks], smaller_after[few_ranks] = {};
  for (Index i = 0; i < 2 * few_ranks; ++i) {
    rank[i] = i < n ? static_cast<std::int32_t>(rank_of(items[i]) >> low) : std::numeric_limits<std::int32_t>::max();
    weight[i] = i < n ? weight_of(items[i]) : 0;
  }
  for (Index distance = 1; distance < n; ++distance)
    for (Index i = 0; i < few_ranks; ++i) smaller_after[i] += -static_cast<std::uint32_t>(rank[i] > rank[i + distance]) & weight[i + distance];
  std::int64_t sum = 0;
  for (Index i = 0; i < n; ++i) sum += std::int64_t{smaller_after[i]} * weight[i];
  return sum;
}

/// Inversions by the bits `low` to `bit` of the ranks, whose higher bits are alike. Splits the items, stably, by the highest of these bits, where a 0
/// behind a 1 is an inversion, then each part by the next. Items of equal bits keep their order.
template <class Item>
std::int64_t inversions_by_bits(Item* items, Item* spare, Index n, int bit, int low) {
  if (n < 2 || bit < low) return 0;
  if (n <= few_ranks) return inversions_of_few(items, n, low);
  Index zeros = 0, ones = 0;
  std::int64_t sum = 0, ones_weight = 0;
  for (Index i = 0; i < n; ++i) {  // no branches: both places are written, one is kept
    const Item item = items[i];
    const Index one = (rank_of(item) >> bit) & 1;
    items[zeros] = item;
    spare[ones] = item;
    sum += (one - 1) & (ones_weight * weight_of(item));
    zeros += 1 - one;
    ones += one;
    ones_weight += -one & weight_of(item);
  }
  std::copy(spare, spare + ones, items + zeros);
  return sum + inversions_by_bits(items, spare, zeros, bit - 1, low) + inversions_by_bits(items + zeros, spare, ones, bit - 1, low);
}

/// Counts of the items of one chunk by the leading bits of their ranks, and the sums of their weights.
struct DigitCounts {
  std::vector<std::uint32_t> count;
  std::vector<std::int64_t> weight;
};

/// Inversions between chunks: for each item, the weight of larger digits in the chunks before its own. Turns counts into places to move the items to,
/// and appends where each digit's items begin.
inline std::int64_t join_chunks(std::vector<DigitCounts>& chunks, std::size_t digits, std::vector<Index>& begins) {
  std::vector<std::int64_t> seen(digits, 0);
  std::int64_t sum = 0;
  for (const DigitCounts& chunk : chunks) {
    std::int64_t larger = 0;
    for (std::size_t d = digits; d-- > 0;) {
      sum += chunk.weight[d] * larger;
      larger += seen[d];
      seen[d] += chunk.weight[d];
    }
  }
  std::uint32_t before = 0;
  for (std::size_t d = 0; d < digits; ++d) {
    begins.push_back(before);
    for (DigitCounts& chunk : chunks) before += std::exchange(chunk.count[d], before);
  }
  begins.push_back(before);
  return sum;
}

/// Number of pairs i < j with rank_i > rank_j, each counting weight_i weight_j times. Ranks are below 2^bits; items and spare (both [n]) are
/// overwritten. n (bits - 5) steps without branches, all but one pass in cache: by the leading bits within chunks, between chunks from counts, then
/// by the other bits among items of the same leading bits.
template <class Item>
std::int64_t count_inversions(Item* items, Item* spare, Index n, int bits) {
  constexpr Index grain = Index{1} << 15, large = Index{1} << 18;
  constexpr int cached_bits = 16, most_leading_bits = 11;
  if (n <= grain || bits <= 0) return inversions_by_bits(items, spare, n, bits - 1, 0);
  const int low = std::max({0, bits - most_leading_bits, std::min(cached_bits, bits - 5)});
  const std::size_t digits = std::size_t{1} << (bits - low), mask = digits - 1;
  const auto digit = [low, mask](const Item& item) { return (rank_of(item) >> low) & mask; };
  const Index parts = (n + grain - 1) / grain;
  std::vector<DigitCounts> chunks(static_cast<std::size_t>(parts));
  std::vector<std::int64_t> found(static_cast<std::size_t>(parts) + digits, 0);
  cpu::parallel_ranges(n, grain, [&](Index first, Index last) {
    DigitCounts& chunk = chunks[static_cast<std::size_t>(first / grain)];
    chunk.count.assign(digits, 0);
    chunk.weight.assign(digits, 0);
    for (Index i = first; i < last; ++i) ++chunk.count[digit(items[i])], chunk.weight[digit(items[i])] += weight_of(items[i]);
    found[static_cast<std::size_t>(first / grain)] = inversions_by_bits(items + first, spare + first, last - first, bits - 1, low);
  });
  std::vector<Index> begins;
  std::int64_t sum = join_chunks(chunks, digits, begins);
  cpu::parallel_ranges(n, grain, [&](Index first, Index last) {
    std::uint32_t* const next = chunks[static_cast<std::size_t>(first / grain)].count.data();
    for (Index i = first; i < last; ++i) spare[next[digit(items[i])]++] = items[i];
  });
  const auto size = [&](std::size_t d) { return begins[d + 1] - begins[d]; };
  for (std::size_t d = 0; d < digits; ++d)
    if (size(d) > large) sum += count_inversions(spare + begins[d], items + begins[d], size(d), low);
  cpu::parallel_for(static_cast<Index>(digits), [&](Index g) {
    const std::size_t d = static_cast<std::size_t>(g);
    if (size(d) <= large) found[static_cast<std::size_t>(parts) + d] = inversions_by_bits(spare + begins[d], items + begins[d], size(d), low - 1, 0);
  });
  for (const std::int64_t f : found) sum += f;
  return sum;
}

}  // namespace ventral::inline v0::brain::detail

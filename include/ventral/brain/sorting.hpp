#pragma once
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ventral/cpu/parallel.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::brain::detail {

/// A number as an integer that sorts like it, and where it stood.
struct KeyedPosition {
  std::uint64_t key;
  std::uint32_t position;
  friend bool operator<(const KeyedPosition& a, const KeyedPosition& b) { return a.key != b.key ? a.key < b.key : a.position < b.position; }
};

/// Maps a double that is not NaN to an integer of the same order; -0 becomes +0.
inline std::uint64_t sortable(double value) {
  constexpr std::uint64_t sign = std::uint64_t{1} << 63;
  std::uint64_t bits = std::bit_cast<std::uint64_t>(value);
  if (bits == sign) bits = 0;
  return bits & sign ? ~bits : bits | sign;
}

constexpr int bits_of(std::uint64_t value) { return static_cast<int>(std::bit_width(value)); }  // older libraries return something else than int
inline std::uint64_t sort_key(const KeyedPosition& item) { return item.key; }
inline std::uint64_t sort_key(std::uint32_t item) { return item; }

constexpr int digit_bits = 11;
constexpr Index radix_size = Index{1} << digit_bits, few_to_sort = 512;

/// How n elements are cut for parallel work: at most 64 ranges of at least 16384, from n alone.
constexpr Index sort_grain(Index n) { return std::max(Index{1} << 14, (n + 63) / 64); }

/// Smallest key of some items, and the bits in which a key's distance from it may be set.
struct KeyRange {
  std::uint64_t least = ~std::uint64_t{0}, bits = 0;
};

template <class Item>
KeyRange key_range(const Item* items, Index n) {
  const Index grain = sort_grain(n);
  std::vector<KeyRange> parts(static_cast<std::size_t>((n + grain - 1) / grain));
  KeyRange all;
  cpu::parallel_ranges(n, grain, [&](Index first, Index last) {
    std::uint64_t least = ~std::uint64_t{0};
    for (Index i = first; i < last; ++i) least = std::min(least, sort_key(items[i]));
    parts[static_cast<std::size_t>(first / grain)].least = least;
  });
  for (const KeyRange& part : parts) all.least = std::min(all.least, part.least);
  cpu::parallel_ranges(n, grain, [&](Index first, Index last) {
    std::uint64_t bits = 0;
    for (Index i = first; i < last; ++i) bits |= sort_key(items[i]) - all.least;
    parts[static_cast<std::size_t>(first / grain)].bits = bits;
  });
  for (const KeyRange& part : parts) all.bits |= part.bits;
  return all;
}

/// One pass of a radix sort: moves items, stably, to the order of the digit at `shift` of key - least.
template <class Item>
void radix_pass(const Item* from, Item* to, Index n, std::uint64_t least, int shift) {
  const Index grain = sort_grain(n), chunks = (n + grain - 1) / grain;
  const auto digit = [least, shift](const Item& item) { return static_cast<std::size_t>(((sort_key(item) - least) >> shift) & (radix_size - 1)); };
  std::vector<std::uint32_t> place(static_cast<std::size_t>(chunks * radix_size));
  cpu::parallel_for(chunks, [&](Index c) {
    std::uint32_t* const count = place.data() + c * radix_size;
    for (Index i = c * grain, last = std::min(n, i + grain); i < last; ++i) ++count[digit(from[i])];
  });
  std::uint32_t before = 0;
  for (Index d = 0; d < radix_size; ++d)
    for (Index c = 0; c < chunks; ++c) before += std::exchange(place[static_cast<std::size_t>(c * radix_size + d)], before);
  cpu::parallel_for(chunks, [&](Index c) {
    std::uint32_t* const next = place.data() + c * radix_size;
    for (Index i = c * grain, last = std::min(n, i + grain); i < last; ++i) to[next[digit(from[i])]++] = from[i];
  });
}

/// Sorts each run of items whose distances from `least` are alike from bit `shift` up, of items sorted from that bit up.
template <class Item>
void sort_within_prefixes(Item* items, Index n, std::uint64_t least, int shift) {
  const auto prefix = [&](Index i) { return (sort_key(items[i]) - least) >> shift; };
  for (Index i = 0; i + 1 < n; ++i) {
    if (prefix(i) != prefix(i + 1)) continue;
    Index j = i + 2;
    while (j < n && prefix(j) == prefix(i)) ++j;
    if (!std::is_sorted(items + i, items + j)) std::sort(items + i, items + j);
    i = j - 1;
  }
}

/// Sorts items, given by ascending position, by key, equal keys by position, with `spare` for n more items; returns where they are then, `items` or
/// `spare`. Radix sort by just enough leading bits to leave few alike, then each group of those by comparison.
template <class Item>
Item* radix_sort(Item* items, Item* spare, Index n) {
  if (n < few_to_sort) {
    std::sort(items, items + n);
    return items;
  }
  const KeyRange range = key_range(items, n);
  const int wanted = (bits_of(static_cast<std::uint64_t>(n)) + 6 + digit_bits - 1) / digit_bits * digit_bits;
  const int low = std::max(0, bits_of(range.bits) - wanted);
  int shift = low;
  for (std::uint64_t rest; shift < 64 && (rest = range.bits >> shift) != 0; shift += digit_bits) {
    shift += std::countr_zero(rest);
    radix_pass(items, spare, n, range.least, shift);
    std::swap(items, spare);
  }
  if (low > 0 && (range.bits & ((std::uint64_t{1} << low) - 1)) != 0) sort_within_prefixes(items, n, range.least, low);
  return items;
}

/// Quantiles of a sample of the values, and between which of them a key falls.
class Buckets {
 public:
  Buckets() = default;
  /// About n / 2^14 buckets, at most 2048: a power of two.
  explicit Buckets(std::span<const double> values) {
    const Index n = static_cast<Index>(values.size());
    while (levels_ < 11 && (n >> levels_) > (Index{1} << 14)) ++levels_;
    if (levels_ == 0) return;
    constexpr Index each = 16;
    std::vector<std::uint64_t> sample;
    for (Index k = 0, wanted = each * count(); k < wanted; ++k)
      if (const double v = values[static_cast<std::size_t>((2 * k + 1) * n / (2 * wanted))]; !std::isnan(v)) sample.push_back(sortable(v));
    std::sort(sample.begin(), sample.end());
    tree_.assign(static_cast<std::size_t>(count()), 0);
    for (Index level = 0; level < levels_ && !sample.empty(); ++level)
      for (Index j = 0, width = Index{1} << level; j < width; ++j)  // node j of a level splits the sample at (2 j + 1) / (2 width)
        tree_[static_cast<std::size_t>(width + j)] = sample[static_cast<std::size_t>((2 * j + 1) * static_cast<Index>(sample.size()) / (2 * width))];
  }

  Index count() const { return Index{1} << levels_; }

  /// The buckets of `together` keys, searched side by side without branches.
  static constexpr Index together = 8;
  void find(const std::uint64_t* keys, std::uint16_t* out) const {
    std::uint32_t node[together];
    for (Index t = 0; t < together; ++t) node[t] = 1;
    for (int level = 0; level < levels_; ++level)
      for (Index t = 0; t < together; ++t) node[t] = 2 * node[t] + (keys[t] >= tree_[node[t]]);
    for (Index t = 0; t < together; ++t) out[t] = static_cast<std::uint16_t>(node[t] - static_cast<std::uint32_t>(count()));
  }

 private:
  int levels_ = 0;
  std::vector<std::uint64_t> tree_{0};
};

/// Positions of the values that are not NaN by ascending value, equal ones by position.
/// Sample sort: one pass moves the values to buckets between quantiles, which are then sorted in cache. Method: Frazer, McKellar 1970, J ACM 17:496.
/// Keeps its memory for the next vector.
class ValueSort {
 public:
  /// Sorted until the next call.
  std::span<const KeyedPosition> operator()(std::span<const double> values) {
    values_ = values;
    buckets_ = Buckets(values);
    grain_ = sort_grain(size());
    chunks_ = (size() + grain_ - 1) / grain_;
    assign_buckets();
    place_items();
    sort_buckets();
    return {items_.data(), static_cast<std::size_t>(items_.size())};
  }

 private:
  Index size() const { return static_cast<Index>(values_.size()); }
  Index width() const { return buckets_.count() + 1; }  // the last bucket is for NaN

  void assign_buckets() {
    bucket_.resize({size()});
    place_.assign(static_cast<std::size_t>(chunks_ * width()), 0);
    cpu::parallel_for(chunks_, [&](Index c) {
      constexpr Index together = Buckets::together;
      std::uint32_t* const count = place_.data() + c * width();
      for (Index i = c * grain_, last = std::min(size(), i + grain_); i < last; i += together) {
        std::uint64_t keys[together] = {};
        std::uint16_t found[together];
        const Index here = std::min(together, last - i);
        for (Index t = 0; t < here; ++t) keys[t] = sortable(values_[static_cast<std::size_t>(i + t)]);
        buckets_.find(keys, found);
        for (Index t = 0; t < here; ++t) {
          if (std::isnan(values_[static_cast<std::size_t>(i + t)])) found[t] = static_cast<std::uint16_t>(buckets_.count());
          bucket_[i + t] = found[t];
          ++count[found[t]];
        }
      }
    });
  }

  void place_items() {
    std::uint32_t before = 0;
    first_.clear();
    for (Index b = 0; b < width(); ++b) {
      first_.push_back(before);
      for (Index c = 0; c < chunks_; ++c) before += std::exchange(place_[static_cast<std::size_t>(c * width() + b)], before);
    }
    items_.resize({Index{first_.back()}});
    cpu::parallel_for(chunks_, [&](Index c) {
      std::uint32_t* const next = place_.data() + c * width();
      for (Index i = c * grain_, last = std::min(size(), i + grain_); i < last; ++i)
        if (const std::uint16_t b = bucket_[i]; b < buckets_.count())
          items_[next[b]++] = {sortable(values_[static_cast<std::size_t>(i)]), static_cast<std::uint32_t>(i)};
    });
  }

  void sort_buckets() {
    constexpr Index large = Index{1} << 18;
    std::vector<Index> small;
    for (Index b = 0; b < buckets_.count(); ++b) {
      if (bucket_size(b) < large) small.push_back(b);
      else sort_bucket(b);
    }
    cpu::parallel_for(static_cast<Index>(small.size()), [&](Index k) { sort_bucket(small[static_cast<std::size_t>(k)]); });
  }

  Index bucket_size(Index b) const { return Index{first_[static_cast<std::size_t>(b) + 1]} - Index{first_[static_cast<std::size_t>(b)]}; }

  void sort_bucket(Index b) {
    const Index n = bucket_size(b);
    KeyedPosition* const from = items_.data() + first_[static_cast<std::size_t>(b)];
    static thread_local Tensor<KeyedPosition> spare;
    Tensor<KeyedPosition> large;
    Tensor<KeyedPosition>& room = n <= (Index{1} << 16) ? spare : large;
    room.resize({n});
    if (const KeyedPosition* const sorted = radix_sort(from, room.data(), n); sorted != from) std::copy(sorted, sorted + n, from);
  }

  std::span<const double> values_;
  Buckets buckets_;
  Index grain_ = 1, chunks_ = 0;
  Tensor<KeyedPosition> items_;
  Tensor<std::uint16_t> bucket_;
  std::vector<std::uint32_t> place_, first_;
};

}  // namespace ventral::inline v0::brain::detail

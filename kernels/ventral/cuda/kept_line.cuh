#pragma once
#include <cmath>
#include <limits>
#include <type_traits>

#include "ventral/cuda/lines.cuh"

/// Lines of numbers that are read from memory once: what fits stays in the registers of the team, loaded all at once; what a longer line has beyond that is
/// read again, from a cache.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// A team whose members keep so many numbers of each array in registers. If they keep any, these lie side by side in memory.
template <class Team, int numbers>
struct Keeping : Team {
  static constexpr int kept = numbers;
};

/// One line of each of some arrays of the same shape: n numbers, `inner` apart. This thread's are rank, rank + size, ...
template <class Team, class T, int arrays>
class KeptLine {
 public:
  using C = Compute<T>;

  VENTRAL_DEVICE KeptLine(const Team& team, Index n, Index inner, const T* const (&from)[arrays])
      : rank_(team.rank()), fit_(static_cast<int>(n < each * Team::size ? n : each * Team::size)), n_(n), inner_(inner) {
    VENTRAL_DEVICE_UNROLL
    for (int a = 0; a < arrays; ++a) from_[a] = from[a];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int a = 0; a < arrays; ++a) numbers_[i][a] = kept_place(i) < fit_ ? load(from_[a] + kept_place(i)) : C(0);
  }
  /// f(v, k, kept) for each number k of the line; v[0 .. arrays) may be changed: where `kept` is true (a constant), the next call sees the change.
  template <class F>
  VENTRAL_DEVICE void for_each(const F& f) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; ++i)
      if (kept_place(i) < fit_) f(numbers_[i], kept_place(i), std::true_type{});
    beyond(f);
  }
  /// The sum of f(v, k, kept) >= 0: of kept numbers four at a time in C, off by 3 roundings at most, these in double.
  template <class F>
  VENTRAL_DEVICE double sum(const F& f) {
    double total = 0;
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < each; i += 4) {
      C four = C(0);
      VENTRAL_DEVICE_UNROLL
      for (int j = i; j < i + 4; ++j)
        if (kept_place(j) < fit_) four += f(numbers_[j], kept_place(j), std::true_type{});
      total += static_cast<double>(four);
    }
    beyond([&](auto& v, Index k, auto kept) { total += static_cast<double>(f(v, k, kept)); });
    return total;
  }
  /// Where number k of a line is, from its first.
  VENTRAL_DEVICE Index offset(Index k) const { return each > 0 ? k : k * inner_; }

 private:
  static constexpr int each = Team::kept;
  static_assert(each % 4 == 0);
  template <class F>
  VENTRAL_DEVICE void beyond(const F& f) const {
    for (Index k = Index{each} * Team::size + rank_; k < n_; k += Team::size) {
      C v[arrays];
      VENTRAL_DEVICE_UNROLL
      for (int a = 0; a < arrays; ++a) v[a] = load(from_[a] + offset(k));
      f(v, k, std::false_type{});
    }
  }
  VENTRAL_DEVICE int kept_place(int i) const { return i * Team::size + rank_; }

  int rank_, fit_;  ///< of how many numbers all are kept
  Index n_, inner_;
  const T* from_[arrays];
  C numbers_[each > 0 ? each : 1][arrays];
};

/// The largest first number of a line: that of the others where some are NaN.
template <class Team, class Line>
VENTRAL_DEVICE typename Line::C largest_number(const Team& team, Line& line) {
  using C = typename Line::C;
  C largest = -std::numeric_limits<C>::infinity();
  line.for_each([&](const auto& v, Index, auto) { largest = std::fmax(largest, v[0]); });
  return team.max(largest);
}

/// Runs op(team, line) for lines of n numbers of T, `inner` apart. Short lines, and lines side by side in memory that are many, get a thread each. Of others,
/// if their numbers are side by side, up to 1024 stay in the registers of a warp, 4096 of 256 threads, 12288 of 1024; doubles are always read again.
template <class T, class Op>
void for_kept_lines(Stream stream, const char* kernel, const Shape& shape, Index n, Index inner, Index lines, const Op& op) {
  const auto run = [&](auto of_block, auto team) {
    constexpr int threads = decltype(of_block)::value;
    launch(stream, {.kernel = kernel, .blocks = blocks_for(lines, threads / team.size), .threads = threads, .shape = shape},
           for_lines_kernel<threads, decltype(team), Op>, lines, op);
  };
  constexpr std::integral_constant<int, 128> few{};
  constexpr std::integral_constant<int, 256> many{};
  constexpr std::integral_constant<int, 1024> most{};
  if (n <= 8 || (inner > 1 && lines >= n)) return run(few, Keeping<ThreadTeam, 0>{});
  if constexpr (sizeof(Compute<T>) == 4) {
    if (inner > 1) run(many, Keeping<BlockTeam<256>, 0>{});
    else if (n <= 128) run(few, Keeping<WarpTeam, 4>{});
    else if (n <= 1024) run(few, Keeping<WarpTeam, 32>{});
    else if (n <= 4096) run(many, Keeping<BlockTeam<256>, 16>{});
    else run(most, Keeping<BlockTeam<1024>, 12>{});
  } else {
    if (n <= 1024) run(few, Keeping<WarpTeam, 0>{});
    else run(many, Keeping<BlockTeam<256>, 0>{});
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

#pragma once
#include <algorithm>

#include "ventral/cuda/quotient.cuh"
#include "ventral/divisive_box.hpp"

/// Sums over a window of channels that the compiler knows.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// How [N,C,P] is cut: a thread for each of P pixels and each `segment` of channels.
struct ChannelWalk {
  static constexpr Index enough_walkers = Index{1} << 18, shortest = 16;  ///< of them an H200 runs 270 thousand at once
  int channels, segment, walkers;
  FixedDivisor pixels, segments;

  ChannelWalk(Index images, Index all_channels, Index all_pixels)
      : channels(static_cast<int>(all_channels)), segment(static_cast<int>(length(images * all_pixels, all_channels))),
        walkers(static_cast<int>(images * all_pixels * count(images * all_pixels, all_channels))), pixels(all_pixels),
        segments(count(images * all_pixels, all_channels)) {}
  /// Few lines: shorter segments, though each reads a window more than its length.
  static Index length(Index lines, Index channels) {
    const Index parts = std::clamp(enough_walkers / std::max(Index{1}, lines), Index{1}, std::max(Index{1}, channels / shortest));
    return (channels + parts - 1) / parts;
  }
  static Index count(Index lines, Index channels) { return (channels + length(lines, channels) - 1) / length(lines, channels); }
};

/// Sums over the channels c - reach to c + reach, beginning with the first: a thread walks along the channels of a pixel with the window in registers.
/// It reads `ahead` channels at once, so that enough is under way. Reads each element 1 + 2 reach / segment times, from a cache but for the first;
/// neighbours are pixels: coalesced. No barriers.
template <int reach, class S, class Load, class Finish>
VENTRAL_BOUNDED_KERNEL(256) void channel_window_kernel(ChannelWalk w, Load load, Finish finish) {
  constexpr int ahead = 4, window = 2 * reach + 1;
  const int walker = static_cast<int>(first_element());
  if (walker >= w.walkers) return;
  const Division line(walker, w.pixels), image(line.quotient, w.segments);
  const int first = image.rest * w.segment, last = std::min(w.channels, first + w.segment);
  const Index start = static_cast<Index>(image.quotient) * w.channels * *w.pixels + line.rest;
  const auto at = [&](int c) { return start + static_cast<Index>(c) * *w.pixels; };
  using Loaded = decltype(load.read(0));
  using Finished = decltype(finish.read(0));

  S v[window - 1 + ahead];  // of channels c - reach and on
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < window - 1; ++i) {
    const int in = first - reach + i;
    v[i] = 0 <= in && in < w.channels ? load.make(in, load.read(at(in))) : S(0);
  }
  for (int c = first; c < last; c += ahead) {
    Loaded entering[ahead];
    Finished here[ahead];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < ahead; ++i) {  // what lies beyond the last channel is not used
      entering[i] = load.read(at(std::min(c + reach + i, w.channels - 1)));
      here[i] = finish.read(at(std::min(c + i, w.channels - 1)));
    }
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < ahead; ++i) v[window - 1 + i] = c + reach + i < w.channels ? load.make(c + reach + i, entering[i]) : S(0);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < ahead; ++i) {
      S sum = v[i];
      VENTRAL_DEVICE_UNROLL
      for (int k = 1; k < window; ++k) sum = sum + v[i + k];
      if (c + i < last) finish.write(c + i, at(c + i), sum, here[i]);
    }
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < window - 1; ++i) v[i] = v[ahead + i];
  }
}

/// Launches it for windows of 5, those of AlexNet; false for others, and where int does not count the elements.
/// `load` and `finish`: see divisive_norm.cuh.
template <class S, class Load, class Finish>
bool channel_window(Stream stream, Reach channels, const Shape& x, const Load& load, const Finish& finish) {
  constexpr int reach = 2;
  if (channels != Reach(2 * reach + 1) || x.size() > Index{1} << 30) return false;
  const ChannelWalk w(x[0], x[1], x[2] * x[3]);
  launch(stream, {.kernel = "channel_window_kernel", .blocks = blocks_for(w.walkers), .shape = x}, channel_window_kernel<reach, S, Load, Finish>, w,
         load, finish);
  return true;
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

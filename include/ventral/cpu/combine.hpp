#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

/// y = a + b, element by element, all in one format; y may be a or b.
template <class T>
void add_tensors(Stream, In<T> a, In<T> b, Out<T> y) {
  parallel_ranges(stored_size(y.shape, y.format), Index{1} << 14, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      detail::for_vectors<Simd<T, decltype(isa)>>(last - first, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
        lanes.store(y.data + first + i, lanes.load(a.data + first + i) + lanes.load(b.data + first + i));
      });
    });
  });
}

namespace detail {

/// Images, or blocks of them, and the numbers of one channel of each.
struct ChannelRuns {
  Index count, plane;
  ChannelRuns(const Shape& s, Format f) : count(s[0]), plane(s.product(2, s.rank())) {
    if (f == Format::rows) return;
    count = stored_images(count, f) / block_images;
    plane *= block_images;
  }
};

}  // namespace detail

/// Copies `part` [N,P,...] into channels [channel, channel + P) of `whole` [N,C,...], both in one format.
template <class T>
void insert_channels(Stream, In<T> part, Index channel, Out<T> whole) {
  const detail::ChannelRuns runs(part.shape, part.format);
  const Index from = part.shape[1] * runs.plane, to = whole.shape[1] * runs.plane;
  parallel_for(runs.count, [&](Index n) { std::copy(part.data + n * from, part.data + (n + 1) * from, whole.data + n * to + channel * runs.plane); });
}

/// Copies channels [channel, channel + P) of `whole` [N,C,...] into `part` [N,P,...], both in one format: the gradient of insert_channels.
template <class T>
void extract_channels(Stream, In<T> whole, Index channel, Out<T> part) {
  const detail::ChannelRuns runs(part.shape, part.format);
  const Index from = whole.shape[1] * runs.plane, to = part.shape[1] * runs.plane;
  parallel_for(runs.count, [&](Index n) {
    const T* first = whole.data + n * from + channel * runs.plane;
    std::copy(first, first + to, part.data + n * to);
  });
}

}  // namespace ventral::inline v0::cpu

#pragma once
#include <algorithm>

#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

/// y = a + b, element by element; y may be a or b.
template <class T>
void add_tensors(Stream, In<T> a, In<T> b, Out<T> y) {
  parallel_ranges(y.size(), Index{1} << 14, [&](Index first, Index last) {
    simd_dispatch([&](auto isa) VENTRAL_ALWAYS_INLINE_LAMBDA {
      detail::for_vectors<Simd<T, decltype(isa)>>(last - first, [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
        lanes.store(y.data + first + i, lanes.load(a.data + first + i) + lanes.load(b.data + first + i));
      });
    });
  });
}

/// Copies `part` [N,P,...] into channels [channel, channel + P) of `whole` [N,C,...].
template <class T>
void insert_channels(Stream, In<T> part, Index channel, Out<T> whole) {
  const Index plane = part.shape.product(2, part.shape.rank()), from = part.shape[1] * plane, to = whole.shape[1] * plane;
  parallel_for(part.shape[0], [&](Index n) { std::copy(part.data + n * from, part.data + (n + 1) * from, whole.data + n * to + channel * plane); });
}

/// Copies channels [channel, channel + P) of `whole` [N,C,...] into `part` [N,P,...]: the gradient of insert_channels.
template <class T>
void extract_channels(Stream, In<T> whole, Index channel, Out<T> part) {
  const Index plane = part.shape.product(2, part.shape.rank()), from = whole.shape[1] * plane, to = part.shape[1] * plane;
  parallel_for(part.shape[0], [&](Index n) {
    const T* first = whole.data + n * from + channel * plane;
    std::copy(first, first + to, part.data + n * to);
  });
}

}  // namespace ventral::inline v0::cpu

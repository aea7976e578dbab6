#pragma once
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/divisive_kernels.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

/// The channels of one image, as a tile sees them: planes shorter than the kernels' registers are copied to longer ones.
template <class T>
struct Planes {
  T* data;
  Index stride;
  T* at(Index channel, Index first) const { return data + channel * stride + first; }
};

template <class T>
Planes<const T> planes_in(const BoxTiles& t, const T* image, Arena& arena) {
  if (t.plane() >= t.least_line) return {image, t.plane()};
  T* const copy = arena.take<T>(t.channels * t.least_line);
  for (Index c = 0; c < t.channels; ++c)
    for (Index i = 0; i < t.least_line; ++i) copy[c * t.least_line + i] = i < t.plane() ? image[c * t.plane() + i] : T(0);
  return {copy, t.least_line};
}
template <class T>
Planes<T> planes_out(const BoxTiles& t, T* image, Arena& arena) {
  if (t.plane() >= t.least_line || !image) return {image, t.plane()};
  return {arena.take<T>(t.channels * t.least_line), t.least_line};
}
template <class T>
void finish_planes(const BoxTiles& t, Planes<T> from, T* image) {
  if (from.data == image) return;
  for (Index c = 0; c < t.channels; ++c) std::memcpy(image + c * t.plane(), from.at(c, 0), static_cast<std::size_t>(t.plane()) * sizeof(T));
}

/// A call of divisive normalization, forward or backward: tiles of all channels slide along them, with the lines of the window in the cache.
template <class T>
struct DivisiveCall {
  const DivisiveKernels<T>& kernel;
  const DivisiveRule& rule;
  BoxTiles tiles;
  TensorRef<const T> k, alpha, beta;
  T exponent = static_cast<T>(rule.exponent);

  Divisor<T> divisor(Index channel) const { return divisor_of(rule, k, alpha, beta, channel); }
  Index length(Range r) const { return std::max(tiles.least_line, r.size() * tiles.row); }
  Index ring() const { return SlidingLines<T>::lines(tiles.deep); }

  /// Scratch for the sums over planes.
  struct Work {
    T *dense, *a, *b;
  };
  Index work_bytes(Index times) const {
    if (!tiles.spatial()) return 0;
    return Arena::bytes<T>(tiles.line(tiles.most_rows(times))) + 2 * Arena::bytes<T>(tiles.padded(tiles.most_rows(times - 1)));
  }
  Work work(Index times, Arena& arena) const {
    if (!tiles.spatial()) return {};
    const Index dense = tiles.line(tiles.most_rows(times)), padded = tiles.padded(tiles.most_rows(times - 1));
    T *const first = arena.take<T>(dense), *const second = arena.take<T>(padded);
    return {first, second, arena.take<T>(padded)};
  }
  Index narrow_bytes(Index copies) const { return tiles.plane() < tiles.least_line ? copies * Arena::bytes<T>(tiles.channels * tiles.least_line) : 0; }

  /// Sums of |x|^exponent over rows and columns, of one channel, for rows `out`.
  void magnitudes(Planes<const T> x, Index channel, Range in, Range out, const Work& w, T* to) const {
    const Index ahead = channel + 1 < tiles.channels ? x.stride : 0;
    kernel.magnitudes(exponent, x.at(channel, in.first * tiles.row), length(in), ahead, tiles.spatial() ? w.dense : to);
    if (tiles.spatial()) plane_sums(kernel, tiles, tiles.high, tiles.wide, in, out, w.dense, w.a, w.b, to);
  }

  void forward(const T* x, T* sums, T* y) const {
    const Index pitch = tiles.line(tiles.most_rows(0));
    Scratch& scratch = Scratch::mine();
    scratch.reserve(0, ring() * Arena::bytes<T>(pitch) + work_bytes(1) + narrow_bytes(3));
    parallel_for(tiles.images * tiles.tiles, [&](Index i) {
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      const Index image = i / tiles.tiles * tiles.channels * tiles.plane();
      forward_tile(tiles.range(i % tiles.tiles), pitch, x + image, sums ? sums + image : nullptr, y + image, arena);
    });
  }
  void forward_tile(Range out, Index pitch, const T* image, T* image_sums, T* image_y, Arena& arena) const {
    const Range in = tiles.grown(out, tiles.high);
    const Index first = out.first * tiles.row, count = length(out);
    const SlidingLines<T> window(kernel, tiles.deep, tiles.channels, arena.take<T>(ring() * pitch), pitch, count);
    const Work w = work(1, arena);
    const Planes<const T> x = planes_in(tiles, image, arena);
    const Planes<T> sums = planes_out(tiles, image_sums, arena), y = planes_out(tiles, image_y, arena);
    for (Index enter = 0; enter < tiles.channels + tiles.deep.after; ++enter) {
      if (enter < tiles.channels) {
        magnitudes(x, enter, in, out, w, window.line(enter));
        window.close(enter);
      }
      const Index c = enter - tiles.deep.after;
      if (c < 0) continue;
      const Index ahead = c + 1 < tiles.channels ? y.stride : 0;
      kernel.divide(divisor(c), window.around(c), x.at(c, first), count, ahead, sums.data ? sums.at(c, first) : nullptr, y.at(c, first));
    }
    finish_planes(tiles, y, image_y);
    if (image_sums) finish_planes(tiles, sums, image_sums);
  }

  void backward(const T* x, const T* dy, T* dx) const {
    const Index pitch = tiles.line(tiles.most_rows(1));
    Scratch& scratch = Scratch::mine();
    scratch.reserve(0, (2 * ring() + tiles.deep.before + 1) * Arena::bytes<T>(pitch) + work_bytes(2) + narrow_bytes(3));
    parallel_for(tiles.images * tiles.tiles, [&](Index i) {
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      const Index image = i / tiles.tiles * tiles.channels * tiles.plane();
      backward_tile(tiles.range(i % tiles.tiles), pitch, x + image, dy + image, dx + image, arena);
    });
  }
  void backward_tile(Range out, Index pitch, const T* image_x, const T* image_dy, T* image_dx, Arena& arena) const {
    const Reach deep = tiles.deep, back{deep.after, deep.before}, high{tiles.high.after, tiles.high.before}, wide{tiles.wide.after, tiles.wide.before};
    const Range middle = tiles.grown(out, high), in = tiles.grown(middle, tiles.high);
    const Index first = out.first * tiles.row, count = length(out), kept = deep.before + 1;
    const SlidingLines<T> window(kernel, deep, tiles.channels, arena.take<T>(ring() * pitch), pitch, length(middle));
    const SlidingLines<T> told(kernel, back, tiles.channels, arena.take<T>(ring() * pitch), pitch, count);
    T* const through = arena.take<T>(kept * pitch);
    const Work w = work(2, arena);
    const Planes<const T> x = planes_in(tiles, image_x, arena), dy = planes_in(tiles, image_dy, arena);
    const Planes<T> dx = planes_out(tiles, image_dx, arena);
    for (Index enter = 0; enter < tiles.channels + deep.after + deep.before; ++enter) {
      if (enter < tiles.channels) {
        magnitudes(x, enter, in, middle, w, window.line(enter));
        window.close(enter);
      }
      const Index c = enter - deep.after;
      if (0 <= c && c < tiles.channels) {
        const Divisor<T> d = divisor(c);
        const Index at = middle.first * tiles.row, ahead = c + 1 < tiles.channels ? dy.stride : 0;
        T* const to = tiles.spatial() ? w.dense : told.line(c);
        kernel.scatter(d, exponent * d.slope * d.beta, window.around(c), x.at(c, at), dy.at(c, at), length(middle), ahead, through + c % kept * pitch, to);
        if (tiles.spatial()) plane_sums(kernel, tiles, high, wide, middle, out, w.dense, w.a, w.b, told.line(c));
        told.close(c);
      }
      const Index due = c - deep.before;
      if (due < 0) continue;
      const T* const g = through + due % kept * pitch + (out.first - middle.first) * tiles.row;
      kernel.gather(exponent, told.around(due), x.at(due, first), g, count, due + 1 < tiles.channels ? dx.stride : 0, dx.at(due, first));
    }
    finish_planes(tiles, dx, image_dx);
  }
};

}  // namespace detail

/// Elements of T that the kernels below need as scratch for x [N,C,...]: none, they use the threads' own.
inline Index divisive_norm_scratch(Stream, const DivisiveRule&, const Shape&) { return 0; }

/// y = x / (k + alpha / |box| sums)^beta, where that divisor is at least the threshold, else y = x; sums = box sums of |x|^exponent.
/// x, y, sums [N,C,H,W] (or [N,C,...] with a box of channels only), all in rows or all in blocks; k, alpha, beta [1] or [C]. `sums` may be null, or y
/// where they are not wanted. Reads x and writes y (and sums) once. An element costs 12 multiplications, 20 with a beta that has no short way, and the
/// additions of its sum: channels - 1, and see `plane_sums`.
template <class T>
void divisive_norm_forward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, Out<T> sums, Out<T>, Out<T> y) {
  if (x.size() == 0) return;
  const detail::DivisiveCall<T> call{detail::divisive_kernels<T>(), rule, {rule.box, x.shape, x.format, 1024}, k, alpha, beta};
  call.forward(x.data, sums.data == y.data ? nullptr : sums.data, y.data);
}

/// The gradient by x. With D = k + alpha / |box| sums:
/// dx_i = dy_i D_i^-beta - exponent / |box| |x_i|^(exponent-1) sign(x_i) sum_{j: i in box(j)} alpha_j beta_j dy_j y_j / D_j.
/// Kinks: sign(0) = 0 for every exponent; a divisor at the threshold counts as applied. Reads x and dy and writes dx once: the sums are found again,
/// which is cheaper than to write and read them.
template <class T>
void divisive_norm_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, In<T>, In<T> dy, In<T>, Out<T>, Out<T> dx) {
  if (x.size() == 0) return;
  const detail::DivisiveCall<T> call{detail::divisive_kernels<T>(), rule, {rule.box, x.shape, x.format, 512}, k, alpha, beta};
  call.backward(x.data, dy.data, dx.data);
}

/// Adds the gradients by k, alpha and beta to those of dk, dalpha, dbeta that are not empty, each over the units that a value serves:
/// dk = -sum beta dy y / D, dalpha = -sum beta / |box| dy y sums / D, dbeta = -sum dy y ln D. They are gradients by the values themselves;
/// at its floor (k: smallest_k, alpha and beta: 0) only a gradient that raises a value passes. `partial` [N,C,3] is scratch. `sums` is what forward kept.
template <class T>
void divisive_norm_parameter_backward(Stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> y, In<T> dy, In<T> sums, Out<double> partial,
                                      Out<T> dk, Out<T> dalpha, Out<T> dbeta) {
  if (y.size() == 0) return;
  const Index lanes = y.format == Format::blocks ? block_images : 1, samples = stored_images(y.shape[0], y.format) / lanes, channels = y.shape[1];
  const Index positions = y.shape.product(2, y.shape.rank()) * lanes;
  parallel_for(samples * channels, [&](Index plane) {
    double* out = partial.data + 3 * plane;
    out[0] = out[1] = out[2] = 0;
    const Index first = plane * positions;
    detail::divisive_kernels<T>().parameter_sums(detail::divisor_of(rule, k, alpha, beta, plane % channels), y.data + first, dy.data + first,
                                                 sums.data + first, positions, out);
  });
  const double box = static_cast<double>(rule.box.size());
  const auto collect = [&](In<T> value, double floor, int which, Out<T> gradient) {
    if (!gradient.data) return;
    for (Index g = 0; g < value.size(); ++g) {
      double total = 0;
      for (Index n = 0; n < samples; ++n)
        for (Index c = value.size() == 1 ? 0 : g; c < (value.size() == 1 ? channels : g + 1); ++c) {
          const double used = static_cast<double>(detail::divisor_of(rule, k, alpha, beta, c).beta);
          total -= partial.data[3 * (n * channels + c) + which] * (which == 0 ? used : which == 1 ? used / box : 1.0);
        }
      gradient.data[g] += gradient_above(static_cast<T>(floor), value.data[g], static_cast<T>(total));
    }
  };
  collect(k, rule.smallest_k, 0, dk);
  collect(alpha, 0, 1, dalpha);
  collect(beta, 0, 2, dbeta);
}

// In the library ventral::kernels.
VENTRAL_COMPILED(divisive_norm_forward)
VENTRAL_COMPILED(divisive_norm_backward)
VENTRAL_COMPILED(divisive_norm_parameter_backward)

}  // namespace ventral::inline v0::cpu

#pragma once
#include "ventral/cpu/conv2d_pointwise.hpp"
#include "ventral/cpu/packing.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"

/// Convolution with windows of one pixel that skip pixels (strides, padding) or see small images: products of matrices whose columns are the pixels seen, image
/// after image. They are gathered on the way into a panel, and results are scattered from a tile.
namespace ventral::inline v0::cpu::detail {

/// Pixels of images, as the columns of a matrix [C, N H' W']: what windows of one pixel see of them, or all.
struct SeenPixels {
  WindowAxis h, w;
  Index images, channels;

  /// All pixels of a tensor [N,C,H,W] in rows.
  explicit SeenPixels(const Shape& x) : images(x[0]), channels(x[1]) {
    h.in = h.out = 1;
    w.in = w.out = x.product(2, 4);
  }
  SeenPixels(const WindowPlan& plan, const Shape& x) : h(plan.h), w(plan.w), images(x[0]), channels(x[1]) {}

  Index columns() const { return images * h.out * w.out; }
  Index plane() const { return h.in * w.in; }
  bool all() const { return h.out == h.in && w.out == w.in && h.stride == 1 && w.stride == 1 && h.before == 0 && w.before == 0; }
  /// to[c * stride + i] = column first + i of channel `channel` + c, 0 where the window is in the padding.
  template <class T>
  void gather(const MatrixKernels<T>& kernels, const T* x, Index channel, Index count, Index first, Index n, T* to, Index stride) const {
    each_run(first, n, [&](Index at, Index length, Index from, Index inside, Index last) {
      const T* const in = x + channel * plane() + from;
      T* const out = to + at;
      if (w.stride == 1) kernels.copy_rows(count, last - inside, in + inside, plane(), out + inside, stride);
      for (Index c = 0; c < count; ++c) {
        for (Index i = 0; i < inside; ++i) out[c * stride + i] = T(0);
        for (Index i = inside; w.stride != 1 && i < last; ++i) out[c * stride + i] = in[c * plane() + i * w.stride];
        for (Index i = last; i < length; ++i) out[c * stride + i] = T(0);
      }
    });
  }
  /// The other way round; what is in the padding is left out.
  template <class T>
  void scatter(const MatrixKernels<T>& kernels, const T* from, Index stride, Index channel, Index count, Index first, Index n, T* x) const {
    each_run(first, n, [&](Index at, Index, Index to, Index inside, Index last) {
      const T* const in = from + at;
      T* const out = x + channel * plane() + to;
      if (w.stride == 1) return kernels.copy_rows(count, last - inside, in + inside, stride, out + inside, plane());
      for (Index c = 0; c < count; ++c)
        for (Index i = inside; i < last; ++i) out[c * plane() + i * w.stride] = in[c * stride + i];
    });
  }
  /// Packs columns [first, first + n) of `count` channels, y[i * height + c] (see pack_tiles); `room` is for count * n numbers.
  template <class T>
  void pack(const MatrixKernels<T>& kernels, const T* x, Index channel, Index count, Index height, Index first, Index n, T* room, T* y) const {
    Index row[widest_tile];
    for (Index c = 0; c < count; ++c) row[c] = c * (all() ? plane() : n);
    if (all()) {
      each_run(first, n, [&](Index at, Index length, Index from, Index, Index) {
        kernels.pack_transposed(count, height, length, x + channel * plane() + from, row, y + at * height);
      });
    } else {
      gather(kernels, x, channel, count, first, n, room, n);
      kernels.pack_transposed(count, height, n, room, row, y);
    }
  }

 private:
  /// body(at, length, place, inside, last): columns first + at + i, i < length, lie at place + i w.stride of a channel, those in [inside, last) in the image.
  template <class Body>
  void each_run(Index first, Index n, Body body) const {
    for (Index at = 0, length; at < n; at += length) {
      const Index column = first + at, row = column / w.out, x = w.origin(column % w.out), y = h.origin(row % h.out);
      length = std::min(w.out - column % w.out, n - at);
      const bool in_image = y >= 0 && y < h.in;
      const Index inside = in_image ? std::clamp((-x + w.stride - 1) / w.stride, Index{0}, length) : length;
      const Index last = in_image ? std::clamp((w.in - x + w.stride - 1) / w.stride, inside, length) : length;
      body(at, length, row / h.out * channels * plane() + y * w.in + x, inside, last);
    }
  }
};

/// Whether a convolution is one of these, and images so small that their own columns do not fill panels.
inline bool sees_pixels(const WindowPlan& plan, Index groups, const Shape& x, Format from, Format to) {
  constexpr Index few_pixels = 64, least_columns = 32;
  if (groups != 1 || plan.h.kernel != 1 || plan.w.kernel != 1 || from != Format::rows || to != Format::rows || x.size() == 0) return false;
  const SeenPixels seen(plan, x);
  const Index pixels = plan.h.out * plan.w.out;
  return seen.columns() >= least_columns && pixels <= few_pixels && (!seen.all() || (x[0] > 1 && pixels > 1));
}

/// y = w x + bias for pixels seen of two tensors; w [to.channels, from.channels], or transposed, bias null for none. Pixels of y that are not seen keep their
/// values.
template <class T>
void multiply_seen(const SeenPixels& from, const T* x, const SeenPixels& to, const T* w, bool transposed, const T* bias, T* y) {
  constexpr Index widest_band = 512, enough_chunks = 8;
  const MatrixKernels<T>& kernels = matrix_kernels<T>();
  const Index panel = kernels.panel(), terms = from.channels, rows = to.channels, columns = from.columns();
  const Index band = round_up(even_part(columns, std::min(widest_band, columns / enough_chunks + 1)), panel), bands = (columns + band - 1) / band;

  Scratch& scratch = Scratch::mine();
  scratch.reserve(Arena::bytes<Index>(terms) + Arena::bytes<Index>(rows) + Arena::bytes<T>(kernels.packed_rows(rows) * terms),
                  Arena::bytes<T>(terms * panel) + Arena::bytes<T>(tallest_tile * panel));
  Arena shared = scratch.shared();
  Index *const panel_row = shared.template take<Index>(terms), *const w_row = shared.template take<Index>(rows);
  T* const a = shared.template take<T>(kernels.packed_rows(rows) * terms);
  for (Index p = 0; p < terms; ++p) panel_row[p] = p * panel;
  pack_factor(kernels, rows, terms, w, transposed, w_row, a);

  parallel_for(bands, [&](Index chunk) {
    Scratch::Lease lease(scratch);
    Arena arena = lease.arena();
    T *const packed = arena.template take<T>(terms * panel), *const out = arena.template take<T>(tallest_tile * panel);
    for (Index j = chunk * band; j < std::min(columns, (chunk + 1) * band); j += panel) {
      const Index valid = std::min(panel, columns - j), width = round_up(valid, kernels.lanes);
      if (valid < panel) std::fill_n(packed, terms * panel, T(0));
      from.gather(kernels, x, 0, terms, j, valid, packed, panel);
      for (Index i = 0; i < rows; i += kernels.height) {
        const Index height = kernels.tile_height(rows - i), some = std::min(height, rows - i);
        Tile<T> t{terms, a + i * terms, packed, panel_row, out, panel, false};
        t.bias = bias ? bias + i : nullptr;
        multiply_tile(kernels, height, t, some, width);
        to.scatter(kernels, out, panel, i, some, j, valid, y);
      }
    }
  });
}

/// y = w x + b at the pixels of x that are seen.
template <class T>
void seen_forward(const WindowPlan& plan, In<T> x, In<T> w, In<T> b, Out<T> y) {
  multiply_seen<T>(SeenPixels(plan, x.shape), x.data, SeenPixels(y.shape), w.data, false, b.data, y.data);
}

/// dx = w^T dy at the pixels that are seen, 0 elsewhere.
template <class T>
void seen_backward_input(const WindowPlan& plan, In<T> w, In<T> dy, Out<T> dx) {
  const SeenPixels seen(plan, dx.shape);
  if (!seen.all()) parallel_ranges(dx.size(), Index{1} << 16, [&](Index first, Index last) { std::fill(dx.data + first, dx.data + last, T(0)); });
  multiply_seen<T>(SeenPixels(dy.shape), dy.data, seen, w.data, true, nullptr, dx.data);
}

/// dw += dy x^T over pixels seen of two tensors, `left` and `right`: dy is packed once, for as many slabs of columns as fit the caches; then each panel of x meets all of it.
template <class T>
void multiply_transposed(const SeenPixels& left, const T* dy, const SeenPixels& right, const T* x, T* dw) {
  constexpr Index enough_chunks = 8, longest = 320, most_packed = Index{1} << 20;
  const MatrixKernels<T>& kernels = matrix_kernels<T>();
  const Index outputs = left.channels, channels = right.channels, columns = left.columns(), panel = kernels.panel(), height = kernels.height;
  const Index tiles = (outputs + height - 1) / height, panels = (channels + panel - 1) / panel, pieces = std::clamp(enough_chunks / panels, Index{1}, tiles);
  const Index slab = even_part(columns, longest), slab_size = kernels.packed_rows(outputs) * slab, batch = std::max(Index{1}, most_packed / slab_size) * slab;

  Scratch& scratch = Scratch::mine();
  scratch.reserve(Arena::bytes<Index>(slab) + Arena::bytes<T>(std::min(batch, columns + slab) / slab * slab_size), 2 * Arena::bytes<T>(panel * slab));
  Arena shared = scratch.shared();
  Index* const panel_row = shared.template take<Index>(slab);
  T* const a = shared.template take<T>(std::min(batch, columns + slab) / slab * slab_size);
  for (Index p = 0; p < slab; ++p) panel_row[p] = p * panel;

  for (Index start = 0; start < columns; start += batch) {
    const Index end = std::min(columns, start + batch);
    const auto each_slab = [&](auto body) {  // body(first column, number of them, packed dy)
      for (Index first = start; first < end; first += slab) body(first, std::min(slab, end - first), a + (first - start) / slab * slab_size);
    };
    parallel_for(tiles, [&](Index tile) {
      const Index o = tile * height;
      Scratch::Lease lease(scratch);
      T* const room = lease.arena().template take<T>(panel * slab);
      each_slab([&](Index first, Index n, T* to) {
        left.pack(kernels, dy, o, std::min(height, outputs - o), kernels.tile_height(outputs - o), first, n, room, to + o * n);
      });
    });
    parallel_for(panels * pieces, [&](Index chunk) {
      const Index piece = chunk % pieces, c = chunk / pieces * panel, valid = std::min(panel, channels - c);
      const Index top = tiles * piece / pieces * height, rows = std::min(outputs, tiles * (piece + 1) / pieces * height) - top;
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      T *const b = arena.template take<T>(panel * slab), *const room = arena.template take<T>(panel * slab);
      each_slab([&](Index first, Index n, const T* from) {
        right.pack(kernels, x, c, valid, panel, first, n, room, b);
        multiply_tiles<T>(kernels, rows, valid, n, {from + top * n, n}, {b, panel_row, 0}, dw + top * channels + c, channels, true);
      });
    });
  }
}

}  // namespace ventral::inline v0::cpu::detail

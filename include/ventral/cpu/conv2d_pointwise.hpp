#pragma once
#include "ventral/cpu/conv_frame.hpp"
#include "ventral/cpu/packing.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"

/// Convolution with windows of one pixel, side by side: products of matrices. An image in rows is a matrix [C, H W], a block of 16 images one of [C, 16 H W],
/// so both formats take the same way, and x is read in place.
namespace ventral::inline v0::cpu::detail {

/// The matrices that a tensor [N,C,H,W] holds: one for each image, or for each block.
struct ImageMatrices {
  Index count, rows, columns;

  ImageMatrices(const Shape& x, Format format) : count(stored_images(x[0], format)), rows(x[1]), columns(x.product(2, x.rank())) {
    if (format == Format::blocks) count /= block_images, columns *= block_images;
  }
  Index size() const { return rows * columns; }
};

/// The products that make up a convolution.
enum class Pointwise { images, weights };

/// Whether a convolution consists of products with images in this format that are faster than the direct method: those of blocks where rows of the matrix
/// fall on the same cache sets are not.
inline bool is_pointwise(Pointwise what, const WindowPlan& plan, Index groups, const Shape& x, Format from, Format to) {
  constexpr Index page = 4096 / sizeof(float), least_columns[] = {32, 128};
  const auto one = [](const WindowAxis& a) { return a.kernel == 1 && a.stride == 1 && a.out == a.in && a.before == 0; };
  if (groups != 1 || from != to || !one(plan.h) || !one(plan.w) || x.size() == 0) return false;
  const ImageMatrices m(x, from);
  return m.columns >= least_columns[static_cast<int>(what)] && (what == Pointwise::weights || from == Format::rows || m.columns % page != 0);
}

/// y = relu(w x + bias), as far as wanted, for each matrix x [terms, columns] and y [rows, columns] of a tensor; w [rows, terms], or transposed. A panel of x is
/// packed by the first tile that meets it; all its tiles fetch a part of the next one, so that it comes from memory behind the arithmetic.
template <class T>
void multiply_images(const ImageMatrices& in, const T* x, Index rows, const T* w, bool transposed, TileEpilogue<T> epilogue, T* y) {
  constexpr Index widest_band = 512, line = 64 / static_cast<Index>(sizeof(T));
  const MatrixKernels<T>& kernels = matrix_kernels<T>();
  const Index panel = kernels.panel(), terms = in.rows, tiles = (rows + kernels.height - 1) / kernels.height;
  const Index width = round_up(even_part(in.columns, widest_band), panel), bands = (in.columns + width - 1) / width;
  const bool packs_along = kernels.tile_height(rows) == kernels.height;

  Scratch& scratch = Scratch::mine();
  scratch.reserve(2 * Arena::bytes<Index>(terms) + Arena::bytes<Index>(rows) + Arena::bytes<T>(kernels.packed_rows(rows) * terms), Arena::bytes<T>(terms * panel));
  Arena shared = scratch.shared();
  Index *const image_row = shared.template take<Index>(terms), *const panel_row = shared.template take<Index>(terms), *const w_row = shared.template take<Index>(rows);
  T* const a = shared.template take<T>(kernels.packed_rows(rows) * terms);
  for (Index p = 0; p < terms; ++p) image_row[p] = p * in.columns, panel_row[p] = p * panel;
  pack_factor(kernels, rows, terms, w, transposed, w_row, a);

  parallel_for(in.count * bands, [&](Index chunk) {
    const T* const from = x + chunk / bands * in.size();
    T* const to = y + chunk / bands * rows * in.columns;
    const Index first = chunk % bands * width, last = std::min(in.columns, first + width);
    Scratch::Lease lease(scratch);
    T* const packed = lease.arena().template take<T>(terms * panel);
    for (Index j = first; j < last; j += panel) {
      const Index columns = std::min(panel, last - j), next = std::min(panel, last - j - columns);
      const bool along = packs_along && columns == panel;
      if (!along) pack_panels(kernels, terms, columns, from + j, in.columns, packed);
      for (Index tile = 0, i = 0; tile < tiles; ++tile, i += kernels.height) {
        for (Index p = terms * tile / tiles; p < terms * (tile + 1) / tiles; ++p)
          for (Index q = 0; q < next; q += line) __builtin_prefetch(from + p * in.columns + j + panel + q, 0, 2);
        Tile<T> t{terms, a + i * terms, packed, panel_row, to + i * in.columns + j, in.columns, false};
        if (along && tile == 0) t.b = from + j, t.row = image_row, t.packed = packed;
        t.bias = epilogue.row_bias ? epilogue.row_bias + i : nullptr, t.relu = epilogue.relu;
        multiply_tile(kernels, kernels.tile_height(rows - i), t, std::min(kernels.height, rows - i), columns);
      }
    }
  });
}

/// y = relu(w x + b), as far as wanted.
template <class T>
void pointwise_forward(In<T> x, In<T> w, In<T> b, bool relu, Out<T> y) {
  multiply_images<T>({x.shape, x.format}, x.data, y.shape[1], w.data, false, {b.data, relu}, y.data);
}

/// dx = w^T dy.
template <class T>
void pointwise_backward_input(In<T> w, In<T> dy, Out<T> dx) {
  multiply_images<T>({dy.shape, dy.format}, dy.data, dx.shape[1], w.data, true, {}, dx.data);
}

/// dw += sum over the images of dy x^T: runs of slabs of columns are summed apart, and added in their order.
template <class T>
void pointwise_backward_weight(In<T> x, In<T> dy, Out<T> dw) {
  constexpr Index enough_chunks = 16, most_numbers = Index{1} << 22, longest = 320;
  const MatrixKernels<T>& kernels = matrix_kernels<T>();
  const ImageMatrices in(x.shape, x.format);
  const Index outputs = dy.shape[1], channels = in.rows, size = outputs * channels, panel = kernels.panel(), panels = (channels + panel - 1) / panel;
  const Index slab = even_part(in.columns, longest), slabs = (in.columns + slab - 1) / slab, units = in.count * slabs;
  const Index runs = std::clamp(std::min(enough_chunks, most_numbers / size), Index{1}, units), pieces = std::min(panels, (enough_chunks + runs - 1) / runs);
  const Index longest_row = std::max({outputs, panel, slab});

  Scratch& scratch = Scratch::mine();
  scratch.reserve(2 * Arena::bytes<Index>(longest_row) + Arena::bytes<T>(runs * size), Arena::bytes<T>(kernels.packed_rows(outputs) * slab) + Arena::bytes<T>(panel * slab));
  Arena shared = scratch.shared();
  Index *const image_row = shared.template take<Index>(longest_row), *const panel_row = shared.template take<Index>(longest_row);
  T* const sums = shared.template take<T>(runs * size);
  for (Index r = 0; r < longest_row; ++r) image_row[r] = r * in.columns, panel_row[r] = r * panel;

  parallel_for(runs * pieces, [&](Index chunk) {
    const Index run = chunk / pieces, piece = chunk % pieces, begin = units * run / runs;
    Scratch::Lease lease(scratch);
    Arena arena = lease.arena();
    T *const a = arena.template take<T>(kernels.packed_rows(outputs) * slab), *const b = arena.template take<T>(panel * slab);
    for (Index unit = begin; unit < units * (run + 1) / runs; ++unit) {
      const Index n = unit / slabs, first = unit % slabs * slab, depth = std::min(slab, in.columns - first);
      pack_tiles(kernels, outputs, depth, dy.data + n * outputs * in.columns + first, image_row, a);
      for (Index q = panels * piece / pieces; q < panels * (piece + 1) / pieces; ++q) {
        const Index c = q * panel, valid = std::min(panel, channels - c);
        kernels.pack_transposed(valid, panel, depth, x.data + n * in.size() + c * in.columns + first, image_row, b);
        multiply_tiles<T>(kernels, outputs, valid, depth, {a, depth}, {b, panel_row, 0}, sums + run * size + c, channels, unit > begin);
      }
    }
  });
  parallel_ranges(size, Index{1} << 12, [&](Index first, Index last) {
    for (Index run = 0; run < runs; ++run) kernels.add_row(last - first, sums + run * size + first, dw.data + first);
  });
}

}  // namespace ventral::inline v0::cpu::detail

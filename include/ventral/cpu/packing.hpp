#pragma once
#include "ventral/cpu/matrix_kernels.hpp"

namespace ventral::inline v0::cpu::detail {

/// Packs rows x[offset[i] + p], p < depth, into tiles: y[first_row_of_tile * depth + p * height_of_tile + i].
template <class T>
void pack_tiles(const MatrixKernels<T>& k, Index rows, Index depth, const T* x, const Index* offset, T* y) {
  for (Index i = 0; i < rows; i += k.height) k.pack_transposed(std::min(rows - i, k.height), k.tile_height(rows - i), depth, x, offset + i, y + i * depth);
}

/// Packs columns, x[p * stride + i], into tiles.
template <class T>
void pack_tiles_of_columns(const MatrixKernels<T>& k, Index rows, Index depth, const T* x, Index stride, T* y) {
  for (Index i = 0; i < rows; i += k.height) {
    const Index height = k.tile_height(rows - i), valid = std::min(rows - i, height);
    T* out = y + i * depth;
    for (Index p = 0; p < depth; ++p, out += height) {
      std::copy_n(x + p * stride + i, valid, out);
      std::fill(out + valid, out + height, T(0));
    }
  }
}

/// Packs rows of b (stride between rows, `columns` wide) into panels: y[panel * depth * width + p * width + j], zeros beyond the last column.
template <class T>
void pack_panels(const MatrixKernels<T>& k, Index depth, Index columns, const T* x, Index stride, T* y) {
  const Index width = k.panel();
  for (Index p = 0; p < depth; ++p)
    for (Index j = 0; j < columns; j += width) {
      T* out = y + j * depth + p * width;
      const Index valid = std::min(columns - j, width);
      std::copy_n(x + p * stride + j, valid, out);
      std::fill(out + valid, out + width, T(0));
    }
}

/// Packed tiles of a: the one of rows i, i + 1, ... starts at data + i * depth.
template <class T>
struct PackedRows {
  const T* data;
  Index depth;
};

/// The right factor: row p of panel q starts at data + q * panel_step + row[p] and is readable to a multiple of `lanes` columns.
template <class T>
struct Panels {
  const T* data;
  const Index* row;
  Index panel_step;
};

/// c (+)= a b, for `rows` rows, `columns` columns and `depth` terms.
template <class T>
void multiply_tiles(const MatrixKernels<T>& k, Index rows, Index columns, Index depth, PackedRows<T> a, Panels<T> b, T* c, Index stride,
                    bool add) {
  alignas(64) T edge[tallest_tile * widest_tile / static_cast<int>(sizeof(T))];
  for (Index i = 0; i < rows; i += k.height) {
    const Index height = k.tile_height(rows - i), valid_rows = std::min(height, rows - i);
    for (Index j = 0, panel = 0; j < columns; j += k.panel(), ++panel) {
      const Index left = columns - j, vectors = left > k.lanes ? 2 : 1, width = vectors * k.lanes, valid = std::min(left, width);
      Tile<T> tile{depth, a.data + i * a.depth, b.data + panel * b.panel_step, b.row, c + i * stride + j, stride, add};
      if (valid_rows == height && valid == width) {
        k.multiply[vectors][height](tile);
        continue;
      }
      tile.c = edge, tile.stride = width, tile.add = false;
      k.multiply[vectors][height](tile);
      for (Index r = 0; r < valid_rows; ++r) {
        T* out = c + (i + r) * stride + j;
        const T* in = edge + r * width;
        if (add) k.add_row(valid, in, out);
        else std::copy_n(in, valid, out);
      }
    }
  }
}

}  // namespace ventral::inline v0::cpu::detail

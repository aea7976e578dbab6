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
    if (valid < height) std::fill_n(y + i * depth, depth * height, T(0));
    k.copy_rows(depth, valid, x + i, stride, y + i * depth, height);
  }
}

/// Packs a whole matrix w [rows, depth], or its transpose [depth, rows], into tiles; `offset` is room for an Index for each row.
template <class T>
void pack_factor(const MatrixKernels<T>& k, Index rows, Index depth, const T* w, bool transposed, Index* offset, T* y) {
  if (transposed) return pack_tiles_of_columns(k, rows, depth, w, rows, y);
  for (Index i = 0; i < rows; ++i) offset[i] = i * depth;
  pack_tiles(k, rows, depth, w, offset, y);
}

/// Packs rows of b (stride between rows, `columns` wide) into panels: y[panel * depth * width + p * width + j], zeros beyond the last column.
template <class T>
void pack_panels(const MatrixKernels<T>& k, Index depth, Index columns, const T* x, Index stride, T* y) {
  const Index width = k.panel();
  for (Index j = 0; j < columns; j += width) {
    const Index valid = std::min(columns - j, width);
    if (valid < width) std::fill_n(y + j * depth, depth * width, T(0));
    k.copy_rows(depth, valid, x + j, stride, y + j * depth, width);
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

/// What becomes of a product before it is stored: c = relu(c + a b + row_bias), as far as wanted. row_bias has one number for each row, or is null.
template <class T>
struct TileEpilogue {
  const T* row_bias = nullptr;
  bool relu = false;
};

/// Runs a tile of which `rows` rows and `columns` columns are wanted, those after the first skip_rows and skip_columns; it goes through a buffer.
template <class T>
void multiply_part(typename MatrixKernels<T>::Multiply multiply, const MatrixKernels<T>& k, Tile<T> tile, Index width, Index rows, Index columns,
                   Index skip_rows = 0, Index skip_columns = 0) {
  constexpr Index widest = widest_tile / static_cast<Index>(sizeof(T));
  alignas(64) T edge[tallest_tile * widest], row_bias[tallest_tile], column_bias[widest];
  const auto fill_up = [](const T*& bias, Index valid, T* copy, Index size) {
    if (bias) std::fill(std::copy_n(bias, valid, copy), copy + size, T(0)), bias = copy;
  };
  fill_up(tile.bias, skip_rows + rows, row_bias, tallest_tile), fill_up(tile.column_bias, skip_columns + columns, column_bias, width);
  T *const c = tile.c + skip_rows * tile.stride + skip_columns, *const wanted = edge + skip_rows * width + skip_columns;
  const Index stride = tile.stride;
  if (tile.add) k.copy_rows(rows, columns, c, stride, wanted, width);
  tile.c = edge, tile.stride = width;
  multiply(tile);
  k.copy_rows(rows, columns, wanted, width, c, stride);
}

/// Runs a tile of which the first `rows` rows and `columns` columns are wanted; one of the usual height with `packed` packs.
template <class T>
void multiply_tile(const MatrixKernels<T>& k, Index height, const Tile<T>& tile, Index rows, Index columns) {
  const Index vectors = columns > k.lanes ? 2 : 1, width = vectors * k.lanes;
  const auto multiply = tile.packed ? k.multiply_and_pack : k.multiply[vectors][height];
  if (rows == height && columns == width) return multiply(tile);
  multiply_part(multiply, k, tile, width, rows, columns);
}

/// c (+)= a b, for `rows` rows, `columns` columns and `depth` terms, then the epilogue.
template <class T>
void multiply_tiles(const MatrixKernels<T>& k, Index rows, Index columns, Index depth, PackedRows<T> a, Panels<T> b, T* c, Index stride,
                    bool add, TileEpilogue<T> epilogue = {}) {
  for (Index i = 0; i < rows; i += k.height) {
    const Index height = k.tile_height(rows - i);
    const T* const bias = epilogue.row_bias ? epilogue.row_bias + i : nullptr;
    for (Index j = 0, panel = 0; j < columns; j += k.panel(), ++panel)
      multiply_tile<T>(k, height, {depth, a.data + i * a.depth, b.data + panel * b.panel_step, b.row, c + i * stride + j, stride, add, bias, epilogue.relu},
                       std::min(height, rows - i), std::min(k.panel(), columns - j));
  }
}

}  // namespace ventral::inline v0::cpu::detail

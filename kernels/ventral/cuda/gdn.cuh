#pragma once
#include <algorithm>

#include "ventral/cuda/normalization.cuh"
#include "ventral/cuda/quotient.cuh"
#include "ventral/divisive_box.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// x [N,C,positions] as a matrix of C rows and N positions columns.
struct ChannelColumns {
  Index channels, positions, columns;
  explicit ChannelColumns(const Shape& x) : channels(x[1]), positions(x.product(2, x.rank())), columns(x[0] * positions) {}
  /// Where row 0 of a column is; rows are `positions` apart.
  VENTRAL_DEVICE Index place(Index column) const { return column + quotient(column, positions) * (channels - 1) * positions; }
};

/// The matrix max(gamma, 0), or its transpose.
template <class T>
struct Gamma {
  const T* gamma;
  Index channels;
  bool transposed;
  VENTRAL_DEVICE Compute<T> operator()(Index i, Index j) const {
    const Compute<T> g = load(gamma + (transposed ? j * channels + i : i * channels + j));
    return g < Compute<T>(0) ? Compute<T>(0) : g;  // NaN stays
  }
};

/// Norms as they are kept for backward. In half precision that is their root, which is about as large as an x: a sum of squares may be too large.
template <class T>
VENTRAL_DEVICE void keep_norm(T* p, Compute<T> norm) {
  store(p, std::is_same_v<T, half> ? std::sqrt(norm) : norm);
}
template <class T>
VENTRAL_DEVICE Compute<T> kept_norm(const T* p) {
  const Compute<T> v = load(p);
  return std::is_same_v<T, half> ? v * v : v;
}

template <class T>
struct LoadSquares {
  const T* x;
  VENTRAL_DEVICE Compute<T> operator()(Index at) const {
    const Compute<T> v = load(x + at);
    return v * v;
  }
};
template <class T>
struct LoadQuotients {
  const Compute<T>* q;
  VENTRAL_DEVICE Compute<T> operator()(Index at) const { return q[at]; }
};

/// y = x / sqrt(norm), norm = max(beta, smallest_beta) + sum
template <class T>
struct NormalizeByPool {
  using S = Compute<T>;
  S floor;
  const T *beta, *x;
  T *norms, *y;
  VENTRAL_DEVICE void operator()(Index channel, Index at, S sum) const {
    const S b = load(beta + channel), norm = (b < floor ? floor : b) + sum;
    if (norms) keep_norm(norms + at, norm);
    store(y + at, load(x + at) * rsqrt(normal_number(norm)));
  }
};

/// dx = dy / sqrt(norm) - x sum
template <class T>
struct GatherPoolGradients {
  using S = Compute<T>;
  const T *x, *dy, *norms;
  T* dx;
  VENTRAL_DEVICE void operator()(Index, Index at, S sum) const {
    store(dx + at, load(dy + at) * rsqrt(normal_number(kept_norm(norms + at))) - load(x + at) * sum);
  }
};

/// Multiplies a matrix [C,C] with the channels at every position and hands the products to finish(channel, at, sum).
/// A block makes a tile of 32 channels and 64 columns from pieces of 16 channels in shared memory; a thread 4 channels and 4 columns of it.
/// 2 C FLOP an element; columns are read C / 32 times, mostly from cache, by neighbouring threads.
template <class S, class Matrix, class Load, class Finish>
VENTRAL_BOUNDED_KERNEL(128) void channel_product_kernel(ChannelColumns shape, Matrix matrix, Load load, Finish finish) {
  constexpr int rows = 32, columns = 64, depth = 16, pitch = rows + 1;
  VENTRAL_SHARED(S, of_matrix, depth * pitch);
  VENTRAL_SHARED(S, of_columns, depth * columns);
  const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16;
  const Index row_tiles = (shape.channels + rows - 1) / rows, top = blockIdx.x % row_tiles * rows, left = blockIdx.x / row_tiles * columns;
  const Index loaded = left + thread % columns, from = loaded < shape.columns ? shape.place(loaded) : 0;
  S sum[4][4] = {};
  for (Index k0 = 0; k0 < shape.channels; k0 += depth) {
    for (int e = thread; e < rows * depth; e += 128) {
      const Index i = top + e / depth, j = k0 + e % depth;
      of_matrix[e % depth * pitch + e / depth] = i < shape.channels && j < shape.channels ? matrix(i, j) : S(0);
    }
    for (int k = thread / columns; k < depth; k += 2)
      of_columns[k * columns + thread % columns] = loaded < shape.columns && k0 + k < shape.channels ? load(from + (k0 + k) * shape.positions) : S(0);
    __syncthreads();
    for (int k = 0; k < depth; ++k) {
      VENTRAL_DEVICE_UNROLL
      for (int r = 0; r < 4; ++r) {
        VENTRAL_DEVICE_UNROLL
        for (int c = 0; c < 4; ++c) sum[r][c] += of_matrix[k * pitch + ty * 4 + r] * of_columns[k * columns + tx + 16 * c];
      }
    }
    __syncthreads();
  }
  VENTRAL_DEVICE_UNROLL
  for (int c = 0; c < 4; ++c) {
    const Index column = left + tx + 16 * c;
    if (column >= shape.columns) continue;
    const Index at = shape.place(column);
    VENTRAL_DEVICE_UNROLL
    for (int r = 0; r < 4; ++r)
      if (const Index channel = top + ty * 4 + r; channel < shape.channels) finish(channel, at + channel * shape.positions, sum[r][c]);
  }
}

/// q = dy y / norm
template <class T>
VENTRAL_KERNEL void gdn_quotients_kernel(Index n, const T* y, const T* dy, const T* norms, Compute<T>* q) {
  for (Index i = first_element(); i < n; i += element_step()) q[i] = load(dy + i) * load(y + i) / kept_norm(norms + i);
}

/// How the sums over all columns that the parameters' gradients need are cut into shares, each with its partial sums: by the shape alone.
struct GdnShares {
  Index tiles_down, tiles_across, shares = 0, share = 32;
  explicit GdnShares(const ChannelColumns& shape) : tiles_down((shape.channels + 31) / 32), tiles_across((shape.channels + 1 + 31) / 32) {
    const Index wanted = std::clamp(Index{1024} / (tiles_down * tiles_across), Index{1}, std::max(Index{1}, shape.columns / 128));
    share = std::max(Index{1}, ((shape.columns + wanted - 1) / wanted + 31) / 32) * 32;
    shares = (shape.columns + share - 1) / share;
  }
  Index blocks() const { return shares * tiles_down * tiles_across; }
};

/// partial [shares,C,C+1]: over a share of the columns, the sums of q_i x_j^2 and, in column C, of q_i.
/// A block makes a tile of 32 x 32 sums of a share, from pieces of 32 columns in shared memory; a thread 2 x 2 of them. Threads load along positions.
template <class T>
VENTRAL_BOUNDED_KERNEL(256) void gdn_parameter_sums_kernel(ChannelColumns shape, GdnShares cut, const Compute<T>* q, const T* x,
                                                           Compute<T>* partial) {
  using S = Compute<T>;
  constexpr int side = 32, pitch = side + 1;
  VENTRAL_SHARED(S, of_q, side * pitch);
  VENTRAL_SHARED(S, of_x, side * pitch);
  const int thread = static_cast<int>(threadIdx.x), tx = thread % 16, ty = thread / 16, lane = thread % side;
  const Index tile = blockIdx.x % (cut.tiles_down * cut.tiles_across), share = blockIdx.x / (cut.tiles_down * cut.tiles_across);
  const Index top = tile / cut.tiles_across * side, left = tile % cut.tiles_across * side, first = share * cut.share;
  const Index last = shape.columns < first + cut.share ? shape.columns : first + cut.share;
  S sum[2][2] = {};
  for (Index column = first + lane; column - lane < last; column += side) {
    const bool inside = column < last;
    const Index at = inside ? shape.place(column) : 0;
    for (int r = thread / side; r < side; r += 256 / side) {
      const Index i = top + r, j = left + r;
      of_q[r * pitch + lane] = inside && i < shape.channels ? q[at + i * shape.positions] : S(0);
      const S v = inside && j < shape.channels ? load(x + at + j * shape.positions) : S(inside && j == shape.channels);
      of_x[r * pitch + lane] = v * v;
    }
    __syncthreads();
    for (int k = 0; k < side; ++k) {
      VENTRAL_DEVICE_UNROLL
      for (int r = 0; r < 2; ++r) {
        VENTRAL_DEVICE_UNROLL
        for (int c = 0; c < 2; ++c) sum[r][c] += of_q[(ty + 16 * r) * pitch + k] * of_x[(tx + 16 * c) * pitch + k];
      }
    }
    __syncthreads();
  }
  VENTRAL_DEVICE_UNROLL
  for (int r = 0; r < 2; ++r) {
    VENTRAL_DEVICE_UNROLL
    for (int c = 0; c < 2; ++c) {
      const Index i = top + ty + 16 * r, j = left + tx + 16 * c;
      if (i < shape.channels && j <= shape.channels) partial[(share * shape.channels + i) * (shape.channels + 1) + j] = sum[r][c];
    }
  }
}

/// Adds -1/2 of those sums, in the order of the shares, to the gradients that are not null. A thread for each.
template <class T>
VENTRAL_KERNEL void gdn_parameter_gradients_kernel(Index channels, Index shares, Compute<T> floor, const Compute<T>* partial, const T* beta,
                                                   const T* gamma, T* dbeta, T* dgamma) {
  using S = Compute<T>;
  const Index sums = channels * (channels + 1);
  for (Index e = first_element(); e < sums; e += element_step()) {
    const Index i = e / (channels + 1), j = e % (channels + 1), at = j == channels ? i : i * channels + j;
    T* const gradient = j == channels ? dbeta : dgamma;
    if (!gradient) continue;
    double total = 0;
    for (Index s = 0; s < shares; ++s) total -= 0.5 * static_cast<double>(partial[s * sums + e]);
    const S least = j == channels ? floor : S(0), value = load((j == channels ? beta : gamma) + at);
    store(gradient + at, load(gradient + at) + gradient_above(least, value, static_cast<S>(total)));
  }
}

template <class T, class Load, class Finish>
void channel_products(Stream stream, const Shape& x, In<T> gamma, bool transposed, const Load& load, const Finish& finish) {
  const ChannelColumns shape(x);
  launch(stream,
         {.kernel = "channel_product_kernel",
          .blocks = (shape.channels + 31) / 32 * ((shape.columns + 63) / 64),
          .threads = 128,
          .shape = x,
          .other = gamma.shape},
         channel_product_kernel<Compute<T>, Gamma<T>, Load, Finish>, shape, Gamma<T>{gamma.data, shape.channels, transposed}, load, finish);
}

}  // namespace detail

/// Numbers that the kernels below need as scratch for x [N,C,...].
VENTRAL_CUDA_FUNCTION Index gdn_scratch(Stream, const Shape& x) {
  const detail::ChannelColumns shape(x);
  return detail::GdnShares(shape).shares * shape.channels * (shape.channels + 1);
}

/// y_i = x_i / sqrt(norms_i), norms_i = max(beta_i, smallest_beta) + sum_j max(gamma_ij, 0) x_j^2 over the channels at the same position.
/// x, y, norms [N,C,...]; beta [C]; gamma [C,C]. `norms` is kept for backward; it may be y when there is none. 2 C FLOP an element and the square
/// root.
template <class T>
void gdn_forward(Stream stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, Out<T> norms, Out<T>, Out<T> y) {
  if (x.size() == 0) return;
  T* const kept = norms.data == y.data ? nullptr : norms.data;
  detail::channel_products<T>(stream, x.shape, gamma, false, detail::LoadSquares<T>{x.data},
                              detail::NormalizeByPool<T>{static_cast<Compute<T>>(smallest_beta), beta.data, x.data, kept, y.data});
}

/// With q_i = dy_i y_i / norms_i: dx_j = dy_j / sqrt(norms_j) - x_j sum_i gamma_ij q_i; adds -1/2 sum q_i to dbeta_i and -1/2 sum q_i x_j^2 to
/// dgamma_ij, sums over samples and positions. Empty dx, dbeta, dgamma are left out. At its floor (smallest_beta, 0) only a gradient that raises a
/// value passes. `q` [N,C,...] is scratch. 4 C FLOP an element; four launches: q, dx, sums for shares of the columns, sums of those.
template <class T>
void gdn_backward(Stream stream, double smallest_beta, In<T> beta, In<T> gamma, In<T> x, In<T> y, In<T> dy, In<T> norms, Out<T> q, Out<T> scratch,
                  Out<T> dx, Out<T> dbeta, Out<T> dgamma) {
  if (x.size() == 0) return;
  const detail::ComputeScratch<T> quotients(q, x.size());
  launch(stream, {.kernel = "gdn_quotients_kernel", .blocks = blocks_for(x.size()), .shape = x.shape}, detail::gdn_quotients_kernel<T>, x.size(),
         y.data, dy.data, norms.data, quotients.data());
  if (dx.data)
    detail::channel_products<T>(stream, x.shape, gamma, true, detail::LoadQuotients<T>{quotients.data()},
                                detail::GatherPoolGradients<T>{x.data, dy.data, norms.data, dx.data});
  if (!dbeta.data && !dgamma.data) return;
  const detail::ChannelColumns shape(x.shape);
  const detail::GdnShares cut(shape);
  const detail::ComputeScratch<T> partial(scratch, gdn_scratch(stream, x.shape));
  launch(stream, {.kernel = "gdn_parameter_sums_kernel", .blocks = cut.blocks(), .threads = 256, .shape = x.shape},
         detail::gdn_parameter_sums_kernel<T>, shape, cut, quotients.data(), x.data, partial.data());
  launch(stream, {.kernel = "gdn_parameter_gradients_kernel", .blocks = blocks_for(shape.channels * (shape.channels + 1)), .shape = gamma.shape},
         detail::gdn_parameter_gradients_kernel<T>, shape.channels, cut.shares, static_cast<Compute<T>>(smallest_beta), partial.data(), beta.data,
         gamma.data, dbeta.data, dgamma.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

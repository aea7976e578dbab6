#pragma once
#include <algorithm>

#include "ventral/cuda/activation.cuh"
#include "ventral/cuda/channel_sums.cuh"
#include "ventral/cuda/conv2d_gather.cuh"
#include "ventral/cuda/conv2d_gather_gemm.cuh"
#include "ventral/cuda/conv2d_hopper.cuh"
#include "ventral/cuda/conv2d_weight.cuh"
#include "ventral/cuda/conv2d_winograd.cuh"
#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/linear.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// The tiles of convolutions: weights (or dy) with the depth innermost; windows as `b` says.
template <class T, Innermost b>
struct ConvTiles {
  static constexpr Innermost a = Innermost::depth;
  using Low = RegisterTile<T, 16, 256, sizeof(T) == 8 ? 8 : 16, 4, 4, a, b>;
  using Square = RegisterTile<T, 64, 64, 16, 4, 4, a, b>;
  using Large = RegisterTile<T, 128, 128, 8, 8, 8, a, b>;
};
template <class T, Innermost b, Math math = Math::tf32>
struct ConvTensorTiles {
  static constexpr Innermost a = Innermost::depth;
  static constexpr int depth = 64 / static_cast<int>(sizeof(T));
  using Low = TensorTile<T, 16, 256, depth, 1, 8, a, b, math>;
  using Square = TensorTile<T, 64, 64, 32, 2, 4, a, b, math>;
  using Large = TensorTile<T, 128, 128, depth, 2, 4, a, b, math>;
};

/// Calls f with the tile's type; `math` is for floats on tensor cores. 64-bit positions, and 16 bits without tensor cores, have the square tile only;
/// double has no large one.
template <class T, class I, Innermost b, class F>
void with_conv_tile(ConvTile tile, bool tensor_cores, Math math, const F& f) {
  const auto choose = [&]<class Tiles>(std::type_identity<Tiles>) {
    if (tile == ConvTile::low_16x256) return f(std::type_identity<typename Tiles::Low>{});
    if constexpr (sizeof(T) < 8)
      if (tile == ConvTile::square_128x128) return f(std::type_identity<typename Tiles::Large>{});
    return f(std::type_identity<typename Tiles::Square>{});
  };
  constexpr bool wide = sizeof(I) == 8, sixteen_bits = sizeof(T) == 2;
  if constexpr (sixteen_bits && !wide)
    if (tensor_cores) return choose(std::type_identity<ConvTensorTiles<T, b>>{});
  if constexpr (std::is_same_v<T, float> && !wide) {
    if (tensor_cores && math == Math::tf32) return choose(std::type_identity<ConvTensorTiles<T, b, Math::tf32>>{});
    if (tensor_cores && math == Math::tf32x3) return choose(std::type_identity<ConvTensorTiles<T, b, Math::tf32x3>>{});
  }
  if constexpr (sixteen_bits || wide) return f(std::type_identity<typename ConvTiles<T, b>::Square>{});
  else choose(std::type_identity<ConvTiles<T, b>>{});
}

/// Whether a product of 16-bit numbers, or of floats whose math allows it, is left to tensor cores: they exist from compute capability 8.0 in the form that
/// mma() has.
template <class T>
bool conv_tensor_cores(const ConvTuning& tuning) {
  return sizeof(T) <= 4 && tuning.tensor_cores && compute_capability() >= 80;
}

inline ConvTile conv_tile(const ConvTuning& tuning, Index rows, Index large_blocks) {
  if (tuning.tile != ConvTile::automatic) return tuning.tile;
  if (rows <= tuning.low_rows) return ConvTile::low_16x256;
  return rows > 64 && large_blocks >= tuning.large_blocks ? ConvTile::square_128x128 : ConvTile::square_64x64;
}

/// Launches a gather in as many pieces as a grid's size asks for.
template <class T, class I>
void launch_gather(Stream stream, const ConvTuning& tuning, Launch l, Index blocks, ConvGather<T, I> p, void (*kernel)(ConvGather<T, I>)) {
  for (Index first = 0; first < blocks; first += tuning.launch_blocks) {
    p.first_block = static_cast<I>(first);
    l.blocks = std::min(blocks - first, tuning.launch_blocks);
    launch(stream, l, kernel, p);
  }
}

/// Whether Winograd's kernel takes a gather: where the tuning says so, or, if it may, by shape: enough rows and channels, and no more than a third of the patches'
/// outputs beyond the edge. Tensor cores are faster where the math allows them.
template <class T>
bool conv_by_winograd(Stream stream, const ConvTuning& tuning, const ConvSizes& s, bool transposed) {
  if (!winograd_computes(s)) return false;
  if (tuning.kernel != ConvKernel::automatic) return tuning.kernel == ConvKernel::winograd;
  const Index rows = transposed ? s.channels : s.outputs, channels = transposed ? s.outputs : s.channels;
  const Index h = transposed ? s.plan.h.in : s.plan.h.out, w = transposed ? s.plan.w.in : s.plan.w.out;
  const bool exact = stream.math == Math::exact || !conv_tensor_cores<T>(tuning), filled = 3 * h * w >= 8 * conv_parts(h, Index{2}) * conv_parts(w, Index{2});
  return tuning.winograd && exact && filled && rows >= tuning.winograd_rows && channels >= tuning.winograd_channels;
}

/// A gather: forward, or with `transposed` the gradient by the input. Messages name the shapes of what is read and written.
template <class I, class T>
void conv_gather(Stream stream, const ConvTuning& tuning, const ConvSizes& s, bool transposed, In<T> x, In<T> w, In<T> b, const ConvEnding& ending, Out<T> y) {
  if constexpr (std::is_same_v<T, float> && std::is_same_v<I, int>)
    if (conv_by_winograd<T>(stream, tuning, s, transposed)) return conv_winograd<T>(stream, s, transposed, x, w, b, ending, y);
  const Index taps = s.plan.h.kernel * s.plan.w.kernel, rows = transposed ? s.channels : s.outputs;
  const auto as = [](Index v) { return static_cast<I>(v); };
  ConvAxis<I> v = conv_axis<I>(s.plan.h, transposed), h = conv_axis<I>(s.plan.w, transposed);
  if (ending.max_pool) v.written -= v.written % 2, h.written -= h.written % 2;  // the last of an odd number is under no window
  const ConvGather<T, I> p{x.data,       w.data,       b.data,    y.data, v, h,
                           as(s.images), as(s.groups), as(transposed ? s.outputs : s.channels), as(rows),
                           as(transposed ? s.depth() : taps), as(transposed ? taps : s.depth()), v.written * h.written / (ending.max_pool ? 4 : 1), ending};
  if (tuning.kernel == ConvKernel::direct || (tuning.kernel == ConvKernel::automatic && rows <= tuning.direct_rows)) {
    const Launch l{.kernel = "conv2d_gather_direct_kernel", .blocks = 1, .threads = conv_direct_threads, .shape = x.shape, .other = y.shape};
    const auto run = [&](Index rows_each, auto kernel) { launch_gather(stream, tuning, l, p.blocks(rows_each, conv_direct_threads), p, kernel); };
    if (rows == 1 && !ending.max_pool) run(1, conv2d_gather_direct_kernel<T, I, 1>);
    else if (rows <= 4) run(4, conv2d_gather_direct_kernel<T, I, 4>);
    else run(8, conv2d_gather_direct_kernel<T, I, 8>);
    return;
  }
  if constexpr ((std::is_same_v<T, float> || sizeof(T) == 2) && std::is_same_v<I, int>)
    if (tuning.kernel == ConvKernel::hopper && (sizeof(T) == 2 || stream.math == Math::tf32))
      if (conv_gather_on_hopper(stream, {.kernel = "", .blocks = 1, .shape = x.shape, .other = y.shape}, p)) return;
  const ConvTile tile = conv_tile(tuning, rows, p.blocks(128, 128));
  with_conv_tile<T, I, Innermost::extent>(tile, conv_tensor_cores<T>(tuning), stream.math, [&]<class Tile>(std::type_identity<Tile>) {
    const Launch l{.kernel = "conv2d_gather_gemm_kernel", .blocks = 1, .threads = Tile::threads, .shape = x.shape, .other = y.shape};
    launch_gather(stream, tuning, l, p.blocks(Tile::rows, Tile::columns), p, conv2d_gather_gemm_kernel<Tile, I, T>);
  });
}

/// Cuts the sum over pixels into runs and launches `kernel` on each, `tiles` blocks for a run; then adds them up. So for the bias gradient and its chunks.
template <class T, class I>
void conv_weight_runs(Stream stream, const ConvTuning& tuning, const Launch& l, ConvWeightGradient<T, I> p, Index tiles,
                      void (*kernel)(ConvWeightGradient<T, I>)) {
  const Index pixels = p.pixels(), wanted = std::clamp(tuning.split_blocks / tiles, Index{1}, conv_parts(pixels, tuning.split_pixels));
  const Index run = conv_parts(conv_parts(pixels, wanted), Index{32}) * 32, splits = conv_parts(pixels, run);
  Tensor<Compute<T>, Space> partial = Tensor<Compute<T>, Space>::uninitialized({splits > 1 ? splits : 0, p.size()});
  auto chunks = Tensor<double, Space>::uninitialized({p.bias.db ? channel_partial_sums(p.bias.shape) : 0});
  p.splits = static_cast<I>(splits);
  p.run = static_cast<I>(run);
  p.partial = partial.data();
  p.bias.partial = chunks.data();
  p.bias.chunks_from = tiles * splits;
  p.bias.adds_from = splits > 1 ? Index{blocks_for(p.size()).x} : 0;
  Launch each = l;
  each.blocks = p.bias.chunks_from + p.bias.chunk_blocks();
  launch(stream, each, kernel, p);
  launch(stream, {.kernel = "conv2d_weight_sum_kernel", .blocks = p.bias.adds_from + p.bias.add_blocks(), .shape = l.shape, .other = l.other},
         conv2d_weight_sum_kernel<T>, p.size(), splits, p.partial, p.dw, p.bias);
}

template <class I, class T>
void conv_weight(Stream stream, const ConvTuning& tuning, const ConvSizes& s, In<T> x, In<T> dy, Out<T> dw, const ConvBiasGradient<T>& bias) {
  const auto as = [](Index v) { return static_cast<I>(v); };
  const ConvWeightGradient<T, I> p{x.data, dy.data, dw.data, nullptr, conv_axis<I>(s.plan.h, false), conv_axis<I>(s.plan.w, false),
                                   as(s.images), as(s.groups), as(s.channels), as(s.outputs), bias};
  const auto named = [&](const char* kernel, int threads) {
    return Launch{.kernel = kernel, .blocks = 1, .threads = threads, .shape = x.shape, .other = dy.shape};
  };
  const Index weights = s.outputs * s.depth();
  if (tuning.kernel == ConvKernel::direct || (tuning.kernel == ConvKernel::automatic && (weights <= tuning.direct_weights || s.outputs <= 2))) {
    const Launch l = named("conv2d_weight_direct_kernel", conv_weight_threads);
    if (s.outputs <= 2) conv_weight_runs(stream, tuning, l, p, p.tiles(1, 8), conv2d_weight_direct_kernel<T, I, 1, 8>);
    else conv_weight_runs(stream, tuning, l, p, p.tiles(4, 4), conv2d_weight_direct_kernel<T, I, 4, 4>);
    return;
  }
  const Index large_blocks = s.depth() > 64 ? p.tiles(128, 128) * conv_parts(Index{p.pixels()}, tuning.split_pixels) : 0;
  const ConvTile tile = conv_tile(tuning, s.outputs, large_blocks);
  with_conv_tile<T, I, Innermost::depth>(tile, conv_tensor_cores<T>(tuning), stream.math, [&]<class Tile>(std::type_identity<Tile>) {
    const Launch l = named("conv2d_weight_gemm_kernel", Tile::threads);
    conv_weight_runs(stream, tuning, l, p, p.tiles(Tile::rows, Tile::columns), conv2d_weight_gemm_kernel<Tile, I, T>);
  });
}

/// x plus the bias of the channel that a plane of a batch belongs to.
template <class T>
struct PlusBias {
  const T* b;
  Index channels;
  template <class I>
  VENTRAL_DEVICE Compute<T> operator()(I plane, Compute<T> x) const {
    return x + load(b + plane % static_cast<I>(channels));
  }
};

}  // namespace detail

/// conv2d_forward with the choice of kernels in the caller's hands, for tests and benchmarks.
template <class T>
void conv2d_forward_tuned(Stream stream, const ConvTuning& tuning, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y,
                          const detail::ConvEnding& ending = {}) {
  if (y.size() == 0) return;
  const detail::ConvSizes s(plan, groups, x.shape, y.shape);
  const Index n = s.images, c = s.channels, o = s.outputs;
  if (s.linear() && tuning.kernel == ConvKernel::automatic) {
    const auto product = ending.relu ? linear_relu_forward<T> : linear_forward<T>;
    return product(stream, x.reshaped({n, c}), w.reshaped({o, c}), b, y.reshaped({n, o}));
  }
  if (s.fits_int() && !tuning.wide_index) detail::conv_gather<int, T>(stream, tuning, s, false, x, w, b, ending, y);
  else detail::conv_gather<Index, T>(stream, tuning, s, false, x, w, b, ending, y);
}
template <class T>
void conv2d_backward_input_tuned(Stream stream, const ConvTuning& tuning, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx) {
  if (dx.size() == 0) return;
  const detail::ConvSizes s(plan, groups, dx.shape, dy.shape);
  const Index n = s.images, c = s.channels, o = s.outputs;
  if (s.linear() && tuning.kernel == ConvKernel::automatic)
    return linear_backward_input<T>(stream, w.reshaped({o, c}), dy.reshaped({n, o}), dx.reshaped({n, c}));
  if (s.fits_int() && !tuning.wide_index) detail::conv_gather<int, T>(stream, tuning, s, true, dy, w, In<T>(), {}, dx);
  else detail::conv_gather<Index, T>(stream, tuning, s, true, dy, w, In<T>(), {}, dx);
}
/// With `db`, which is not for all shapes (ConvBiasGradient::fits), the bias gradient in the same launches.
template <class T>
void conv2d_backward_weight_tuned(Stream stream, const ConvTuning& tuning, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw,
                                  T* db = nullptr) {
  if (x.size() == 0 || dy.size() == 0) return;
  const detail::ConvSizes s(plan, groups, x.shape, dy.shape);
  const Index n = s.images, c = s.channels, o = s.outputs;
  if (s.linear() && tuning.kernel == ConvKernel::automatic)
    return linear_backward_weight<T>(stream, x.reshaped({n, c}), dy.reshaped({n, o}), dw.reshaped({o, c}));
  const detail::ConvBiasGradient<T> bias(dy, db);
  if (s.fits_int() && !tuning.wide_index) detail::conv_weight<int, T>(stream, tuning, s, x, dy, dw, bias);
  else detail::conv_weight<Index, T>(stream, tuning, s, x, dy, dw, bias);
}

/// y[n,o] = b[o] + sum_{c,i,j} w[o,c,i,j] x[n,c](stride y + dilation (i,j) - padding): correlation, as everywhere in the field.
/// x [N,C,H,W], w [O,C/groups,kh,kw], b [O] or absent (null), y [N,O,H',W']; elements outside the image count 0.
/// 2 N O H' W' (C/groups) kh kw operations. Few outputs a group: a thread for each pixel; else a product of matrices in tiles. A window that covers
/// the image is a linear layer. Matrix products obey stream.math; a thread for each pixel, and positions of 64 bits, are exact.
template <class T>
void conv2d_forward(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, Out<T> y) {
  if (detail::provided(stream, &ProviderTable<T>::conv2d_forward, plan, groups, x, w, b, y)) return;
  conv2d_forward_tuned<T>(stream, {.winograd = winograd()}, plan, groups, x, w, b, y);
}

/// dx[n,c](p) = sum over the outputs o and taps (i,j) that saw p of w[o,c,i,j] dy[n,o]. Shapes as in conv2d_forward.
/// Gathered, so in a fixed order: the same kernels as forward, once for each phase of the stride (conv2d_plan.cuh); no tap is tried in vain.
template <class T>
void conv2d_backward_input(Stream stream, const WindowPlan& plan, Index groups, In<T> w, In<T> dy, Out<T> dx) {
  if (detail::provided(stream, &ProviderTable<T>::conv2d_backward_input, plan, groups, w, dy, dx)) return;
  conv2d_backward_input_tuned<T>(stream, {.winograd = winograd()}, plan, groups, w, dy, dx);
}

/// dw[o,c,i,j] += sum over images and outputs of dy[n,o] x[n,c](what tap (i,j) saw). Shapes as in conv2d_forward.
/// The sum is cut into runs of pixels by shape; partial sums, of at most a few MiB, are added in the order of the runs.
template <class T>
void conv2d_backward_weight(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> dy, Out<T> dw) {
  if (detail::provided(stream, &ProviderTable<T>::conv2d_backward_weight, plan, groups, x, dy, dw)) return;
  conv2d_backward_weight_tuned<T>(stream, {}, plan, groups, x, dy, dw);
}

/// db[o] += sum over images and pixels of dy[n,o]; dy [N,O,H',W'], db [O]. Summed in double, in an order fixed by shape; dy is read once.
template <class T>
void conv2d_backward_bias(Stream stream, In<T> dy, Out<T> db) {
  if (dy.size() == 0) return;
  const detail::ChannelShape s = detail::channel_shape(dy.shape);
  Tensor<double, Space> partial = Tensor<double, Space>::uninitialized({detail::channel_partial_sums(s)});
  const detail::AddToBias<T> add{db.data};
  detail::channel_sums(stream, "conv2d_bias_gradient", detail::SumOfX{}, dy.shape, s, dy.data, dy.data, nullptr, partial.data(), add);
}

/// conv2d_forward, ReLU and a max pooling of windows of two by two, side by side, in one kernel, which writes y alone, pooled: the same bits as one by one.
/// `takers` [as y], if not null: for the gradient, see conv2d_epilogue.cuh. Always by ventral's kernels.
template <class T>
void conv2d_forward_fused(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> b, const Epilogue& e, Out<unsigned char> takers,
                          Out<T> y) {
  conv2d_forward_tuned<T>(stream, {.winograd = winograd()}, plan, groups, x, w, b, y, {e.relu, e.pool == Epilogue::Pool::max, takers.data});
}

/// The gradients of conv2d_forward_fused, each if not null: dx is overwritten, dw and db are added to. The gradient before the epilogue, as large as the
/// convolution's output, is written once to temporary memory; y is read for ReLU without pooling only, `takers` with pooling only.
template <class T>
void conv2d_backward_fused(Stream stream, const WindowPlan& plan, Index groups, In<T> x, In<T> w, In<T> y, In<unsigned char> takers, In<T> dy,
                           const Epilogue& e, Out<T>* dx, Out<T>* dw, Out<T>* db) {
  if (!dx && !dw && !db) return;
  auto before = Tensor<T, Space>::uninitialized({x.shape[0], w.shape[0], plan.h.out, plan.w.out});
  if (e.pool != Epilogue::Pool::none) detail::unpool_pairs<T>(stream, takers, dy, before);
  else activation_backward(stream, activation::Relu<T>{}, y, y, dy, before.ref());
  if (dx) conv2d_backward_input<T>(stream, plan, groups, w, before, *dx);
  if (dw && db && stream.provider == Provider::ventral && detail::ConvBiasGradient<T>(before, db->data).fits())
    return conv2d_backward_weight_tuned<T>(stream, {}, plan, groups, x, before, *dw, db->data);
  if (dw) conv2d_backward_weight<T>(stream, plan, groups, x, before, *dw);
  if (db) conv2d_backward_bias<T>(stream, before, *db);
}

/// y[n,c] += b[c]; y [N,C,H,W]. Reads and writes y once.
template <class T>
void add_channel_bias(Stream stream, In<T> b, Out<T> y) {
  const detail::PlusBias<T> plus{b.data, y.shape[1]};
  map_planes(stream, "add_channel_bias", plus, y.shape, y.shape.product(2, y.shape.rank()), y.data, y.data);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include "ladder/gemm.cuh"
#include "ventral/cuda/conv2d.cuh"

/// The ladder of convolutions, forward. A result costs 2 C kh kw operations: 3200 for 64 channels and 5 x 5 taps; as many loads, where nothing is reused.
namespace bench::ladder {

using ventral::WindowAxis;

/// An input number under a tap of a result; 0 outside the image.
VENTRAL_DEVICE float under_tap(const Convolution& p, const float* plane, Index i, Index j) {
  return 0 <= i && i < p.plan.h.in && 0 <= j && j < p.plan.w.in ? plane[i * p.plan.w.in + j] : 0.0f;
}
/// One result by the formula.
VENTRAL_DEVICE void convolve(const Convolution& p, Index image, Index output, Index row, Index column) {
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  float sum = p.b[output];
  for (Index c = 0; c < p.channels; ++c)
    for (Index a = 0; a < h.kernel; ++a)
      for (Index b = 0; b < w.kernel; ++b)
        sum += p.w[((output * p.channels + c) * h.kernel + a) * w.kernel + b] *
               under_tap(p, p.x + (image * p.channels + c) * h.in * w.in, h.origin(row) + a * h.dilation, w.origin(column) + b * w.dilation);
  p.y[((image * p.outputs + output) * h.out + row) * w.out + column] = sum;
}

/// Pixels of a result's plane, those of all images, and all results.
VENTRAL_DEVICE Index plane_pixels(const Convolution& p) { return p.plan.h.out * p.plan.w.out; }
inline Index all_pixels(const Convolution& p) { return p.images * p.plan.h.out * p.plan.w.out; }
inline Launch convolution_launch(const char* kernel, const Convolution& p, Index blocks, Extent threads = 256, std::size_t shared = 0) {
  return {.kernel = kernel,
          .blocks = blocks,
          .threads = threads,
          .shared = shared,
          .shape = {p.images, p.channels, p.plan.h.in, p.plan.w.in},
          .other = {p.images, p.outputs, p.plan.h.out, p.plan.w.out}};
}

/// Naive: a thread for each result, neighbours along the output channels: they read the same pixel, and each a filter of its own.
/// Moves for each multiplication a sector of 32 bytes of w, and one of x for 32. Bound by: the L1 cache, 33 requests for 32 multiplications.
VENTRAL_KERNEL void convolution_along_outputs_kernel(Convolution p) {
  for (Index e = first_element(); e < p.images * p.outputs * plane_pixels(p); e += element_step()) {
    const Index place = e / p.outputs, pixel = place % plane_pixels(p);
    convolve(p, place / plane_pixels(p), e % p.outputs, pixel / p.plan.w.out, pixel % p.plan.w.out);
  }
}
inline void convolution_along_outputs(Stream stream, const Convolution& p) {
  launch(stream, convolution_launch("convolution_along_outputs_kernel", p, (all_pixels(p) * p.outputs + 255) / 256), convolution_along_outputs_kernel, p);
}

/// Coalesced: neighbours along a row of pixels: a warp reads one number of w, and 32 of x side by side.
/// Saves: 33 bytes for each multiplication become 5. Bound by: two loads, and the counting of positions, for each multiplication.
VENTRAL_KERNEL void convolution_along_pixels_kernel(Convolution p) {
  for (Index e = first_element(); e < p.images * p.outputs * plane_pixels(p); e += element_step()) {
    const Index plane = e / plane_pixels(p), pixel = e % plane_pixels(p);
    convolve(p, plane / p.outputs, plane % p.outputs, pixel / p.plan.w.out, pixel % p.plan.w.out);
  }
}
inline void convolution_along_pixels(Stream stream, const Convolution& p) {
  launch(stream, convolution_launch("convolution_along_pixels_kernel", p, (all_pixels(p) * p.outputs + 255) / 256), convolution_along_pixels_kernel, p);
}

constexpr int outputs_each = 8;  ///< output channels of a thread, from here on

/// Brings numbers d to d + count of the filters of eight outputs into shared memory, as filters[d][output]; 0 for outputs that are not there.
VENTRAL_DEVICE void copy_filters(float (*filters)[outputs_each], const Convolution& p, Index output, Index d, int count) {
  const Index depth = p.channels * p.plan.h.kernel * p.plan.w.kernel;
  for (int e = thread_in_block(); e < count * outputs_each; e += 256) {
    const int o = e / count, i = e % count;
    filters[i][o] = output + o < p.outputs ? p.w[(output + o) * depth + d + i] : 0.0f;
  }
}
/// sum[o] += x filter[o]: two loads of 16 bytes, the same for all threads, for eight multiplications.
VENTRAL_DEVICE void add_products(float (&sum)[outputs_each], float x, const float* filter) {
  VENTRAL_DEVICE_UNROLL
  for (int first = 0; first < outputs_each; first += 4) {
    const Run<4> four = load_vector(filter + first);
    VENTRAL_DEVICE_UNROLL
    for (int o = 0; o < 4; ++o) sum[first + o] += x * four.v[o];
  }
}
VENTRAL_DEVICE void write_outputs(const Convolution& p, const float (&sum)[outputs_each], Index image, Index output, Index pixel) {
  VENTRAL_DEVICE_UNROLL
  for (int o = 0; o < outputs_each; ++o)
    if (output + o < p.outputs) p.y[(image * p.outputs + output + o) * plane_pixels(p) + pixel] = sum[o] + p.b[output + o];
}

/// Several outputs: a thread makes eight channels of its pixel, so that a number of x serves eight multiplications; their filters lie in shared memory,
/// 64 numbers of each at a time. Saves: two loads for each multiplication become 3/8. Bound by: instructions, some ten to count positions for each x.
VENTRAL_BOUNDED_KERNEL(256) void convolution_outputs_kernel(Convolution p) {
  using Row = float[outputs_each];
  constexpr int chunk = 64;
  VENTRAL_SHARED(Row, filters, chunk);
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  const Index blocks_each = (p.outputs + outputs_each - 1) / outputs_each, output = blockIdx.x % blocks_each * outputs_each;
  const Index place = blockIdx.x / blocks_each * 256 + threadIdx.x, image = place / plane_pixels(p), pixel = place % plane_pixels(p);
  const Index row = h.origin(pixel / w.out), column = w.origin(pixel % w.out), depth = p.channels * h.kernel * w.kernel;
  const bool valid = image < p.images;
  const float* plane = p.x + image * p.channels * h.in * w.in;
  Index a = 0, b = 0;  // the tap
  float sum[outputs_each] = {};
  for (Index d = 0; d < depth; d += chunk) {
    const int count = depth - d < chunk ? static_cast<int>(depth - d) : chunk;
    __syncthreads();  // the filters before have been read by all
    copy_filters(filters, p, output, d, count);
    __syncthreads();
    if (!valid) continue;
    for (int i = 0; i < count; ++i) {
      add_products(sum, under_tap(p, plane, row + a * h.dilation, column + b * w.dilation), filters[i]);
      if (++b == w.kernel) b = 0, ++a;
      if (a == h.kernel) a = 0, plane += h.in * w.in;
    }
  }
  if (valid) write_outputs(p, sum, image, output, pixel);
}
inline void convolution_outputs(Stream stream, const Convolution& p) {
  const Index blocks = (all_pixels(p) + 255) / 256 * ((p.outputs + outputs_each - 1) / outputs_each);
  launch(stream, convolution_launch("convolution_outputs_kernel", p, blocks), convolution_outputs_kernel, p);
}

/// The input under a square of 16 x 16 results.
struct Halo {
  static constexpr int side = 16;
  int tall, wide, taps;
  int kernel_h, kernel_w, step_h, step_w;  ///< taps, and how far apart they lie in the tile
  int stride_h, stride_w;
  explicit Halo(const ventral::WindowPlan& plan)
      : tall(static_cast<int>((side - 1) * plan.h.stride + plan.h.span())),
        wide(static_cast<int>((side - 1) * plan.w.stride + plan.w.span())),
        taps(static_cast<int>(plan.h.kernel * plan.w.kernel)),
        kernel_h(static_cast<int>(plan.h.kernel)),
        kernel_w(static_cast<int>(plan.w.kernel)),
        step_h(static_cast<int>(plan.h.dilation) * wide),
        step_w(static_cast<int>(plan.w.dilation)),
        stride_h(static_cast<int>(plan.h.stride) * wide),
        stride_w(static_cast<int>(plan.w.stride)) {}
  std::size_t bytes() const { return 4 * static_cast<std::size_t>(taps * outputs_each + tall * wide); }
};

/// Halo: a block makes 16 x 16 pixels of eight channels; it brings what is under them, with the border that neighbours share, into shared memory, channel by
/// channel. Saves: a number of x is read from memory once for 25 taps (5 x 5), in (16 + 4)^2 / 16^2 of the area, and outside is tested once, not 25 times.
/// Bound by: shared memory: three loads for eight multiplications, and two barriers for each channel.
VENTRAL_BOUNDED_KERNEL(256) void convolution_halo_kernel(Convolution p, Halo halo) {
  VENTRAL_DYNAMIC_SHARED(float, shared);
  auto* const filters = reinterpret_cast<float (*)[outputs_each]>(shared);
  float* const tile = shared + halo.taps * outputs_each;
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  const unsigned groups = static_cast<unsigned>((p.outputs + outputs_each - 1) / outputs_each), square = blockIdx.x / groups;
  const unsigned across = static_cast<unsigned>((w.out + Halo::side - 1) / Halo::side), down = static_cast<unsigned>((h.out + Halo::side - 1) / Halo::side);
  const Index output = blockIdx.x % groups * outputs_each, image = square / (across * down);
  const Index row = square / across % down * Halo::side, column = square % across * Halo::side;
  const int y = static_cast<int>(threadIdx.y), x = static_cast<int>(threadIdx.x);
  const float* const mine = tile + y * halo.stride_h + x * halo.stride_w;
  float sum[outputs_each] = {};
  for (Index c = 0; c < p.channels; ++c) {
    const float* const plane = p.x + (image * p.channels + c) * h.in * w.in;
    __syncthreads();
    copy_filters(filters, p, output, c * halo.taps, halo.taps);
    for (int e = thread_in_block(); e < halo.tall * halo.wide; e += 256)
      tile[e] = under_tap(p, plane, h.origin(row) + e / halo.wide, w.origin(column) + e % halo.wide);
    __syncthreads();
    for (int a = 0; a < halo.kernel_h; ++a)
      for (int b = 0; b < halo.kernel_w; ++b) add_products(sum, mine[a * halo.step_h + b * halo.step_w], filters[a * halo.kernel_w + b]);
  }
  if (row + y < h.out && column + x < w.out) write_outputs(p, sum, image, output, (row + y) * w.out + column + x);
}
inline void convolution_halo(Stream stream, const Convolution& p) {
  if (p.plan.h.span() > 64 || p.plan.w.span() > 64 || p.plan.h.stride > 4 || p.plan.w.stride > 4 || Halo(p.plan).bytes() > 48 * 1024)
    return convolution_outputs(stream, p);
  const Halo halo(p.plan);
  const Index squares = (p.plan.h.out + Halo::side - 1) / Halo::side * ((p.plan.w.out + Halo::side - 1) / Halo::side) * p.images;
  launch(stream,
         convolution_launch("convolution_halo_kernel", p, squares * ((p.outputs + outputs_each - 1) / outputs_each), {Halo::side, Halo::side}, halo.bytes()),
         convolution_halo_kernel, p, halo);
}

/// Implicit product: y [O, N H' W'] = w [O, C kh kw] times a matrix whose columns are the windows, which is never written down: its slabs are gathered from x.
/// Tiles of 128 x 128 results in registers, as in the ladder of products. Saves: 3/8 of a load for each multiplication become 1/16, whatever the window.
/// Bound by: the FP32 units, and some 60 instructions to gather a number for 128; then tiles that O does not fill: 192 take two of 128.
VENTRAL_BOUNDED_KERNEL(block) void convolution_product_kernel(Convolution p, Index columns) {
  VENTRAL_SHARED(NarrowSlabs, slabs, 1);
  NarrowSlabs& s = slabs[0];
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  const Index depth = p.channels * h.kernel * w.kernel;
  const unsigned kernel_w = static_cast<unsigned>(w.kernel), taps = static_cast<unsigned>(h.kernel) * kernel_w;
  const TilePlace<side> at(Product{p.outputs, columns, depth, nullptr, nullptr, nullptr});
  const int t = static_cast<int>(threadIdx.x), x = t % 16, y = t / 16;
  const Index column = at.column + t % side, image = column / plane_pixels(p), pixel = column % plane_pixels(p);  // the window that this thread gathers from
  const Index row_in = h.origin(pixel / w.out), column_in = w.origin(pixel % w.out);
  ThreadSums sums;
  for (Index k = 0; k < depth; k += 8) {
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 4; ++i) {
      const int e = t + block * i, d = e / side;
      const unsigned from = static_cast<unsigned>(k + d), c = from / taps, tap = from % taps, a = tap / kernel_w, b = tap % kernel_w;
      s.a[e % 8][e / 8] = element(p.w, p.outputs, depth, at.row + e / 8, k + e % 8);
      s.b[d][t % side] = column < columns && k + d < depth
                             ? under_tap(p, p.x + (image * p.channels + c) * h.in * w.in, row_in + a * h.dilation, column_in + b * w.dilation)
                             : 0.0f;
    }
    __syncthreads();
    sums.add(s, x, y);
    __syncthreads();
  }
  VENTRAL_DEVICE_UNROLL
  for (int j = 0; j < 8; ++j) {
    const Index to = at.column + ThreadSums::place(x, j), first = to / plane_pixels(p) * p.outputs * plane_pixels(p) + to % plane_pixels(p);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 8; ++i) {
      const Index o = at.row + ThreadSums::place(y, i);
      if (to < columns && o < p.outputs) p.y[first + o * plane_pixels(p)] = sums.v[i][j] + p.b[o];
    }
  }
}
inline void convolution_product(Stream stream, const Convolution& p) {
  if (p.channels * p.plan.h.kernel * p.plan.w.kernel >= Index{1} << 31) return convolution_halo(stream, p);
  const Index columns = all_pixels(p), tiles = TilePlace<side>::count({p.outputs, columns, 0, nullptr, nullptr, nullptr});
  launch(stream, convolution_launch("convolution_product_kernel", p, tiles, block), convolution_product_kernel, p, columns);
}

/// The product's: the same with positions counted beforehand, asynchronous copies, tiles by shape, groups; a thread for each pixel where outputs are few.
inline void convolution_ventral(Stream stream, const Convolution& p) {
  const WindowAxis &h = p.plan.h, &w = p.plan.w;
  conv2d_forward<float>(stream, p.plan, 1, {p.x, {p.images, p.channels, h.in, w.in}}, {p.w, {p.outputs, p.channels, h.kernel, w.kernel}}, {p.b, {p.outputs}},
                        {p.y, {p.images, p.outputs, h.out, w.out}});
}

}  // namespace bench::ladder

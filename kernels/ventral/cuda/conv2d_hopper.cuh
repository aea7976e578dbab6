#pragma once
#include "ventral/cuda/conv2d_gather.cuh"
#include "ventral/cuda/hopper_product.cuh"

/// The gather of conv2d_plan.cuh on Hopper's tensor cores: weights [rows, taps x channels] times windows [taps x channels, pixels]. The copy engine gathers (im2col):
/// it wants the channels innermost, so x is copied to [N,H,W,C] before, and a slab is one tap and 128 bytes of channels, of 256 pixels.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// One axis of a phase, its taps in the order of the pixels they read: tap m < taps of window i reads places.first + i places.step + m apart, by weight
/// tap + m tap_step; it is written at place + i place_step.
struct WindowRun {
  WindowPlaces places;
  int taps, apart, tap, tap_step, place, place_step;

  explicit WindowRun(const ConvPhase<int>& p)
      : places{p.first, p.stride, p.count}, taps(p.taps), apart(p.dilation), tap(p.tap), tap_step(p.tap_step), place(p.place), place_step(p.place_step) {
    if (apart >= 0) return;
    places.first += (taps - 1) * apart, apart = -apart;
    tap += (taps - 1) * tap_step, tap_step = -tap_step;
  }
  /// Whether the copy engine can gather so.
  bool fits(Index extent) const { return taps > 0 && (taps - 1) * apart <= 255 && pixel_map_fits(extent, places); }
};

/// x [N,C,plane] to [N,plane,pitch], zeros beyond the channels. A block turns 32 channels of 32 pixels.
template <class T>
VENTRAL_BOUNDED_KERNEL(256) void channels_innermost_kernel(int channels, int plane, int pitch, const T* x, T* to) {
  VENTRAL_SHARED(T, tile, 32 * 33);
  const unsigned across = static_cast<unsigned>(conv_parts(plane, 32)), down = static_cast<unsigned>(conv_parts(pitch, 32));
  const int pixel = static_cast<int>(blockIdx.x % across) * 32, channel = static_cast<int>(blockIdx.x / across % down) * 32;
  const int lane = thread_in_block() % 32, line = thread_in_block() / 32;
  const Index image = blockIdx.x / across / down;
  x += image * channels * plane, to += image * plane * pitch;
  for (int i = line; i < 32; i += 8)
    tile[33 * i + lane] = channel + i < channels && pixel + lane < plane ? x[Index{channel + i} * plane + pixel + lane] : T(0);
  __syncthreads();
  for (int i = line; i < 32; i += 8)
    if (pixel + i < plane && channel + lane < pitch) to[Index{pixel + i} * pitch + channel + lane] = tile[33 * lane + i];
}

/// The weights of a phase as rows [taps, depth], channels innermost, zeros beyond them.
template <class T>
VENTRAL_KERNEL void weights_by_tap_kernel(ConvGather<T, int> p, WindowRun v, WindowRun h, int depth, T* to) {
  const Index count = Index{p.rows} * v.taps * h.taps * depth;
  for (Index e = first_element(); e < count; e += element_step()) {
    const int c = static_cast<int>(e % depth), at = static_cast<int>(e / depth), i = at / h.taps % v.taps, j = at % h.taps, row = at / h.taps / v.taps;
    const int tap = (v.tap + i * v.tap_step) * p.h.kernel + h.tap + j * h.tap_step;
    to[e] = c < p.channels ? p.w[row * p.row_step + c * p.channel_step + tap] : T(0);
  }
}

/// The tiles of a phase, for multiply_on_hopper.
template <class T>
struct HopperGather {
  using Tile = WarpgroupTile<T, false, false>;
  struct Place {
    int row, column;            ///< of the tile
    int image, line, position;  ///< where the window of its first column stands
  };

  TensorMap w, x;
  ConvGather<T, int> p;
  WindowRun v, h;
  int tap_slabs;  ///< slabs of a tap
  unsigned works;

  int columns() const { return p.images * v.places.count * h.places.count; }

  VENTRAL_DEVICE Place place(unsigned work) const {
    const unsigned down = static_cast<unsigned>(conv_parts(p.rows, Tile::rows));
    const int column = static_cast<int>(work / down) * Tile::columns;
    const ConvCursor<int> at = ConvCursor<int>::at(column, v.places.count, h.places.count);
    return {static_cast<int>(work % down) * Tile::rows, column, at.c, v.places.first + at.i * v.places.step, h.places.first + at.j * h.places.step};
  }
  VENTRAL_DEVICE int steps(const Place&) const { return v.taps * h.taps * tap_slabs; }
  VENTRAL_DEVICE void copy(unsigned char* slabs, const Place& at, int step, Mbarrier* full) const {
    const int tap = step / tap_slabs, channel = step % tap_slabs * Tile::depth;
    Tile::copy_a(slabs, w, at.row, step * Tile::depth, full);
    copy_pixels(slabs + Tile::a_bytes, x, channel, at.position, at.line, at.image, tap % h.taps * h.apart, tap / h.taps * v.apart, full);
  }
  /// Into y, with the bias and the activation: as vectors where columns lie side by side.
  VENTRAL_DEVICE void write(const Tile& tile, float* stage, const Place& at) const {
    constexpr int run = Tile::column_run;
    for_staged(tile, stage, [&](int row, int in_tile, const auto& sums) {
      int to[run];
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < run; ++i) to[i] = written(at.column + in_tile + i);
      const bool together = to[0] >= 0 && to[run - 1] == to[0] + run - 1;
      VENTRAL_DEVICE_UNROLL
      for (int i = 0; i < Tile::times; ++i) {
        const int r = at.row + row + 2 * i;
        if (r >= p.rows) break;
        const float bias = p.b ? load(p.b + r) : 0.0f;
        Vector<float> values = sums(i);
        VENTRAL_DEVICE_UNROLL
        for (int c = 0; c < run; ++c) values.v[c] = p.ending.finish(values.v[c] + bias);
        T* const out = p.y + r * p.plane;
        if (together && reinterpret_cast<std::uintptr_t>(out + to[0]) % (run * sizeof(T)) == 0) store_four(out + to[0], values.v);
        else
          for (int c = 0; c < run; ++c)
            if (to[c] >= 0) store(out + to[c], values.v[c]);
      }
    });
  }

 private:
  /// Where a column is written, in row 0; -1: nowhere.
  VENTRAL_DEVICE int written(int column) const {
    const ConvCursor<int> at = ConvCursor<int>::at(column, v.places.count, h.places.count);
    return at.c < p.images ? at.c * p.rows * p.plane + (v.place + at.i * v.place_step) * p.h.written + h.place + at.j * h.place_step : -1;
  }
};

template <class T>
VENTRAL_BOUNDED_KERNEL(hopper_threads, 1) void conv2d_hopper_kernel(const VENTRAL_GRID_CONSTANT HopperGather<T> job) {
  if constexpr (has_hopper) multiply_on_hopper(job);
}

/// A gather by conv2d_hopper_kernel, phase by phase. False, and nothing done, for groups, pooling, windows that the copy engine cannot describe, phases that read
/// nothing, and where the code that runs is not for Hopper. Beside y it needs x once more, its channels rounded up to 16 bytes, and the weights, to 128.
template <class T>
bool conv_gather_on_hopper(Stream stream, const Launch& l, const ConvGather<T, int>& p) {
  using Job = HopperGather<T>;
  constexpr int each = 16 / static_cast<int>(sizeof(T)), depth = Job::Tile::depth;
  if (p.groups != 1 || p.ending.max_pool || !runs_on_hopper(conv2d_hopper_kernel<T>)) return false;
  for (int i = 0; i < p.v.phases; ++i)
    for (int j = 0; j < p.h.phases; ++j)
      if (!WindowRun(p.v.phase(i)).fits(p.v.read) || !WindowRun(p.h.phase(j)).fits(p.h.read)) return false;
  const int plane = p.v.read * p.h.read, pitch = conv_parts(p.channels, each) * each, tap_slabs = conv_parts(p.channels, depth);
  const auto named = [&](const char* kernel, Index blocks, int threads) {
    Launch named = l;
    named.kernel = kernel, named.blocks = blocks, named.threads = threads;
    return named;
  };
  auto x = Tensor<T, Space>::uninitialized({p.images, plane, pitch});
  launch(stream, named("channels_innermost_kernel", Index{p.images} * conv_parts(plane, 32) * conv_parts(pitch, 32), 256), channels_innermost_kernel<T>, p.channels,
         plane, pitch, p.x, x.data());
  for (int i = 0; i < p.v.phases; ++i)
    for (int j = 0; j < p.h.phases; ++j) {
      const WindowRun v(p.v.phase(i)), h(p.h.phase(j));
      const Index k = Index{v.taps} * h.taps * tap_slabs * depth;
      auto w = Tensor<T, Space>::uninitialized({p.rows, k});
      launch(stream, named("weights_by_tap_kernel", blocks_for(w.size()).x, 256), weights_by_tap_kernel<T>, p, v, h, tap_slabs * depth, w.data());
      Job job{tensor_map(w.data(), p.rows, k, k, Job::Tile::a_box),
              pixel_map(x.data(), p.images, p.v.read, p.h.read, p.channels, pitch, v.places, h.places, Job::Tile::columns), p, v, h, tap_slabs, 0};
      job.works = static_cast<unsigned>(conv_parts(p.rows, Job::Tile::rows) * conv_parts(job.columns(), Job::Tile::columns));
      Launch product = named("conv2d_hopper_kernel", std::min(Index{job.works}, multiprocessors()), hopper_threads);
      product.shared = hopper_shared_bytes<typename Job::Tile>;
      launch(stream, product, conv2d_hopper_kernel<T>, job);
    }
  return true;
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

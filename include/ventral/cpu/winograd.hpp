#pragma once
#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <string_view>

#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/packing.hpp"
#include "ventral/cpu/parallel.hpp"
#include "ventral/cpu/scratch.hpp"
#include "ventral/cpu/winograd_gradient.hpp"

namespace ventral::inline v0::cpu {

/// Which of Winograd's convolutions may take the place of the direct one, where they are faster: none, F(2x2,3x3) alone, which rounds like the direct one, or
/// those with tiles of 6x6 inputs, F(4x4,3x3) and F(2x2,5x5), which `automatic` stands for, too.
enum class Winograd { off, f2, f4, automatic };

namespace detail {

inline Winograd winograd_from_environment() {
  const char* text = std::getenv("VENTRAL_WINOGRAD");
  if (!text || !*text) return Winograd::automatic;
  const std::string_view name = text;
  if (name == "off") return Winograd::off;
  if (name == "f2") return Winograd::f2;
  if (name == "f4") return Winograd::f4;
  throw Error(concat("VENTRAL_WINOGRAD is '", text, "'; one of off, f2, f4 is needed"));
}

inline std::atomic<Winograd>& winograd_switch() {
  static std::atomic<Winograd> choice{winograd_from_environment()};
  return choice;
}

}  // namespace detail

/// The choice in use: VENTRAL_WINOGRAD (off, f2, f4), else automatic.
inline Winograd winograd() { return detail::winograd_switch().load(std::memory_order_relaxed); }
inline void set_winograd(Winograd choice) { detail::winograd_switch().store(choice, std::memory_order_relaxed); }

namespace detail {

/// One Winograd convolution.
class WinogradConvolution {
 public:
  WinogradConvolution(const WinogradTiles& tiles, Index window, Index outputs, const PixelSource& source)
      : kernels_(matrix_kernels<float>()),
        winograd_(winograd_kernels(tiles.tile, window)),
        tiles_(tiles),
        source_(source),
        depth_(source.channels()),
        outputs_(outputs),
        v_plane_(depth_ * unit * block_images + 16),
        m_plane_(tallest_tile * unit * block_images + 16),
        row_size_((tiles.tile * unit + winograd_.halo()) * block_images) {}

  /// y = convolution, bias and epilogue. w: weight [O,C,R,R], turned and transposed for the data gradient.
  void run(const float* w, bool transposed, const float* bias, const Epilogue& epilogue, unsigned char* winners, Out<float> y) {
    const Index tile = tiles_.tile, halo = winograd_.halo(), taps = winograd_.taps(), blocks = blocks_of(y.shape[0]);
    const bool pooled = epilogue.pool != Epilogue::Pool::none;
    step_ = pooled ? tile / 2 : tile;
    const Index rows_in = tile * tiles_.band + halo, rows_out = step_ * tiles_.band, width = y.shape[3], pixels = y.shape[2] * width;
    const Index out_size = y.format == Format::rows ? outputs_ * rows_out * width * block_images : 0;
    Scratch& scratch = Scratch::mine();
    const Index each = Arena::bytes<float>(winograd_.frequencies * v_plane_) + Arena::bytes<float>(winograd_.frequencies * m_plane_) +
                       Arena::bytes<float>((tile + halo + 1) * row_size_) + Arena::bytes<float>(source_.size(rows_in)) + Arena::bytes<float>(out_size);
    scratch.reserve(Arena::bytes<float>(weight_size()) + Arena::bytes<Index>(depth_) + Arena::bytes<Index>(outputs_),
                    std::max(each, Arena::bytes<float>(taps_size())));
    Arena shared = scratch.shared();
    float* const u = shared.take<float>(weight_size());
    Index *const v_row = shared.take<Index>(depth_), *const w_row = shared.take<Index>(outputs_);
    for (Index c = 0; c < depth_; ++c) v_row[c] = c * unit * block_images;
    for (Index o = 0; o < outputs_; ++o) w_row[o] = o * (transposed ? taps : depth_ * taps);
    transform_weights(scratch, w, transposed, w_row, u);

    parallel_for(blocks * tiles_.bands, [&](Index chunk) {
      const Index block = chunk / tiles_.bands, first_row = chunk % tiles_.bands * tiles_.band, last_row = tiles_.last_row(chunk % tiles_.bands);
      Scratch::Lease lease(scratch);
      Arena arena = lease.arena();
      float *const v = arena.take<float>(winograd_.frequencies * v_plane_), *const m = arena.take<float>(winograd_.frequencies * m_plane_);
      float *const columns = arena.take<float>((tile + halo) * row_size_), *const zeros = arena.take<float>(row_size_);
      float *const room = arena.take<float>(source_.size(rows_in)), *const out = arena.take<float>(out_size);
      std::fill_n(zeros, row_size_, 0.f);
      const Index top = first_row * tile - tiles_.before_h;
      const Lanes in = source_.lanes(block, top, (last_row - first_row) * tile + halo + top, 0, depth_, room);

      const Index first_out = step_ * first_row, count_out = std::min(rows_out, y.shape[2] - first_out),
                  images = std::min(block_images, y.shape[0] - block * block_images);
      const Index place = (block * outputs_ * pixels + first_out * width) * block_images;
      const Target to{out_size ? out : y.data + place,
                      winners ? winners + place : nullptr,
                      out_size ? count_out * width * block_images : pixels * block_images,
                      pixels * block_images,
                      count_out,
                      width};
      const Index count = (last_row - first_row) * tiles_.columns;
      for (Index t = 0; t < count; t += unit) {
        const Index n = std::min(unit, count - t);
        tiles_.stretches(t, n, [&](Index ty, Index tx, Index at, Index len) {
          const WinogradInput call{{}, 0, 0, len, tile, columns, v + at * block_images, v_plane_, 0};
          tiles_.transform(winograd_.input, source_, in, top + ty * tile, tx * tile - tiles_.before_w, halo, 0, depth_, call, unit * block_images, zeros);
        });
        for (Index o = 0; o < outputs_; o += kernels_.height) {
          multiply(o, n, u, v, v_row, m);
          tiles_.stretches(t, n, [&](Index ty, Index tx, Index at, Index len) { write(o, m + at * block_images, len, ty, tx, bias, epilogue, to, columns); });
        }
      }
      for (Index o = 0; out_size && o < outputs_; ++o)
        lanes_to_rows(images, count_out * width, out + o * to.channel, y.data + (block * block_images * outputs_ + o) * pixels + first_out * width,
                      outputs_ * pixels);
    });
  }

 private:
  static constexpr Index unit = 2, weight_slack = 16;  // tiles at a time; numbers

  /// Where a chunk writes: its first row of outputs of channel 0.
  struct Target {
    float* y;
    unsigned char* winners;
    Index channel, winners_channel, rows, width;
  };

  Index taps_size() const { return (tallest_tile * depth_ + 2) * winograd_.taps() + 64; }
  Index weight_size() const {
    return winograd_.frequencies * (kernels_.packed_rows(outputs_) * depth_ + (outputs_ + kernels_.height - 1) / kernels_.height * weight_slack);
  }
  /// The transformed weights of the tile of outputs o, o + 1, ...: [frequency][channel][output], with a gap after each frequency.
  Index weights_at(Index o) const { return winograd_.frequencies * (o * depth_ + o / kernels_.height * weight_slack); }

  void transform_weights(Scratch& scratch, const float* w, bool transposed, const Index* w_row, float* u) const {
    const Index count = winograd_.taps();
    parallel_for((outputs_ + kernels_.height - 1) / kernels_.height, [&](Index part) {
      const Index o = part * kernels_.height, height = kernels_.tile_height(outputs_ - o), rows = std::min(height, outputs_ - o);
      Scratch::Lease lease(scratch);
      float* const taps = lease.arena().take<float>(taps_size());
      if (transposed)
        for (Index k = 0; k < depth_; ++k) kernels_.pack_transposed(rows, height, count, w + k * outputs_ * count, w_row + o, taps + k * count * height);
      else kernels_.pack_transposed(rows, height, depth_ * count, w, w_row + o, taps);
      winograd_.weights(height, depth_, taps, transposed, u + weights_at(o), height * depth_ + weight_slack);
    });
  }

  /// m[frequency] = u[frequency] v[frequency] for one tile of outputs and n tiles of pixels.
  [[gnu::noinline]] void multiply(Index o, Index n, const float* u, const float* v, const Index* v_row, float* m) const {
    const Index height = kernels_.tile_height(outputs_ - o), columns = n * block_images;
    const float* const a = u + weights_at(o);
    for (Index f = 0; f < winograd_.frequencies; ++f)
      for (Index j = 0; j < columns; j += kernels_.panel()) {
        const auto kernel = kernels_.multiply[columns - j > kernels_.lanes ? 2 : 1][height];
        kernel({depth_, a + f * (height * depth_ + weight_slack), v + f * v_plane_ + j, v_row, m + f * m_plane_ + j, unit * block_images, false});
      }
  }

  /// Transforms the outputs first, first + 1, ... of a stretch of tiles and writes them; pooled ones go through `room`, [tile][columns][16].
  [[gnu::noinline]] void write(Index first, const float* m, Index len, Index ty, Index tx, const float* bias, const Epilogue& epilogue, const Target& to,
                               float* room) const {
    const Index tile = tiles_.tile, y = ty * step_, x = tx * step_, place = (y * to.width + x) * block_images, pitch = to.width * block_images;
    const bool pooled = step_ < tile;
    WinogradOutput call{m, m_plane_, len, 0, epilogue.relu && !pooled, to.rows - y, to.width - x, room, pitch, to.channel};
    WinogradPooling pool{epilogue.relu,
                         epilogue.pool == Epilogue::Pool::mean,
                         std::min(step_, to.rows - y),
                         std::min(step_ * len, to.width - x),
                         room,
                         row_size_,
                         nullptr,
                         nullptr,
                         pitch};
    if (pooled) call.rows = tile, call.columns = tile * len, call.pitch = row_size_, call.next = 0;
    for (Index o = first; o < std::min(first + kernels_.height, outputs_); ++o, call.m += unit * block_images) {
      pool.y = to.y + o * to.channel + place;
      pool.winners = to.winners ? to.winners + o * to.winners_channel + place : nullptr;
      call.bias = bias ? bias[o] : 0;
      if (!pooled) call.y = pool.y;
      winograd_.output(call);
      if (pooled) winograd_.pool(pool);
    }
  }

  const MatrixKernels<float>& kernels_;
  const WinogradKernels& winograd_;
  WinogradTiles tiles_;
  PixelSource source_;
  Index depth_, outputs_, v_plane_, m_plane_, row_size_, step_ = 0;
};

/// Outputs of a tile, along each axis, for windows of 3 x 3 or 5 x 5.
inline Index winograd_tile(Index window) { return window == 3 && winograd() != Winograd::f2 ? 4 : 2; }

/// Estimates of a convolution by both methods: cycles of a core with two 512-bit multiply-adds, as measured. Narrower registers are slower in both alike.
struct WinogradCosts {
  bool possible = false;
  double channels = 0, outputs = 0, products = 0, tiles = 0, direct = 0, direct_weights = 0;

  WinogradCosts(const WindowPlan& plan, Index groups, const Shape& x, Index k) {
    const Index window = plan.h.kernel;
    const auto fits = [&](const WindowAxis& a) { return a.kernel == window && a.stride == 1 && a.dilation == 1 && a.out > 0; };
    const bool wanted = window == 3 ? winograd() != Winograd::off : window == 5 && winograd() >= Winograd::f4;
    possible = wanted && groups == 1 && fits(plan.h) && fits(plan.w) && x.size() > 0 && k > 0;
    if (!possible) return;
    const auto count = [](Index n) { return static_cast<double>(n); };
    const Index tile = winograd_tile(window), side = tile + window - 1, blocks = blocks_of(x[0]);
    channels = count(x[1]), outputs = count(k), products = count(side * side);
    tiles = count(((plan.h.out + tile - 1) / tile) * ((plan.w.out + tile - 1) / tile) * blocks);
    const double filled = 2 * x[0] < blocks * block_images ? count(x[0]) / count(block_images) : count(blocks);  // else rows are better than empty lanes
    const double a_pixel = 0.58 * count(window * window) * channels * outputs * filled;
    direct = a_pixel * count(plan.h.out * plan.w.out);
    direct_weights = direct + 40 * a_pixel;  // the sums of a weight in 16 lanes are added up for each block, which takes as long as 40 pixels
  }
};

}  // namespace detail

/// Whether Winograd convolution is possible, wanted and faster than the direct one, forward and for the gradient of the input: windows of 3 x 3
/// or 5 x 5 side by side and channels enough that the products of matrices outweigh the transforms. From shapes and the switch alone.
inline bool winograd_pays(const WindowPlan& plan, Index groups, const Shape& x, Index outputs) {
  const detail::WinogradCosts c(plan, groups, x, outputs);
  const double a_tile = c.products * (4.7 * (c.channels + c.outputs) + 0.55 * c.channels * c.outputs);
  return c.possible && c.tiles * a_tile + 12 * c.channels * c.outputs < 0.9 * c.direct;
}
/// The same for the gradient of the weights, which transposes its inputs and sums large matrices.
inline bool winograd_weight_pays(const WindowPlan& plan, Index groups, const Shape& x, Index outputs) {
  const detail::WinogradCosts c(plan, groups, x, outputs);
  const double wide = static_cast<double>((x.rank() > 1 ? x[1] + 31 : 0) / 32 * 32), runs = std::min(16.0, c.tiles / 4);
  const double a_tile = c.products * (10.5 * c.channels + 7.5 * c.outputs + 0.58 * wide * c.outputs);
  return c.possible && c.tiles * a_tile + 2 * c.products * runs * wide * c.outputs < 0.9 * c.direct_weights;
}

/// y = pool(relu(conv2d(x, w) + b)) by Winograd's algorithm: 2.25 multiplications an output and channel instead of 9 (4 with F(2x2,3x3)), 9 instead of 25.
/// Windows R = 3 x 3 or 5 x 5, stride and dilation 1; x [N,C,H,W], w [O,C,R,R], b [O] or null, y [N,O,H',W'] or pooled 2 x 2, each in either format. `winners`, where
/// not null: a byte for each pooled output, in blocks, for backward. Rounding errors are larger than those of the direct convolution, see
/// docs/numerics.md, and a number that is not finite spreads to the outputs of its tile.
template <class T = float>
void winograd_forward(Stream, const WindowPlan& plan, In<T> x, In<T> w, In<T> b, const Epilogue& epilogue, Out<unsigned char> winners, Out<T> y) {
  using namespace detail;
  if (y.size() == 0) return;
  const WinogradTiles tiles(winograd_tile(plan.h.kernel), x.shape[0], plan.h.before, plan.w.before, plan.h.out, plan.w.out);
  WinogradConvolution(tiles, plan.h.kernel, w.shape[0], PixelSource(x)).run(w.data, false, b.data, epilogue, winners.data, y);
}

/// The gradients of winograd_forward, each where wanted (not null): dx is overwritten, dw and db are added to. dx is the convolution of dy, as before the
/// epilogue, with the weights turned by 180 degrees. y is read for ReLU without pooling, winners with pooling.
template <class T = float>
void winograd_backward_fused(Stream, const WindowPlan& plan, In<T> x, In<T> w, In<T> y, In<unsigned char> winners, In<T> dy, const Epilogue& epilogue,
                             Out<T>* dx, Out<T>* dw, Out<T>* db) {
  using namespace detail;
  if (x.size() == 0) return;
  const Index window = plan.h.kernel, tile = winograd_tile(window);
  const PixelSource gradient(dy, plan.h.out, plan.w.out, epilogue, y, winners.data);
  if (dx) {
    const WinogradTiles tiles(tile, x.shape[0], window - 1 - plan.h.before, window - 1 - plan.w.before, plan.h.in, plan.w.in);
    WinogradConvolution(tiles, window, x.shape[1], gradient).run(w.data, true, nullptr, {}, nullptr, *dx);
  }
  if (dw || db) {
    const WinogradTiles tiles(tile, x.shape[0], plan.h.before, plan.w.before, plan.h.out, plan.w.out, detail::winograd_step);
    WinogradGradient(tiles, window, PixelSource(x), gradient).run(dw ? dw->data : nullptr, db ? db->data : nullptr);
  }
}

/// dx of the convolution alone, from dy.
inline void winograd_backward_input(Stream stream, const WindowPlan& plan, In<float> w, In<float> dy, Out<float> dx) {
  winograd_backward_fused<float>(stream, plan, {nullptr, dx.shape}, w, {}, {}, dy, {}, &dx, nullptr, nullptr);
}
/// dw of the convolution alone, added to.
inline void winograd_backward_weight(Stream stream, const WindowPlan& plan, In<float> x, In<float> dy, Out<float> dw) {
  winograd_backward_fused<float>(stream, plan, x, dw, {}, {}, dy, {}, nullptr, &dw, nullptr);
}

// In the library ventral::kernels.
VENTRAL_COMPILED_ONE(winograd_forward<float>)
VENTRAL_COMPILED_ONE(winograd_backward_fused<float>)

}  // namespace ventral::inline v0::cpu

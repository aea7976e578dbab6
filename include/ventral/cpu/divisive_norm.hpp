#pragma once
#include <cmath>
#include <limits>

#include "ventral/cpu/box_sum.hpp"
#include "ventral/cpu/compiled.hpp"
#include "ventral/cpu/vector_math.hpp"
#include "ventral/tensor.hpp"

namespace ventral::inline v0::cpu {

namespace detail {

#if !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpsabi"  // as in simd.hpp: these registers never cross a real call
#endif

/// How base^-beta is found: the exponents of most models have a short way.
enum class Root { any, quarters, one };

/// k, alpha, beta of one channel, as its units use them: divisor (k + slope sum)^beta, applied where k + slope sum >= limit.
template <class T>
struct Divisor {
  T k, slope, beta, limit, least;  ///< least: (k + slope sum)^-beta where that sum is infinite
  Root root;
  T series[6];  ///< of (1 - h)^-beta by powers of h, for root quarters: least error for |h| < 1/8
};

template <class T>
Divisor<T> divisor_of(const DivisiveRule& rule, TensorRef<const T> k, TensorRef<const T> alpha, TensorRef<const T> beta, Index channel) {
  const auto value = [channel](TensorRef<const T> p, T least) {
    const T v = p.data[p.size() == 1 ? 0 : channel];
    return v < least ? least : v;  // NaN stays
  };
  const T exponent = value(beta, T(0)), smallest = FloatFormat<T>::smallest;
  Divisor<T> d{value(k, std::max(smallest, static_cast<T>(rule.smallest_k))), value(alpha, T(0)) / static_cast<T>(rule.box.size()), exponent, T(0), T(0), Root::any, {}};
  // (k + slope sum)^beta >= threshold, without the power
  if (rule.threshold > 0 && exponent > 0) d.limit = static_cast<T>(std::pow(rule.threshold, 1 / static_cast<double>(exponent)));
  else if (rule.threshold > 1) d.limit = std::numeric_limits<T>::infinity();
  if (exponent == T(1)) d.root = Root::one, d.least = smallest / 4;
  if constexpr (std::is_same_v<T, float>) {
    constexpr float half[] = {1.f, 0.50000012f, 0.3749702f, 0.3124301f, 0.27864847f, 0.25372037f};
    constexpr float three_quarters[] = {1.f, 0.75000036f, 0.65618205f, 0.60140073f, 0.5758400f, 0.5535734f};
    if (exponent == 0.5f) d.root = Root::quarters, d.least = 0x1p-64f, std::memcpy(d.series, half, sizeof half);
    if (exponent == 0.75f) d.root = Root::quarters, d.least = 0x1p-96f, std::memcpy(d.series, three_quarters, sizeof half);
  }
  return d;
}

/// Calls body(i) for pairs of registers that cover [0, count), count >= BoxTiles::least_line. The last pair overlaps the one before, so body must not
/// change what it reads. Every element takes the same operations, wherever it stands.
template <class V, class Body>
VENTRAL_ALWAYS_INLINE void for_pairs(Index count, Body body) {
  constexpr Index step = 2 * V::lanes;
  for (Index i = 0; i < count; i += step) body(i + step <= count ? i : count - step);
}

/// base^-beta, base >= the smallest normal number; beyond the largest counts as that; NaN stays.
/// beta = 1/2 and 3/4 in float: y = 2^(-bits/4), as the exponent and mantissa stand there, is base^(-1/4) to 3 %; with h = 1 - base y^4, |h| < 1/8,
/// base^-beta = y^(4 beta) (1 - h)^-beta, the latter a polynomial with an error below 6e-8. No root and no division.
template <Root root, class T, class I>
struct InversePower {
  using V = Simd<T, I>;
  typedef typename FloatFormat<T>::Int Bits __attribute__((vector_size(I::bytes)));
  V minus_beta, least, high, one, c0, c1, c2, c3, c4, c5;  // no array: gcc 12 would fill it lane by lane
  Bits third;

  explicit VENTRAL_ALWAYS_INLINE InversePower(const Divisor<T>& d)
      : minus_beta(V::all(-d.beta)), least(V::all(d.least)), high(V::all(FloatFormat<T>::largest)), one(V::all(1)), c0(V::all(d.series[0])),
        c1(V::all(d.series[1])), c2(V::all(d.series[2])), c3(V::all(d.series[3])), c4(V::all(d.series[4])), c5(V::all(d.series[5])),
        third(Bits{} - (d.beta == T(0.75))) {}
  VENTRAL_ALWAYS_INLINE V operator()(const V& base) const {
    if constexpr (root == Root::any) return power(base, minus_beta);
    V out = one / base;
    if constexpr (root == Root::quarters) {
      const V y{(typename V::Register)(0x4f580000 - ((Bits)base.v >> 2))}, y2 = y * y;
      const V h{one.v - (base.v * y2.v) * y2.v}, h2 = h * h;
      const V sum = multiply_add(multiply_add(multiply_add(c5, h, c4), h2, multiply_add(c3, h, c2)), h2, multiply_add(c1, h, c0));
      const V last{(typename V::Register)(((Bits)y.v & third) | ((Bits)one.v & ~third))};  // y, or 1 for beta = 1/2
      out = y2 * last * sum;
    }
    return V::select(base > high, least, out);
  }
};

/// The sum of a pair of registers over lines.
template <class V, class T>
VENTRAL_ALWAYS_INLINE void sum_lines(const LineSet<T>& set, Index i, V (&sum)[2]) {
  VENTRAL_UNROLL
  for (int r = 0; r < 2; ++r) sum[r] = V::load(set.line[0] + i + r * V::lanes);
  for (Index k = 1; k < set.count; ++k) {
    VENTRAL_UNROLL
    for (int r = 0; r < 2; ++r) sum[r] = sum[r] + V::load(set.line[k] + i + r * V::lanes);
  }
}

/// to = |x|^exponent; `ahead` elements further is what comes next, which no hardware guesses.
template <class T>
struct Magnitudes {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(T exponent, const T* x, Index count, Index ahead, T* to) {
    using V = Simd<T, I>;
    const V zero = V::zero(), p = V::all(exponent);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i);
        if (ahead) __builtin_prefetch(x + i + ahead);
        if (exponent == T(2)) {
          (v * v).store(to + i);
        } else {
          const V size = V::select(v < zero, zero - v, v);
          if (exponent == T(1)) size.store(to + i);
          else V::select(size > zero, power(size, p), size).store(to + i);  // 0 and NaN stay
        }
      }
    });
  }
};

/// y = x (k + slope sum)^-beta; sums unless null.
template <class T>
struct Divide {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, const LineSet<T>& lines, const T* x, Index count, Index ahead, T* sums, T* y) {
    if (d.root == Root::any) return loop<Root::any, I>(d, lines, x, count, ahead, sums, y);
    if (d.root == Root::one) return loop<Root::one, I>(d, lines, x, count, ahead, sums, y);
    if constexpr (std::is_same_v<T, float>) loop<Root::quarters, I>(d, lines, x, count, ahead, sums, y);
  }
  template <Root root, class I>
  static VENTRAL_ALWAYS_INLINE void loop(const Divisor<T>& d, const LineSet<T>& lines, const T* x, Index count, Index ahead, T* sums, T* y) {
    using V = Simd<T, I>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit);
    const InversePower<root, T, I> inverse(d);
    const bool limited = d.limit > T(0);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i), base = multiply_add(slope, sum[r], k);
        V out = v * inverse(base);
        if (limited) out = V::select(base < limit, v, out);
        if (ahead) __builtin_prefetch(y + i + ahead, 1);
        if (sums) sum[r].store(sums + i);
        out.store(y + i);
      }
    });
  }
};

/// t = factor dy y / (k + slope sum), 0 where nothing was divided: what each unit's divisor tells its neighbours; g = dy (k + slope sum)^-beta unless null.
template <class T>
struct Scatter {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, T factor, const LineSet<T>& lines, const T* x, const T* dy, Index count, Index ahead, T* g, T* t) {
    if (d.root == Root::any) return loop<Root::any, I>(d, factor, lines, x, dy, count, ahead, g, t);
    if (d.root == Root::one) return loop<Root::one, I>(d, factor, lines, x, dy, count, ahead, g, t);
    if constexpr (std::is_same_v<T, float>) loop<Root::quarters, I>(d, factor, lines, x, dy, count, ahead, g, t);
  }
  template <Root root, class I>
  static VENTRAL_ALWAYS_INLINE void loop(const Divisor<T>& d, T factor, const LineSet<T>& lines, const T* x, const T* dy, Index count, Index ahead, T* g, T* t) {
    using V = Simd<T, I>;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), scale = V::all(factor), zero = V::zero();
    const InversePower<root, T, I> inverse(d);
    const bool limited = d.limit > T(0);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V from = V::load(dy + i), base = multiply_add(slope, sum[r], k);
        if (ahead) __builtin_prefetch(dy + i + ahead);
        V through = from * inverse(base), told = scale * through * V::load(x + i) / base;
        if (limited) through = V::select(base < limit, from, through), told = V::select(base < limit, zero, told);
        through.store(g + i);
        told.store(t + i);
      }
    });
  }
};

/// dx = g - |x|^(exponent - 1) sign(x) sum
template <class T>
struct Gather {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(T exponent, const LineSet<T>& lines, const T* x, const T* g, Index count, Index ahead, T* dx) {
    using V = Simd<T, I>;
    const V zero = V::zero(), one = V::all(1), p = V::all(exponent - 1);
    for_pairs<V>(count, [&](Index first) VENTRAL_ALWAYS_INLINE_LAMBDA {
      V sum[2];
      sum_lines(lines, first, sum);
      VENTRAL_UNROLL
      for (int r = 0; r < 2; ++r) {
        const Index i = first + r * V::lanes;
        const V v = V::load(x + i);
        if (ahead) __builtin_prefetch(dx + i + ahead, 1);
        V rise = v;
        if (exponent != T(2)) {
          rise = V::select(v < zero, zero - one, V::select(v > zero, one, v));  // sign, 0 at the kink
          if (exponent != T(1)) rise = V::select(rise > zero, power(v, p), V::select(rise < zero, zero - power(zero - v, p), rise));
        }
        (V::load(g + i) - rise * sum[r]).store(dx + i);
      }
    });
  }
};

/// Adds to out the sums over `count` units of dy y / base, dy y sum / base and dy y ln(base), where divided; partial sums of 4096 units add in double.
template <class T>
struct ParameterSums {
  template <class I>
  static VENTRAL_ALWAYS_INLINE void run(const Divisor<T>& d, const T* y, const T* dy, const T* sums, Index count, double* out) {
    using V = Simd<T, I>;
    constexpr Index stretch = 4096;
    const V k = V::all(d.k), slope = V::all(d.slope), limit = V::all(d.limit), least = V::all(FloatFormat<T>::smallest), zero = V::zero();
    for (Index begin = 0; begin < count; begin += stretch) {
      V by_k = zero, by_slope = zero, by_beta = zero;
      for_vectors<V>(std::min(stretch, count - begin), [&](Index i, auto lanes) VENTRAL_ALWAYS_INLINE_LAMBDA {
        const V sum = lanes.load(sums + begin + i), found = k + slope * sum, base = max(found, least);  // 0 beyond the end if k is
        const V share = V::select(found < limit, zero, lanes.load(dy + begin + i) * lanes.load(y + begin + i)), over = share / base;
        by_k = by_k + over;
        by_slope = by_slope + over * sum;
        by_beta = by_beta + share * log2(base);
      });
      out[0] += static_cast<double>(by_k.sum());
      out[1] += static_cast<double>(by_slope.sum());
      out[2] += static_cast<double>(by_beta.sum()) * natural_log_of_2;
    }
  }
};

#if !defined(__clang__)
#pragma GCC diagnostic pop
#endif

template <class T>
struct DivisiveKernels : BoxKernels<T> {
  void (*magnitudes)(T, const T*, Index, Index, T*);
  void (*divide)(const Divisor<T>&, const LineSet<T>&, const T*, Index, Index, T*, T*);
  void (*scatter)(const Divisor<T>&, T, const LineSet<T>&, const T*, const T*, Index, Index, T*, T*);
  void (*gather)(T, const LineSet<T>&, const T*, const T*, Index, Index, T*);
  void (*parameter_sums)(const Divisor<T>&, const T*, const T*, const T*, Index, double*);

  explicit DivisiveKernels(SimdLevel level)
      : BoxKernels<T>(level), magnitudes(simd_function<Magnitudes<T>, void(T, const T*, Index, Index, T*)>(level)),
        divide(simd_function<Divide<T>, void(const Divisor<T>&, const LineSet<T>&, const T*, Index, Index, T*, T*)>(level)),
        scatter(simd_function<Scatter<T>, void(const Divisor<T>&, T, const LineSet<T>&, const T*, const T*, Index, Index, T*, T*)>(level)),
        gather(simd_function<Gather<T>, void(T, const LineSet<T>&, const T*, const T*, Index, Index, T*)>(level)),
        parameter_sums(simd_function<ParameterSums<T>, void(const Divisor<T>&, const T*, const T*, const T*, Index, double*)>(level)) {}
};

/// The kernels of a level, by default of the one in use.
template <class T>
const DivisiveKernels<T>& divisive_kernels(SimdLevel level = simd_level()) {
  static const DivisiveKernels<T> kernels[] = {DivisiveKernels<T>(SimdLevel::baseline), DivisiveKernels<T>(SimdLevel::avx2), DivisiveKernels<T>(SimdLevel::avx512)};
  return kernels[static_cast<int>(level)];
}

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

/// What the library ventral::kernels holds.
#define VENTRAL_DIVISIVE_NORM(T) \
  VENTRAL_COMPILED(void divisive_norm_forward<T>(Stream, const DivisiveRule&, In<T>, In<T>, In<T>, In<T>, Out<T>, Out<T>, Out<T>)) \
  VENTRAL_COMPILED(void divisive_norm_backward<T>(Stream, const DivisiveRule&, In<T>, In<T>, In<T>, In<T>, In<T>, In<T>, In<T>, Out<T>, Out<T>)) \
  VENTRAL_COMPILED(void divisive_norm_parameter_backward<T>(Stream, const DivisiveRule&, In<T>, In<T>, In<T>, In<T>, In<T>, In<T>, Out<double>, Out<T>, Out<T>, Out<T>))
VENTRAL_DIVISIVE_NORM(float)
VENTRAL_DIVISIVE_NORM(double)
#undef VENTRAL_DIVISIVE_NORM

}  // namespace ventral::inline v0::cpu

#pragma once
#include "ventral/cuda/elementwise.cuh"
#include "ventral/cuda/pool_plan.cuh"
#include "ventral/cuda/quotient.cuh"

/// Pooling through windows that the compiler knows: no loops, no divisions, all loads of a thread under way together. Bound by memory, where the kernels for
/// any window are bound by instructions. Same sums and comparisons in the same order as those, so the same bits.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// A square window without dilation. A thread makes `run` numbers in a row: 16 bytes, where everything is aligned for them (the padding on the left must be
/// known then, too), or one, with any padding, but for `lines` rows of outputs, so that neighbours still write side by side, and a thread reads few rows twice.
template <int kernel_, int stride_, int run_, int left_ = 0, int lines_ = 1>
struct KnownWindow {
  static constexpr int kernel = kernel_, stride = stride_, run = run_, left = left_, lines = lines_;
  static constexpr bool packed = run > 1;

  static bool is(const WindowPlan& p) {
    const auto same = [](const WindowAxis& a) { return a.kernel == kernel && a.stride == stride && a.dilation == 1; };
    return same(p.h) && same(p.w) && (!packed || p.w.before == left);
  }
};

/// f(window) for the plan's window if it is one of those known, else false. `packs`: whether runs of 16 bytes are possible.
template <class T, class F>
bool with_known_window(const WindowPlan& plan, bool packs, const F& f) {
  constexpr int run = pack_width<T>;
  const auto try_each = [&](auto... window) { return (... || (decltype(window)::is(plan) && f(window))); };
  if constexpr (sizeof(Compute<T>) > 4) return false;  // double is for checks, not for speed
  else if (packs && try_each(KnownWindow<2, 2, run>{}, KnownWindow<3, 2, run>{}, KnownWindow<3, 2, run, 1>{}, KnownWindow<3, 1, run, 1>{})) return true;
  else return try_each(KnownWindow<2, 2, 1, 0, 4>{}, KnownWindow<3, 2, 1, 0, 4>{}, KnownWindow<3, 1, 1, 0, 4>{});
}

/// The sizes of a launch: `lines` x `across` threads for each of the planes.
struct KnownSizes {
  int height, width, rows, columns;  ///< of x and of y
  int above, left, below, right;     ///< padding
  int threads;
  FixedDivisor lines, across;

  KnownSizes(const WindowPlan& p, Index planes, Index all_lines, Index all_across)
      : height(static_cast<int>(p.h.in)), width(static_cast<int>(p.w.in)), rows(static_cast<int>(p.h.out)), columns(static_cast<int>(p.w.out)),
        above(static_cast<int>(p.h.before)), left(static_cast<int>(p.w.before)), below(static_cast<int>(p.h.after)), right(static_cast<int>(p.w.after)),
        threads(static_cast<int>(planes * all_lines * all_across)), lines(all_lines), across(all_across) {}
};

/// Cells of a window from `origin` on that a mean counts: those inside the image or, with `padded`, inside the padded image.
template <int kernel>
VENTRAL_DEVICE int counted_cells(int origin, int in, int after, bool padded) {
  return padded ? std::min(kernel, in + after - origin) : std::min(kernel, in - origin) - std::max(0, -origin);
}

VENTRAL_DEVICE bool is_inside(int i, int length) { return static_cast<unsigned>(i) < static_cast<unsigned>(length); }

/// The cells [left, left + n) of a row, of which packs begin at left + Window::left; `outside` beyond its ends.
template <class Window, int n, class T>
VENTRAL_DEVICE void load_cells(const T* row, int left, int width, Compute<T> outside, Compute<T> (&cell)[n]) {
  constexpr int run = Window::run, packs = Window::packed ? (n - Window::left) / run : 0, first = Window::left, last = first + packs * run;
  VENTRAL_DEVICE_UNROLL
  for (int e = first; e < last; e += run) {
    const bool inside = left + e < width;
    const Pack<T, run> pack = inside ? load_pack<run>(row + left + e) : Pack<T, run>{};
    VENTRAL_DEVICE_UNROLL
    for (int l = 0; l < run; ++l) cell[e + l] = inside ? load(&pack.v[l]) : outside;
  }
  VENTRAL_DEVICE_UNROLL
  for (int e = 0; e < n; ++e)
    if (packs == 0 || e < first || e >= last) cell[e] = is_inside(left + e, width) ? load(row + left + e) : outside;
}

/// A thread for each run of outputs, or column of some. Cells that its windows share are read once, those of runs 16 bytes at a time.
template <class Window, class Fold, class T>
VENTRAL_KERNEL void pool_window_forward_kernel(KnownSizes s, bool count_include_pad, const T* x, T* y, std::int32_t* winners, Fold fold) {
  constexpr int kernel = Window::kernel, stride = Window::stride, run = Window::run, lines = Window::lines, cells = (run - 1) * stride + kernel;
  const int thread = static_cast<int>(first_element());
  if (thread >= s.threads) return;
  const Division line(thread, s.across), plane(line.quotient, s.lines);
  const int first = plane.rest * lines, top = first * stride - s.above, left = line.rest * run * stride - (Window::packed ? Window::left : s.left);
  const T* const from = x + plane.quotient * s.height * s.width;

  Fold found[lines][run];
  VENTRAL_DEVICE_UNROLL
  for (int l = 0; l < lines; ++l)
    VENTRAL_DEVICE_UNROLL
    for (int o = 0; o < run; ++o) {
      found[l][o] = fold;
      found[l][o].start(std::max(0, top + l * stride) * s.width + std::max(0, left + o * stride));
    }
  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < (lines - 1) * stride + kernel; ++a) {
    if (!is_inside(top + a, s.height)) continue;
    Compute<T> cell[cells];
    load_cells<Window>(from + (top + a) * s.width, left, s.width, Fold::outside, cell);
    VENTRAL_DEVICE_UNROLL
    for (int l = 0; l < lines; ++l) {
      if (a < l * stride || a >= l * stride + kernel) continue;
      VENTRAL_DEVICE_UNROLL
      for (int o = 0; o < run; ++o)
        VENTRAL_DEVICE_UNROLL
        for (int b = 0; b < kernel; ++b) found[l][o].take(cell[o * stride + b], (top + a) * s.width + left + o * stride + b);
    }
  }

  VENTRAL_DEVICE_UNROLL
  for (int l = 0; l < lines; ++l) {
    if (lines > 1 && first + l >= s.rows) return;
    Pack<T, run> values;
    const int above = top + l * stride, down = counted_cells<kernel>(above, s.height, s.below, count_include_pad);
    const bool whole = above >= 0 && above + kernel <= s.height && left >= 0 && left + cells <= s.width;
    VENTRAL_DEVICE_UNROLL
    for (int o = 0; o < run; ++o) {
      const int across = counted_cells<kernel>(left + o * stride, s.width, s.right, count_include_pad);
      store(&values.v[o], whole ? found[l][o].value(kernel * kernel) : found[l][o].value(down * across));
    }
    const int at = (plane.quotient * s.rows + first + l) * s.columns + line.rest * run;
    store_pack<run>(y + at, values);
    if constexpr (Fold::wins) {
      constexpr int together = run < 4 ? run : 4;
      if (!winners) continue;
      VENTRAL_DEVICE_UNROLL
      for (int o = 0; o < run; o += together) {
        Pack<std::int32_t, together> places;
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < together; ++i) places.v[i] = found[l][o + i].where;
        store_pack<together>(winners + at + o, places);
      }
    }
  }
}

/// What the outputs [first, first + n) of a row give to the gradients of their cells, and who has won it; those outside the row give nothing.
/// In runs, outputs first + lead and on are aligned.
template <int run, int lead, class Share, int n, class C>
VENTRAL_DEVICE void load_shares(const Share& share, const KnownSizes& s, int row, int first, C (&given)[n], int (&winner)[n]) {
  constexpr int together = run < 4 ? run : 4;
  const bool packed = run > 1 && first + lead < s.columns;
  if (packed) {
    const auto dy = load_pack<run>(share.dy + row + first + lead);
    VENTRAL_DEVICE_UNROLL
    for (int l = 0; l < run; ++l) given[lead + l] = load(&dy.v[l]);
    if constexpr (Share::wins) {
      VENTRAL_DEVICE_UNROLL
      for (int l = 0; l < run; l += together) {
        const auto places = load_pack<together>(share.winners + row + first + lead + l);
        VENTRAL_DEVICE_UNROLL
        for (int i = 0; i < together; ++i) winner[lead + l + i] = places.v[i];
      }
    }
  }
  VENTRAL_DEVICE_UNROLL
  for (int k = 0; k < n; ++k) {
    if (run > 1 && k >= lead && k < lead + run && packed) continue;
    const bool inside = (run == 1 || k < lead || k >= lead + run) && is_inside(first + k, s.columns);
    given[k] = inside ? load(share.dy + row + first + k) : C(0);
    if constexpr (Share::wins) winner[k] = inside ? share.winners[row + first + k] : -1;
  }
}

/// A thread for the gradients of `stride` rows and of as many columns as a run of outputs begins, or of one column and `lines` times as many rows: adds the
/// shares of the windows that cover each, in the order of the outputs. Which these are is known beforehand: the rows begin where a window does.
template <class Window, class Share, class T>
VENTRAL_KERNEL void pool_window_backward_kernel(KnownSizes s, Share share, T* dx) {
  using C = Compute<T>;
  constexpr int kernel = Window::kernel, stride = Window::stride, run = Window::run, lines = Window::lines, wide = Window::packed ? run * stride : 1;
  constexpr int high = lines * stride;
  constexpr int over = (kernel - 1) / stride;  // rows of outputs before the one that begins here, whose windows reach here
  constexpr int lead = Window::packed ? (kernel - Window::left + stride - 1) / stride - 1 : over;             // the same for columns
  constexpr int outputs = lead + 1 + (Window::packed ? (wide - 1 + Window::left) / stride : 0);
  const int thread = static_cast<int>(first_element());
  if (thread >= s.threads) return;
  const Division line(thread, s.across), plane(line.quotient, s.lines);
  const int top = plane.rest * high - s.above, left = line.rest * wide, beyond = Window::packed ? Window::left : (left + s.left) % stride;
  const int first = (Window::packed ? line.rest * run : (left + s.left) / stride) - lead;

  C sum[high][wide];
  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < high; ++a)
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < wide; ++e) sum[a][e] = C(0);
  VENTRAL_DEVICE_UNROLL
  for (int b = -over; b < lines; ++b) {
    const int row = plane.rest * lines + b;
    if (!is_inside(row, s.rows)) continue;
    C given[outputs];
    int winner[outputs];
    load_shares<run, lead>(share, s, (plane.quotient * s.rows + row) * s.columns, first, given, winner);
    share.template divide<kernel, stride>(s, row, first, given);
    VENTRAL_DEVICE_UNROLL
    for (int a = 0; a < high; ++a)
      VENTRAL_DEVICE_UNROLL
      for (int e = 0; e < wide; ++e)
        VENTRAL_DEVICE_UNROLL
        for (int k = 0; k < outputs; ++k) {
          const int down = a - b * stride, across = e + beyond - (k - lead) * stride;  // the cell's place in the window
          if (down < 0 || down >= kernel || across < 0 || across >= kernel) continue;
          if constexpr (Share::wins) sum[a][e] += winner[k] == (top + a) * s.width + left + e ? given[k] : C(0);
          else sum[a][e] += given[k];
        }
  }

  VENTRAL_DEVICE_UNROLL
  for (int a = 0; a < high; ++a) {
    if (!is_inside(top + a, s.height)) continue;
    T* const to = dx + (plane.quotient * s.height + top + a) * s.width + left;
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < wide; e += run) {
      Pack<T, run> values;
      VENTRAL_DEVICE_UNROLL
      for (int l = 0; l < run; ++l) store(&values.v[l], sum[a][e + l]);
      if (left + e < s.width) store_pack<run>(to + e, values);
    }
  }
}

/// Launches the kernel for a known window; false where there is none. Inputs and outputs fit int.
template <class T, class Fold>
bool pool_window_forward(Stream stream, const char* kernel, const WindowPlan& plan, bool count_include_pad, In<T> x, Out<T> y, std::int32_t* winners,
                         const Fold& fold) {
  constexpr int width = pack_width<T>;
  const bool packs = plan.w.in % width == 0 && plan.w.out % width == 0 && packs_fit<width>(x.data, y.data) && packs_fit<4>(winners);
  return with_known_window<T>(plan, packs, [&](auto window) {
    using Window = decltype(window);
    const KnownSizes s(plan, y.shape[0] * y.shape[1], (plan.h.out + Window::lines - 1) / Window::lines, plan.w.out / Window::run);
    launch(stream, {.kernel = kernel, .blocks = blocks_for(s.threads), .shape = x.shape}, pool_window_forward_kernel<Window, Fold, T>, s, count_include_pad,
           x.data, y.data, winners, fold);
    return true;
  });
}

template <class T, class Share>
bool pool_window_backward(Stream stream, const char* kernel, const WindowPlan& plan, const std::int32_t* winners, const T* dy, const Share& share, Out<T> dx) {
  constexpr int width = pack_width<T>;
  const bool packs = plan.w.in % width == 0 && plan.w.out % width == 0 && packs_fit<width>(dy, dx.data) && packs_fit<4>(winners);
  const Index planes = dx.shape[0] * dx.shape[1];
  return with_known_window<T>(plan, packs, [&](auto window) {
    using Window = decltype(window);
    constexpr int wide = Window::packed ? Window::run * Window::stride : 1, high = Window::lines * Window::stride;
    const Index lines = (plan.h.in + plan.h.before + high - 1) / high, across = (plan.w.in + wide - 1) / wide;
    if (planes * lines * across > Index{1} << 30) return false;
    const KnownSizes s(plan, planes, lines, across);
    launch(stream, {.kernel = kernel, .blocks = blocks_for(s.threads), .shape = dx.shape}, pool_window_backward_kernel<Window, Share, T>, s, share, dx.data);
    return true;
  });
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

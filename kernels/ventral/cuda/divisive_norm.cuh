#pragma once
#include "ventral/cuda/box_sum.cuh"
#include "ventral/cuda/normalization.cuh"
#include "ventral/cuda/reduce.cuh"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

namespace detail {

/// k, alpha, beta of one channel, as its units use them: divisor (k + slope sum)^beta, applied where k + slope sum >= limit.
template <class S>
struct Divisor {
  S k = S(0), slope = S(0), beta = S(0), limit = S(0);
};

/// Where divisors come from, and the one last asked for: a thread stays in a channel, or there is one for all.
template <class T>
class Divisors {
 public:
  using S = Compute<T>;

  Divisors(const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta)
      : k_(k.data), alpha_(alpha.data), beta_(beta.data), k_step_(k.size() > 1), alpha_step_(alpha.size() > 1), beta_step_(beta.size() > 1),
        smallest_k_(static_cast<S>(rule.smallest_k)), box_(static_cast<S>(rule.box.size())), threshold_(rule.threshold) {}

  VENTRAL_DEVICE const Divisor<S>& of(Index channel) {
    const bool same = k_step_ || alpha_step_ || beta_step_ ? channel == held_ : held_ >= 0;
    if (!same) {
      held_ = channel;
      last_ = {at_least(smallest_k_, load(k_ + k_step_ * channel)), at_least(S(0), load(alpha_ + alpha_step_ * channel)) / box_,
               at_least(S(0), load(beta_ + beta_step_ * channel)), S(0)};
      // (k + slope sum)^beta >= threshold, without the power
      if (threshold_ > 0 && last_.beta > S(0)) last_.limit = static_cast<S>(std::pow(threshold_, 1 / static_cast<double>(last_.beta)));
      else if (threshold_ > 1) last_.limit = std::numeric_limits<S>::infinity();
    }
    return last_;
  }

 private:
  VENTRAL_DEVICE static S at_least(S least, S v) { return v < least ? least : v; }  // NaN stays

  const T *k_, *alpha_, *beta_;
  Index k_step_, alpha_step_, beta_step_;
  S smallest_k_, box_;
  double threshold_;
  Index held_ = -1;
  Divisor<S> last_;
};

/// Box sums as they are kept for backward. In half precision that is a mean's root, which is as large as an x: a sum of squares may be too large.
template <class T>
struct KeptSums {
  using S = Compute<T>;
  static constexpr bool as_root = std::is_same_v<T, half>;
  S exponent, box;

  VENTRAL_DEVICE void keep(T* p, S sum) const {
    if constexpr (as_root) {
      const S mean = sum / box;
      store(p, exponent == S(2) ? std::sqrt(mean) : exponent == S(1) || !(mean > S(0)) ? mean : positive_power(mean, S(1) / exponent));
    } else {
      store(p, sum);
    }
  }
  VENTRAL_DEVICE S kept(S v) const {
    if constexpr (as_root) return box * (exponent == S(2) ? v * v : exponent == S(1) || !(v > S(0)) ? v : positive_power(v, exponent));
    return v;
  }
};

// What box_sums loads and finishes with: read(at) what is stored at a position, then make(channel, of that), or write(channel, at, sum, that).

/// |x|^exponent
template <class T>
struct Magnitudes {
  using S = Compute<T>;
  S exponent;
  const T* x;
  VENTRAL_DEVICE S read(Index at) const { return load(x + at); }
  VENTRAL_DEVICE S make(Index, S v) const {
    const S size = v < S(0) ? -v : v;
    if (exponent == S(2)) return v * v;
    return exponent != S(1) && size > S(0) ? positive_power(size, exponent) : size;  // 0 and NaN stay
  }
  VENTRAL_DEVICE S operator()(Index channel, Index at) const { return make(channel, read(at)); }
};

/// y = x (k + slope sum)^-beta
template <class T>
struct Divide {
  using S = Compute<T>;
  Divisors<T> divisors;
  KeptSums<T> kept;
  const T* x;
  T *sums, *y;
  VENTRAL_DEVICE S read(Index at) const { return load(x + at); }
  VENTRAL_DEVICE void write(Index channel, Index at, S sum, S v) {
    const Divisor<S>& d = divisors.of(channel);
    const S base = d.k + d.slope * sum;
    if (sums) kept.keep(sums + at, sum);
    store(y + at, base < d.limit ? v : v * inverse_power(base, d.beta));
  }
  VENTRAL_DEVICE void operator()(Index channel, Index at, S sum) { write(channel, at, sum, read(at)); }
};

/// exponent slope beta dy y / (k + slope sum), 0 where nothing was divided: what each unit's divisor tells its neighbours.
template <class T>
struct DivisorGradients {
  using S = Compute<T>;
  Divisors<T> divisors;
  KeptSums<T> kept;
  const T *y, *dy, *sums;
  struct Stored {
    S y, dy, sum;
  };
  VENTRAL_DEVICE Stored read(Index at) const { return {load(y + at), load(dy + at), load(sums + at)}; }
  VENTRAL_DEVICE S make(Index channel, const Stored& v) {
    const Divisor<S>& d = divisors.of(channel);
    const S base = d.k + d.slope * kept.kept(v.sum);
    return base < d.limit ? S(0) : kept.exponent * d.slope * d.beta * v.dy * v.y / base;
  }
  VENTRAL_DEVICE S operator()(Index channel, Index at) { return make(channel, read(at)); }
};

/// dx = dy (k + slope sum)^-beta - |x|^(exponent - 1) sign(x) pooled
template <class T>
struct GatherGradients {
  using S = Compute<T>;
  Divisors<T> divisors;
  KeptSums<T> kept;
  const T *x, *dy, *sums;
  T* dx;
  struct Stored {
    S x, dy, sum;
  };
  VENTRAL_DEVICE Stored read(Index at) const { return {load(x + at), load(dy + at), load(sums + at)}; }
  VENTRAL_DEVICE void write(Index channel, Index at, S pooled, const Stored& v) {
    const Divisor<S>& d = divisors.of(channel);
    const S base = d.k + d.slope * kept.kept(v.sum);
    store(dx + at, (base < d.limit ? v.dy : v.dy * inverse_power(base, d.beta)) - rise(v.x) * pooled);
  }
  VENTRAL_DEVICE void operator()(Index channel, Index at, S pooled) { write(channel, at, pooled, read(at)); }
  VENTRAL_DEVICE S rise(S v) const {
    const S p = kept.exponent;
    if (p == S(2)) return v;
    const S sign = v < S(0) ? S(-1) : v > S(0) ? S(1) : v;  // 0 at the kink; NaN stays
    return p != S(1) && sign * sign == S(1) ? sign * positive_power(sign * v, p - S(1)) : sign;
  }
};

/// partial [N C,3] = sums over the positions of each plane of dy y / base, dy y sum / base and dy y ln(base), where divided.
/// A block for each plane, threads along positions, sums in double: reads y, dy and sums once.
template <class T, int threads>
VENTRAL_BOUNDED_KERNEL(threads) void divisor_parameter_sums_kernel(Index channels, Index positions, Divisors<T> divisors, KeptSums<T> kept,
                                                                   const T* y, const T* dy, const T* sums, double* partial) {
  using S = Compute<T>;
  const Index plane = blockIdx.x;
  const Divisor<S>& d = divisors.of(plane % channels);
  double by_k = 0, by_slope = 0, by_beta = 0;
  for (Index i = plane * positions + threadIdx.x; i < (plane + 1) * positions; i += threads) {
    const S sum = kept.kept(load(sums + i)), base = d.k + d.slope * sum, share = load(dy + i) * load(y + i);
    if (base < d.limit) continue;
    by_k += static_cast<double>(share / normal_number(base));
    by_slope += static_cast<double>(share * sum / normal_number(base));
    by_beta += static_cast<double>(share * std::log(normal_number(base)));
  }
  const Pair<double> first = block_sum<threads>(Pair<double>{by_k, by_slope});
  by_beta = block_sum<threads>(by_beta);
  if (threadIdx.x != 0) return;
  partial[3 * plane] = first.first;
  partial[3 * plane + 1] = first.second;
  partial[3 * plane + 2] = by_beta;
}

/// A parameter, its floor and its gradient, which is null where not wanted.
template <class T>
struct LearnedValues {
  const T* value;
  T* gradient;
  Index count;
  Compute<T> floor;
};

/// Adds the gradients of each value of k, alpha and beta: block (g, 0 to 2) sums the planes that value g serves.
template <class T, int threads>
VENTRAL_BOUNDED_KERNEL(threads) void divisor_parameter_gradients_kernel(Index samples, Index channels, double box, Divisors<T> divisors,
                                                                        const double* partial, LearnedValues<T> k, LearnedValues<T> alpha,
                                                                        LearnedValues<T> beta) {
  const Index g = blockIdx.x;
  const unsigned which = blockIdx.y;
  const LearnedValues<T> p = which == 0 ? k : which == 1 ? alpha : beta;
  if (!p.gradient || g >= p.count) return;  // the whole block
  const bool each = p.count > 1;
  double total = 0;
  for (Index i = threadIdx.x; i < (each ? samples : samples * channels); i += threads) {
    const Index plane = each ? i * channels + g : i;
    const double exponent = static_cast<double>(divisors.of(plane % channels).beta);
    total -= partial[3 * plane + which] * (which == 0 ? exponent : which == 1 ? exponent / box : 1.0);
  }
  total = block_sum<threads>(total);
  if (threadIdx.x == 0) store(p.gradient + g, load(p.gradient + g) + gradient_above(p.floor, load(p.value + g), static_cast<Compute<T>>(total)));
}

/// [N,C,H,W] as it is; of any other rank, everything after the channels in one row.
inline Shape as_images(const Shape& x) { return x.rank() == 4 ? x : Shape{x[0], x[1], 1, x.product(2, x.rank())}; }

template <class T>
KeptSums<T> kept_sums(const DivisiveRule& rule) {
  return {static_cast<Compute<T>>(rule.exponent), static_cast<Compute<T>>(rule.box.size())};
}

}  // namespace detail

/// Numbers that the kernels below need as scratch for x [N,C,...]: none but for a box of all three axes, or a long one.
VENTRAL_CUDA_FUNCTION Index divisive_norm_scratch(Stream, const DivisiveRule& rule, const Shape& x) {
  return detail::BoxPlan(rule.box, detail::as_images(x)).scratch;
}

/// y = x / (k + alpha / |box| sums)^beta, where that divisor is at least the threshold, else y = x; sums = box sums of |x|^exponent.
/// x, y, sums [N,C,H,W] (or [N,C,...] with a box of channels only); k, alpha, beta [1] or [C]. `sums` is kept for backward; it may be y when there is
/// none. Reads x twice (the second time mostly from cache), writes y and sums once; a box of all axes writes and reads its plane sums between two
/// launches.
template <class T>
void divisive_norm_forward(Stream stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, Out<T> sums, Out<T> scratch,
                           Out<T> y) {
  const Shape shape = detail::as_images(x.shape);
  const detail::ComputeScratch<T> room(scratch, divisive_norm_scratch(stream, rule, x.shape));
  const detail::KeptSums<T> kept = detail::kept_sums<T>(rule);
  detail::box_sums(stream, rule.box, shape, room.data(), detail::Magnitudes<T>{kept.exponent, x.data},
                   detail::Divide<T>{{rule, k, alpha, beta}, kept, x.data, sums.data == y.data ? nullptr : sums.data, y.data});
}

/// The gradient by x. With D = k + alpha / |box| sums:
/// dx_i = dy_i D_i^-beta - exponent / |box| |x_i|^(exponent-1) sign(x_i) sum_{j: i in box(j)} alpha_j beta_j dy_j y_j / D_j.
/// Kinks: sign(0) = 0 for every exponent; a divisor at the threshold counts as applied. `sums` is what forward kept.
/// Reads y, x once, dy and sums twice, writes dx once; passes as in forward, over the reflected box.
template <class T>
void divisive_norm_backward(Stream stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> x, In<T> y, In<T> dy, In<T> sums,
                            Out<T> scratch, Out<T> dx) {
  const Shape shape = detail::as_images(x.shape);
  const detail::ComputeScratch<T> room(scratch, divisive_norm_scratch(stream, rule, x.shape));
  const detail::Divisors<T> divisors(rule, k, alpha, beta);
  const detail::KeptSums<T> kept = detail::kept_sums<T>(rule);
  detail::box_sums(stream, rule.box.reflected(), shape, room.data(), detail::DivisorGradients<T>{divisors, kept, y.data, dy.data, sums.data},
                   detail::GatherGradients<T>{divisors, kept, x.data, dy.data, sums.data, dx.data});
}

/// Adds the gradients by k, alpha and beta to those of dk, dalpha, dbeta that are not empty, each over the units that a value serves:
/// dk = -sum beta dy y / D, dalpha = -sum beta / |box| dy y sums / D, dbeta = -sum dy y ln D. They are gradients by the values themselves;
/// at its floor (k: smallest_k, alpha and beta: 0) only a gradient that raises a value passes. `partial` [N,C,3] is scratch.
/// Two launches: sums of each plane, then of the planes of each value.
template <class T>
void divisive_norm_parameter_backward(Stream stream, const DivisiveRule& rule, In<T> k, In<T> alpha, In<T> beta, In<T> y, In<T> dy, In<T> sums,
                                      Out<double> partial, Out<T> dk, Out<T> dalpha, Out<T> dbeta) {
  if (y.size() == 0) return;
  const Index samples = y.shape[0], channels = y.shape[1], positions = y.shape.product(2, y.shape.rank());
  const detail::Divisors<T> divisors(rule, k, alpha, beta);
  const auto sum_planes = [&](auto kernel, int threads) {
    launch(stream, {.kernel = "divisor_parameter_sums_kernel", .blocks = samples * channels, .threads = threads, .shape = y.shape}, kernel, channels,
           positions, divisors, detail::kept_sums<T>(rule), y.data, dy.data, sums.data, partial.data);
  };
  if (positions <= 128) sum_planes(detail::divisor_parameter_sums_kernel<T, 32>, 32);
  else sum_planes(detail::divisor_parameter_sums_kernel<T, 256>, 256);

  using S = Compute<T>;
  const detail::LearnedValues<T> of_k{k.data, dk.data, k.size(), static_cast<S>(rule.smallest_k)},
      of_alpha{alpha.data, dalpha.data, alpha.size(), S(0)}, of_beta{beta.data, dbeta.data, beta.size(), S(0)};
  launch(stream,
         {.kernel = "divisor_parameter_gradients_kernel",
          .blocks = {std::max({k.size(), alpha.size(), beta.size()}), 3},
          .threads = 128,
          .shape = y.shape},
         detail::divisor_parameter_gradients_kernel<T, 128>, samples, channels, static_cast<double>(rule.box.size()), divisors, partial.data, of_k,
         of_alpha, of_beta);
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

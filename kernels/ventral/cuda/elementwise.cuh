#pragma once
#include <cstdint>

#include "ventral/cuda/runtime.cuh"

/// A function of each element, or of each element and the number of its plane: what activations, dropout and the like are made of. Threads lie
/// along the elements; each takes 16 bytes of the output at once where the arrays allow, one element elsewhere.
///
///     struct Twice { template <class C> VENTRAL_DEVICE C operator()(C x) const { return x + x; } };
///     map_elements(stream, "twice", Twice{}, x.shape, y.data, x.data);
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// Neighbouring elements that are loaded and stored together.
template <class T, int Width>
struct alignas(sizeof(T) * static_cast<std::size_t>(Width)) Pack {
  T v[Width];
};

/// Elements of T in 16 bytes, the most that a thread moves at once.
template <class T>
constexpr int pack_width = static_cast<int>(16 / sizeof(T));

/// Whether every pointer is aligned for packs of `Width`.
template <int Width, class... T>
bool packs_fit(const T*... p) {
  return (... && (reinterpret_cast<std::uintptr_t>(p) % alignof(Pack<T, Width>) == 0));
}

template <int Width, class T>
VENTRAL_DEVICE Pack<T, Width> load_pack(const T* p) {
  return *reinterpret_cast<const Pack<T, Width>*>(p);
}
template <int Width, class T>
VENTRAL_DEVICE void store_pack(T* p, const Pack<T, Width>& pack) {
  *reinterpret_cast<Pack<T, Width>*>(p) = pack;
}

namespace detail {

/// y[0 .. Width) = f(x[l]...); everything is read before anything is written, so y may be one of x.
template <int Width, class F, class T, class... U>
VENTRAL_DEVICE void map_pack(const F& f, T* y, const Pack<U, Width>... x) {
  Pack<T, Width> out;
  VENTRAL_DEVICE_UNROLL
  for (int l = 0; l < Width; ++l) store(&out.v[l], f(load(&x.v[l])...));
  store_pack<Width>(y, out);
}

/// y[i] = f(x[i]...) for n elements, in packs, then one by one. Each array is read or written once.
template <int Width, class F, class T, class... U>
VENTRAL_KERNEL void map_elements_kernel(Index n, F f, T* y, const U*... x) {
  const Index packs = n / Width;
  for (Index p = first_element(); p < packs; p += element_step()) map_pack<Width>(f, y + p * Width, load_pack<Width>(x + p * Width)...);
  for (Index i = packs * Width + first_element(); i < n; i += element_step()) store(y + i, f(load(x + i)...));
}

/// The elements of one plane: f with the plane's number filled in.
template <class F, class I>
struct OnPlane {
  const F& f;
  I plane;
  template <class... C>
  VENTRAL_DEVICE auto operator()(C... x) const {
    return f(plane, x...);
  }
};

/// y[i] = f(i / cells, x[i]...) for n elements in planes of `cells`, which packs must divide. I, the type of the division, holds n.
template <int Width, class I, class F, class T, class... U>
VENTRAL_KERNEL void map_planes_kernel(Index n, I cells, F f, T* y, const U*... x) {
  for (Index i = first_element() * Width; i < n; i += element_step() * Width) {
    const OnPlane<F, I> on{f, static_cast<I>(i) / cells};
    map_pack<Width>(on, y + i, load_pack<Width>(x + i)...);
  }
}

}  // namespace detail

/// y[i] = f(x[i]...) element by element, f called with Compute<> of each; y may be one of x. Packs of 16 bytes where all arrays are aligned for them.
/// `kernel` names the launch in messages.
template <class F, class T, class... U>
void map_elements(Stream stream, const char* kernel, const F& f, const Shape& shape, T* y, const U*... x) {
  constexpr int width = pack_width<T>;
  const Index n = shape.size();
  if (packs_fit<width>(y, x...))
    launch(stream, {.kernel = kernel, .blocks = blocks_for((n + width - 1) / width), .shape = shape}, detail::map_elements_kernel<width, F, T, U...>,
           n, f, y, x...);
  else launch(stream, {.kernel = kernel, .blocks = blocks_for(n), .shape = shape}, detail::map_elements_kernel<1, F, T, U...>, n, f, y, x...);
}

/// y[i] = f(i / cells, x[i]...) for planes of `cells` elements, as map_elements. Packs of 16 bytes where they divide the planes too.
template <class F, class T, class... U>
void map_planes(Stream stream, const char* kernel, const F& f, const Shape& shape, Index cells, T* y, const U*... x) {
  constexpr int width = pack_width<T>;
  const Index n = shape.size();
  if (n == 0) return;
  const auto run = [&](auto divisor, auto mapping, Index items) {
    launch(stream, {.kernel = kernel, .blocks = blocks_for(items), .shape = shape}, mapping, n, static_cast<decltype(divisor)>(cells), f, y, x...);
  };
  const bool packed = cells % width == 0 && packs_fit<width>(y, x...);
  using Small = std::uint32_t;  // 64-bit division takes several times as long
  if (n <= (Index{1} << 31)) {
    if (packed) run(Small{}, detail::map_planes_kernel<width, Small, F, T, U...>, n / width);
    else run(Small{}, detail::map_planes_kernel<1, Small, F, T, U...>, n);
  } else {
    if (packed) run(Index{}, detail::map_planes_kernel<width, Index, F, T, U...>, n / width);
    else run(Index{}, detail::map_planes_kernel<1, Index, F, T, U...>, n);
  }
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

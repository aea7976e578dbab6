#pragma once
#include "ventral/cuda/runtime.cuh"

/// Instructions that CUDA C++ has no words for, as PTX on a GPU and as plain C++ on the emulator: copies that run beside the arithmetic (cp.async),
/// matrices in the registers of a warp (mma, ldmatrix), tf32 numbers, whole vectors. With runtime.cuh the only file that knows the difference.
/// All of it works on every GPU: what an older one lacks is done by other instructions there, slower.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// This thread's place among all of its block, x fastest: warps are runs of 32 of it.
VENTRAL_DEVICE int thread_in_block() { return static_cast<int>(threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z)); }

/// a b, rounded before it is used: never a part of a fused multiply-add.
VENTRAL_DEVICE float rounded_product(float a, float b) { return __fmul_rn(a, b); }
VENTRAL_DEVICE double rounded_product(double a, double b) { return __dmul_rn(a, b); }

/// `bytes` (4, 8 or 16) bytes of numbers, read or written as one.
template <class T, int bytes = 16>
struct alignas(bytes) Vector {
  static constexpr int size = bytes / static_cast<int>(sizeof(T));
  T v[size];
};

/// Reads a vector; p is aligned to its size.
template <class T, int bytes = 16>
VENTRAL_DEVICE Vector<T, bytes> load_vector(const T* p) {
  return *reinterpret_cast<const Vector<T, bytes>*>(p);
}
template <class T, int bytes>
VENTRAL_DEVICE void store_vector(T* p, const Vector<T, bytes>& value) {
  *reinterpret_cast<Vector<T, bytes>*>(p) = value;
}
/// Whether every row of a matrix can be read in vectors: first row and stride (in numbers of T) are multiples of the vector.
template <class T, int bytes = 16>
bool vectors_fit(const T* p, Index stride) {
  return reinterpret_cast<std::uintptr_t>(p) % bytes == 0 && stride * static_cast<Index>(sizeof(T)) % bytes == 0;
}

/// Compute capability, as 90 for 9.0, of the code that runs on the current GPU: the GPU's, or less when the program was built for older ones only.
/// Static, since the units of a program may be built for different GPUs.
static inline int compute_capability() {
#if defined(VENTRAL_CUDA_EMULATED)
  return 90;
#else
  int device = 0, major = 0, minor = 0, best = 0;
  check(cudaGetDevice(&device), "cudaGetDevice");
  check(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
  check(cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device), "cudaDeviceGetAttribute");
  for (const int built : {__CUDA_ARCH_LIST__})
    if (built / 10 <= 10 * major + minor && built / 10 > best) best = built / 10;
  return best;
#endif
}

// ---- copies from global to shared memory

/// Begins to copy `bytes` (4, 8 or 16, both addresses aligned to it) from global to shared memory, or to fill with zeros when not valid (then `from`
/// is not read). The bytes are there after async_commit(), async_wait and a barrier. A plain copy before compute capability 8.0.
template <int bytes>
VENTRAL_DEVICE void async_copy(void* shared, const void* from, bool valid = true) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::async_copy(shared, from, bytes, valid ? bytes : 0);
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  const unsigned to = static_cast<unsigned>(__cvta_generic_to_shared(shared)), read = valid ? bytes : 0;
  if constexpr (bytes == 16) asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(from), "r"(read) : "memory");
  else asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(to), "l"(from), "n"(bytes), "r"(read) : "memory");
#else
  const auto* const source = static_cast<const Vector<std::uint32_t, bytes>*>(from);
  *static_cast<Vector<std::uint32_t, bytes>*>(shared) = valid ? *source : Vector<std::uint32_t, bytes>{};
#endif
}

/// Ends a group: the copies that this thread began since the last one.
VENTRAL_DEVICE void async_commit() {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::async_commit();
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/// Waits until at most `groups` of this thread's groups, the latest ones, are under way.
template <int groups>
VENTRAL_DEVICE void async_wait() {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::async_wait(groups);
#elif !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
  asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory");
#endif
}

// ---- matrices in the registers of a warp

/// The bits of a float rounded to tf32 (10 bits of mantissa): to nearest, ties away from zero.
VENTRAL_DEVICE std::uint32_t to_tf32(float value) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(value));
  return bits;
#else
  return value != value ? 0x7FFFFFFFu : (std::bit_cast<std::uint32_t>(value) + 0x1000u) & ~0x1FFFu;
#endif
}

/// Whether the code being compiled has tensor cores to run mma on: tiles that are never chosen without them leave their bodies out.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
inline constexpr bool has_tensor_cores = false;
#else
inline constexpr bool has_tensor_cores = true;
#endif

/// Numbers of T along the depth of one mma: 16 of 16 bits, 8 of tf32.
template <class T>
constexpr int mma_depth = sizeof(T) == 2 ? 16 : 8;

namespace detail {

struct Fragments {
  std::uint32_t a[4], b[2];
};
struct FourSums {
  float v[4];
};

#if defined(VENTRAL_CUDA_EMULATED)
#define VENTRAL_SCALAR_MMA inline
/// The fragments of the warp's lanes.
struct LaneFragments {
  const Fragments* of_lane;
  explicit LaneFragments(const Fragments& mine) : of_lane(emulator::warp_gather(mine, 0xFFFFFFFFu)) {}
  std::uint32_t a(int lane, int i) const { return of_lane[lane].a[i]; }
  std::uint32_t b(int lane, int i) const { return of_lane[lane].b[i]; }
};
#elif defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 800
#define VENTRAL_SCALAR_MMA __device__ __noinline__
struct LaneFragments {
  Fragments mine;
  VENTRAL_DEVICE std::uint32_t a(int lane, int i) const { return __shfl_sync(0xFFFFFFFFu, mine.a[i], lane); }
  VENTRAL_DEVICE std::uint32_t b(int lane, int i) const { return __shfl_sync(0xFFFFFFFFu, mine.b[i], lane); }
};
#endif

#if defined(VENTRAL_SCALAR_MMA)
/// Number i of those that a register holds: a pair of 16 bits, or one tf32.
template <class T>
VENTRAL_DEVICE float fragment_number(std::uint32_t bits, int i) {
  if constexpr (sizeof(T) == 2) return static_cast<float>(T::from_bits(static_cast<std::uint16_t>(bits >> 16 * i)));
  else return std::bit_cast<float>(bits);
}

/// sum + a[0] b[0] + ...: by ordinary arithmetic, or on the emulator as a tensor core cuts it.
template <int n>
VENTRAL_DEVICE float add_products(float sum, const float (&a)[n], const float (&b)[n]) {
#if defined(VENTRAL_CUDA_EMULATED)
  return emulator::tensor_core_sum(sum, a, b);
#else
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
#endif
}

/// The mma without a tensor core, each lane its four numbers of d; half of the depth at a time. For the emulator and for GPUs before 8.0.
template <class T>
VENTRAL_SCALAR_MMA FourSums multiply_by_lanes(FourSums d, Fragments mine) {
  constexpr int half = mma_depth<T> / 2, each = half / 4;
  const int lane = thread_in_block() % 32, group = lane / 4, place = lane % 4;
  const LaneFragments lanes{mine};
  VENTRAL_DEVICE_UNROLL
  for (int k_half = 0; k_half < 2; ++k_half) {
    float rows[2][half], columns[2][half];  // of this lane: rows group and group + 8, columns 2 place and 2 place + 1
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 2; ++i)
      VENTRAL_DEVICE_UNROLL
      for (int j = 0; j < 4; ++j) {
        const std::uint32_t row = lanes.a(4 * group + j, 2 * k_half + i), column = lanes.b(8 * place + 4 * i + j, k_half);
        VENTRAL_DEVICE_UNROLL
        for (int e = 0; e < each; ++e) rows[i][each * j + e] = fragment_number<T>(row, e), columns[i][each * j + e] = fragment_number<T>(column, e);
      }
    VENTRAL_DEVICE_UNROLL
    for (int e = 0; e < 4; ++e) d.v[e] = add_products(d.v[e], rows[e / 2], columns[e % 2]);
  }
  return d;
}
#endif

}  // namespace detail

/// d += a b by one warp on its tensor core: a [16,depth], b [depth,8], d [16,8] in float; depth 16 for bfloat16 and half, 8 for float, which is read
/// as tf32. Products are exact; sums are cut, not rounded, so that a long sum in d drifts toward zero. Lane 4 g + t holds
///   16 bits: a[0] (g, 2t..2t+1), a[1] (g+8, 2t..), a[2] (g, 2t+8..), a[3] (g+8, 2t+8..);  b[0] (2t..2t+1, g), b[1] (2t+8.., g)
///   tf32:    a[0] (g, t),        a[1] (g+8, t),    a[2] (g, t+4),    a[3] (g+8, t+4);     b[0] (t, g),        b[1] (t+4, g)
///   d[0] (g, 2t), d[1] (g, 2t+1), d[2] (g+8, 2t), d[3] (g+8, 2t+1);   of two 16-bit numbers the first is in the low half.
/// All lanes must come here. Source: PTX ISA, mma.sync.aligned.m16n8k16 and m16n8k8.
template <class T>
VENTRAL_DEVICE void mma(float (&d)[4], const std::uint32_t (&a)[4], const std::uint32_t (&b)[2]) {
  static_assert(is_one_of<T, bfloat16, half, float>);
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
  if constexpr (std::is_same_v<T, bfloat16>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else if constexpr (std::is_same_v<T, half>)
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  else
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#elif defined(VENTRAL_SCALAR_MMA)
  const auto sums = detail::multiply_by_lanes<T>({{d[0], d[1], d[2], d[3]}}, {{a[0], a[1], a[2], a[3]}, {b[0], b[1]}});
  for (int i = 0; i < 4; ++i) d[i] = sums.v[i];
#endif
}
#undef VENTRAL_SCALAR_MMA

/// Reads four 8x8 matrices of 16-bit numbers from shared memory (ldmatrix.x4): lane 8 i + j gives the address of row j of matrix i, 16 bytes aligned
/// to 16; register i of lane 4 g + t then holds numbers 2t and 2t+1 of row g of matrix i, or with `transposed` of column g. All lanes must come here.
template <bool transposed>
VENTRAL_DEVICE void load_matrices(std::uint32_t (&r)[4], const void* row) {
#if defined(VENTRAL_CUDA_EMULATED)
  const void* const* const rows = emulator::warp_gather(row, 0xFFFFFFFFu);
  const int lane = thread_in_block() % 32, g = lane / 4, t = lane % 4;
  const auto number = [&](int matrix, int i, int j) { return std::uint32_t{static_cast<const std::uint16_t*>(rows[8 * matrix + i])[j]}; };
  for (int i = 0; i < 4; ++i)
    r[i] = transposed ? number(i, 2 * t, g) | number(i, 2 * t + 1, g) << 16 : number(i, g, 2 * t) | number(i, g, 2 * t + 1) << 16;
#else
  const unsigned from = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (transposed)
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
  else
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(from)
                 : "memory");
#endif
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

#pragma once
#include "ventral/cuda/primitives.cuh"

#if !defined(VENTRAL_CUDA_EMULATED)
#include <cudaTypedefs.h>
#endif

/// Instructions of Hopper GPUs (compute capability 9.0, compiled for sm_90a), on a GPU and on the emulator: barriers in shared memory (mbarrier), the copy
/// engine (TMA) and products of matrices by warpgroups, 128 threads from a multiple of 128 (wgmma). Elsewhere they do nothing: see has_hopper.
///
///     mbarrier_init(&full, 1); async_fence(); __syncthreads();                             // one thread initialises, all may use it
///     mbarrier_expect(&full, bytes); copy_box(shared, map, column, row, &full);            // one thread: a box is on its way
///     mbarrier_wait(&full, phase % 2);                                                     // all: it is there
///     warpgroup_fence(); warpgroup_multiply<T, false, false>(sums, a, b); warpgroup_commit(); warpgroup_wait<0>(sums);
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {

/// Whether the code being compiled has these instructions.
#if defined(__CUDA_ARCH__) && !defined(__CUDA_ARCH_FEAT_SM90_ALL)
inline constexpr bool has_hopper = false;
#else
inline constexpr bool has_hopper = true;
#endif
#if defined(VENTRAL_CUDA_EMULATED)
#define VENTRAL_SITE const char *file = __builtin_FILE(), int line = __builtin_LINE()  // where the caller is, for messages
#else
#define VENTRAL_SITE int = 0
#endif

/// Whether a kernel has its body on the current GPU: one whose body is under `if constexpr (has_hopper)` and declares barriers, which are left out with it.
template <class... Parameters>
bool runs_on_hopper(void (*kernel)(Parameters...)) {
#if defined(VENTRAL_CUDA_EMULATED)
  return kernel != nullptr;
#else
  cudaFuncAttributes attributes{};
  if (compute_capability() != 90) return false;
  check(cudaFuncGetAttributes(&attributes, reinterpret_cast<const void*>(kernel)), "cudaFuncGetAttributes");
  return attributes.sharedSizeBytes > 0;
#endif
}

// ---- barriers in shared memory

/// A barrier that some threads, and copies, arrive at and others wait for, again and again. A phase ends when the promised arrivals have come, and the bytes
/// that they announced.
struct alignas(8) Mbarrier {
  std::uint64_t state;
};

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
namespace detail {
VENTRAL_DEVICE unsigned shared_address(const void* p) { return static_cast<unsigned>(__cvta_generic_to_shared(p)); }
}  // namespace detail
#endif

/// By one thread, before any use; others may use the barrier after async_fence() by that thread and __syncthreads().
VENTRAL_DEVICE void mbarrier_init(Mbarrier* barrier, unsigned arrivals, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->init_mbarrier(barrier, arrivals, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" ::"r"(detail::shared_address(barrier)), "r"(arrivals) : "memory");
#endif
}

VENTRAL_DEVICE void mbarrier_arrive(Mbarrier* barrier, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->arrive(barrier, 0, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}" ::"r"(detail::shared_address(barrier)) : "memory");
#endif
}

/// Arrives and announces copies of so many bytes, which belong to the phase.
VENTRAL_DEVICE void mbarrier_expect(Mbarrier* barrier, unsigned bytes, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->arrive(barrier, bytes, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}" ::"r"(detail::shared_address(barrier)), "r"(bytes) : "memory");
#endif
}

/// Waits for the end of the phase of that parity: phases 0, 1, 2, ... have parities 0, 1, 0, ...; that of parity 1 before the first has ended from the start.
VENTRAL_DEVICE void mbarrier_wait(Mbarrier* barrier, unsigned parity, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->await(barrier, parity, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  unsigned ended = 0;
  while (!ended)
    asm volatile("{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}"
                 : "=r"(ended)
                 : "r"(detail::shared_address(barrier)), "r"(parity)
                 : "memory");
#endif
}

/// Lets the copy engine and the tensor cores see what this thread has written to shared memory, its new barriers among it. Then a barrier is due.
VENTRAL_DEVICE void async_fence() {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->fence_async();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
#endif
}

// ---- the copy engine

#if defined(VENTRAL_CUDA_EMULATED)
#define VENTRAL_GRID_CONSTANT
#else
/// Of a TensorMap as a kernel's parameter: the copy engine reads it where it is.
#define VENTRAL_GRID_CONSTANT __grid_constant__
/// A matrix or images in global memory and the box of it that is copied at once, made by tensor_map or pixel_map.
struct TensorMap {
  CUtensorMap encoded;
};

namespace detail {

/// A function of the driver that writes tensor maps, asked of the runtime so that programs need not link the driver.
template <class Encoder>
Encoder tensor_map_encoder(const char* name) {
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found{};
#if CUDART_VERSION >= 12050
  check(cudaGetDriverEntryPointByVersion(name, &function, 12000, cudaEnableDefault, &found), "cudaGetDriverEntryPointByVersion");
#else
  check(cudaGetDriverEntryPoint(name, &function, cudaEnableDefault, &found), "cudaGetDriverEntryPoint");
#endif
  require<CudaError>(found == cudaDriverEntryPointSuccess && function, "the driver has no ", name, ": CUDA 12.0 is needed");
  return reinterpret_cast<Encoder>(function);
}

template <class T>
inline constexpr auto tensor_map_type = std::is_same_v<T, float>  ? CU_TENSOR_MAP_DATA_TYPE_TFLOAT32
                                        : std::is_same_v<T, half> ? CU_TENSOR_MAP_DATA_TYPE_FLOAT16
                                                                  : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16;

}  // namespace detail
#endif

/// Whether tensor_map can describe a matrix: rows that begin at multiples of 16 bytes, extents from 1 to 2^31 - 1.
template <class T>
bool tensor_map_fits(const T* data, Index rows, Index columns, Index stride) {
  constexpr Index most = 0x7FFFFFFF;
  return rows > 0 && columns > 0 && rows <= most && columns <= most && vectors_fit(data, stride) && stride < (Index{1} << 40) / Index{sizeof(T)};
}

/// Describes a row-major matrix of bfloat16, half or float, to be copied in boxes of box_rows (1 to 256) rows of 128 bytes. Floats become tf32 on their way
/// (the emulator: to nearest; how the engine rounds is not documented). Throws CudaError when it does not fit.
template <class T>
TensorMap tensor_map(const T* data, Index rows, Index columns, Index stride, int box_rows) {
  static_assert(is_one_of<T, bfloat16, half, float>);
  constexpr int box_columns = 128 / static_cast<int>(sizeof(T));
#if defined(VENTRAL_CUDA_EMULATED)
  return emulator::tensor_map(data, sizeof(T), std::is_same_v<T, float>, rows, columns, stride, box_rows, box_columns);
#else
  static const auto encode = detail::tensor_map_encoder<PFN_cuTensorMapEncodeTiled_v12000>("cuTensorMapEncodeTiled");
  TensorMap map;
  const cuuint64_t extents[] = {static_cast<cuuint64_t>(columns), static_cast<cuuint64_t>(rows)}, pitch[] = {static_cast<cuuint64_t>(stride) * sizeof(T)};
  const cuuint32_t box[] = {static_cast<cuuint32_t>(box_columns), static_cast<cuuint32_t>(box_rows)}, steps[] = {1, 1};
  const CUresult status = encode(&map.encoded, detail::tensor_map_type<T>, 2, const_cast<T*>(data), extents, pitch, box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE,
                                 CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require<CudaError>(status == CUDA_SUCCESS, "cuTensorMapEncodeTiled refuses a matrix of ", rows, " x ", columns, ", stride ", stride, ", of ", sizeof(T),
                     "-byte numbers: error ", static_cast<int>(status));
  return map;
#endif
}

/// Begins to copy the box from (column, row) to shared memory at a multiple of 1024 bytes, zeros outside of the matrix; the barrier's phase ends after it. All
/// bytes of the box count, those outside too. Piece p of 16 bytes of row r comes to 128 r + 16 (p xor r % 8). One thread says it for all.
VENTRAL_DEVICE void copy_box(void* shared, const TensorMap& map, int column, int row, Mbarrier* barrier, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->copy_box(shared, map, {column, row, 0, 0}, {0, 0}, barrier, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];" ::"r"(detail::shared_address(shared)),
               "l"(&map.encoded), "r"(column), "r"(row), "r"(detail::shared_address(barrier))
               : "memory");
#endif
}

/// Where windows stand along an axis of an image: first, first + step, ... `count` of them.
struct WindowPlaces {
  int first, step, count;
  /// The place after the last, counted from the end of the image.
  constexpr int end(Index extent) const { return static_cast<int>(first + (count - 1) * step + 1 - extent); }
};

/// Whether pixel_map can describe windows that stand so.
inline bool pixel_map_fits(Index extent, const WindowPlaces& p) {
  const auto fits = [](int corner) { return corner >= -128 && corner <= 127; };
  return p.count > 0 && p.step >= 1 && p.step <= 8 && fits(p.first) && extent <= 0x7FFFFFFF && fits(p.end(extent));
}

/// Describes images [N,H,W,pitch], of whose numbers `channels` are read, to be copied in boxes of so many pixels (1 to 256) of 128 bytes: those of as many windows
/// (im2col). `pitch` is a multiple of 16 bytes. Floats as in tensor_map. Throws CudaError when it does not fit.
template <class T>
TensorMap pixel_map(const T* data, Index images, Index h, Index w, Index channels, Index pitch, const WindowPlaces& down, const WindowPlaces& across, int pixels) {
  static_assert(is_one_of<T, bfloat16, half, float>);
  constexpr int box_channels = 128 / static_cast<int>(sizeof(T));
#if defined(VENTRAL_CUDA_EMULATED)
  return emulator::pixel_map(data, sizeof(T), std::is_same_v<T, float>, {channels, w, h, images}, pitch, {across.first, down.first}, {across.end(w), down.end(h)},
                             {across.step, down.step}, box_channels, pixels);
#else
  static const auto encode = detail::tensor_map_encoder<PFN_cuTensorMapEncodeIm2col_v12000>("cuTensorMapEncodeIm2col");
  TensorMap map;
  const auto number = [](Index n) { return static_cast<cuuint64_t>(n); };
  const cuuint64_t extents[] = {number(channels), number(w), number(h), number(images)}, bytes = number(pitch) * sizeof(T);
  const cuuint64_t pitches[] = {bytes, bytes * number(w), bytes * number(w * h)};
  const int first[] = {across.first, down.first}, last[] = {across.end(w), down.end(h)};  // as CUTLASS has them: columns first
  const cuuint32_t steps[] = {1, static_cast<cuuint32_t>(across.step), static_cast<cuuint32_t>(down.step), 1};
  const CUresult status =
      encode(&map.encoded, detail::tensor_map_type<T>, 4, const_cast<T*>(data), extents, pitches, first, last, box_channels, static_cast<cuuint32_t>(pixels), steps,
             CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  require<CudaError>(status == CUDA_SUCCESS, "cuTensorMapEncodeIm2col refuses images of ", h, " x ", w, " pixels of ", channels, " numbers of ", sizeof(T), " bytes: error ",
                     static_cast<int>(status));
  return map;
#endif
}

/// Begins to copy a row of 128 bytes, from `channel` on, for each of the map's pixels: that which lies `right` and `down` (0 to 255) of where a window stands.
/// Windows go on from (column, row) of an image, which is one of them, along rows, columns and images. Zeros outside of the images; rows come as copy_box
/// leaves them. One thread says it for all. Source: PTX ISA, im2col mode.
VENTRAL_DEVICE void copy_pixels(void* shared, const TensorMap& map, int channel, int column, int row, int image, int right, int down, Mbarrier* barrier, VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::Block::current->copy_pixels(shared, map, {channel, column, row, image}, right, down, barrier, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.im2col.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3, %4, %5}], [%6], {%7, %8};" ::"r"(
                   detail::shared_address(shared)),
               "l"(&map.encoded), "r"(channel), "r"(column), "r"(row), "r"(image), "r"(detail::shared_address(barrier)), "h"(static_cast<unsigned short>(right)),
               "h"(static_cast<unsigned short>(down))
               : "memory");
#endif
}

// ---- products by warpgroups

/// Lets each thread of a warpgroup have so many registers, taken from or left to the other warpgroups; all of the warpgroup's threads come here.
template <int registers>
VENTRAL_DEVICE void take_registers() {
  static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}
template <int registers>
VENTRAL_DEVICE void leave_registers() {
  static_assert(registers % 8 == 0 && registers >= 24 && registers <= 256);
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;" ::"n"(registers));
#endif
}

/// What tells wgmma where an operand lies: rows of 128 bytes as copy_box leaves them, in atoms of eight rows. Where rows run along k, `stride` bytes lie between
/// atoms (eight rows or columns of the operand), `leading` is not used; where rows run along m or n, `stride` bytes lie between atoms (eight steps of k) and
/// `leading` between runs of 128 bytes. Source: PTX ISA, wgmma, matrix descriptor format and strides.
VENTRAL_DEVICE std::uint64_t matrix_descriptor(const void* shared, unsigned leading, unsigned stride) {
#if defined(VENTRAL_CUDA_EMULATED)
  return emulator::matrix_descriptor(shared, leading, stride);
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  return (detail::shared_address(shared) >> 4 & 0x3FFF) | std::uint64_t{leading >> 4} << 16 | std::uint64_t{stride >> 4} << 32 | std::uint64_t{1} << 62;
#else
  return 0;
#endif
}
/// The same operand `bytes` later.
VENTRAL_DEVICE std::uint64_t later(std::uint64_t descriptor, unsigned bytes) { return descriptor + (bytes >> 4); }

/// Hands the registers of sums over to the products that follow.
VENTRAL_DEVICE void warpgroup_fence() {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::warpgroup_fence();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
#endif
}

#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define VENTRAL_TEN_NAMES(i) "%" #i "0, %" #i "1, %" #i "2, %" #i "3, %" #i "4, %" #i "5, %" #i "6, %" #i "7, %" #i "8, %" #i "9, "
#define VENTRAL_FLOATS_4(i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define VENTRAL_FLOATS_16(i) VENTRAL_FLOATS_4(i), VENTRAL_FLOATS_4(i + 4), VENTRAL_FLOATS_4(i + 8), VENTRAL_FLOATS_4(i + 12)
#define VENTRAL_FLOATS_64(i) VENTRAL_FLOATS_16(i), VENTRAL_FLOATS_16(i + 16), VENTRAL_FLOATS_16(i + 32), VENTRAL_FLOATS_16(i + 48)
/// %0 ... %127
#define VENTRAL_NAMES_128                                                                                                                                      \
  "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, " VENTRAL_TEN_NAMES(1) VENTRAL_TEN_NAMES(2) VENTRAL_TEN_NAMES(3) VENTRAL_TEN_NAMES(4) VENTRAL_TEN_NAMES(5) VENTRAL_TEN_NAMES(6)    \
      VENTRAL_TEN_NAMES(7) VENTRAL_TEN_NAMES(8) VENTRAL_TEN_NAMES(9) VENTRAL_TEN_NAMES(10) VENTRAL_TEN_NAMES(11) "%120, %121, %122, %123, %124, %125, %126, %127"
#define VENTRAL_WGMMA(shape_and_types, transposes, ...)                                                                                                       \
  asm volatile("wgmma.mma_async.sync.aligned." shape_and_types " {" VENTRAL_NAMES_128 "}, %128, %129, 1, 1, 1" transposes ";"                                  \
               : VENTRAL_FLOATS_64(0), VENTRAL_FLOATS_64(64)                                                                                                  \
               : "l"(a), "l"(b)__VA_ARGS__)
#endif

/// Begins d += a b, by a warpgroup: a [64,depth], b [depth,256], d [64,256] in float, depth 16 for bfloat16 and half, 8 for float, read as tf32; a and b in
/// shared memory. a_extent: rows of a's 128 bytes run along m, not k; b_extent: along n; tf32 has neither. Thread t has in d[i] row 16 (t / 32) +
/// t % 32 / 4 + 8 (i / 2 % 2) and column 8 (i / 4) + 2 (t % 4) + i % 2. Until warpgroup_wait d is not to be touched, nor a and b to be written.
/// Source: PTX ISA, wgmma.mma_async.
template <class T, bool a_extent, bool b_extent>
VENTRAL_DEVICE void warpgroup_multiply(float (&d)[128], std::uint64_t a, std::uint64_t b, VENTRAL_SITE) {
  static_assert(is_one_of<T, bfloat16, half, float> && (sizeof(T) == 2 || (!a_extent && !b_extent)));
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::warpgroup_product<T, 256, a_extent, b_extent>(d, a, b, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define VENTRAL_COMMA ,
  if constexpr (std::is_same_v<T, float>) VENTRAL_WGMMA("m64n256k8.f32.tf32.tf32", "", );
  else if constexpr (std::is_same_v<T, half>) VENTRAL_WGMMA("m64n256k16.f32.f16.f16", ", %130, %131", VENTRAL_COMMA "n"(a_extent), "n"(b_extent));
  else VENTRAL_WGMMA("m64n256k16.f32.bf16.bf16", ", %130, %131", VENTRAL_COMMA "n"(a_extent), "n"(b_extent));
#undef VENTRAL_COMMA
#endif
}

/// Writes two floats to shared memory at once; p is aligned to both. (Written as one assignment, nvcc 13 makes two of some.)
VENTRAL_DEVICE void store_shared_pair(float* p, float first, float second) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("st.shared.v2.f32 [%0], {%1, %2};" ::"r"(detail::shared_address(p)), "f"(first), "f"(second) : "memory");
#else
  p[0] = first, p[1] = second;
#endif
}

/// Rounds four floats and writes them at once; p is aligned to four numbers of T.
template <class T>
VENTRAL_DEVICE void store_four(T* p, const float (&v)[4]) {
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
  const auto pair = [](float first, float second) {
    unsigned both;
    if constexpr (std::is_same_v<T, half>) asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    else asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(both) : "f"(second), "f"(first));
    return both;
  };
  if constexpr (sizeof(T) == 4) *reinterpret_cast<float4*>(p) = {v[0], v[1], v[2], v[3]};
  else *reinterpret_cast<uint2*>(p) = {pair(v[0], v[1]), pair(v[2], v[3])};
#else
  for (int i = 0; i < 4; ++i) store(p + i, v[i]);
#endif
}

/// Ends a group: the products that this thread began since the last one.
VENTRAL_DEVICE void warpgroup_commit() {
#if defined(VENTRAL_CUDA_EMULATED)
  emulator::warpgroup_commit();
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
#endif
}

/// Waits until at most `groups` of the warpgroup's groups, the latest ones, are under way. With 0, the sums d may be read.
template <int groups>
VENTRAL_DEVICE void warpgroup_wait(float (&d)[128], VENTRAL_SITE) {
#if defined(VENTRAL_CUDA_EMULATED)
  static_cast<void>(d);
  emulator::warpgroup_wait(groups, {file, line});
#elif defined(__CUDA_ARCH_FEAT_SM90_ALL)
  asm volatile("wgmma.wait_group.sync.aligned %0;" ::"n"(groups) : "memory");
  if constexpr (groups == 0)
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 128; ++i) asm volatile("" : "+f"(d[i])::"memory");  // nothing that reads d moves before the wait
#endif
}

#undef VENTRAL_SITE
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#undef VENTRAL_TEN_NAMES
#undef VENTRAL_NAMES_128
#undef VENTRAL_FLOATS_4
#undef VENTRAL_FLOATS_16
#undef VENTRAL_FLOATS_64
#undef VENTRAL_WGMMA
#endif

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

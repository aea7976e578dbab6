// Prints what every primitive gives, bit by bit. Built twice, for the emulator and by nvcc; on a GPU both must print the same (scripts/gpu compares them).
#include <cstdio>
#include <vector>

#include "ventral/cuda/choose_device.hpp"
#include "ventral/cuda/primitives.cuh"
#include "ventral/cuda/reduce.cuh"
#include "ventral/random.hpp"

namespace primitives {

using namespace ventral::gpu;
using ventral::bfloat16;
using ventral::Cpu;
using ventral::half;
using ventral::Index;
using Word = std::uint32_t;

constexpr int threads = 128;

VENTRAL_DEVICE Word bits(float v) { return std::bit_cast<Word>(v); }

/// Shuffles of every kind, in whole warps and in groups of 8.
VENTRAL_BOUNDED_KERNEL(threads) void shuffle_kernel(const Word* x, Word* y) {
  const unsigned all = 0xFFFFFFFFu;
  const Word v = x[threadIdx.x];
  Word r[8] = {__shfl_sync(all, v, static_cast<int>(v % 32)), __shfl_xor_sync(all, v, 5), __shfl_up_sync(all, v, 3), __shfl_down_sync(all, v, 7),
               __shfl_sync(all, v, 9, 8), __shfl_xor_sync(all, v, 9, 8), __shfl_up_sync(all, v, 3, 8), __shfl_down_sync(all, v, 3, 8)};
  for (int i = 0; i < 8; ++i) y[threadIdx.x * 8 + static_cast<unsigned>(i)] = r[i];
}

/// Votes, and a vote of the odd lanes alone.
VENTRAL_BOUNDED_KERNEL(threads) void vote_kernel(const Word* x, Word* y) {
  const unsigned all = 0xFFFFFFFFu, odd = 0xAAAAAAAAu, lane = threadIdx.x % 32;
  const bool set = x[threadIdx.x] & 1u;
  Word* const r = y + threadIdx.x * 8;
  r[0] = __ballot_sync(all, set);
  r[1] = static_cast<Word>(__any_sync(all, x[threadIdx.x] == x[5]));
  r[2] = static_cast<Word>(__all_sync(all, x[threadIdx.x] != 1));
  r[3] = lane % 2 ? __ballot_sync(odd, set) : 0;
  r[4] = static_cast<Word>(__syncthreads_count(set));
  r[5] = static_cast<Word>(__syncthreads_or(threadIdx.x == 77));
  r[6] = static_cast<Word>(__popc(x[threadIdx.x]));
  r[7] = static_cast<Word>(__clz(static_cast<int>(x[threadIdx.x])));
}

/// Sums and maxima of warp and block, in float: the order of the additions shows in the bits.
VENTRAL_BOUNDED_KERNEL(threads) void reduce_kernel(const float* x, Word* y) {
  const float v = x[threadIdx.x];
  Word* const r = y + threadIdx.x * 8;
  r[0] = bits(warp_sum(v));
  r[1] = bits(warp_max(v));
  r[2] = bits(block_sum<threads>(v));
  r[3] = bits(block_max<threads>(v));
  const auto both = block_sum<threads>(Pair<float>{v, v * v});
  r[4] = bits(both.first);
  r[5] = bits(both.second);
  r[6] = bits(static_cast<float>(block_sum<threads>(static_cast<double>(v))));
  r[7] = bits(warp_sum(v * static_cast<float>(threadIdx.x % 3)));
}

/// Numbers of 16 bits and tf32.
VENTRAL_BOUNDED_KERNEL(threads) void number_kernel(const float* x, Word* y) {
  const float v = x[threadIdx.x] * 3e4f;
  Word* const r = y + threadIdx.x * 8;
  r[0] = bfloat16(v).bits();
  r[1] = half(v).bits();
  r[2] = to_tf32(v);
  r[3] = half(v * 1e-9f).bits();
  r[4] = bits(half::from_bits(static_cast<std::uint16_t>(threadIdx.x * 509)));
  r[5] = bits(bfloat16::from_bits(static_cast<std::uint16_t>(threadIdx.x * 509)));
  const auto words = ventral::Random(7, 9).block(threadIdx.x);
  r[6] = words[0] ^ words[2];
  r[7] = words[1] ^ words[3];
}

/// Copies that run beside the arithmetic, two groups under way, with gaps that are filled with zeros.
VENTRAL_BOUNDED_KERNEL(threads) void async_kernel(const Word* x, Word* y) {
  VENTRAL_SHARED(Word, stage, 2 * threads * 8);
  for (int group = 0; group < 2; ++group) {
    Word* const to = stage + group * threads * 8 + threadIdx.x * 8;
    const Word* const from = x + threadIdx.x * 8;
    async_copy<16>(to, from, (threadIdx.x + static_cast<unsigned>(group)) % 3 != 0);
    async_copy<8>(to + 4, from + 4);
    async_copy<4>(to + 6, from + 6);
    async_copy<4>(to + 7, from + 7, group == 0);
    async_commit();
  }
  async_wait<1>();
  __syncthreads();
  Word sum[8];
  for (unsigned i = 0; i < 8; ++i) sum[i] = stage[(threadIdx.x + 1) % threads * 8 + i];
  async_wait<0>();
  __syncthreads();
  for (unsigned i = 0; i < 8; ++i) y[threadIdx.x * 8 + i] = sum[i] * 3 + stage[threads * 8 + (threadIdx.x + 2) % threads * 8 + i];
}

/// A product of whole numbers by the tensor core, exact in float; each warp another one.
template <class T>
VENTRAL_BOUNDED_KERNEL(threads) void mma_kernel(const Word* x, Word* y) {
  const auto number = [&](unsigned i) { return static_cast<float>(static_cast<int>(x[(threadIdx.x * 8 + i) % (threads * 8)] % 17) - 8); };
  const auto register_of = [&](unsigned i) -> Word {
    if constexpr (sizeof(T) == 2) return static_cast<Word>(T(number(i)).bits()) | static_cast<Word>(T(number(i + 3)).bits()) << 16;
    else return to_tf32(number(i));
  };
  const Word a[4] = {register_of(0), register_of(1), register_of(2), register_of(3)}, b[2] = {register_of(4), register_of(5)};
  float d[4] = {number(6), number(7), number(1), number(2)};
  mma<T>(d, a, b);
  for (unsigned i = 0; i < 4; ++i) y[threadIdx.x * 8 + i] = bits(d[i]);
  for (unsigned i = 4; i < 8; ++i) y[threadIdx.x * 8 + i] = 0;
}

/// Fragments by ldmatrix, straight and transposed.
VENTRAL_BOUNDED_KERNEL(threads) void matrix_kernel(const Word* x, Word* y) {
  VENTRAL_SHARED(Word, rows, threads * 4);
  for (unsigned i = 0; i < 4; ++i) rows[threadIdx.x * 4 + i] = x[threadIdx.x * 8 + i];
  __syncthreads();
  Word straight[4], turned[4];
  load_matrices<false>(straight, rows + threadIdx.x * 4);
  load_matrices<true>(turned, rows + threadIdx.x * 4);
  for (unsigned i = 0; i < 4; ++i) y[threadIdx.x * 8 + i] = straight[i], y[threadIdx.x * 8 + 4 + i] = turned[i];
}

/// Atomics on whole numbers: the sums do not depend on the order.
VENTRAL_BOUNDED_KERNEL(threads) void atomic_kernel(const Word* x, Word* y) {
  if (threadIdx.x < 8) y[threadIdx.x] = 0;
  __syncthreads();
  atomicAdd(y + x[threadIdx.x] % 7, x[threadIdx.x]);
  atomicMax(y + 7, x[threadIdx.x]);
}

template <class X>
void print(const char* name, void (*kernel)(const X*, Word*), const std::vector<Word>& numbers) {
  ventral::Tensor<Word, ventral::Cuda> x({threads * 8}, numbers), y({threads * 8});
  launch(y.stream(), {.kernel = name, .blocks = 1, .threads = threads}, kernel, reinterpret_cast<const X*>(std::as_const(x).data()), y.data());
  const auto found = y.to<Cpu>();
  for (Index i = 0; i < found.size(); i += 8) {
    std::printf("%s %3lld", name, static_cast<long long>(i / 8));
    for (Index k = i; k < i + 8; ++k) std::printf(" %08x", static_cast<unsigned>(found[k]));
    std::printf("\n");
  }
}

int run() {
  ventral::Random random(1);
  std::vector<Word> words, floats;
  for (int i = 0; i < threads * 8; ++i) {
    words.push_back(random.bits() >> 8);
    floats.push_back(std::bit_cast<Word>(static_cast<float>(random.uniform(-1, 1))));
  }
  print("shuffle", shuffle_kernel, words);
  print("vote", vote_kernel, words);
  print("reduce", reduce_kernel, floats);
  print("number", number_kernel, floats);
  print("async", async_kernel, words);
  print("mma_bfloat16", mma_kernel<bfloat16>, words);
  print("mma_half", mma_kernel<half>, words);
  print("mma_tf32", mma_kernel<float>, words);
  print("matrix", matrix_kernel, words);
  print("atomic", atomic_kernel, words);
  return 0;
}

}  // namespace primitives

int main() {
  try {
    return primitives::run();
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

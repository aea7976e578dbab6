#include "ventral/cuda/primitives.cuh"

#include "support.hpp"
#include "ventral/cuda/reduce.cuh"

// Kernels of their own, run by the emulator or a GPU: the same checks hold on both.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {
namespace {

/// One thread copies each piece: piece i to i, zeros instead of every third one. The second half is a second group.
template <int bytes>
VENTRAL_KERNEL void async_copy_kernel(const std::uint32_t* from, std::uint32_t* first_half, std::uint32_t* all) {
  constexpr int words = bytes / 4, pieces = 64;
  VENTRAL_SHARED(std::uint32_t, copy, pieces * words);
  const int t = static_cast<int>(threadIdx.x);
  for (int group = 0; group < 2; ++group) {
    const int piece = group * pieces / 2 + t;
    async_copy<bytes>(copy + piece * words, from + piece * words, piece % 3 != 0);
    async_commit();
  }
  async_wait<1>();
  __syncthreads();
  for (int i = t; i < pieces / 2 * words; i += pieces / 2) first_half[i] = copy[i];
  async_wait<0>();
  __syncthreads();
  for (int i = t; i < pieces * words; i += pieces / 2) all[i] = copy[i];
}

template <class T>
VENTRAL_DEVICE std::uint32_t pair_of(T first, T second) {
  return first.bits() | static_cast<std::uint32_t>(second.bits()) << 16;
}

/// Each warp of the block multiplies its own a [16,depth] by its own b [depth,8] and adds d [16,8]. Fragments are filled as the comment on mma says.
template <class T>
VENTRAL_KERNEL void mma_kernel(const T* a_of_all, const T* b_of_all, float* d_of_all) {
  constexpr int depth = mma_depth<T>;
  const int warp = thread_in_block() / 32, g = thread_in_block() % 32 / 4, t = thread_in_block() % 4;
  const T *a = a_of_all + warp * 16 * depth, *b = b_of_all + warp * depth * 8;
  float* const d = d_of_all + warp * 16 * 8;
  std::uint32_t left[4], right[2];
  float sum[4] = {d[g * 8 + 2 * t], d[g * 8 + 2 * t + 1], d[(g + 8) * 8 + 2 * t], d[(g + 8) * 8 + 2 * t + 1]};
  if constexpr (sizeof(T) == 2) {
    const auto pair = [&](int row, int k) { return pair_of(a[row * depth + k], a[row * depth + k + 1]); };
    left[0] = pair(g, 2 * t), left[1] = pair(g + 8, 2 * t), left[2] = pair(g, 2 * t + 8), left[3] = pair(g + 8, 2 * t + 8);
    right[0] = pair_of(b[2 * t * 8 + g], b[(2 * t + 1) * 8 + g]), right[1] = pair_of(b[(2 * t + 8) * 8 + g], b[(2 * t + 9) * 8 + g]);
  } else {
    left[0] = to_tf32(a[g * depth + t]), left[1] = to_tf32(a[(g + 8) * depth + t]);
    left[2] = to_tf32(a[g * depth + t + 4]), left[3] = to_tf32(a[(g + 8) * depth + t + 4]);
    right[0] = to_tf32(b[t * 8 + g]), right[1] = to_tf32(b[(t + 4) * 8 + g]);
  }
  mma<T>(sum, left, right);
  d[g * 8 + 2 * t] = sum[0], d[g * 8 + 2 * t + 1] = sum[1], d[(g + 8) * 8 + 2 * t] = sum[2], d[(g + 8) * 8 + 2 * t + 1] = sum[3];
}

/// Four 8x8 matrices of the numbers 0 ... 255, row by row; what each lane's registers hold.
template <bool transposed>
VENTRAL_KERNEL void load_matrices_kernel(std::uint32_t* out) {
  VENTRAL_SHARED(std::uint16_t, numbers, 256);
  const int t = static_cast<int>(threadIdx.x);
  for (int i = t; i < 256; i += 32) numbers[i] = static_cast<std::uint16_t>(i);
  __syncthreads();
  std::uint32_t r[4];
  load_matrices<transposed>(r, numbers + 8 * t);
  for (int i = 0; i < 4; ++i) out[4 * t + i] = r[i];
}

VENTRAL_KERNEL void to_tf32_kernel(Index n, const float* x, std::uint32_t* y) {
  for (Index i = first_element(); i < n; i += element_step()) y[i] = to_tf32(x[i]);
}

/// Reverses each vector.
template <class T, int bytes>
VENTRAL_KERNEL void vector_kernel(Index vectors, const T* x, T* y) {
  constexpr int size = Vector<T, bytes>::size;
  for (Index i = first_element(); i < vectors; i += element_step()) {
    const auto in = load_vector<T, bytes>(x + i * size);
    Vector<T, bytes> out;
    for (int j = 0; j < size; ++j) out.v[j] = in.v[size - 1 - j];
    store_vector(y + i * size, out);
  }
}

/// What block_sum and block_max give each thread, of two sets of numbers, one after the other; pairs too.
template <class T, int threads>
VENTRAL_KERNEL void block_reduce_kernel(const T* x, T* sums, T* maxima, T* of_warps) {
  const int t = thread_in_block();
  sums[t] = block_sum<threads>(x[t]);
  sums[threads + t] = block_sum<threads>(x[threads + t]);
  maxima[t] = block_max<threads>(x[t]);
  maxima[threads + t] = block_max<threads>(x[threads + t]);
  const Pair<T> both = block_sum<threads>(Pair<T>{x[t], x[threads + t]});
  sums[2 * threads + t] = both.first;
  sums[3 * threads + t] = both.second;
  of_warps[t] = warp_sum(x[t]);
  of_warps[threads + t] = warp_max(x[t]);
}

}  // namespace
}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

using namespace ventral;

namespace {

Tensor<std::uint32_t> counted(Index n, std::uint32_t first = 1) {
  Tensor<std::uint32_t> x({n});
  for (Index i = 0; i < n; ++i) x[i] = first + static_cast<std::uint32_t>(i);
  return x;
}

template <int bytes>
void check_async_copy() {
  constexpr Index words = bytes / 4, pieces = 64;
  const Tensor<std::uint32_t> host = counted(pieces * words);
  const auto from = host.to<Cuda>();
  Tensor<std::uint32_t, Cuda> half({pieces / 2 * words}), all({pieces * words});
  gpu::launch(Cuda::stream(), {.kernel = "async_copy_kernel", .blocks = 1, .threads = 32}, gpu::async_copy_kernel<bytes>, from.data(), half.data(),
              all.data());
  const auto first = half.to<Cpu>(), whole = all.to<Cpu>();
  for (Index i = 0; i < pieces * words; ++i) {
    const std::uint32_t expected = i / words % 3 != 0 ? host[i] : 0;
    CHECK(whole[i] == expected);
    if (i < first.size()) CHECK(first[i] == expected);
  }
}

/// The sum of numbers x[0], x[1], ... in the order that warp_sum promises.
template <class T>
T tree_sum(const T* x) {
  T level[32];
  std::copy_n(x, 32, level);
  for (int apart = 16; apart > 0; apart /= 2)
    for (int i = 0; i < apart; ++i) level[i] = level[i] + level[i + apart];
  return level[0];
}

template <class T, int threads>
void check_reduce(gpu::Extent shape) {
  auto x = test::random_tensor<T>({2 * threads}, threads, 1, 20);
  const auto reduce = [&](Tensor<T, Cuda>& sums, Tensor<T, Cuda>& maxima, Tensor<T, Cuda>& warps) {
    const auto on_device = x.template to<Cuda>();
    gpu::launch(Cuda::stream(), {.kernel = "block_reduce_kernel", .blocks = 1, .threads = shape}, gpu::block_reduce_kernel<T, threads>,
                on_device.data(), sums.data(), maxima.data(), warps.data());
  };
  Tensor<T, Cuda> sums({4 * threads}), maxima({2 * threads}), warps({2 * threads});
  reduce(sums, maxima, warps);
  const auto s = sums.template to<Cpu>(), m = maxima.template to<Cpu>(), w = warps.template to<Cpu>();
  int wrong = 0;
  for (int set = 0; set < 2; ++set) {
    const T* const numbers = x.data() + set * threads;
    T sum = tree_sum(numbers);
    for (int warp = 1; warp < threads / 32; ++warp) sum = sum + tree_sum(numbers + 32 * warp);
    const T largest = *std::max_element(numbers, numbers + threads);
    for (int t = 0; t < threads; ++t) wrong += s[set * threads + t] != sum || s[(2 + set) * threads + t] != sum || m[set * threads + t] != largest;
  }
  for (int t = 0; t < threads; ++t) {
    const T* const lanes = x.data() + t / 32 * 32;
    wrong += w[t] != tree_sum(lanes) || w[threads + t] != *std::max_element(lanes, lanes + 32);
  }
  CHECK(wrong == 0);
  if constexpr (std::is_floating_point_v<T>) {
    x[threads / 2 + 1] = NAN;
    reduce(sums, maxima, warps);
    const auto with_nan = maxima.template to<Cpu>();
    for (int t = 0; t < threads; ++t) wrong += !std::isnan(with_nan[t]) || std::isnan(with_nan[threads + t]);
    CHECK(wrong == 0);
  }
}

}  // namespace

TEST_CASE("primitives: copies that end later, zeros where not valid") {
  check_async_copy<4>();
  check_async_copy<8>();
  check_async_copy<16>();
}

TEST_CASE_TEMPLATE("primitives: fragments of mma against a plain product", T, bfloat16, half, float) {
  constexpr Index warps = 3, depth = gpu::mma_depth<T>;
  const auto a = test::random_tensor<T>({warps, 16, depth}, 1), b = test::random_tensor<T>({warps, depth, 8}, 2);
  const auto old = test::random_tensor<float>({warps, 16, 8}, 3);
  const auto device_a = a.template to<Cuda>(), device_b = b.template to<Cuda>();
  for (const gpu::Extent& threads : {gpu::Extent(32 * warps), gpu::Extent(16, 2, 3)}) {
    auto device_d = old.template to<Cuda>();
    gpu::launch(Cuda::stream(), {.kernel = "mma_kernel", .blocks = 1, .threads = threads}, gpu::mma_kernel<T>, device_a.data(), device_b.data(),
                device_d.data());
    const auto d = device_d.template to<Cpu>();
    double error = 0;
    for (Index w = 0; w < warps; ++w)
      for (Index i = 0; i < 16; ++i)
        for (Index j = 0; j < 8; ++j) {
          double sum = static_cast<double>(old.at(w, i, j));
          for (Index k = 0; k < depth; ++k)
            sum += static_cast<double>(static_cast<float>(a.at(w, i, k))) * static_cast<double>(static_cast<float>(b.at(w, k, j)));
          error = std::max(error, std::abs(sum - static_cast<double>(d.at(w, i, j))));
        }
    CHECK(error < (sizeof(T) == 2 ? 1e-5 : 1e-2));  // tf32 rounds what it multiplies
    if (sizeof(T) == 4) CHECK(error > 1e-5);
  }
}

TEST_CASE_TEMPLATE("primitives: mma cuts its sums toward zero", T, bfloat16, half, float) {
  if (gpu::compute_capability() < 80) return;
  constexpr Index depth = gpu::mma_depth<T>;
  for (const float sign : {1.0f, -1.0f}) {
    Tensor<T> a({16, depth}), b({depth, 8});
    for (Index i = 0; i < 16; ++i) a.at(i, Index{0}) = T(sign * 0x1.8p-12f);
    for (Index j = 0; j < 8; ++j) b.at(Index{0}, j) = T(0x1p-12f);  // each sum gets 1.5 * 2^-24, three quarters of its last place
    const auto device_a = a.template to<Cuda>(), device_b = b.template to<Cuda>();
    auto d = Tensor<float, Cuda>::full({16, 8}, sign);
    gpu::launch(Cuda::stream(), {.kernel = "mma_kernel", .blocks = 1, .threads = 32}, gpu::mma_kernel<T>, device_a.data(), device_b.data(), d.data());
    for (const float v : d.to<Cpu>()) CHECK(v == sign);
  }
}

TEST_CASE("primitives: matrices from shared memory, as they lie and transposed") {
  Tensor<std::uint32_t, Cuda> straight({128}), transposed({128});
  gpu::launch(Cuda::stream(), {.kernel = "load_matrices_kernel", .blocks = 1, .threads = 32}, gpu::load_matrices_kernel<false>, straight.data());
  gpu::launch(Cuda::stream(), {.kernel = "load_matrices_kernel", .blocks = 1, .threads = 32}, gpu::load_matrices_kernel<true>, transposed.data());
  const auto s = straight.to<Cpu>(), t = transposed.to<Cpu>();
  for (std::uint32_t lane = 0; lane < 32; ++lane)
    for (std::uint32_t i = 0; i < 4; ++i) {
      const std::uint32_t row = lane / 4, column = lane % 4 * 2, matrix = 64 * i;
      CHECK(s[4 * lane + i] == ((matrix + 8 * row + column) | (matrix + 8 * row + column + 1) << 16));
      CHECK(t[4 * lane + i] == ((matrix + 8 * column + row) | (matrix + 8 * (column + 1) + row) << 16));
    }
}

TEST_CASE("primitives: tf32 rounds to nearest, ties away from zero") {
  const Tensor<std::uint32_t> bits(
      {12}, {0x3F800000, 0x3F800FFF, 0x3F801000, 0x3F801001, 0x3F803000, 0xBF801000, 0xBF800FFF, 0x7F800000, 0xFF800000, 0x3FFFF000, 0x80000000, 0});
  const std::uint32_t expected[] = {0x3F800000, 0x3F800000, 0x3F802000, 0x3F802000, 0x3F804000, 0xBF802000,
                                    0xBF800000, 0x7F800000, 0xFF800000, 0x40000000, 0x80000000, 0};
  Tensor<float> x({14});
  for (Index i = 0; i < 12; ++i) x[i] = std::bit_cast<float>(bits[i]);
  x[12] = std::bit_cast<float>(0x7FFFFFFFu);
  x[13] = std::bit_cast<float>(0xFF800001u);
  const auto device_x = x.to<Cuda>();
  Tensor<std::uint32_t, Cuda> y({14});
  gpu::launch(Cuda::stream(), {.kernel = "to_tf32_kernel", .blocks = 1, .threads = 32}, gpu::to_tf32_kernel, 14, device_x.data(), y.data());
  const auto rounded = y.to<Cpu>();
  for (Index i = 0; i < 12; ++i) CHECK(rounded[i] == expected[i]);
  CHECK(std::isnan(std::bit_cast<float>(rounded[12])));
  CHECK(std::isnan(std::bit_cast<float>(rounded[13])));
}

TEST_CASE_TEMPLATE("primitives: vectors", T, float, double, bfloat16, std::uint32_t) {
  constexpr int bytes = 8, size = gpu::Vector<T, bytes>::size;
  static_assert(sizeof(gpu::Vector<T>) == 16 && alignof(gpu::Vector<T>) == 16 && gpu::Vector<T>::size * sizeof(T) == 16);
  Tensor<T> x({5 * size});
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<T>(static_cast<float>(i));
  const auto device_x = x.template to<Cuda>();
  Tensor<T, Cuda> device_y({x.size()});
  gpu::launch(Cuda::stream(), {.kernel = "vector_kernel", .blocks = 1, .threads = 3}, gpu::vector_kernel<T, bytes>, 5, device_x.data(),
              device_y.data());
  const auto y = device_y.template to<Cpu>();
  for (Index i = 0; i < x.size(); ++i) CHECK(static_cast<float>(y[i]) == static_cast<float>(x[i / size * size + size - 1 - i % size]));
  const T* const aligned = device_x.data();
  constexpr Index whole = 16 / static_cast<Index>(sizeof(T));
  CHECK(gpu::vectors_fit(aligned, 3 * whole));
  CHECK(!gpu::vectors_fit(aligned + 1, 3 * whole));
  CHECK(!gpu::vectors_fit(aligned, 3 * whole + 1));
}

TEST_CASE("primitives: the code that runs is for a GPU that ventral supports") {
  CHECK(gpu::compute_capability() >= 75);
  CHECK(gpu::compute_capability() <= 121);
}

TEST_CASE_TEMPLATE("reduce: sums and maxima of warps and blocks, in all threads, in the promised order", T, float, double, std::int32_t) {
  check_reduce<T, 32>(32);
  check_reduce<T, 64>(64);
  check_reduce<T, 96>({8, 3, 4});
  check_reduce<T, 256>({32, 8});
  check_reduce<T, 1024>(1024);
}

#include "ventral/cuda/hopper.cuh"

#include "support.hpp"

// Kernels of their own, run by the emulator or a Hopper GPU: the same checks hold on both. Layouts are written down here once more, from PTX's description.
namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE {
namespace {

VENTRAL_DEVICE unsigned char* at_multiple_of_1024(unsigned char* p) { return p + (1024 - reinterpret_cast<std::uintptr_t>(p) % 1024) % 1024; }

/// Hands numbers from the first warp to the second, through a ring of two slots, `rounds` times.
VENTRAL_KERNEL void ring_kernel(int rounds, const float* x, float* y) {
  if constexpr (has_hopper) {
    VENTRAL_SHARED(Mbarrier, full, 2);
    VENTRAL_SHARED(Mbarrier, empty, 2);
    VENTRAL_SHARED(float, slots, 64);
    const int lane = thread_in_block() % 32;
    if (thread_in_block() == 0) {
      for (int i = 0; i < 2; ++i) mbarrier_init(full + i, 32), mbarrier_init(empty + i, 32);
      async_fence();
    }
    __syncthreads();
    for (int i = 0; i < rounds; ++i) {
      const unsigned parity = static_cast<unsigned>(i / 2 % 2);
      const int slot = i % 2;
      if (thread_in_block() < 32) {
        mbarrier_wait(empty + slot, parity ^ 1);
        slots[32 * slot + lane] = x[32 * i + lane];
        mbarrier_arrive(full + slot);
      } else {
        mbarrier_wait(full + slot, parity);
        y[32 * i + lane] = slots[32 * slot + 31 - lane];
        mbarrier_arrive(empty + slot);
      }
    }
  }
}

/// The bytes of shared memory that hold a box of `rows` rows.
VENTRAL_KERNEL void copy_box_kernel(const VENTRAL_GRID_CONSTANT TensorMap map, int column, int row, int rows, unsigned char* out) {
  if constexpr (has_hopper) {
    VENTRAL_SHARED(Mbarrier, full, 1);
    VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
    unsigned char* const box = at_multiple_of_1024(shared);
    if (thread_in_block() == 0) {
      mbarrier_init(full, 1);
      async_fence();
    }
    __syncthreads();
    if (thread_in_block() == 0) {
      mbarrier_expect(full, 128 * static_cast<unsigned>(rows));
      copy_box(box, map, column, row, full);
    }
    mbarrier_wait(full, 0);
    for (int i = thread_in_block(); i < 128 * rows; i += 32) out[i] = box[i];
  }
}

/// The same of pixels.
VENTRAL_KERNEL void copy_pixels_kernel(const VENTRAL_GRID_CONSTANT TensorMap map, int channel, int column, int row, int image, int right, int down, int pixels,
                                       unsigned char* out) {
  if constexpr (has_hopper) {
    VENTRAL_SHARED(Mbarrier, full, 1);
    VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
    unsigned char* const box = at_multiple_of_1024(shared);
    if (thread_in_block() == 0) {
      mbarrier_init(full, 1);
      async_fence();
    }
    __syncthreads();
    if (thread_in_block() == 0) {
      mbarrier_expect(full, 128 * static_cast<unsigned>(pixels));
      copy_pixels(box, map, channel, column, row, image, right, down, full);
    }
    mbarrier_wait(full, 0);
    for (int i = thread_in_block(); i < 128 * pixels; i += 32) out[i] = box[i];
  }
}

/// Where number k of row, or column, i of an operand lies: in 128 bytes along k, or along i, pieces of 16 bytes swizzled by the line they are in.
template <class T, bool extent>
VENTRAL_DEVICE int operand_byte(int i, int k) {
  constexpr int n = static_cast<int>(sizeof(T));
  const int line = extent ? i / 64 * 64 + k : i, byte = extent ? i % 64 * n : k * n;
  return 128 * line + (byte / 16 ^ line % 8) * 16 + byte % 16;
}

/// d [64,256] = d0 + a b, a [64,depth], b [depth,256], the depth 128 bytes: one warpgroup, its operands written to shared memory by hand.
template <class T, bool a_extent, bool b_extent>
VENTRAL_KERNEL void warpgroup_kernel(const T* a, const T* b, const float* d0, float* d) {
  if constexpr (has_hopper) {
    constexpr int depth = 128 / static_cast<int>(sizeof(T));
    VENTRAL_SHARED(Mbarrier, unused, 1);
    VENTRAL_DYNAMIC_SHARED(unsigned char, shared);
    unsigned char *const left = at_multiple_of_1024(shared), *const right = left + 64 * 128;
    const int t = thread_in_block();
    if (t == 0) mbarrier_init(unused, 1);
    for (int e = t; e < 64 * depth; e += 128) *reinterpret_cast<T*>(left + operand_byte<T, a_extent>(e / depth, e % depth)) = a[e];
    for (int e = t; e < depth * 256; e += 128) *reinterpret_cast<T*>(right + operand_byte<T, b_extent>(e % 256, e / 256)) = b[e];
    async_fence();
    __syncthreads();
    const auto place = [&](int i) { return (16 * (t / 32) + t % 32 / 4 + i / 2 % 2 * 8) * 256 + i / 4 * 8 + t % 4 * 2 + i % 2; };
    float sums[128];
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 128; ++i) sums[i] = d0[place(i)];
    warpgroup_fence();
    VENTRAL_DEVICE_UNROLL
    for (unsigned step = 0; step < 4; ++step)
      warpgroup_multiply<T, a_extent, b_extent>(sums, later(matrix_descriptor(left, 16, 1024), step * (a_extent ? 2048 : 32)),
                                                later(matrix_descriptor(right, b_extent ? 8192 : 16, 1024), step * (b_extent ? 2048 : 32)));
    warpgroup_commit();
    warpgroup_wait<0>(sums);
    VENTRAL_DEVICE_UNROLL
    for (int i = 0; i < 128; ++i) d[place(i)] = sums[i];
  }
}

}  // namespace
}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE

using namespace ventral;

namespace {

/// Number c of row r of a box.
template <class T>
T in_box(const Tensor<unsigned char>& box, int r, int c) {
  const int byte = c * static_cast<int>(sizeof(T));
  T found;
  std::memcpy(&found, box.data() + 128 * r + 16 * ((byte / 16) ^ (r % 8)) + byte % 16, sizeof(T));
  return found;
}

template <class T>
void check_box(Index rows, Index columns, Index stride, int row, int column, int box_rows) {
  CAPTURE(row);
  CAPTURE(column);
  Tensor<T> x({rows * stride});
  for (Index i = 0; i < x.size(); ++i) x[i] = T(static_cast<float>(i % 251 + 1));
  const auto device_x = x.template to<Cuda>();
  Tensor<unsigned char, Cuda> bytes({128 * box_rows});
  gpu::launch(Cuda::stream(), {.kernel = "copy_box_kernel", .blocks = 1, .threads = 32, .shared = 1024 + 128 * static_cast<std::size_t>(box_rows)}, gpu::copy_box_kernel,
              gpu::tensor_map(device_x.data(), rows, columns, stride, box_rows), column, row, box_rows, bytes.data());
  const auto box = bytes.to<Cpu>();
  int wrong = 0;
  for (int r = 0; r < box_rows; ++r)
    for (int c = 0; c < static_cast<int>(128 / sizeof(T)); ++c) {
      const Index i = row + r, j = column + c;
      const T found = in_box<T>(box, r, c);
      const bool inside = i >= 0 && i < rows && j >= 0 && j < columns;
      wrong += static_cast<float>(found) != (inside ? static_cast<float>(x[i * stride + j]) : 0.0f);
    }
  CHECK(wrong == 0);
}

struct Pixels {
  Index images, h, w, channels, pitch;
  gpu::WindowPlaces down, across;
  int channel, first, right, below, count;  ///< first: window to begin with
};

template <class T>
void check_pixels(const Pixels& p) {
  Tensor<T> x({p.images, p.h, p.w, p.pitch});
  for (Index i = 0; i < x.size(); ++i) x[i] = T(static_cast<float>(i % 251 + 1));
  const auto device_x = x.template to<Cuda>();
  Tensor<unsigned char, Cuda> bytes({128 * p.count});
  const auto column = [&](int window) { return p.across.first + window % p.across.count * p.across.step; };
  const auto row = [&](int window) { return p.down.first + window / p.across.count % p.down.count * p.down.step; };
  const auto image = [&](int window) { return window / p.across.count / p.down.count; };
  gpu::launch(Cuda::stream(), {.kernel = "copy_pixels_kernel", .blocks = 1, .threads = 32, .shared = 1024 + 128 * static_cast<std::size_t>(p.count)}, gpu::copy_pixels_kernel,
              gpu::pixel_map(device_x.data(), p.images, p.h, p.w, p.channels, p.pitch, p.down, p.across, p.count), p.channel, column(p.first), row(p.first), image(p.first),
              p.right, p.below, p.count, bytes.data());
  const auto box = bytes.to<Cpu>();
  int wrong = 0;
  for (int r = 0; r < p.count; ++r)
    for (int c = 0; c < static_cast<int>(128 / sizeof(T)); ++c) {
      const Index n = image(p.first + r), i = row(p.first + r) + p.below, j = column(p.first + r) + p.right, channel = p.channel + c;
      const bool inside = n < p.images && 0 <= i && i < p.h && 0 <= j && j < p.w && channel < p.channels;
      wrong += static_cast<float>(in_box<T>(box, r, c)) != (inside ? static_cast<float>(x.at(n, i, j, channel)) : 0.0f);
    }
  CHECK(wrong == 0);
}

template <class T, bool a_extent, bool b_extent>
void check_warpgroup() {
  constexpr Index depth = 128 / sizeof(T);
  auto a = test::random_tensor<T>({64, depth}, 1), b = test::random_tensor<T>({depth, 256}, 2);
  if constexpr (sizeof(T) == 4)  // what tf32 holds
    for (auto* x : {&a, &b})
      for (float& v : *x) v = std::bit_cast<float>(std::bit_cast<std::uint32_t>(v) & ~0x1FFFu);
  const auto d0 = test::random_tensor<float>({64, 256}, 3);
  const auto device_a = a.template to<Cuda>(), device_b = b.template to<Cuda>();
  const auto device_d0 = d0.to<Cuda>();
  Tensor<float, Cuda> device_d({64, 256});
  gpu::launch(Cuda::stream(), {.kernel = "warpgroup_kernel", .blocks = 1, .threads = 128, .shared = 1024 + 320 * 128}, gpu::warpgroup_kernel<T, a_extent, b_extent>,
              device_a.data(), device_b.data(), device_d0.data(), device_d.data());
  const auto d = device_d.to<Cpu>();
  double error = 0;
  for (Index i = 0; i < 64; ++i)
    for (Index j = 0; j < 256; ++j) {
      double sum = static_cast<double>(d0.at(i, j));
      for (Index k = 0; k < depth; ++k) sum += static_cast<double>(static_cast<float>(a.at(i, k))) * static_cast<double>(static_cast<float>(b.at(k, j)));
      const double difference = std::abs(sum - static_cast<double>(d.at(i, j)));
      error = difference <= error ? error : difference;  // NaN counts
    }
  CHECK(error < 5e-5);
}

}  // namespace

TEST_CASE("primitives of Hopper: a ring of barriers") {
  if (!gpu::runs_on_hopper(gpu::ring_kernel)) return;
  for (const int rounds : {1, 2, 3, 9}) {
    const auto x = test::random_tensor<float>({32 * rounds}, 1);
    const auto device_x = x.to<Cuda>();
    Tensor<float, Cuda> y({x.size()});
    gpu::launch(Cuda::stream(), {.kernel = "ring_kernel", .blocks = 1, .threads = 64}, gpu::ring_kernel, rounds, device_x.data(), y.data());
    const auto got = y.to<Cpu>();
    for (Index i = 0; i < x.size(); ++i) CHECK(got[i] == x[i / 32 * 32 + 31 - i % 32]);
  }
}

TEST_CASE_TEMPLATE("primitives of Hopper: boxes of a matrix, swizzled, zeros outside", T, bfloat16, half, float) {
  if (!gpu::runs_on_hopper(gpu::copy_box_kernel)) return;
  constexpr int run = 128 / sizeof(T);
  check_box<T>(16, run, run, 0, 0, 16);
  check_box<T>(300, 3 * run, 3 * run + 8, 37, run + 5, 256);
  for (const int row : {-3, 0, 20, 40})
    for (const int column : {-7, 0, 1, run - 1, 5 * run}) check_box<T>(21, run + 3, 2 * run, row, column, 9);
  check_box<T>(1, 1, 8, 0, 0, 1);
}

TEST_CASE_TEMPLATE("primitives of Hopper: pixels under windows, zeros outside", T, bfloat16, half, float) {
  if (!gpu::runs_on_hopper(gpu::copy_pixels_kernel)) return;
  constexpr int run = 128 / sizeof(T);
  check_pixels<T>({1, 4, 5, run, run, {0, 1, 4}, {0, 1, 5}, 0, 0, 0, 0, 20});
  for (const int tap : {0, 1, 2}) {
    check_pixels<T>({3, 5, 7, run + 8, run + 16, {-1, 1, 5}, {-1, 1, 7}, 0, 0, tap, 2 - tap, 105});      // 3x3, padding 1
    check_pixels<T>({2, 7, 9, 2 * run, 2 * run, {-2, 2, 4}, {-1, 3, 3}, run, 5, 2 * tap, tap, 64});      // strides, from the middle on, past the last image
  }
  check_pixels<T>({2, 3, 2, 1, 8, {-4, 1, 9}, {-3, 1, 7}, 0, 3, 0, 1, 256});                             // windows in the padding alone
  check_pixels<T>({2, 4, 6, 5, 8, {0, 2, 2}, {0, 4, 1}, 0, 1, 1, 0, 3});                                 // pixels that no window sees
}

TEST_CASE("primitives of Hopper: floats become tf32 on their way") {
  if (!gpu::runs_on_hopper(gpu::copy_box_kernel)) return;
  const auto x = test::random_tensor<float>({32}, 1);
  const auto device_x = x.to<Cuda>();
  Tensor<unsigned char, Cuda> bytes({128});
  gpu::launch(Cuda::stream(), {.kernel = "copy_box_kernel", .blocks = 1, .threads = 32, .shared = 2048}, gpu::copy_box_kernel,
              gpu::tensor_map(device_x.data(), 1, 32, 32, 1), 0, 0, 1, bytes.data());
  const auto box = bytes.to<Cpu>();
  for (Index i = 0; i < 32; ++i) {
    float found;
    std::memcpy(&found, box.data() + 4 * i, 4);
    CHECK((std::bit_cast<std::uint32_t>(found) & 0x1FFFu) == 0);
    CHECK(std::abs(found - x[i]) <= 0x1p-11f * std::abs(x[i]));  // to nearest
  }
}

TEST_CASE("primitives of Hopper: products by a warpgroup, operands of every layout") {
  if (!gpu::runs_on_hopper(gpu::warpgroup_kernel<float, false, false>)) return;
  check_warpgroup<bfloat16, false, false>();
  check_warpgroup<bfloat16, false, true>();
  check_warpgroup<bfloat16, true, false>();
  check_warpgroup<bfloat16, true, true>();
  check_warpgroup<half, false, true>();
  check_warpgroup<float, false, false>();
}

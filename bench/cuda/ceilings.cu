// Kernels that do one thing as often as the device can: copy, multiply-add on registers, multiply on tensor cores, and nothing at all.
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <functional>
#include <stdexcept>
#include <vector>

#include "cuda/machine.hpp"

namespace bench::device {

namespace {

constexpr int steps = 2048, chains = 16, tiles = 8, threads = 256, samples = 9;

void require(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("ceilings: ") + cudaGetErrorString(status));
}

/// y = x, each thread four vectors a turn, whose loads are on their way together.
__global__ void copy_kernel(const uint4* __restrict__ x, uint4* __restrict__ y, std::int64_t n) {
  const std::int64_t step = std::int64_t{gridDim.x} * blockDim.x;
  std::int64_t i = std::int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  for (; i + 3 * step < n; i += 4 * step) {
    const uint4 a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
    y[i] = a, y[i + step] = b, y[i + 2 * step] = c, y[i + 3 * step] = d;
  }
  for (; i < n; i += step) y[i] = x[i];
}

/// 2 steps chains FLOP a thread, in chains that do not wait for each other. The result is used, so that nothing is left out.
__global__ void ffma_kernel(float a, float b, float* out) {
  float y[chains], sum = 0;
#pragma unroll
  for (int c = 0; c < chains; ++c) y[c] = static_cast<float>(threadIdx.x + c);
  for (int s = 0; s < steps; ++s) {
#pragma unroll
    for (int c = 0; c < chains; ++c) y[c] = fmaf(y[c], a, b);
  }
#pragma unroll
  for (int c = 0; c < chains; ++c) sum += y[c];
  if (sum == -1) *out = sum;
}

/// `tiles` independent products of 16 x 8 x 8 (tf32) or 16 x 8 x 16 (bf16) a warp and step.
template <bool tf32>
__global__ void mma_kernel(std::uint32_t seed, float* out) {
#if __CUDA_ARCH__ >= 800
  const std::uint32_t a = seed + threadIdx.x, b = seed;
  float d[tiles][4] = {}, sum = 0;
  for (int s = 0; s < steps; ++s) {
#pragma unroll
    for (int t = 0; t < tiles; ++t) {
      if constexpr (tf32)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, {%5,%5}, {%0,%1,%2,%3};"
                     : "+f"(d[t][0]), "+f"(d[t][1]), "+f"(d[t][2]), "+f"(d[t][3])
                     : "r"(a), "r"(b));
      else
        asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%4,%4,%4}, {%5,%5}, {%0,%1,%2,%3};"
                     : "+f"(d[t][0]), "+f"(d[t][1]), "+f"(d[t][2]), "+f"(d[t][3])
                     : "r"(a), "r"(b));
    }
  }
#pragma unroll
  for (int t = 0; t < tiles; ++t) sum += d[t][0] + d[t][1] + d[t][2] + d[t][3];
  if (sum == -1) *out = sum;
#endif
}

__global__ void empty_kernel() {}

/// Device memory, freed at the end of the scope.
class Memory {
 public:
  explicit Memory(std::size_t bytes) {
    require(cudaMalloc(&data_, bytes));
    require(cudaMemset(data_, 0, bytes));
  }
  ~Memory() { static_cast<void>(cudaFree(data_)); }
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

/// A stream and two marks on it: median seconds of what is queued between them.
class Clock {
 public:
  Clock() {
    require(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    require(cudaEventCreate(&begin_));
    require(cudaEventCreate(&end_));
  }
  ~Clock() {
    static_cast<void>(cudaEventDestroy(begin_));
    static_cast<void>(cudaEventDestroy(end_));
    static_cast<void>(cudaStreamDestroy(stream));
  }
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  double seconds(const std::function<void()>& queue) {
    std::vector<float> times(samples);
    queue();
    for (float& t : times) {
      require(cudaEventRecord(begin_, stream));
      queue();
      require(cudaGetLastError());
      require(cudaEventRecord(end_, stream));
      require(cudaEventSynchronize(end_));
      require(cudaEventElapsedTime(&t, begin_, end_));
    }
    std::nth_element(times.begin(), times.begin() + samples / 2, times.end());
    return 1e-3 * static_cast<double>(times[samples / 2]);
  }

  cudaStream_t stream = nullptr;

 private:
  cudaEvent_t begin_ = nullptr, end_ = nullptr;
};

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  require(cudaGetDevice(&device));
  require(cudaDeviceGetAttribute(&value, which, device));
  return value;
}

/// The best of several numbers of blocks.
double copy_rate(Clock& clock, int processors) {
  const auto bytes = std::max<std::size_t>(std::size_t{256} << 20, 4 * static_cast<std::size_t>(attribute(cudaDevAttrL2CacheSize)));
  const Memory x(bytes), y(bytes);
  double best = 0;
  for (const int blocks : {2, 4, 8, 16, 64}) {
    const double s = clock.seconds([&] {
      copy_kernel<<<static_cast<unsigned>(blocks * processors), threads, 0, clock.stream>>>(x.as<uint4>(), y.as<uint4>(), static_cast<std::int64_t>(bytes / 16));
    });
    best = std::max(best, 2 * static_cast<double>(bytes) / s);
  }
  return best;
}

/// Seconds of one of many empty kernels in a row in a graph.
double launch_time(Clock& clock) {
  constexpr int launches = 1000;
  cudaGraph_t graph = nullptr;
  cudaGraphExec_t program = nullptr;
  require(cudaStreamBeginCapture(clock.stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < launches; ++i) empty_kernel<<<1, 32, 0, clock.stream>>>();
  require(cudaStreamEndCapture(clock.stream, &graph));
  require(cudaGraphInstantiateWithFlags(&program, graph, 0));
  const double s = clock.seconds([&] { require(cudaGraphLaunch(program, clock.stream)); });
  static_cast<void>(cudaGraphExecDestroy(program));
  static_cast<void>(cudaGraphDestroy(graph));
  return s / launches;
}

}  // namespace

Ceilings measure_ceilings() {
  Clock clock;
  const Memory out(16);
  const int processors = attribute(cudaDevAttrMultiProcessorCount);
  const unsigned blocks = static_cast<unsigned>(8 * processors);
  const double steps_of_all = 1.0 * blocks * threads * steps;  // the steps of a warp count for its 32 threads
  Ceilings c;
  c.copy = copy_rate(clock, processors);
  c.ffma = 2 * chains * steps_of_all / clock.seconds([&] { ffma_kernel<<<blocks, threads, 0, clock.stream>>>(0.5f, 0.25f, out.as<float>()); });
  if (attribute(cudaDevAttrComputeCapabilityMajor) >= 8) {
    const double tile = 2 * 16 * 8 / 32.0 * tiles * steps_of_all;
    c.tf32 = 8 * tile / clock.seconds([&] { mma_kernel<true><<<blocks, threads, 0, clock.stream>>>(0x3f000000u, out.as<float>()); });
    c.bf16 = 16 * tile / clock.seconds([&] { mma_kernel<false><<<blocks, threads, 0, clock.stream>>>(0x3f003f00u, out.as<float>()); });
  }
  c.launch = launch_time(clock);
  return c;
}

}  // namespace bench::device

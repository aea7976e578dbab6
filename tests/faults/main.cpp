// Makes a launch or a kernel fail on purpose and prints the message: ventral_faults_emulated, ventral_faults_cuda. Argument: launch, shared or write.
#include <cstdio>
#include <string_view>

#include "ventral/cuda/runtime.cuh"

namespace faults {

using namespace ventral::gpu;
using ventral::Cuda;
using ventral::Index;

/// y_i = 1, but the last element is written `far` elements behind the end.
VENTRAL_KERNEL void write_beyond_kernel(Index n, Index far, float* y) {
  for (Index i = first_element(); i < n; i += element_step()) y[i == n - 1 ? i + far : i] = 1;
}

void run(std::string_view what) {
  ventral::Tensor<float, Cuda> y({3, 5});
  Launch l{.kernel = "write_beyond_kernel", .blocks = 1, .threads = 32, .shape = y.shape()};
  if (what == "launch") l.threads = 4096;
  if (what == "shared") l.shared = 300 * 1024;
#if defined(VENTRAL_CUDA_EMULATED)
  const Index far = 5;  // into the guard zone
#else
  const Index far = Index{1} << 40;  // where no memory is
#endif
  launch(y.stream(), l, write_beyond_kernel, y.size(), what == "write" ? far : Index{0}, y.data());
  synchronize();
}

}  // namespace faults

int main(int argc, char** argv) {
  try {
    faults::run(argc > 1 ? argv[1] : "");
    std::printf("nothing failed\n");
    return 0;
  } catch (const ventral::CudaError& e) {
    std::printf("%s\n", e.what());
    return 1;
  }
}

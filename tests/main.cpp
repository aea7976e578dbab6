#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>

#include "ventral/cuda/choose_device.hpp"

/// Runs the tests. Those of ventral_tests_cuda need a GPU: without one the program says so, and fails.
int main(int argc, char** argv) {
#if defined(VENTRAL_CUDA_DEVICE)
  if (const auto status = ventral::cuda::device::device_status(); !status.usable) {
    std::printf("no test was run: %s\n", status.text.c_str());
    return 1;
  }
#endif
  return doctest::Context(argc, argv).run();
}

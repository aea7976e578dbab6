// Must not compile with a plain C++ compiler: kernels need nvcc, or the emulator.
#include "ventral/cuda/runtime.cuh"

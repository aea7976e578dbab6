/// Runs CUDA kernels on the CPU, to test and debug them: each thread of a block is a fiber. See docs/emulator.md.
/// A part of runtime.cuh, which includes it where it belongs.
#if !defined(VENTRAL_KERNEL)
#include "ventral/cuda/runtime.cuh"
#else
#include "ventral/cuda/emulator/async_copy.hpp"
#include "ventral/cuda/emulator/memory.hpp"
#include "ventral/cuda/emulator/names.hpp"
#include "ventral/cuda/emulator/run.hpp"
#endif

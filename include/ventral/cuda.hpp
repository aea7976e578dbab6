#pragma once
/// Completes `Cuda`: after this header, every tensor, layer, loss, optimizer and network also works on an NVIDIA GPU, or on the emulator.
/// What it brings depends on the CMake target that is linked; programs are the same for all (docs/cuda.md):
///   ventral::cuda           any C++20 compiler; kernels come from a compiled library
///   ventral::cuda_headers   nvcc; kernels are instantiated as they are used
///   ventral::cuda_emulated  any C++20 compiler; the same kernels, run on the CPU
///   ventral::emulated_kernels  any C++20 compiler; the same from a compiled library: quicker to compile where there are many files
///   ventral::ventral        no CUDA: only choose_device(), which says so
#include "ventral/cuda/choose_device.hpp"
#if defined(VENTRAL_EMULATED_KERNELS)
#include "ventral/cuda/ops.hpp"
#include "ventral/cuda/runtime.cuh"
#elif defined(VENTRAL_CUDA_EMULATED) || defined(VENTRAL_CUDA_HEADERS)
#include "ventral/cuda/kernels.cuh"
#elif defined(VENTRAL_CUDA_DEVICE)
#include "ventral/cuda/ops.hpp"
#endif

#pragma once
/// Runs CUDA kernels on the CPU, to test and debug them: each thread of a block is a fiber. See docs/emulator.md. Included by runtime.cuh.
#include "ventral/cuda/emulator/async_copy.hpp"
#include "ventral/cuda/emulator/bulk_copy.hpp"
#include "ventral/cuda/emulator/memory.hpp"
#include "ventral/cuda/emulator/names.hpp"
#include "ventral/cuda/emulator/run.hpp"
#include "ventral/cuda/emulator/tensor_core.hpp"
#include "ventral/cuda/emulator/warpgroup.hpp"

#pragma once

/// A program may link the library ventral::kernels, which holds the CPU's kernels for float and double: it defines VENTRAL_COMPILED_KERNELS, and every file
/// compiles in a fraction of the time. Without it each file compiles the kernels that it uses, and there is nothing to link.
#if defined(VENTRAL_COMPILE_KERNELS)  // a file of the library itself
#define VENTRAL_COMPILED(...) template __VA_ARGS__;
#elif defined(VENTRAL_COMPILED_KERNELS)
#define VENTRAL_COMPILED(...) extern template __VA_ARGS__;
#else
#define VENTRAL_COMPILED(...)
#endif

/// Where tables of kernels are declared, but not defined. nvcc's front end cannot read shuffles and comparisons of registers.
#if (defined(VENTRAL_COMPILED_KERNELS) || defined(__CUDACC__)) && !defined(VENTRAL_COMPILE_KERNELS)
#define VENTRAL_KERNELS_ELSEWHERE
#endif

#pragma once

/// A program may link the library ventral::kernels, which holds the CPU's kernels for float and double: it defines VENTRAL_COMPILED_KERNELS, and every file
/// compiles in a fraction of the time. Without it each file compiles the kernels that it uses, and there is nothing to link.
/// VENTRAL_COMPILED(f): the library holds f<float> and f<double>. VENTRAL_COMPILED_ONE(f<T, U>): it holds this one; an overloaded f needs its whole
/// declaration, VENTRAL_COMPILED_OVERLOAD(void f<T>(int)).
#if defined(VENTRAL_COMPILE_KERNELS)  // a file of the library itself
#define VENTRAL_COMPILED_OVERLOAD(...) template __VA_ARGS__;
#elif defined(VENTRAL_COMPILED_KERNELS)
#define VENTRAL_COMPILED_OVERLOAD(...) extern template __VA_ARGS__;
#else
#define VENTRAL_COMPILED_OVERLOAD(...)
#endif
#define VENTRAL_COMPILED_ONE(...) VENTRAL_COMPILED_OVERLOAD(decltype(__VA_ARGS__) __VA_ARGS__)
#define VENTRAL_COMPILED(f) VENTRAL_COMPILED_ONE(f<float>) VENTRAL_COMPILED_ONE(f<double>)

/// Where tables of kernels are declared, but not defined. nvcc's front end cannot read shuffles and comparisons of registers.
#if (defined(VENTRAL_COMPILED_KERNELS) || defined(__CUDACC__)) && !defined(VENTRAL_COMPILE_KERNELS)
#define VENTRAL_KERNELS_ELSEWHERE
#endif

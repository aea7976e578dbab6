# The same programs on the emulator, for their checks alone: the harness, the oracles and the launches are tested where there is no GPU.
add_library(ventral_bench_emulated STATIC EXCLUDE_FROM_ALL ${cuda_harness} cuda/no_machine.cpp cuda/no_cublas.cpp cuda/no_cublaslt.cpp cuda/no_cudnn.cpp
                                          support/no_torch.cpp ${support} ${stand_ins})
target_include_directories(ventral_bench_emulated PUBLIC "${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(ventral_bench_emulated PUBLIC ventral::kernels ventral::emulated_kernels)
ventral_warnings(ventral_bench_emulated)
foreach(name memory gemm conv2d layers)
  add_executable(bench_emulated_${name} cuda/${name}.cpp)
  target_link_libraries(bench_emulated_${name} PRIVATE ventral_bench_emulated)
  ventral_warnings(bench_emulated_${name})
endforeach()

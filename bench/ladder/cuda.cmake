# bench_ladder: the kernel ladders on a GPU. nvcc compiles the rungs; the rest is as in cuda/cuda.cmake, which comes first.
configure_file(ladder/rungs.cpp ladder/rungs.cu COPYONLY)
add_executable(bench_ladder ladder/main.cpp ladder/exercises.cpp "${CMAKE_CURRENT_BINARY_DIR}/ladder/rungs.cu")
target_link_libraries(bench_ladder PRIVATE ventral_bench_cuda ventral::cuda_headers)
set_target_properties(bench_ladder PROPERTIES CUDA_ARCHITECTURES "${ventral_program_architecture}" BUILD_RPATH "${library_folders}")
ventral_warnings(bench_ladder)
set(ventral_cuda_benchmarks "${ventral_cuda_benchmarks};bench_ladder" CACHE INTERNAL "Targets of the GPU benchmarks")

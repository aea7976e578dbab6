# ladder_emulated: every rung of the kernel ladders on the emulator, one test for each ladder. Included by tests/, so that it is there without the benchmarks.
set(ladder "${CMAKE_CURRENT_LIST_DIR}")
add_executable(ladder_emulated "${ladder}/emulated.cpp" "${ladder}/exercises.cpp" "${ladder}/rungs.cpp")
ventral_program(ladder_emulated emulated_kernels)
target_include_directories(ladder_emulated PRIVATE "${PROJECT_SOURCE_DIR}/bench")
foreach(name gemm convolution max_pool divisive_norm softmax)
  add_test(NAME ladder.${name} COMMAND ladder_emulated ${name})
  set_tests_properties(ladder.${name} PROPERTIES LABELS kernels TIMEOUT 300)
endforeach()

# What can be said of the compiled library without a GPU: its size, and that the hot kernels keep their numbers in registers.
find_program(VENTRAL_CUOBJDUMP cuobjdump HINTS "${CUDAToolkit_BIN_DIR}")
mark_as_advanced(VENTRAL_CUOBJDUMP)
add_test(NAME cuda.library_size COMMAND "${CMAKE_COMMAND}" "-DLIBRARY=$<TARGET_FILE:ventral_cuda>" -DMOST=60000000 -P "${CMAKE_CURRENT_SOURCE_DIR}/library_size.cmake")
add_test(NAME cuda.spills COMMAND "${CMAKE_COMMAND}" "-DLIBRARY=$<TARGET_FILE:ventral_cuda>" "-DCUOBJDUMP=${VENTRAL_CUOBJDUMP}" "-DLIST=${PROJECT_SOURCE_DIR}/kernels/hot_kernels.txt" -P
                                  "${CMAKE_CURRENT_SOURCE_DIR}/spills.cmake")
set_tests_properties(cuda.library_size cuda.spills PROPERTIES LABELS cuda)

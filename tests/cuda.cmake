# What can be said of the compiled library without a GPU: its size, and that the hot kernels are in it. (.ci/run looks for their spills in the build's log.)
add_test(NAME cuda.library_size COMMAND "${CMAKE_COMMAND}" "-DLIBRARY=$<TARGET_FILE:ventral_cuda>" -DMOST=60000000 -P "${CMAKE_CURRENT_SOURCE_DIR}/library_size.cmake")
set_tests_properties(cuda.library_size PROPERTIES LABELS cuda)

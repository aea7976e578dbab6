# ventral_primitives_emulated and, by nvcc, ventral_primitives_cuda: they print the bits that every primitive gives. scripts/gpu compares the two;
# here every schedule of the emulator must give the same.
add_executable(ventral_primitives_emulated primitives/main.cpp)
ventral_program(ventral_primitives_emulated cuda_emulated)
foreach(schedule lifo 7 8)
  add_test(NAME primitives.schedule_${schedule} COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=$<TARGET_FILE:ventral_primitives_emulated>" "-DSCHEDULE=${schedule}" -P
                                                        "${CMAKE_CURRENT_SOURCE_DIR}/primitives/compare.cmake")
  set_tests_properties(primitives.schedule_${schedule} PROPERTIES LABELS kernels)
endforeach()
if(ventral_with_cuda)
  configure_file(primitives/main.cpp primitives/main.cu COPYONLY)
  add_executable(ventral_primitives_cuda "${CMAKE_CURRENT_BINARY_DIR}/primitives/main.cu")
  set_target_properties(ventral_primitives_cuda PROPERTIES CUDA_ARCHITECTURES "${ventral_program_architecture}")
  target_link_libraries(ventral_primitives_cuda PRIVATE ventral::cuda_headers)
endif()

# ventral_faults_emulated and ventral_faults_cuda: launches and kernels that fail, and their messages.
add_executable(ventral_faults_emulated faults/main.cpp)
ventral_program(ventral_faults_emulated cuda_emulated)
if(ventral_with_cuda)
  configure_file(faults/main.cpp faults/main.cu COPYONLY)
  add_executable(ventral_faults_cuda "${CMAKE_CURRENT_BINARY_DIR}/faults/main.cu")
  set_target_properties(ventral_faults_cuda PROPERTIES CUDA_ARCHITECTURES "${ventral_program_architecture}")
  target_link_libraries(ventral_faults_cuda PRIVATE ventral::cuda_headers)
endif()
ventral_expect(faults.none ventral_faults_emulated 0 "nothing failed")
ventral_expect(faults.launch ventral_faults_emulated 1 "kernel write_beyond_kernel <<<1x1x1 blocks, 4096x1x1 threads>>> on .3,5. could not be launched" launch)
ventral_expect(faults.shared ventral_faults_emulated 1 "kernel write_beyond_kernel <<<.*307200 bytes shared>>> on .3,5. could not be launched" shared)
ventral_expect(faults.write ventral_faults_emulated 1 "write_beyond_kernel <<<.*>>> on .3,5..*(a write 16 bytes past the end of an array of 60 bytes)" write)

# The include modes beside each other: what must not compile says why, and units of different modes meet as they should.

# Compiles a source and expects status and text; further arguments are flags.
function(ventral_compile name source status text)
  add_test(NAME modes.${name}
           COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=${CMAKE_CXX_COMPILER}" "-DSTATUS=${status}" "-DTEXT=${text}"
                   "-DARGUMENTS=-std=c++20;-fsyntax-only;-I${PROJECT_SOURCE_DIR}/include;-I${PROJECT_SOURCE_DIR}/kernels;${ARGN};${source}"
                   -P "${CMAKE_CURRENT_SOURCE_DIR}/expect.cmake")
endfunction()
ventral_compile(no_cuda "${CMAKE_CURRENT_SOURCE_DIR}/modes/no_cuda.cpp" 1 "Tensor<T, Cuda> needs #include <ventral/cuda.hpp> and one of the CMake targets")
ventral_compile(with_cuda "${CMAKE_CURRENT_SOURCE_DIR}/modes/no_cuda.cpp" 0 "" -DVENTRAL_CUDA_EMULATED)
ventral_compile(wrong_type "${CMAKE_CURRENT_SOURCE_DIR}/modes/wrong_type.cpp" 1 "no kernel exists for this type" -DVENTRAL_CUDA_EMULATED)
ventral_compile(wrong_compiler "${CMAKE_CURRENT_SOURCE_DIR}/modes/with_kernels.cpp" 1 "link ventral::cuda" -DVENTRAL_CUDA_DEVICE -DVENTRAL_CUDA_HEADERS)

# One program of an emulated and a plain unit; the same with a unit of device mode must not link.
foreach(unit uses defines)
  add_library(ventral_modes_${unit} OBJECT EXCLUDE_FROM_ALL modes/${unit}.cpp)
  target_compile_definitions(ventral_modes_${unit} PRIVATE VENTRAL_CUDA_EMULATED)
endforeach()
add_library(ventral_modes_device OBJECT EXCLUDE_FROM_ALL modes/defines.cpp)
target_compile_definitions(ventral_modes_device PRIVATE VENTRAL_CUDA_DEVICE)
add_library(ventral_modes_plain OBJECT EXCLUDE_FROM_ALL modes/plain.cpp)
foreach(unit uses defines device plain)
  target_link_libraries(ventral_modes_${unit} PRIVATE ventral)
  target_include_directories(ventral_modes_${unit} PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
endforeach()
add_executable(ventral_one_mode EXCLUDE_FROM_ALL $<TARGET_OBJECTS:ventral_modes_uses> $<TARGET_OBJECTS:ventral_modes_defines> $<TARGET_OBJECTS:ventral_modes_plain>)
add_executable(ventral_two_modes EXCLUDE_FROM_ALL $<TARGET_OBJECTS:ventral_modes_uses> $<TARGET_OBJECTS:ventral_modes_device> $<TARGET_OBJECTS:ventral_modes_plain>)
foreach(program one_mode two_modes)
  set_target_properties(ventral_${program} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(ventral_${program} PRIVATE ventral)
endforeach()
function(ventral_link name status text)
  add_test(NAME modes.${name} COMMAND "${CMAKE_COMMAND}" "-DPROGRAM=${CMAKE_COMMAND}" "-DSTATUS=${status}" "-DTEXT=${text}"
                                      "-DARGUMENTS=--build;${PROJECT_BINARY_DIR};--target;ventral_${name}" -P "${CMAKE_CURRENT_SOURCE_DIR}/expect.cmake")
  set_tests_properties(modes.${name} PROPERTIES RESOURCE_LOCK build)
endfunction()
ventral_link(one_mode 0 "")
ventral_link(two_modes 1 "undefined reference to .*elements.*emulated::Space")

# The headers of CUDA alone, in the modes that any compiler can compile.
foreach(mode EMULATED DEVICE)
  foreach(header cuda.hpp cuda/space.hpp cuda/ops.hpp cuda/choose_device.hpp)
    string(REPLACE "/" "." flat "${header}")
    file(WRITE "${CMAKE_CURRENT_BINARY_DIR}/modes/${flat}.cpp" "#include \"ventral/${header}\"\n#include \"ventral/${header}\"\n")
    ventral_compile(${flat}_${mode} "${CMAKE_CURRENT_BINARY_DIR}/modes/${flat}.cpp" 0 "" -Wall -Wextra -Wpedantic -Wconversion -Werror -DVENTRAL_CUDA_${mode})
    set_property(TEST modes.${flat}_${mode} PROPERTY LABELS headers)
  endforeach()
endforeach()

# VENTRAL_CUDA where there is no nvcc: AUTO says so in a line, ON fails, other words are refused.
function(ventral_configure name value status text)
  add_test(NAME modes.${name} COMMAND "${CMAKE_COMMAND}" -E env --unset=CUDACXX --unset=CUDA_PATH PATH=/usr/bin:/bin "${CMAKE_COMMAND}" "-DPROGRAM=${CMAKE_COMMAND}" "-DSTATUS=${status}" "-DTEXT=${text}"
           "-DARGUMENTS=-S;${PROJECT_SOURCE_DIR};-B;${CMAKE_CURRENT_BINARY_DIR}/modes/${name};-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER};-DVENTRAL_BUILD_TESTS=OFF;-DVENTRAL_BUILD_EXAMPLES=OFF;-DVENTRAL_BUILD_BENCH=OFF;-DVENTRAL_CUDA=${value}"
           -P "${CMAKE_CURRENT_SOURCE_DIR}/expect.cmake")
endfunction()
if(NOT EXISTS /usr/bin/nvcc)
  ventral_configure(auto_without_nvcc AUTO 0 "ventral: no CUDA compiler found .*: ventral::cuda left out, ventral::cuda_emulated remains")
  ventral_configure(on_without_nvcc ON 1 "VENTRAL_CUDA is ON, but no CUDA compiler found")
endif()
ventral_configure(other_word MAYBE 1 "VENTRAL_CUDA is 'MAYBE'. one of AUTO, ON, OFF, EMULATED is needed")

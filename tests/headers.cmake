# Each public header, and each file of kernels for the emulator, is compiled alone, twice included; other compilers that there are read the umbrellas, which hold
# every header of their kind.
set(checked ${plain_headers} ventral/ventral.hpp ${brain_headers} ventral/brain.hpp ${image_headers})
if(TARGET ventral::io)
  list(APPEND checked ${io_headers})
endif()
set(header_compilers "${CMAKE_CXX_COMPILER}")
file(REAL_PATH "${CMAKE_CXX_COMPILER}" own_compiler)
foreach(other g++ clang++)
  find_program(VENTRAL_TEST_${other} ${other})
  mark_as_advanced(VENTRAL_TEST_${other})
  if(VENTRAL_TEST_${other})
    file(REAL_PATH "${VENTRAL_TEST_${other}}" other_compiler)
    if(NOT other_compiler STREQUAL own_compiler)
      list(APPEND header_compilers "${VENTRAL_TEST_${other}}")
    endif()
  endif()
endforeach()

file(GLOB kernel_headers RELATIVE "${PROJECT_SOURCE_DIR}/kernels" CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/ventral/cuda/*.cuh" "${PROJECT_SOURCE_DIR}/kernels/ventral/cuda/launch.hpp"
     "${PROJECT_SOURCE_DIR}/kernels/ventral/cuda/emulator/emulator.hpp")
list(REMOVE_ITEM kernel_headers ventral/cuda/device.cuh ventral/cuda/device_graph.cuh)  # for nvcc

foreach(compiler IN LISTS header_compilers)
  get_filename_component(compiler_name "${compiler}" NAME)
  set(stamps "")
  set(headers ${checked} ${kernel_headers})
  if(NOT compiler STREQUAL CMAKE_CXX_COMPILER)
    set(headers ventral/ventral.hpp ventral/brain.hpp ${image_headers} ventral/cuda/kernels.cuh)
  endif()
  foreach(header IN LISTS headers)
    set(flags "")
    if(header IN_LIST kernel_headers)
      set(flags -DVENTRAL_CUDA_EMULATED "-I${PROJECT_SOURCE_DIR}/kernels")
    elseif(NOT EXISTS "${PROJECT_SOURCE_DIR}/include/${header}")
      continue()
    endif()
    string(REPLACE "/" "." flat "${header}")
    set(source "${CMAKE_CURRENT_BINARY_DIR}/headers/${flat}.cpp")
    set(stamp "${CMAKE_CURRENT_BINARY_DIR}/headers/${compiler_name}/${flat}.ok")
    if(NOT EXISTS "${source}")
      file(WRITE "${source}" "#include \"${header}\"\n#include \"${header}\"\n")
    endif()
    add_custom_command(
      OUTPUT "${stamp}"
      COMMAND "${compiler}" -std=c++20 -fsyntax-only -Wall -Wextra -Wpedantic -Wconversion -Werror "-I${PROJECT_SOURCE_DIR}/include" ${flags} -MD -MF "${stamp}.d" -MT "${stamp}" "${source}"
      COMMAND "${CMAKE_COMMAND}" -E touch "${stamp}"
      DEPENDS "${source}" DEPFILE "${stamp}.d" COMMENT "${header} alone with ${compiler_name}" VERBATIM)
    list(APPEND stamps "${stamp}")
  endforeach()
  file(MAKE_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/headers/${compiler_name}")
  add_custom_target(ventral_headers_${compiler_name} DEPENDS ${stamps})
  add_test(NAME headers.${compiler_name} COMMAND "${CMAKE_COMMAND}" --build "${PROJECT_BINARY_DIR}" --target ventral_headers_${compiler_name})
  set_tests_properties(headers.${compiler_name} PROPERTIES RESOURCE_LOCK build LABELS headers)
endforeach()

foreach(umbrella ventral brain)
  set(included ${plain_headers})
  if(umbrella STREQUAL "brain")
    set(included ${brain_headers})
  endif()
  add_test(NAME headers.${umbrella}_umbrella COMMAND "${CMAKE_COMMAND}" "-DHEADERS=${included}" "-DUMBRELLA=${PROJECT_SOURCE_DIR}/include/ventral/${umbrella}.hpp" -P
                                                     "${CMAKE_CURRENT_SOURCE_DIR}/umbrella.cmake")
endforeach()

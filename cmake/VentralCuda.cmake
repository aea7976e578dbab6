# The CUDA targets. ventral::cuda_emulated is always there; ventral::cuda_headers and ventral::cuda where VENTRAL_CUDA finds the toolkit.
set(VENTRAL_CUDA AUTO CACHE STRING "CUDA: ON, OFF, AUTO to have it where nvcc is found, EMULATED to give ventral's own programs the emulator as their GPU")
set_property(CACHE VENTRAL_CUDA PROPERTY STRINGS AUTO ON OFF EMULATED)
set(VENTRAL_CUDA_ARCHITECTURES "75-real;80-real;90a-real;90-virtual" CACHE STRING
    "Architectures of ventral::cuda, as in CMAKE_CUDA_ARCHITECTURES: N-real is machine code for compute capability N, N-virtual is PTX, which newer GPUs translate when a program starts")
if(NOT VENTRAL_CUDA MATCHES "^(AUTO|ON|OFF|EMULATED)$")
  message(FATAL_ERROR "VENTRAL_CUDA is '${VENTRAL_CUDA}'; one of AUTO, ON, OFF, EMULATED is needed")
endif()

list(GET VENTRAL_CUDA_ARCHITECTURES -1 ventral_program_architecture)  # programs with kernels of their own are built for one

set(ventral_with_cuda OFF)
if(VENTRAL_CUDA MATCHES "^(AUTO|ON)$")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES OFF)  # each target says its own
    endif()
    enable_language(CUDA)
    find_package(CUDAToolkit REQUIRED)
    if(CMAKE_CUDA_COMPILER_VERSION VERSION_LESS 12.0)
      set(ventral_cuda_problem "CUDA ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}) is too old for C++20, 12.0 is needed")
    else()
      set(ventral_with_cuda ON)
    endif()
  else()
    set(ventral_cuda_problem "no CUDA compiler found (nvcc is looked for in PATH, CUDACXX and CMAKE_CUDA_COMPILER)")
  endif()
  if(ventral_with_cuda)
    message(STATUS "ventral: CUDA ${CMAKE_CUDA_COMPILER_VERSION} (${CMAKE_CUDA_COMPILER}), ventral::cuda for ${VENTRAL_CUDA_ARCHITECTURES}")
  elseif(VENTRAL_CUDA STREQUAL "ON")
    message(FATAL_ERROR "VENTRAL_CUDA is ON, but ${ventral_cuda_problem}")
  else()
    message(STATUS "ventral: ${ventral_cuda_problem}: ventral::cuda left out, ventral::cuda_emulated remains")
  endif()
endif()

# ---- the kernels, run on the CPU by the emulator
add_library(ventral_cuda_emulated INTERFACE)
add_library(ventral::cuda_emulated ALIAS ventral_cuda_emulated)
set_target_properties(ventral_cuda_emulated PROPERTIES EXPORT_NAME cuda_emulated)
target_include_directories(ventral_cuda_emulated INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/kernels>")
target_compile_definitions(ventral_cuda_emulated INTERFACE VENTRAL_CUDA_EMULATED)
target_link_libraries(ventral_cuda_emulated INTERFACE ventral)
add_subdirectory("${PROJECT_SOURCE_DIR}/kernels/precompiled" kernels)

if(ventral_with_cuda)
  # ---- the kernels, compiled by the includer's nvcc. CMake before 3.26 drops the C++20 of CUDA silently, so it is a flag.
  add_library(ventral_cuda_headers INTERFACE)
  add_library(ventral::cuda_headers ALIAS ventral_cuda_headers)
  set_target_properties(ventral_cuda_headers PROPERTIES EXPORT_NAME cuda_headers)
  target_include_directories(ventral_cuda_headers INTERFACE "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/kernels>")
  target_compile_definitions(ventral_cuda_headers INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:VENTRAL_CUDA_DEVICE;VENTRAL_CUDA_HEADERS>")
  target_compile_options(ventral_cuda_headers INTERFACE "$<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;--expt-relaxed-constexpr>")
  target_link_libraries(ventral_cuda_headers INTERFACE ventral_kernels CUDA::cudart_static)  # nvcc's front end cannot read all of the CPU's kernels

  # ---- the kernels as a library, for includers with any C++20 compiler. Inside another project it is built only if something links it.
  file(GLOB ventral_cuda_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/kernels/precompiled/*.cu")
  add_library(ventral_cuda STATIC ${ventral_cuda_sources})
  add_library(ventral::cuda ALIAS ventral_cuda)
  if(NOT ventral_is_top)
    set_target_properties(ventral_cuda PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  set_target_properties(ventral_cuda PROPERTIES EXPORT_NAME cuda CUDA_ARCHITECTURES "${VENTRAL_CUDA_ARCHITECTURES}" POSITION_INDEPENDENT_CODE ON)
  target_include_directories(ventral_cuda PRIVATE "${PROJECT_SOURCE_DIR}/kernels")
  target_compile_definitions(ventral_cuda PUBLIC VENTRAL_CUDA_DEVICE PRIVATE VENTRAL_CUDA_HEADERS VENTRAL_CUDA_LIBRARY)
  target_compile_options(ventral_cuda PRIVATE -std=c++20 --expt-relaxed-constexpr -Xfatbin=-compress-all -Xcompiler=-Wall,-Wextra,-Wconversion
                                              "$<$<BOOL:${VENTRAL_WERROR}>:SHELL:-Werror all-warnings -Xcompiler=-Werror>")
  target_link_libraries(ventral_cuda PUBLIC ventral CUDA::cudart_static)
endif()

# What ventral's own programs have as Cuda, besides the CPU: a GPU, the emulator, or nothing.
set(ventral_program_cuda "")
if(ventral_with_cuda)
  set(ventral_program_cuda ventral::cuda)
elseif(VENTRAL_CUDA STREQUAL "EMULATED")
  set(ventral_program_cuda ventral::emulated_kernels)
endif()

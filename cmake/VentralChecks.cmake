# Functions that the project's own build uses; nothing here reaches those who link ventral.

# Warnings of ventral's own programs; errors with VENTRAL_WERROR.
function(ventral_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${VENTRAL_WERROR}>:-Werror>)
endfunction()

# Stops when the version in the header is not that of project().
function(ventral_check_version header)
  file(STRINGS "${header}" line REGEX "define VENTRAL_VERSION \"")
  if(NOT line MATCHES "\"${PROJECT_VERSION}\"")
    message(FATAL_ERROR "${header} says '${line}'; project() says ${PROJECT_VERSION}")
  endif()
  foreach(part MAJOR MINOR PATCH)
    file(STRINGS "${header}" line REGEX "define VENTRAL_VERSION_${part} ")
    if(NOT line MATCHES " ${PROJECT_VERSION_${part}}$")
      message(FATAL_ERROR "${header} says '${line}'; project() says ${PROJECT_VERSION}")
    endif()
  endforeach()
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${header}")
endfunction()

# Sets `result` to whether a part of ventral is built: its switch (AUTO, ON, OFF) and whether the package is there. Says so in one line.
macro(ventral_find switch package result)
  set(${result} OFF)
  if(${switch} STREQUAL "AUTO")
    find_package(${package} QUIET)
    set(${result} ${${package}_FOUND})
    if(NOT ${package}_FOUND)
      message(STATUS "ventral: ${package} not found, ${switch} left out")
    endif()
  elseif(${switch})
    find_package(${package} REQUIRED)
    set(${result} ON)
  else()
    message(STATUS "ventral: ${switch} is OFF")
  endif()
endmacro()

# A test dependency: the system's package, else a fetched archive checked by its hash.
macro(ventral_fetch package url hash)
  find_package(${package} QUIET)
  if(NOT ${package}_FOUND)
    message(STATUS "ventral: ${package} not found on this system, fetching ${url}")
    include(FetchContent)
    FetchContent_Declare(${package} URL ${url} URL_HASH SHA256=${hash})
    FetchContent_MakeAvailable(${package})
  endif()
endmacro()

# Outside projects that use ventral in each way the README offers; each is configured, built and run by one test.
set(consumer_prefix "${PROJECT_BINARY_DIR}/consumer/prefix")
add_test(NAME consumer.install COMMAND "${CMAKE_COMMAND}" --install "${PROJECT_BINARY_DIR}" --prefix "${consumer_prefix}")
set_tests_properties(consumer.install PROPERTIES FIXTURES_SETUP installed LABELS consumer RESOURCE_LOCK build)

# A project of tests/consumer. `installed` ones see only what was installed.
function(ventral_consumer name)
  add_test(NAME consumer.${name}
           COMMAND "${CMAKE_CTEST_COMMAND}" --build-and-test "${CMAKE_CURRENT_SOURCE_DIR}/consumer/${name}" "${PROJECT_BINARY_DIR}/consumer/${name}"
                   --build-generator "${CMAKE_GENERATOR}" --build-makeprogram "${CMAKE_MAKE_PROGRAM}" --build-options
                   "-DCMAKE_CXX_COMPILER=${CMAKE_CXX_COMPILER}" "-DCMAKE_CXX_FLAGS=${CMAKE_CXX_FLAGS} -Wall -Wextra -Wpedantic -Wconversion -Werror"
                   "-DCMAKE_CXX_COMPILER_LAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}" ${ARGN} --test-command consumer)
  set_tests_properties(consumer.${name} PROPERTIES LABELS consumer TIMEOUT 300)
endfunction()

ventral_consumer(add_subdirectory "-DVENTRAL_SOURCE=${PROJECT_SOURCE_DIR}")
ventral_consumer(fetch_content "-DVENTRAL_SOURCE=${PROJECT_SOURCE_DIR}")
if(VENTRAL_INSTALL)
  set(installed find_package)
  ventral_consumer(find_package "-DCMAKE_PREFIX_PATH=${consumer_prefix}")
  find_package(PkgConfig QUIET)
  if(PKG_CONFIG_FOUND)
    ventral_consumer(pkg_config "-DCMAKE_PREFIX_PATH=${consumer_prefix}")
    list(APPEND installed pkg_config)
  endif()
  if(TARGET ventral::io AND TARGET ventral::image)
    ventral_consumer(components "-DCMAKE_PREFIX_PATH=${consumer_prefix}")
    list(APPEND installed components)
  endif()
  if(TARGET ventral::image)
    ventral_consumer(own_stb "-DCMAKE_PREFIX_PATH=${consumer_prefix}" "-DSTB_INCLUDE_DIR=${Stb_INCLUDE_DIR}")
    list(APPEND installed own_stb)
  endif()
  foreach(name IN LISTS installed)
    set_tests_properties(consumer.${name} PROPERTIES FIXTURES_REQUIRED installed)
  endforeach()
endif()

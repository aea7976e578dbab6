# What `cmake --install` puts where: headers, the image library, a CMake package with components, a pkg-config file.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)
set(ventral_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/ventral")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/include/ventral" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp")

install(DIRECTORY "${PROJECT_SOURCE_DIR}/kernels/ventral" DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" FILES_MATCHING PATTERN "*.hpp" PATTERN "*.cuh")

install(TARGETS ventral ventral_cuda_emulated EXPORT ventral-targets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT ventral-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
if(ventral_with_io)
  install(TARGETS ventral_io EXPORT ventral-io-targets)
  install(EXPORT ventral-io-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
endif()
install(TARGETS ventral_kernels EXPORT ventral-kernels-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT ventral-kernels-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
if(ventral_with_image)
  install(TARGETS ventral_image EXPORT ventral-image-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT ventral-image-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
endif()
if(ventral_with_brain)
  install(TARGETS ventral_brain EXPORT ventral-brain-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT ventral-brain-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
endif()

if(ventral_with_cuda)
  install(TARGETS ventral_cuda_headers EXPORT ventral-cuda_headers-targets INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
  install(EXPORT ventral-cuda_headers-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
  install(TARGETS ventral_cuda EXPORT ventral-cuda-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT ventral-cuda-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
  if(ventral_with_cudnn)
    install(TARGETS ventral_cudnn EXPORT ventral-cudnn-targets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
    install(EXPORT ventral-cudnn-targets NAMESPACE ventral:: DESTINATION "${ventral_package_dir}")
  endif()
endif()

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/ventral-config.cmake.in" "${PROJECT_BINARY_DIR}/ventral-config.cmake"
                              INSTALL_DESTINATION "${ventral_package_dir}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/ventral-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/ventral-config.cmake" "${PROJECT_BINARY_DIR}/ventral-config-version.cmake" DESTINATION "${ventral_package_dir}")

# The prefix of the .pc file follows from where it lies, so that an installed tree can be moved.
file(RELATIVE_PATH ventral_pc_to_prefix "/root/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/root")
configure_file("${PROJECT_SOURCE_DIR}/cmake/ventral.pc.in" "${PROJECT_BINARY_DIR}/ventral.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/ventral.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")

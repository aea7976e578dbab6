# Finds stb_image.h and stb_image_write.h, in a folder stb/ (as Debian has them) or without one (as upstream).
# Sets Stb_FOUND and Stb_INCLUDE_DIRS, the folder that holds stb_image.h and the one above it.
find_path(Stb_INCLUDE_DIR NAMES stb_image.h PATH_SUFFIXES stb)
find_path(Stb_WRITE_INCLUDE_DIR NAMES stb_image_write.h PATH_SUFFIXES stb)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Stb REQUIRED_VARS Stb_INCLUDE_DIR Stb_WRITE_INCLUDE_DIR)
if(Stb_FOUND)
  set(Stb_INCLUDE_DIRS ${Stb_INCLUDE_DIR} ${Stb_WRITE_INCLUDE_DIR})
endif()
mark_as_advanced(Stb_INCLUDE_DIR Stb_WRITE_INCLUDE_DIR)

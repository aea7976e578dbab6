# Fails when LIBRARY has more than MOST bytes.
cmake_minimum_required(VERSION 3.20)
file(SIZE "${LIBRARY}" size)
message("${LIBRARY}: ${size} bytes (at most ${MOST})")
if(size GREATER MOST)
  message(FATAL_ERROR "larger than ${MOST} bytes")
endif()

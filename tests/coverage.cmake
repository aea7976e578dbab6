# Target `coverage`, after the tests of the preset of that name ran: line coverage of the public headers, as text, and as HTML in coverage/.
find_program(VENTRAL_LCOV lcov REQUIRED)
find_program(VENTRAL_GENHTML genhtml REQUIRED)
add_custom_target(coverage
  COMMAND "${VENTRAL_LCOV}" --quiet --capture --directory "${PROJECT_BINARY_DIR}" --include "${PROJECT_SOURCE_DIR}/include/*" --output-file coverage.info
  COMMAND "${VENTRAL_GENHTML}" --quiet --prefix "${PROJECT_SOURCE_DIR}/include" --output-directory coverage coverage.info
  COMMAND "${VENTRAL_LCOV}" --summary coverage.info
  WORKING_DIRECTORY "${PROJECT_BINARY_DIR}" VERBATIM)

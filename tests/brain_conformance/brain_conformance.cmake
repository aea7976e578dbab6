# ventral_brain_conformance DIR [--data DATADIR]: reference values of RDMs, comparators, inference and regression. Tested on tests/gold/brain, on VENTRAL_GOLD/rsa
# (with the recordings where VENTRAL_DATA has them), and on a wrong and malformed ones.
if(NOT TARGET ventral::brain)
  return()
endif()
file(GLOB brain_conformance_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/brain_conformance/*.cpp")
add_executable(ventral_brain_conformance ${brain_conformance_sources})
ventral_program(ventral_brain_conformance)

set(own "${CMAKE_CURRENT_SOURCE_DIR}/gold/brain")
ventral_expect(brain.own ventral_brain_conformance 0 "[1-9][0-9] passed, 0 failed, 0 skipped\n$" "${own}")
if(ventral_with_cuda)
  set_tests_properties(brain.own PROPERTIES LABELS cuda)
endif()
if(EXISTS "${VENTRAL_GOLD}/rsa/manifest.tsv")
  ventral_expect(brain.gold ventral_brain_conformance 0 "[1-9][0-9]+ passed, 0 failed, " "${VENTRAL_GOLD}/rsa")
  if(EXISTS "$ENV{VENTRAL_DATA}/kriegeskorte92")
    ventral_expect(brain.recordings ventral_brain_conformance 0 "pass k92.*pass v4.* 0 failed, " "${VENTRAL_GOLD}/rsa" --data "$ENV{VENTRAL_DATA}")
  endif()
endif()

# A value changed, an array that is missing, a folder of another kind.
ventral_expect(brain.wrong ventral_brain_conformance 1 "fail rdm_wrong.correlation value 1 is [^\n]*\nskip rdm_wrong.unknown not offered\nfail corr_wrong array 'y' is missing\n0 passed, 2 failed, 1 skipped\n$" "${CMAKE_CURRENT_SOURCE_DIR}/gold/brain_wrong")
ventral_expect(brain.no_folder ventral_brain_conformance 2 "manifest.tsv" "${CMAKE_CURRENT_SOURCE_DIR}/no_such_folder")
ventral_expect(brain.usage ventral_brain_conformance 2 "usage: ventral_brain_conformance DIR")

# ventral_conformance DIR...: reference values of a folder, run through the public layers. Tested on the folders of tests/gold, on more of them in
# VENTRAL_GOLD, and on wrong and malformed ones.
file(GLOB conformance_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/conformance/*.cpp")
add_executable(ventral_conformance ${conformance_sources})
ventral_program(ventral_conformance)
target_link_libraries(ventral_conformance PRIVATE nlohmann_json::nlohmann_json)

foreach(folder grad onnx)
  add_test(NAME conformance.own_${folder} COMMAND ventral_conformance "${CMAKE_CURRENT_SOURCE_DIR}/gold/${folder}")
endforeach()
set(VENTRAL_GOLD "" CACHE PATH "Folder with grad/ and onnx_node/, more reference values; left out where it is missing")
foreach(folder grad onnx_node)
  if(EXISTS "${VENTRAL_GOLD}/${folder}/manifest.json")
    add_test(NAME conformance.${folder} COMMAND ventral_conformance "${VENTRAL_GOLD}/${folder}")
  elseif(VENTRAL_GOLD)
    message(STATUS "ventral: no reference values in ${VENTRAL_GOLD}/${folder}")
  endif()
endforeach()

# A corrupted expectation must fail, and what ventral lacks is skipped by name.
ventral_expect(conformance.wrong ventral_conformance 1
  "pass right \\[float err [^ ]+ double err [^ ]+\\]\nfail wrong_y [^\n]* in float: [^\n]*y is off by [^\n]*\nfail wrong_dx [^\n]* dx is off by [^\n]*\nskip unknown not offered: Telepathy\nskip unknown_attribute not offered: ReLU with attribute ceiling\n1 passed, 2 failed, 2 skipped"
  "${CMAKE_CURRENT_SOURCE_DIR}/gold/wrong")

# Folders that do not follow the format, each with its error.
function(ventral_malformed name text manifest)
  ventral_expect(conformance.${name} ventral_conformance 2 "${text}" "${PROJECT_BINARY_DIR}/malformed/${name}" "-DMANIFEST=${manifest}")
endfunction()
set(x [["x":{"file":"x.npy","dtype":"float64","shape":[2]}]])
ventral_expect(conformance.missing_folder ventral_conformance 2 "no_such_folder/manifest.json: cannot be opened" no_such_folder)
ventral_malformed(not_json "manifest.json: at byte 19: not JSON" [[{"format":1 "cases":[]}]])
ventral_malformed(other_format "manifest.json: format 7. 1 expected" [[{"format":7,"cases":[]}]])
ventral_malformed(no_cases "key 'cases' is not a list of cases" [[{"format":1,"cases":[]}]])
ventral_malformed(no_op "case 0 'a': key 'op' is missing" [[{"format":1,"cases":[{"name":"a"}]}]])
ventral_malformed(no_arrays "case 0 'a': neither 'arrays' .* nor 'inputs' .* is there" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{}}]}]])
ventral_malformed(odd_attribute "case 0 'a': attribute 'slope' is neither number, text nor list" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{"slope":{}},"arrays":{}}]}]])
ventral_malformed(missing_file "array 'x': .*x.npy: cannot be opened" "{\"format\":1,\"cases\":[{\"name\":\"a\",\"op\":\"ReLU\",\"attrs\":{},\"arrays\":{${x}}}]}")
ventral_malformed(outside "array 'x': '../x.npy' is not a file name" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{},"arrays":{"x":{"file":"../x.npy","dtype":"float64","shape":[2]}}}]}]])
ventral_malformed(odd_extent "array 'x': extent -2 is not a count" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{},"arrays":{"x":{"file":"x.npy","dtype":"float64","shape":[-2]}}}]}]])
ventral_malformed(no_input "fail a malformed: ReLU needs an array 'x'" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{},"arrays":{}}]}]])
ventral_malformed(no_onnx_input "fail a malformed: Relu needs input 0" [[{"format":1,"cases":[{"name":"a","op":"Relu","opset":6,"attrs":{},"inputs":[],"outputs":[],"rtol":0,"atol":0}]}]])
ventral_malformed(nothing_to_compare "fail right malformed: gives nothing to compare" [[{"format":1,"cases":[{"name":"right","op":"ReLU","attrs":{},"arrays":{"x":{"file":"right.x.npy","dtype":"float64","shape":[2,3]}}}]}]])
ventral_malformed(other_shape "right.x.npy has shape \\[2,3\\]. the manifest says \\[3,2\\]" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{},"arrays":{"x":{"file":"right.x.npy","dtype":"float64","shape":[3,2]}}}]}]])
ventral_malformed(other_type "right.x.npy holds float64. the manifest says float32" [[{"format":1,"cases":[{"name":"a","op":"ReLU","attrs":{},"arrays":{"x":{"file":"right.x.npy","dtype":"float32","shape":[2,3]}}}]}]])

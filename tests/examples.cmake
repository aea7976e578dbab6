# The printed result of each example; --help of all.
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/[0-9][0-9]_*.cpp")
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
  if(NOT TARGET ${name})  # a part that it needs was not found
    continue()
  endif()
  ventral_expect(example.${name}_help ${name} 0 "--help" --help)
  ventral_expect(example.${name}_mistake ${name} 2 "no_such_option" --no_such_option)
endforeach()

# Those that may not be there yet are left out.
function(ventral_example name text)
  if(TARGET ${name})
    ventral_expect(example.${name} ${name} 0 "${text}" ${ARGN})
  endif()
endfunction()
ventral_example(01_perceptron "result: AND 4, OR 4, XOR [0-3], XOR with a hidden layer 4 of 4")
ventral_example(02_convolution "result: 19 25 37 43")
ventral_example(03_lenet "test accuracy (7[5-9]|[89][0-9])" --train 1500 --epochs 4 --batch 16 --out "${PROJECT_BINARY_DIR}/example_03")
if(VENTRAL_CUDA STREQUAL "EMULATED")  # some steps on the emulator, and everything around them
  ventral_expect(example.01_perceptron_cuda 01_perceptron 0 "device: cuda: emulated.*XOR with a hidden layer 4 of 4" --device cuda)
  ventral_expect(example.02_convolution_cuda 02_convolution 0 "device: cuda: emulated.*result: 19 25 37 43" --device cuda)
  ventral_expect(example.03_lenet_cuda 03_lenet 0 "device: cuda: emulated.*test accuracy" --device cuda --train 32 --epochs 1 --batch 16 --test 40 --out "${PROJECT_BINARY_DIR}/example_03_cuda")
endif()
if(NOT ventral_with_cuda)
  ventral_example(08_own_kernel "device: cuda: emulated.*result: gradient error below 1e-6 on cuda")
  ventral_expect(example.03_lenet_device 03_lenet 1 "device 'gpu'. one of cpu, cuda, auto is needed" --device gpu)
else()  # on a machine without a GPU: says so, and uses the CPU
  ventral_expect(example.auto_device 02_convolution 0 "device: (cuda: NVIDIA|cpu: no NVIDIA driver on this machine).*result: 19 25 37 43")
  ventral_expect(example.own_kernel_device 08_own_kernel 0 "device: (cuda: NVIDIA|cpu: no NVIDIA driver on this machine).*gradient error below 1e-6" --device auto)
  set_tests_properties(example.auto_device example.own_kernel_device PROPERTIES LABELS cuda)
endif()
ventral_example(04_own_layer "result: gradient error below 1e-6")
# Without data: small networks, simulated areas and sites. That more than the form of the results is right, docs/measurements/brain.md shows.
ventral_example(05_rsa "expected beforehand.*data: 32 drawn objects.*EVC .simulated. +Gabor energy - trained layer4 .*IT .simulated. +trained layer4 - pixels .*report: " --images 300 --epochs 1 --conditions 32 --samples 50
  --out "${PROJECT_BINARY_DIR}/example_05")
ventral_example(06_regression "truth: hidden network layer3 explains 0[.]9.*result: trained layer[1-4], chosen on training images, explains 0[.][0-9]+" --images 300 --epochs 1 --out "${PROJECT_BINARY_DIR}/example_06")
ventral_example(07_goal_driven "performance against predictivity: r = -?0[.][0-9]+ .*, 8 models" --quick --out "${PROJECT_BINARY_DIR}/example_07")
foreach(test example.05_rsa example.06_regression example.07_goal_driven)
  if(TEST ${test})
    set_tests_properties(${test} PROPERTIES ENVIRONMENT VENTRAL_DATA=no_such_folder TIMEOUT 600)
  endif()
endforeach()

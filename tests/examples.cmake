# The printed result of each example; --help of all.
file(GLOB example_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/examples/[0-9][0-9]_*.cpp")
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
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
  ventral_example(05_own_kernel "device: cuda: emulated.*result: gradient error below 1e-6 on cuda")
  ventral_expect(example.03_lenet_device 03_lenet 1 "device 'gpu'. one of cpu, cuda, auto is needed" --device gpu)
else()  # on a machine without a GPU: says so, and uses the CPU
  ventral_expect(example.auto_device 02_convolution 0 "device: (cuda: NVIDIA|cpu: no NVIDIA driver on this machine).*result: 19 25 37 43")
endif()
ventral_example(04_own_layer "result: gradient error below 1e-6")

// One convolution layer on the GPU: what this unit takes to compile is the price of header-only CUDA.
#include <cstdio>

#include <ventral/cuda/conv2d.cuh>
#include <ventral/cuda/choose_device.hpp>
#include <ventral/layers/conv2d.hpp>

template <class Space>
ventral::Tensor<float> convolve(const ventral::Tensor<float>& x) {
  ventral::Conv2d<float, Space> conv({.in = 1, .out = 2, .kernel = 3});
  auto y = ventral::Tensor<float, Space>::uninitialized(conv.output_shape(x.shape()));
  ventral::Pass<Space> pass;
  conv.forward(x.to<Space>(), y, pass);
  return y.template to<ventral::Cpu>();
}

ventral::Tensor<float> convolved(const ventral::Tensor<float>& x) {
  const ventral::DeviceChoice choice = ventral::choose_device("auto");
  std::printf("device: %s\n", to_string(choice).c_str());
  return ventral::on_device(choice, [&]<class Space>(Space) { return convolve<Space>(x); });
}

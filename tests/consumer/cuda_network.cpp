// The program of the consumer projects with CUDA: one network on the device that there is, and on the CPU.
#include <cmath>
#include <cstdio>

#include <ventral/ventral.hpp>
#include <ventral/cuda.hpp>

template <class Space>
ventral::Tensor<float> run(const ventral::Tensor<float>& x) {
  ventral::Sequential<float, Space> net;
  net.add("conv1", ventral::Conv2d<float, Space>({.in = 1, .out = 2, .kernel = 3})).add("relu1", ventral::ReLU<float, Space>());
  net.add("pool1", ventral::MaxPool2d<float, Space>()).add("flatten", ventral::Flatten<float, Space>()).add("fc1", ventral::Linear<float, Space>({.in = 18, .out = 3}));
  net.initialize(1);
  return std::move(net.capture(x.to<Space>(), {"fc1"})[0]).template to<ventral::Cpu>();
}

int main(int argc, char** argv) {
  try {
    const ventral::DeviceChoice choice = ventral::choose_device(argc > 1 ? argv[1] : CONSUMER_DEVICE);
    std::printf("device: %s\n", to_string(choice).c_str());
    ventral::Tensor<float> x({1, 1, 8, 8});
    for (ventral::Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i % 7) / 7;
    const auto y = ventral::on_device(choice, [&]<class Space>(Space) { return run<Space>(x); });
    const auto expected = run<ventral::Cpu>(x);
    float worst = 0;
    for (ventral::Index i = 0; i < y.size(); ++i) worst = std::fmax(worst, std::fabs(y[i] - expected[i]));
    std::printf("largest difference from the CPU %g\n", static_cast<double>(worst));
    return y.size() == 3 && worst <= 1e-5f ? 0 : 1;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}

// The program of the consumer projects: standard headers first, then `min` and `max` as macros, as some platform headers define them.
#include <algorithm>
#include <cstdio>

#define min(a, b) ((a) < (b) ? (a) : (b))
#define max(a, b) ((a) > (b) ? (a) : (b))
#include <ventral/ventral.hpp>
#if !defined(min) || !defined(max)
#error "ventral.hpp must give the macros back"
#endif

int main() {
  ventral::Sequential<float> net;
  net.add("conv1", ventral::Conv2d<float>({.in = 1, .out = 2, .kernel = 3})).add("relu1", ventral::ReLU<float>()).add("flatten", ventral::Flatten<float>());
  net.add("fc1", ventral::Linear<float>({.in = 2 * 6 * 6, .out = 3}));
  net.initialize(1);
  const ventral::Tensor<float> x({4, 1, 8, 8});
  const auto y = net.forward(x);
  std::printf("ventral %s: %s -> %s\n", VENTRAL_VERSION, to_string(x.shape()).c_str(), to_string(y.shape).c_str());
  return max(y.size(), 0) == 12 ? 0 : 1;
}

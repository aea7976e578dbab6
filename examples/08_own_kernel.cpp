// A CUDA kernel of your own: the layer of 04_own_layer on a GPU, or on the emulator where there is none (try a breakpoint in the kernel).
//   08_own_kernel [--device cpu|cuda|auto] [--seed 1]
#include <cmath>
#include <cstdio>

#include "support/options.hpp"
#include "ventral/cuda/kernels.cuh"
#include "ventral/cuda/choose_device.hpp"
#include "ventral/gradient_check.hpp"

namespace own {

using namespace ventral::gpu;  // launch, Stream, In, Out, and on the emulator threadIdx, __syncthreads, ...
using ventral::Index;

/// y_i = sign(x_i) log(1 + g |x_i|), g the gain of the element's channel; a thread for each element.
template <class T>
VENTRAL_KERNEL void log_compression_forward_kernel(Index n, Index channels, Index inner, const T* gain, const T* x, T* y) {
  for (Index i = first_element(); i < n; i += element_step()) y[i] = std::copysign(std::log1p(gain[i / inner % channels] * std::abs(x[i])), x[i]);
}

/// dx = dy g / (1 + g |x|); a thread for each element.
template <class T>
VENTRAL_KERNEL void log_compression_backward_kernel(Index n, Index channels, Index inner, const T* gain, const T* x, const T* dy, T* dx) {
  for (Index i = first_element(); i < n; i += element_step()) {
    const T g = gain[i / inner % channels];
    dx[i] = dy[i] * g / (T(1) + g * std::abs(x[i]));
  }
}

/// dg_c += sum over the elements of channel c of dy x / (1 + g |x|); a block of 128 threads for each channel, so the order of the sum is fixed.
template <class T>
VENTRAL_BOUNDED_KERNEL(128) void log_compression_gain_kernel(Index n, Index channels, Index inner, const T* gain, const T* x, const T* dy, T* dgain) {
  const Index c = blockIdx.x;
  T sum = 0;
  for (Index k = threadIdx.x; k < n / channels; k += 128) {
    const Index i = (k / inner * channels + c) * inner + k % inner;
    sum += dy[i] * x[i] / (T(1) + gain[c] * std::abs(x[i]));
  }
  sum = block_sum<128>(sum);  // through shared memory: all threads must come here
  if (threadIdx.x == 0) dgain[c] += sum;
}

// The launchers: the layer below calls them by name, and the type of the stream picks them.
template <class T>
void forward(Stream stream, Index channels, Index inner, In<T> gain, In<T> x, Out<T> y) {
  launch(stream, {.kernel = "log_compression_forward_kernel", .blocks = blocks_for(x.size()), .shape = x.shape}, log_compression_forward_kernel<T>, x.size(), channels,
         inner, gain.data, x.data, y.data);
}
template <class T>
void backward(Stream stream, Index channels, Index inner, In<T> gain, In<T> x, In<T> dy, Out<T> dx) {
  launch(stream, {.kernel = "log_compression_backward_kernel", .blocks = blocks_for(x.size()), .shape = x.shape}, log_compression_backward_kernel<T>, x.size(), channels,
         inner, gain.data, x.data, dy.data, dx.data);
}
template <class T>
void backward_gain(Stream stream, Index channels, Index inner, In<T> gain, In<T> x, In<T> dy, Out<T> dgain) {
  launch(stream, {.kernel = "log_compression_gain_kernel", .blocks = channels, .threads = 128, .shape = x.shape}, log_compression_gain_kernel<T>, x.size(), channels, inner,
         gain.data, x.data, dy.data, dgain.data);
}

// The same on the CPU.
template <class T>
void forward(ventral::cpu::Stream, Index channels, Index inner, ventral::In<T> gain, ventral::In<T> x, ventral::Out<T> y) {
  for (Index i = 0; i < x.size(); ++i) y.data[i] = std::copysign(std::log1p(gain.data[i / inner % channels] * std::abs(x.data[i])), x.data[i]);
}
template <class T>
void backward(ventral::cpu::Stream, Index channels, Index inner, ventral::In<T> gain, ventral::In<T> x, ventral::In<T> dy, ventral::Out<T> dx) {
  for (Index i = 0; i < x.size(); ++i) dx.data[i] = dy.data[i] * gain.data[i / inner % channels] / (T(1) + gain.data[i / inner % channels] * std::abs(x.data[i]));
}
template <class T>
void backward_gain(ventral::cpu::Stream, Index channels, Index inner, ventral::In<T> gain, ventral::In<T> x, ventral::In<T> dy, ventral::Out<T> dgain) {
  for (Index i = 0; i < x.size(); ++i) {
    const Index c = i / inner % channels;
    dgain.data[c] += dy.data[i] * x.data[i] / (T(1) + gain.data[c] * std::abs(x.data[i]));
  }
}

/// y = sign(x) log(1 + g_c |x|), x [N,C,...], g [C] > 0: see 04_own_layer.
template <class T, class SpaceType>
class LogCompression {
 public:
  using Scalar = T;
  using Space = SpaceType;
  static constexpr const char* kind = "LogCompression";

  ventral::Parameter<T, Space> gain;

  explicit LogCompression(Index channels) : gain({channels}) { gain.value.fill(T(1)); }

  ventral::Shape output_shape(const ventral::Shape& x) const {
    ventral::require<ventral::ShapeError>(x.rank() >= 2 && x[1] == gain.value.size(), "LogCompression: input ", x, " must have ", gain.value.size(), " channels");
    return x;
  }
  void forward(ventral::In<T, Space> x, ventral::Out<T, Space> y, ventral::Pass<Space>&) { own::forward(x.stream(), x.shape[1], inner(x), gain.value, x, y); }
  void backward(ventral::In<T, Space> x, ventral::In<T, Space>, ventral::In<T, Space> dy, ventral::Out<T, Space>* dx, ventral::Pass<Space>&) {
    own::backward_gain(x.stream(), x.shape[1], inner(x), gain.value, x, dy, gain.accumulated_gradient());
    if (dx) own::backward(x.stream(), x.shape[1], inner(x), gain.value, x, dy, *dx);
  }
  std::vector<ventral::NamedParameter<T, Space>> parameters() { return {{"gain", &gain}}; }

 private:
  static Index inner(ventral::In<T, Space> x) { return x.shape.product(2, x.shape.rank()); }
};

/// The gradient by finite differences, on the device.
template <class Space>
int check(std::uint64_t seed) {
  ventral::Random random(seed);
  ventral::Tensor<double> x({3, 2, 4, 5});
  for (double& v : x) v = random.normal();
  LogCompression<double, Space> layer(2);
  const ventral::GradientReport report = ventral::gradient_check(layer, x.to<Space>());
  std::printf("gradient check: %s\nresult: gradient error %s 1e-6 on %s\n", to_string(report).c_str(), report.passed(1e-6) ? "below" : "above", Space::name);
  return report.passed(1e-6) ? 0 : 1;
}

int example(int argc, char** argv) {
  std::string device = "cuda";
  std::uint64_t seed = 1;
  Options options("08_own_kernel", "Checks the gradient of a layer with a CUDA kernel of its own.");
  options.add("device", device, "cpu, cuda (a GPU, or the emulator in a program built without), or auto: the GPU if there is one").add("seed", seed, "of the numbers");
  options.parse(argc, argv);
  const ventral::DeviceChoice choice = ventral::choose_device(device);
  std::printf("device: %s\n", to_string(choice).c_str());
  return ventral::on_device(choice, [&]<class Space>(Space) { return check<Space>(seed); });
}

}  // namespace own

int main(int argc, char** argv) { return run_example("08_own_kernel", own::example, argc, argv); }

// Convolution by hand: every product of a 3x3 image with a 2x2 kernel, then padding, stride and receptive fields.
//   02_convolution [--image 3] [--kernel 2] [--padding 0] [--stride 1] [--device cpu|cuda|auto]
#include <cstdio>

#include "support/options.hpp"
#include "ventral/cuda.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/layers/pool2d.hpp"
#include "ventral/sequential.hpp"

using namespace ventral;

namespace {

void print(const char* name, In<float> image) {
  std::printf("%s %lldx%lld\n", name, static_cast<long long>(image.shape[2]), static_cast<long long>(image.shape[3]));
  for (Index i = 0; i < image.shape[2]; ++i) {
    for (Index j = 0; j < image.shape[3]; ++j) std::printf(" %4g", static_cast<double>(image.data[i * image.shape[3] + j]));
    std::printf("\n");
  }
}

/// The image 0, 1, 2, ... under the kernel 0, 1, 2, ...: what textbooks start with. (It is cross-correlation: the kernel is not flipped.)
Tensor<float> counting(Index side) {
  Tensor<float> x({1, 1, side, side});
  for (Index i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i);
  return x;
}

/// Prints how each output comes about: y[i,j] = sum over k,l of x[i stride + k - padding, j stride + l - padding] w[k,l].
void print_products(const Tensor<float>& x, const Tensor<float>& w, const WindowPlan& plan) {
  for (Index i = 0; i < plan.h.out; ++i)
    for (Index j = 0; j < plan.w.out; ++j) {
      float sum = 0;
      std::printf("  y[%lld,%lld] =", static_cast<long long>(i), static_cast<long long>(j));
      for (Index k = plan.h.first_tap(i); k < plan.h.last_tap(i); ++k)
        for (Index l = plan.w.first_tap(j); l < plan.w.last_tap(j); ++l) {
          const float pixel = x.at(0, 0, plan.h.origin(i) + k, plan.w.origin(j) + l), weight = w.at(0, 0, k, l);
          std::printf(" %s%g*%g", sum == 0 && k == plan.h.first_tap(i) && l == plan.w.first_tap(j) ? "" : "+ ", static_cast<double>(pixel), static_cast<double>(weight));
          sum += pixel * weight;
        }
      std::printf(" = %g\n", static_cast<double>(sum));
    }
}

/// LeNet-5's stages: the field of a unit grows with depth, as from V1 to IT.
void print_receptive_fields() {
  struct Stage {
    const char* name;
    Window window;
  };
  const Stage stages[] = {{"C1", {.kernel = 5}}, {"S2", {.kernel = 2, .stride = 2}}, {"C3", {.kernel = 5}}, {"S4", {.kernel = 2, .stride = 2}}, {"C5", {.kernel = 5}}};
  std::printf("\nreceptive fields in LeNet-5 (input 32x32)\n  layer  kernel  stride  output  field  step\n");
  ReceptiveField field;
  Index side = 32;
  for (const Stage& s : stages) {
    side = place(s.window, side, side, s.name).h.out;
    field = field.after(s.window);
    std::printf("  %-5s %7lld %7lld %4lldx%-3lld %5lld %5lld\n", s.name, static_cast<long long>(s.window.kernel.h), static_cast<long long>(s.window.stride.h),
                static_cast<long long>(side), static_cast<long long>(side), static_cast<long long>(field.size.h), static_cast<long long>(field.jump.h));
  }
}

/// The same layer on the CPU and on a GPU: only the type changes.
template <class Space>
Tensor<float> convolve(const Tensor<float>& x, const Tensor<float>& w, const Conv2dOptions& how) {
  Conv2d<float, Space> conv(how);
  conv.weight.value = w.to<Space>();
  Tensor<float, Space> y(conv.output_shape(x.shape()));
  Pass<Space> pass;
  conv.forward(x.to<Space>(), y, pass);
  return y.template to<Cpu>();
}

int example(int argc, char** argv) {
  int image = 3, kernel = 2, padding = 0, stride = 1;
  std::string device = "auto";
  Options options("02_convolution", "Convolves the image 0, 1, 2, ... with the kernel 0, 1, 2, ... and shows every product.");
  options.add("image", image, "side of the image").add("kernel", kernel, "side of the kernel").add("padding", padding, "zeros around the image").add("stride", stride, "step of the window");
  options.add("device", device, "cpu, cuda, or auto: the GPU if there is one");
  options.parse(argc, argv);
  const DeviceChoice choice = choose_device(device);
  std::printf("device: %s\n", to_string(choice).c_str());

  const Tensor<float> x = counting(image), w = counting(kernel);
  const Conv2dOptions how{.in = 1, .out = 1, .kernel = kernel, .stride = stride, .padding = padding, .bias = false};
  const Tensor<float> y = on_device(choice, [&]<class Space>(Space) { return convolve<Space>(x, w, how); });

  print("image", x);
  print("kernel", w);
  print("output", y);
  std::printf("each output is a sum over its window:\n");
  print_products(x, w, place(Conv2d<float>(how).window(), image, image, "Conv2d"));
  print_receptive_fields();

  std::printf("\nresult:");
  for (const float v : y) std::printf(" %g", static_cast<double>(v));
  std::printf("\n");
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("02_convolution", example, argc, argv); }

#include "digits.hpp"

#include <algorithm>
#include <cstdio>

#include "ventral/cuda.hpp"
#include "ventral/data/augment.hpp"
#include "ventral/data/digits.hpp"
#include "ventral/data/find.hpp"
#include "ventral/data/mnist.hpp"
#include "ventral/io/image.hpp"
#include "ventral/io/picture.hpp"
#include "ventral/io/resize.hpp"
#include "ventral/layers/conv2d.hpp"
#include "ventral/loss.hpp"
#include "ventral/models/modern_lenet.hpp"

using namespace ventral;

Digits load_digits(const std::string& data) {
  const DataFolder found = find_mnist(data);
  std::printf("data: %s\n", found ? to_string(found).c_str() : "no MNIST found (scripts/get_data fetches it); digits drawn by the program");
  if (found) return {read_mnist_set(found.path, "train"), read_mnist_set(found.path, "t10k")};
  return {draw_digits(20000, {.seed = 1}), draw_digits(4000, {.seed = 2})};
}

template <class Space>
Sequential<float, Space> build_modern_lenet(std::uint64_t seed) {
  return modern_lenet<float, Space>({.seed = seed});
}
template Sequential<float, Cpu> build_modern_lenet<Cpu>(std::uint64_t);
#if defined(VENTRAL_CUDA_DEVICE) || defined(VENTRAL_CUDA_EMULATED)
template Sequential<float, Cuda> build_modern_lenet<Cuda>(std::uint64_t);
#endif

ImageSource<float>::Transform distortion(bool mild) {
  const Augmentation strong{.shift = 1.5, .rotation = 10, .scale = 0.1, .shear = 0.1, .elastic = 30}, weak{.shift = 1.5, .rotation = 8, .scale = 0.08, .shear = 0.05, .elastic = 15};
  return [how = mild ? weak : strong](Out<float> x, const Random& random) { augment<float>(x, x, how, random); };
}

namespace {

/// The pictures of largest loss, worst first.
void write_worst(Sequential<float>& net, const Dataset& test, const std::string& path) {
  std::vector<std::pair<float, Index>> losses;
  Tensor<float> x, value({1});
  Tensor<std::int32_t> label;
  SoftmaxCrossEntropy<float> loss;
  const ImageSource<float> source(test, digit_pixels);
  for (Index n = 0; n < test.size(); ++n) {
    source.fill(std::span<const Index>(&n, 1), Random(0), x, label);
    loss.values(net.forward(x), label, value);
    losses.push_back({-value[0], n});
  }
  std::sort(losses.begin(), losses.end());
  const Index count = std::min<Index>(36, test.size());
  Tensor<std::uint8_t> tiles({count, 28, 28});
  for (Index i = 0; i < count; ++i) Cpu::copy(tiles.data() + i * 784, test.images.data() + losses[static_cast<std::size_t>(i)].second * 784, 784);
  write_png(path, grid(tiles, {.columns = 9, .zoom = 3}));
}

}  // namespace

void write_digit_pictures(Sequential<float>& net, const Dataset& test, const ConfusionMatrix& confusion, const std::string& folder) {
  const auto& w = net.layer<Conv2d<float>>("conv1").weight.value;
  write_png(folder + "/filters.png", grid(w.reshaped({w.dim(0) * w.dim(1), w.dim(2), w.dim(3)}), {.palette = Palette::diverging, .zoom = 12}));
  Tensor<float> x({1, 1, 28, 28});
  normalize_pixels(In<std::uint8_t>(test.images.slice(0, 1)), x.ref(), digit_pixels);
  for (const std::string name : {"conv1", "conv2"}) {
    const Tensor<float> map = std::move(net.capture(x, {name})[0]);
    write_png(folder + "/" + name + ".png", grid(map.reshaped({map.dim(1), map.dim(2), map.dim(3)}), {.zoom = 4, .each = true}));
  }
  const Tensor<float> counts = confusion.counts().cast<float>();
  write_png(folder + "/confusion.png", grid(counts.reshaped({1, counts.dim(0), counts.dim(1)}), {.zoom = 24, .high = static_cast<double>(test.size()) / 1000}));
  write_worst(net, test, folder + "/worst.png");
  std::printf("pictures: %s/{filters,conv1,conv2,confusion,worst}.png\n", folder.c_str());
}

Index classify_digit(Sequential<float>& net, const std::string& path) {
  Tensor<std::uint8_t> image = resize(read_image(path, {.channels = Channels::grey}), 28, 28);
  double border = 0;
  for (Index i = 0; i < 28; ++i) border += image[i] + image[27 * 28 + i];
  if (border / 56 > 127)
    for (std::uint8_t& v : image) v = static_cast<std::uint8_t>(255 - v);
  Tensor<float> x({1, 1, 28, 28});
  normalize_pixels(In<std::uint8_t>(image.reshaped({1, 1, 28, 28})), x.ref(), digit_pixels);
  const In<float> y = net.forward(x);
  return std::max_element(y.data, y.data + y.size()) - y.data;
}

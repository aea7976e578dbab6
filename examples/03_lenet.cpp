// LeNet-5 on handwritten digits: train, test, save, load, classify a picture, and look inside.
//   03_lenet [--data DIR] [--model lenet5|lecun|modern] [--epochs 10] [--augment] [--out DIR]
//   03_lenet --load DIR/lenet.safetensors --classify digit.png
#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "support/options.hpp"
#include "ventral/data/augment.hpp"
#include "ventral/data/digits.hpp"
#include "ventral/data/find.hpp"
#include "ventral/data/mnist.hpp"
#include "ventral/io/image.hpp"
#include "ventral/io/picture.hpp"
#include "ventral/io/resize.hpp"
#include "ventral/io/state.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/models/modern_lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

const PixelStatistics pixels{.mean = 33.3184, .deviation = 78.5675};  // of MNIST's training images

struct Settings {
  std::string data, model = "lenet5", out = "lenet", load, classify;
  int epochs = 10, batch = 64, train = 0;
  double rate = 0.05, decay = 5e-4;
  std::uint64_t seed = 1;
  bool augment = false, validate = false;
};

Sequential<float> build(const Settings& s) {
  if (s.model == "lenet5") return lenet5<float>({.seed = s.seed});
  if (s.model == "lecun") return lenet5<float>({.style = LeNetStyle::lecun, .seed = s.seed});
  require(s.model == "modern", "--model is '", s.model, "'; one of lenet5, lecun, modern is needed");
  return modern_lenet<float>({.seed = s.seed});
}

/// MNIST if it is there, else digits drawn by the program.
Mnist load_data(const Settings& s) {
  const DataFolder found = find_mnist(s.data);
  std::printf("data: %s\n", found ? to_string(found).c_str() : "no MNIST found (scripts/get_data fetches it); digits drawn by the program");
  if (found) return read_mnist(found.path);
  return {draw_digits(20000, {.seed = 1}), draw_digits(4000, {.seed = 2})};
}

ImageSource<float>::Transform distortion(const Settings& s) {
  if (!s.augment) return {};
  return [](Out<float> x, const Random& random) {
    augment<float>(x, x, {.shift = 1.5, .rotation = 10, .scale = 0.1, .shear = 0.1, .elastic = 30}, random);
  };
}

void train(Sequential<float>& net, const Settings& s, const Dataset& data, const Dataset& held_out) {
  const ImageSource<float> source(data, pixels, distortion(s)), validation(held_out, pixels);
  SGD<float> optimizer(net.parameters(), {.rate = s.rate, .momentum = 0.9, .weight_decay = s.decay, .nesterov = true});
  const Index steps = training_steps(data.size(), s.batch, s.epochs);
  const TrainingOptions options{.epochs = s.epochs, .batch = s.batch, .seed = s.seed, .schedule = warm_up(steps / 20, CosineRate{.rate = s.rate, .steps = steps - steps / 20})};
  if (held_out.size() > 0) fit(net, SoftmaxCrossEntropy<float>(), optimizer, source, validation, options);
  else fit(net, SoftmaxCrossEntropy<float>(), optimizer, source, options);
}

/// The pictures that the network is most wrong about: largest loss first.
void write_worst(Sequential<float>& net, const Dataset& test, const std::string& path) {
  std::vector<std::pair<float, Index>> losses;
  Tensor<float> x, value;
  Tensor<std::int32_t> label;
  SoftmaxCrossEntropy<float> loss;
  const ImageSource<float> source(test, pixels);
  for (Index n = 0; n < test.size(); ++n) {
    source.fill(std::span<const Index>(&n, 1), Random(0), x, label);
    value.resize({1});
    loss.values(net.forward(x), label, value);
    losses.push_back({-value[0], n});
  }
  std::sort(losses.begin(), losses.end());
  Tensor<std::uint8_t> tiles({36, 28, 28});
  for (Index i = 0; i < 36; ++i) Cpu::copy(tiles.data() + i * 784, test.images.data() + losses[static_cast<std::size_t>(i)].second * 784, 784);
  write_png(path, grid(tiles, {.columns = 9, .zoom = 3}));
}

/// Filters of the first layer, the activations one picture causes, the confusion matrix, the worst mistakes.
void write_pictures(Sequential<float>& net, const Dataset& test, const Evaluation& result, const std::string& folder) {
  const auto& w = net.layer<Conv2d<float>>("conv1").weight.value;
  write_png(folder + "/filters.png", grid(w.reshaped({w.dim(0) * w.dim(1), w.dim(2), w.dim(3)}), {.palette = Palette::diverging, .zoom = 12}));
  Tensor<float> x({1, 1, 28, 28});
  normalize_pixels(test.images.slice(0, 1), x.ref(), pixels);
  for (const auto& name : {"conv1", "conv2"}) {
    const Tensor<float> map = std::move(net.capture(x, {name})[0]);
    write_png(folder + "/" + name + ".png", grid(map.reshaped({map.dim(1), map.dim(2), map.dim(3)}), {.zoom = 4, .each = true}));
  }
  const Tensor<float> counts = result.confusion.counts().cast<float>();
  write_png(folder + "/confusion.png", grid(counts.reshaped({1, counts.dim(0), counts.dim(1)}), {.zoom = 24, .high = static_cast<double>(test.size()) / 200}));
  write_worst(net, test, folder + "/worst.png");
  std::printf("pictures: %s/{filters,conv1,conv2,confusion,worst}.png\n", folder.c_str());
}

/// Classifies a picture of dark ink on light paper or the other way round.
void classify(Sequential<float>& net, const std::string& path) {
  Tensor<std::uint8_t> image = resize(read_image(path, {.channels = Channels::grey}), 28, 28);
  double border = 0;
  for (Index i = 0; i < 28; ++i) border += image[i] + image[27 * 28 + i];
  if (border / 56 > 127) for (std::uint8_t& v : image) v = static_cast<std::uint8_t>(255 - v);
  Tensor<float> x({1, 1, 28, 28});
  normalize_pixels(In<std::uint8_t>(image.reshaped({1, 1, 28, 28})), x.ref(), pixels);
  const In<float> y = net.forward(x);
  std::printf("%s is a %lld\n", path.c_str(), static_cast<long long>(std::max_element(y.data, y.data + y.size()) - y.data));
}

int example(int argc, char** argv) {
  Settings s;
  Options options("03_lenet", "Trains LeNet-5 on MNIST, or on digits it draws itself, and shows what it learnt.");
  options.add("data", s.data, "folder with MNIST").add("model", s.model, "lenet5, lecun (1998: tanh, mean pooling) or modern").add("epochs", s.epochs, "passes over the training images")
      .add("batch", s.batch, "images in a step").add("rate", s.rate, "learning rate").add("decay", s.decay, "weight decay").add("seed", s.seed, "of weights, order and distortions")
      .add("augment", s.augment, "distort the training images").add("validate", s.validate, "hold out 5,000 training images and show them after each epoch; do not test")
      .add("train", s.train, "use only so many training images; 0: all").add("out", s.out, "folder for weights and pictures").add("load", s.load, "weights to start from, instead of training")
      .add("classify", s.classify, "a picture to classify");
  options.parse(argc, argv);

  Sequential<float> net = build(s);
  if (!s.load.empty()) load(net, s.load);
  if (!s.classify.empty()) return classify(net, s.classify), 0;

  Mnist digits = load_data(s);
  if (s.train > 0) digits.train = digits.train.slice(0, std::min<Index>(s.train, digits.train.size()));
  std::printf("%s", net.summary({1, 1, 28, 28}).c_str());
  DatasetSplit parts = split_last(digits.train, s.validate ? 5000 : 0);
  if (s.load.empty()) train(net, s, parts.first, parts.last);
  if (s.validate) return 0;

  const Evaluation result = evaluate(net, ImageSource<float>(digits.test, pixels));
  std::filesystem::create_directories(s.out);
  save(net, s.out + "/lenet.safetensors");
  Sequential<float> again = build(s);
  load(again, s.out + "/lenet.safetensors");
  require(evaluate(again, ImageSource<float>(digits.test, pixels)).errors() == result.errors(), "the saved network differs");
  write_pictures(net, digits.test, result, s.out);
  std::printf("%s", result.confusion.table().c_str());
  std::printf("test error %.2f %% (%lld of %lld)\ntest accuracy %.2f %%\n", 100 - 100 * result.accuracy(), static_cast<long long>(result.errors()), static_cast<long long>(result.examples()),
              100 * result.accuracy());
  return 0;
}

}  // namespace

int main(int argc, char** argv) { return run_example("03_lenet", example, argc, argv); }

// LeNet-5 on handwritten digits: train, test, save, load, classify a picture, and look inside.
//   03_lenet [--data DIR] [--model lenet5|lecun|modern] [--epochs 10] [--augment] [--capture] [--persistent] [--stream] [--out DIR] [--device cpu|cuda|auto]
//   03_lenet --load DIR/lenet.safetensors --classify digit.png
#include <algorithm>
#include <cstdio>

#include "support/digits.hpp"
#include "support/options.hpp"
#include "ventral/cuda.hpp"
#include "ventral/io/state.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

using namespace ventral;

namespace {

struct Settings {
  std::string data, model = "lenet5", out = "lenet", load, classify, device = "auto";
  int epochs = 10, batch = 32, train = 0, test = 0;
  double rate = 0.03, decay = 1e-3;
  std::uint64_t seed = 1;
  bool augment = false, validate = false, capture = false, persistent = false, stream = false;
};

template <class Space>
Sequential<float, Space> build(const Settings& s) {
  if (s.model == "lenet5") return lenet5<float, Space>({.seed = s.seed});
  if (s.model == "lecun") return lenet5<float, Space>({.style = LeNetStyle::lecun, .seed = s.seed});
  require(s.model == "modern", "--model is '", s.model, "'; one of lenet5, lecun, modern is needed");
  return build_modern_lenet<Space>(s.seed);
}

/// SGD with Nesterov momentum and weight decay; the rate rises for a twentieth of the steps, then falls along half a cosine.
template <class Space>
void train(Sequential<float, Space>& net, const Settings& s, const Dataset& data, const Dataset& held_out) {
  const ImageSource<float> source(data, digit_pixels, s.augment ? distortion(s.model == "modern") : nullptr), validation(held_out, digit_pixels);
  SGD<float, Space> optimizer(net.parameters(), {.rate = s.rate, .momentum = 0.9, .weight_decay = s.decay, .nesterov = true});
  const Index steps = training_steps(data.size(), s.batch, s.epochs);
  TrainingOptions options{.epochs = s.epochs, .batch = s.batch, .seed = s.seed, .schedule = warm_up(steps / 20, CosineRate{.rate = s.rate, .steps = steps - steps / 20}), .capture = s.capture, .stream = s.stream, .persistent = s.persistent};
  if (held_out.size() > 0) {
    options.on_epoch = [&](const EpochReport&) {
      const Evaluation found = evaluate(net, validation);
      std::printf("  held out: %lld errors in %lld (%.2f %%)\n", static_cast<long long>(found.errors()), static_cast<long long>(found.examples()), 100 - 100 * found.accuracy());
    };
  }
  fit(net, SoftmaxCrossEntropy<float, Space>(), optimizer, source, options);
}

/// Tests, saves, and checks that what was saved gives the same answers. Pictures are drawn by a copy of the network on the CPU.
template <class Space>
void report(Sequential<float, Space>& net, const Settings& s, const Dataset& test) {
  const ImageSource<float> source(test, digit_pixels);
  const Evaluation result = evaluate(net, source);
  const std::string file = s.out + "/lenet.safetensors";
  save(net, file);
  Sequential<float, Space> again = build<Space>(s);
  load(again, file);
  require(evaluate(again, source).errors() == result.errors(), "the saved network gives other answers");
  Sequential<float> on_cpu = build<Cpu>(s);
  load(on_cpu, file);
  write_digit_pictures(on_cpu, test, result.confusion, s.out);
  std::printf("weights: %s\n%s", file.c_str(), result.confusion.table().c_str());
  std::printf("test error %.2f %% (%lld of %lld)\ntest accuracy %.2f %%\n", 100 - 100 * result.accuracy(), static_cast<long long>(result.errors()), static_cast<long long>(result.examples()),
              100 * result.accuracy());
}

template <class Space>
int run(const Settings& s) {
  Sequential<float, Space> net = build<Space>(s);
  if (!s.load.empty()) load(net, s.load);
  Digits digits = load_digits(s.data);
  if (s.train > 0) digits.train = digits.train.slice(0, std::min<Index>(s.train, digits.train.size()));
  if (s.test > 0) digits.test = digits.test.slice(0, std::min<Index>(s.test, digits.test.size()));
  std::printf("%s", net.summary({1, 1, 28, 28}).c_str());
  const DatasetSplit parts = split_last(std::move(digits.train), s.validate ? std::min<Index>(5000, digits.train.size() / 2) : 0);
  make_folder(s.out);  // before the training, so that a folder that cannot be made costs no time
  if (s.load.empty()) train(net, s, parts.first, parts.last);
  if (!s.validate) report(net, s, digits.test);
  return 0;
}

int classify(const Settings& s) {
  require(!s.load.empty(), "--classify needs trained weights: --load FILE");
  Sequential<float> net = build<Cpu>(s);
  load(net, s.load);
  std::printf("%s is a %lld\n", s.classify.c_str(), static_cast<long long>(classify_digit(net, s.classify)));
  return 0;
}

int example(int argc, char** argv) {
  Settings s;
  Options options("03_lenet", "Trains LeNet-5 on MNIST, or on digits it draws itself, and shows what it learnt.");
  options.add("data", s.data, "folder with MNIST").add("model", s.model, "lenet5, lecun (1998: tanh, mean pooling) or modern").add("epochs", s.epochs, "passes over the training images");
  options.add("batch", s.batch, "images in a step").add("rate", s.rate, "learning rate").add("decay", s.decay, "weight decay").add("seed", s.seed, "of weights, order and distortions");
  options.add("augment", s.augment, "distort the training images (mildly for modern)").add("validate", s.validate, "hold out 5,000 training images, show them after each epoch, and do not test");
  options.add("capture", s.capture, "on a GPU: all images in its memory, and each step as one CUDA graph");
  options.add("persistent", s.persistent, "with --capture: one kernel takes an image through the whole network and back");
  options.add("stream", s.stream, "on a GPU: a thread brings the next images while it works; with --capture, images are not all kept there, and may be distorted");
  options.add("device", s.device, "cpu, cuda, or auto: the GPU if there is one").add("train", s.train, "use only so many training images; 0: all").add("test", s.test, "the same for testing");
  options.add("out", s.out, "folder for weights and pictures");
  options.add("load", s.load, "weights to use instead of training").add("classify", s.classify, "a picture to classify");
  options.parse(argc, argv);

  if (!s.classify.empty()) return classify(s);
  const DeviceChoice device = choose_device(s.device);
  std::printf("device: %s\n", to_string(device).c_str());
  return on_device(device, [&]<class Space>(Space) { return run<Space>(s); });
}

}  // namespace

int main(int argc, char** argv) { return run_example("03_lenet", example, argc, argv); }

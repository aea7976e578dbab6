// How long LeNet-5 takes to learn MNIST: wall time from the start of the program, files included, to the last update. Tested once, after the last epoch.
//   bench_mnist --data DIR [--epochs 10] [--batch 64] [--rate 0.05] [--decay 0.0005] [--seed 1] [--validate]
// --validate holds out the last 10,000 training images and tests on them instead: how the settings were chosen.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "ventral/data/batches.hpp"
#include "ventral/data/find.hpp"
#include "ventral/data/mnist.hpp"
#include "ventral/models/lenet.hpp"
#include "ventral/schedule.hpp"
#include "ventral/training.hpp"

namespace {

using namespace ventral;

const auto program_start = std::chrono::steady_clock::now();

struct Settings {
  std::string data;
  Index epochs = 10, batch = 64;
  double rate = 0.05, decay = 5e-4;
  std::uint64_t seed = 1;
  bool validate = false;
};

Settings read_settings(int argc, char** argv) {
  Settings s;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--validate") {
      s.validate = true;
      continue;
    }
    require(i + 1 < argc, name, ": a value is needed");
    const std::string value = argv[++i];
    if (name == "--data") s.data = value;
    else if (name == "--epochs") s.epochs = std::stoll(value);
    else if (name == "--batch") s.batch = std::stoll(value);
    else if (name == "--rate") s.rate = std::stod(value);
    else if (name == "--decay") s.decay = std::stod(value);
    else if (name == "--seed") s.seed = static_cast<std::uint64_t>(std::stoull(value));
    else throw Error(concat(name, ": unknown; there are --data --epochs --batch --rate --decay --seed --validate"));
  }
  return s;
}

int run(const Settings& s) {
  const DataFolder folder = find_data(s.data, "mnist", [](const std::string& path) { return has_mnist(path); });
  if (!folder) {
    std::printf("skipped: no MNIST; scripts/get_data fetches it; %s\n", to_string(folder).c_str());
    return 0;
  }
  const Dataset all = read_mnist_set(folder.path, "train");
  const DatasetSplit parts = split_last(all, s.validate ? 10000 : 0);
  const Dataset& train = s.validate ? parts.first : all;
  const PixelStatistics pixels{.mean = 33.3184, .deviation = 78.5675};
  auto net = lenet5<float>({.seed = s.seed});
  SGD<float> optimizer(net.parameters(), {.rate = s.rate, .momentum = 0.9, .weight_decay = s.decay, .nesterov = true});
  const Index steps = training_steps(train.size(), s.batch, s.epochs);
  fit(net, SoftmaxCrossEntropy<float>(), optimizer, ImageSource<float>(train, pixels),
      {.epochs = s.epochs, .batch = s.batch, .seed = s.seed, .schedule = warm_up(steps / 20, CosineRate{.rate = s.rate, .steps = steps - steps / 20}), .log = nullptr});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - program_start).count();
  const Dataset test = s.validate ? parts.last.slice(0, parts.last.size()) : read_mnist_set(folder.path, "t10k");
  const Evaluation found = evaluate(net, ImageSource<float>(test, pixels));
  std::printf("seed %llu: %lld epochs of %lld images in %.2f s, %d threads; %s accuracy %.2f %%\n", static_cast<unsigned long long>(s.seed), static_cast<long long>(s.epochs),
              static_cast<long long>(train.size()), seconds, cpu::threads(), s.validate ? "held-out" : "test", 100 * found.accuracy());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(read_settings(argc, argv));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench_mnist: %s\n", e.what());
    return 1;
  }
}

// Training steps of LeNet-5 (forward, loss, backward, SGD with momentum) on the GPU; the reference is the same on the CPU, and of captured steps the same
// steps queued one by one. Images are in the memory of each; or on the GPU as bytes, or streamed to it: the reference is then a captured step on floats there,
// as it is of steps by the kernel that stays on the device.
// Both sides start from the same weights, and their first losses must agree before anything is timed.
#include "ventral/models/lenet.hpp"

#include <cmath>
#include <numeric>
#include <optional>

#include "cuda/data.hpp"
#include "ventral/capture.hpp"
#include "ventral/data/streamed.hpp"
#include "ventral/loss.hpp"
#include "ventral/optimizer.hpp"

namespace bench::device {

namespace {
using namespace ventral;

constexpr double rate_of_check = 0.05, rate_of_timing = 1e-6;  // the latter leaves the weights, and so the work, as they are
constexpr int batch_count = 8;

Tensor<std::int32_t> random_labels(Index batch, std::uint64_t seed) {
  Tensor<std::int32_t> labels({batch});
  Random random(seed);
  for (std::int32_t& label : labels) label = static_cast<std::int32_t>(random.below(10));
  return labels;
}

template <class Space>
class Training {
 public:
  explicit Training(Index batch)
      : net_(lenet5<float, Space>({.seed = 7})), optimizer_(net_.parameters(), {.rate = rate_of_check, .momentum = 0.9}), dy_({batch, 10}) {
    for (std::uint64_t i = 0; i < batch_count; ++i) {
      x_.push_back(random_numbers<float>({batch, 1, 28, 28}, i, 0, 1).template to<Space>());
      labels_.push_back(random_labels(batch, i).template to<Space>());
    }
  }
  /// A step on one of the batches. Returns the loss, for which it waits.
  double step(int set) {
    optimizer_.zero_gradients();
    const In<float, Space> y = net_.forward(x_[static_cast<std::size_t>(set)], Mode::training);
    const double loss = loss_(y, labels_[static_cast<std::size_t>(set)], dy_);
    net_.backward(dy_);
    optimizer_.step();
    return loss;
  }
  void set_rate(double rate) { optimizer_.set_rate(rate); }

 private:
  Sequential<float, Space> net_;
  SGD<float, Space> optimizer_;
  SoftmaxCrossEntropy<float, Space> loss_;
  Tensor<float, Space> dy_;
  std::vector<Tensor<float, Space>> x_;
  std::vector<Tensor<std::int32_t, Space>> labels_;
};

Dataset random_digits(Index n) {
  Dataset data;
  data.images = Tensor<std::uint8_t>({n, 1, 28, 28});
  data.labels = random_labels(n, 0);
  data.classes = 10;
  Random random(1);
  for (std::uint8_t& pixel : data.images) pixel = static_cast<std::uint8_t>(random.below(256));
  return data;
}

enum class Images { floats, bytes, streamed };
enum class By { graph, persistent_kernel };

/// The same steps as one CUDA graph each, or many by one kernel, on data that stay on the device, or are streamed to it.
class Captured {
 public:
  explicit Captured(Index batch, Images images = Images::floats, By by = By::graph)
      : net_(lenet5<float, Cuda>({.seed = 7})),
        optimizer_(net_.parameters(), {.rate = rate_of_check, .momentum = 0.9}),
        digits_(random_digits(batch_count * batch)),
        source_(digits_),
        order_(static_cast<std::size_t>(digits_.size())),
        data_(images == Images::floats ? Data::of(source_) : Data::bytes_of(source_)) {
    std::iota(order_.begin(), order_.end(), Index{0});
    if (images == Images::streamed) streamed_.emplace(source_, batch);
    step_.emplace(net_, loss_, optimizer_, streamed_ ? streamed_->data() : data_, CaptureOptions{.batch = batch, .persistent = by == By::persistent_kernel});
  }
  void epoch() { step_->run(batch_count); }
  void step() {
    if (streamed_ && streamed_->next() == 0) {
      streamed_->start(order_);
      step_->follow();
      streamed_->next();
    }
    step_->run();
    if (streamed_) streamed_->done();
  }
  /// Throws Error unless the loss falls within two epochs.
  void check() {
    step();
    const double first = step_->loss();
    for (int i = 0; i < 2 * batch_count; ++i) step();
    require(step_->loss() < first, "the loss of captured steps did not fall: ", first, " to ", step_->loss());
    optimizer_.set_rate(rate_of_timing);
  }

 private:
  using Data = ResidentData<float, std::int32_t, Cuda>;
  Sequential<float, Cuda> net_;
  SGD<float, Cuda> optimizer_;
  SoftmaxCrossEntropy<float, Cuda> loss_;
  Dataset digits_;
  ImageSource<float> source_;
  std::vector<Index> order_;
  Data data_;
  std::optional<StreamedBatches<float, std::int32_t, Cuda, ImageSource<float>>> streamed_;
  std::optional<CapturedStep<float, Cuda, SoftmaxCrossEntropy<float, Cuda>>> step_;
};

/// Takes five steps on the first batch on both sides. Throws Error when the losses differ by more than 1e-4, relative to the loss or the tenth of the first, or
/// do not fall.
void compare_losses(Training<Cuda>& ours, Training<Cpu>& theirs) {
  double first = 0, last = 0;
  for (int i = 0; i < 5; ++i) {
    last = ours.step(0);
    const double expected = theirs.step(0);
    if (i == 0) first = expected;
    require(std::abs(last - expected) <= 1e-4 * std::max(expected, 0.1 * first), "loss of step ", i, ": ", last, " on Cuda, ", expected, " on Cpu");
  }
  require(last < first, "the loss did not fall in five steps: ", first, " to ", last);
}

}  // namespace

}  // namespace bench::device

int main(int argc, char** argv) {
  using namespace bench::device;
  Program program(argc, argv, "cuda_lenet", "ventral on the CPU, all threads unless --threads says otherwise");
  for (const Index batch : {128, 64, 256}) {
    program.add(concat("train/b", batch), {.items = static_cast<double>(batch)}, [=] {
      const auto ours = std::make_shared<Training<Cuda>>(batch);
      const auto theirs = std::make_shared<Training<Cpu>>(batch);
      compare_losses(*ours, *theirs);
      ours->set_rate(rate_of_timing), theirs->set_rate(rate_of_timing);
      Contest c;
      c.sets = batch_count;
      c.ours = {"Cuda", [ours](int set) { static_cast<void>(ours->step(set)); }, {}};
      c.reference = {"Cpu", [theirs](int set) { static_cast<void>(theirs->step(set)); }, {}};
      return c;
    });
    program.add(concat("train-captured/b", batch), {.items = static_cast<double>(batch)}, [=] {
      const auto captured = std::make_shared<Captured>(batch);
      captured->check();
      const auto plain = std::make_shared<Training<Cuda>>(batch);
      plain->set_rate(rate_of_timing);
      Contest c;
      c.sets = batch_count;
      c.ours = {"captured", [captured](int) { captured->step(); }, {}};
      c.reference = {"the same steps, queued", [plain](int set) { static_cast<void>(plain->step(set)); }, {}};
      return c;
    });
    for (const Images images : {Images::bytes, Images::streamed}) {
      program.add(concat(images == Images::bytes ? "train-captured-bytes/b" : "train-captured-streamed/b", batch), {.items = static_cast<double>(batch)}, [=] {
        const auto captured = std::make_shared<Captured>(batch, images), resident = std::make_shared<Captured>(batch);
        captured->check(), resident->check();
        Contest c;
        c.sets = batch_count;
        c.ours = {images == Images::bytes ? "images as bytes" : "images streamed as bytes", [captured](int) { captured->step(); }, {}};
        c.reference = {"images as floats on the GPU", [resident](int) { resident->step(); }, {}};
        return c;
      });
    }
    program.add(concat("train-persistent/b", batch), {.items = static_cast<double>(batch * batch_count)}, [=] {
      const auto captured = std::make_shared<Captured>(batch), persistent = std::make_shared<Captured>(batch, Images::floats, By::persistent_kernel);
      captured->check(), persistent->check();
      Contest c;
      c.ours = {concat(batch_count, " steps by one kernel"), [persistent](int) { persistent->epoch(); }, {}};
      c.reference = {concat(batch_count, " steps, captured"), [captured](int) { captured->epoch(); }, {}};
      return c;
    });
  }
  return program.run();
}

// The same as ventral.cpp with LibTorch.
#include <torch/torch.h>

#include <cstdio>
#include <cstdlib>

namespace nn = torch::nn;

int main(int argc, char** argv) {
  const long steps = argc > 1 ? std::atol(argv[1]) : 64, images = 4096, batch = 64;
  if (steps == 0) return 0;
  torch::manual_seed(1);
  const torch::Tensor x = torch::rand({images, 1, 28, 28}), labels = torch::randint(10, {images}, torch::kLong);

  nn::Sequential net(nn::Conv2d(nn::Conv2dOptions(1, 6, 5).padding(2)), nn::ReLU(), nn::MaxPool2d(2), nn::Conv2d(6, 16, 5), nn::ReLU(), nn::MaxPool2d(2), nn::Flatten(),
                     nn::Linear(400, 120), nn::ReLU(), nn::Linear(120, 84), nn::ReLU(), nn::Linear(84, 10));
  torch::optim::SGD optimizer(net->parameters(), torch::optim::SGDOptions(0.05).momentum(0.9));
  double last = 0;
  for (long step = 0; step < steps; ++step) {
    const long first = step * batch % images;
    optimizer.zero_grad();
    const torch::Tensor loss = nn::functional::cross_entropy(net->forward(x.slice(0, first, first + batch)), labels.slice(0, first, first + batch));
    loss.backward();
    optimizer.step();
    last = loss.item<double>();
  }
  std::printf("loss %.4f\n", last);
}

#pragma once
#include <string>
#include <vector>

#include "support/recordings.hpp"
#include "ventral/data/dataset.hpp"
#include "ventral/models/random_hcnn.hpp"

// What 07_goal_driven needs around its networks: the task, its training, the responses, and the two scores of a network.

/// The task: drawn objects in three parts that share no image. Networks learn from `train`; a linear readout is fitted on `fit` and both are tested
/// on `test`.
struct ObjectTask {
  ventral::Dataset train, fit, test;
  ventral::PixelStatistics pixels;  ///< of `train`
};
/// `images` to train on, half of medium and half of high variation; `fit` and `test` are of high variation and a tenth as many each, 400 to 800.
ObjectTask draw_task(ventral::Index images, ventral::Index size, std::uint64_t seed);

/// Trains all weights on the task by Adam with a falling rate, and no look at any response.
void train_network(ventral::Sequential<float>& net, const ObjectTask& task, int epochs, std::uint64_t seed);

/// Balanced accuracy on task.test of the network's own output, and of a linear readout (least squares) of one layer.
double network_accuracy(ventral::Sequential<float>& net, const ObjectTask& task);
double readout_accuracy(ventral::Sequential<float>& net, const std::string& layer, const ObjectTask& task);

/// Macaque V4 from `data` (see recordings.hpp), or where there is none drawn objects and 40 simulated sites: single units of the last layer of a
/// hidden network that was trained on the task itself, counted as Poisson spikes in 8 repeats. The hidden network is of the same kind as the family,
/// and none of its members.
Recording load_responses(const std::string& data, ventral::Index images, int epochs, std::uint64_t seed);

struct Predictivity {
  std::string layer;              ///< the one with the smallest left-out error over the training images
  double explained_variance = 0;  ///< of held-out images: median over sites of r^2 / c, c the site's split-half reliability on them
  ventral::Index undefined = 0;   ///< sites without a value
};
/// Ridge regression from the units of each layer to the sites, fitted on the training images; of these the layer is chosen and scored once on the
/// held-out images.
Predictivity v4_predictivity(ventral::Sequential<float>& net, const std::vector<std::string>& layers, const Recording& recording);

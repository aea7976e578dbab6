#pragma once
#include <string>

#include "ventral/data/batches.hpp"
#include "ventral/metrics.hpp"
#include "ventral/sequential.hpp"

// What 03_lenet needs around the network: data, pictures, and the modern variant. Compiled once, so that the example itself compiles in seconds.

/// Mean and deviation of MNIST's training pixels.
inline constexpr ventral::PixelStatistics digit_pixels{.mean = 33.3184, .deviation = 78.5675};

struct Digits {
  ventral::Dataset train, test;
};

/// MNIST if it is found (see data/find.hpp), else 20,000 and 4,000 digits drawn by the program; prints which.
Digits load_digits(const std::string& data);

/// `modern_lenet`: batch normalization, dropout, 3x3 filters.
template <class Space>
ventral::Sequential<float, Space> build_modern_lenet(std::uint64_t seed);

/// Training images distorted at random: shift, rotation, scale, shear, elastic. `mild`: about half as much.
ventral::ImageSource<float>::Transform distortion(bool mild);

/// Writes to `folder`: the filters of the first layer, the activations that the first picture causes, the confusion matrix, the 36 worst mistakes.
void write_digit_pictures(ventral::Sequential<float>& net, const ventral::Dataset& test, const ventral::ConfusionMatrix& confusion, const std::string& folder);

/// The digit that the network sees in a picture file, dark on light or light on dark.
ventral::Index classify_digit(ventral::Sequential<float>& net, const std::string& path);

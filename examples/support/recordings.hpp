#pragma once
#include <string>
#include <vector>

#include "ventral/brain/rdm.hpp"
#include "ventral/brain/splits.hpp"
#include "ventral/report/rdm_picture.hpp"
#include "ventral/sequential.hpp"

// What 05_rsa and 06_regression compare networks with: recordings of docs/data.md, or simulated ones whose truth is known.

/// A brain area as RSA sees it: one RDM for each subject.
struct Area {
  std::string name;
  std::vector<ventral::brain::Rdm> subjects;
};

struct RsaData {
  std::string origin;                      ///< for a person to read
  ventral::Tensor<std::uint8_t> images;    ///< [n,H,W,3] or [n,H,W]
  ventral::Tensor<std::int32_t> category;  ///< [n], images of one category side by side
  std::vector<std::string> category_names;
  std::vector<Area> areas;
};

/// The 92 images of Kriegeskorte et al. 2008 with human and monkey IT, and EVC and IT of Cichy et al. 2014, from the folders kriegeskorte92 and
/// cichy92 of `data`; without them `conditions` drawn objects and two simulated areas of 12 people: EVC = Gabor energy, IT = category and a little
/// Gabor energy, each with noise of its own.
RsaData load_rsa_data(const std::string& data, ventral::Index conditions, std::uint64_t seed);
/// The categories of the images, as marked in a picture of an RDM.
std::vector<ventral::report::Block> category_blocks(const RsaData& data);

struct Recording {
  std::string origin;
  ventral::Tensor<std::uint8_t> images;  ///< [n,H,W]
  ventral::Tensor<double> trials;        ///< [repeats,n,sites], NaN where a stimulus had fewer repeats
  std::vector<ventral::Index> category;  ///< [n]
  std::vector<std::string> category_names;
  std::vector<ventral::Index> train, test;
  std::string truth;  ///< of a simulation: the model that the sites were made from; else empty
};

/// Macaque V4 of Cowley et al. 2023, session s210325, from the folder cowley_v4 of `data`; without it 400 drawn objects and 40 simulated sites: each
/// a random combination of the first 12 principal components of a hidden network's third layer (`hidden_network`), as the rate of Poisson counts in 8
/// repeats.
Recording load_recording(const std::string& data, std::uint64_t seed);

/// Splits within the training images, each category spread evenly over `folds`.
std::vector<ventral::brain::Split> training_folds(const Recording& recording, ventral::Index folds, std::uint64_t seed);

/// The network behind the simulated sites: that of 05_rsa and 06_regression with other random weights, untrained.
ventral::Sequential<float> hidden_network();

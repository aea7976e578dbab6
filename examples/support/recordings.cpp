#include "support/recordings.hpp"

#include <cmath>

#include "support/object_network.hpp"
#include "ventral/brain/decompositions.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/brain/gram.hpp"
#include "ventral/data/find.hpp"
#include "ventral/data/objects.hpp"
#include "ventral/data/stimuli.hpp"
#include "ventral/io/npy.hpp"
#include "ventral/models/category_oracle.hpp"
#include "ventral/models/gabor_energy.hpp"

using namespace ventral;

namespace {

DataFolder find_set(const std::string& data, const char* name, const char* file) {
  return find_data(data, name, [&](const std::string& folder) { return is_file(join_path(folder, file)); });
}

/// The lines of a text file; none where there is no file.
std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  if (!is_file(path)) return lines;
  for (const std::uint8_t c : read_file(path)) {
    if (lines.empty()) lines.emplace_back();
    if (c == '\n') lines.emplace_back();
    else if (c != '\r') lines.back() += static_cast<char>(c);
  }
  while (!lines.empty() && lines.back().empty()) lines.pop_back();
  return lines;
}

std::vector<brain::Rdm> read_stack(const std::string& path) { return brain::rdms_from_matrices(read_npy<double>(path)); }

/// Grey drawn objects, sorted by category: `each` of each of the eight.
Dataset sorted_objects(Index each, Index size, Variation variation, std::uint64_t seed) {
  const Dataset drawn = draw_objects(8 * each, {.seed = seed, .size = size, .variation = variation});
  Dataset sorted;
  sorted.classes = drawn.classes;
  sorted.names = drawn.names;
  sorted.images = Tensor<std::uint8_t>(drawn.images.shape());
  sorted.labels = Tensor<std::int32_t>(drawn.labels.shape());
  const Index pixels = size * size;
  Index to = 0;
  for (std::int32_t label = 0; label < 8; ++label)
    for (Index i = 0; i < drawn.size(); ++i) {
      if (drawn.labels[i] != label) continue;
      std::copy_n(drawn.images.data() + i * pixels, pixels, sorted.images.data() + to * pixels);
      sorted.labels[to++] = label;
    }
  return sorted;
}

/// Patterns of one subject: random combinations of features, and noise. [n,voxels]
Tensor<float> subject_patterns(const Tensor<float>& features, double noise, Random random) {
  constexpr Index voxels = 120;
  const Index n = features.dim(0), p = features.dim(1);
  Tensor<float> weights({p, voxels}), patterns({n, voxels});
  for (float& w : weights) w = static_cast<float>(random.normal(0, 1 / std::sqrt(static_cast<double>(p))));
  cpu::gemm<float>(patterns.stream(), n, voxels, p, 1, {features.data(), p}, {weights.data(), voxels}, 0, patterns.data(), voxels);
  for (float& v : patterns) v += static_cast<float>(random.normal(0, noise));
  return patterns;
}

/// The features of each image with mean 0, and all together with the deviation `weight`. Random combinations of them correlate as they do.
void standardize(Tensor<float>& x, double weight) {
  const Index n = x.dim(0), p = x.dim(1);
  double square = 0;
  for (Index i = 0; i < n; ++i) {
    double mean = 0;
    for (Index j = 0; j < p; ++j) mean += x[i * p + j] / static_cast<double>(p);
    for (Index j = 0; j < p; ++j) x[i * p + j] -= static_cast<float>(mean), square += x[i * p + j] * x[i * p + j];
  }
  const double scale = weight / std::sqrt(square / static_cast<double>(n * p));
  for (float& v : x) v = static_cast<float>(v * scale);
}

Area simulated_area(const std::string& name, const Tensor<float>& features, Random random) {
  Area area{name, {}};
  for (std::uint64_t subject = 0; subject < 12; ++subject)
    area.subjects.push_back(brain::rdm(subject_patterns(features, 2.0, random.fork(subject)), brain::Distance::correlation));
  return area;
}

RsaData simulate_areas(Index conditions, std::uint64_t seed) {
  require(conditions >= 16, "a simulation of ", conditions, " images; at least 16 are needed, two of each of the eight categories");
  Dataset objects = sorted_objects(conditions / 8, object_size, Variation::low, seed);
  Sequential<float> gabor = gabor_energy<float>({.wavelengths = {4, 8, 16, 32}});
  const Tensor<float> stimuli = prepare_stimuli(objects, {.mean = {0.5}, .deviation = {0.25}});
  Tensor<float> energy = layer_features(gabor, gabor.names().back(), stimuli), oracle = category_oracle<float>(objects.labels, 8);
  standardize(energy, 1);
  standardize(oracle, 1.5);
  const Index n = energy.dim(0), p = energy.dim(1);
  Tensor<float> both({n, 2 * p});  // as many features of category as of energy
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < p; ++j) both[i * 2 * p + j] = 0.5f * energy[i * p + j], both[i * 2 * p + p + j] = oracle[i * 8 + j % 8];
  RsaData data{concat(n, " drawn objects, two simulated areas of 12 subjects (EVC: Gabor energy; IT: category)"), {}, {}, {}, {}};
  data.areas.push_back(simulated_area("EVC (simulated)", energy, Random(seed, 1)));
  data.areas.push_back(simulated_area("IT (simulated)", both, Random(seed, 2)));
  data.images = Tensor<std::uint8_t>({n, object_size, object_size});
  std::copy(objects.images.begin(), objects.images.end(), data.images.begin());
  data.category = std::move(objects.labels);
  data.category_names = objects.names;
  return data;
}

}  // namespace

RsaData load_rsa_data(const std::string& data, Index conditions, std::uint64_t seed) {
  const DataFolder k92 = find_set(data, "kriegeskorte92", "stimuli_rgb_u8.npy"), cichy = find_set(data, "cichy92", "fmri_it_rdms.npy");
  if (!k92 || !cichy) return simulate_areas(conditions, seed);
  RsaData d{concat("the 92 images of Kriegeskorte et al. 2008, ", k92.path, " and ", cichy.path),
            read_npy<std::uint8_t>(join_path(k92.path, "stimuli_rgb_u8.npy")),
            Tensor<std::int32_t>({92}),
            {"human body", "human face", "animal body", "animal face", "natural object", "artificial object"}, {}};
  const Index sizes[] = {12, 12, 12, 12, 23, 21};
  Index at = 0;
  for (std::int32_t c = 0; c < 6; ++c)
    for (Index i = 0; i < sizes[c]; ++i) d.category[at++] = c;
  d.areas.push_back({"EVC (15 people, Cichy 2014)", read_stack(join_path(cichy.path, "fmri_evc_rdms.npy"))});
  d.areas.push_back({"IT (15 people, Cichy 2014)", read_stack(join_path(cichy.path, "fmri_it_rdms.npy"))});
  d.areas.push_back({"IT (4 people, Kriegeskorte 2008)", read_stack(join_path(k92.path, "human_it_rdms.npy"))});
  d.areas.push_back({"monkey IT (674 cells, Kiani 2007)", read_stack(join_path(k92.path, "monkey_it_rdm.npy"))});
  return d;
}

std::vector<report::Block> category_blocks(const RsaData& data) {
  std::vector<report::Block> blocks;
  for (Index i = 0; i < data.category.size(); ++i) {
    if (blocks.empty() || data.category[i] != data.category[i - 1])
      blocks.push_back({data.category_names[static_cast<std::size_t>(data.category[i])], i, i});
    blocks.back().last = i + 1;
  }
  return blocks;
}

Sequential<float> hidden_network() { return build_object_network(20080518); }

namespace {

/// A Poisson count, by multiplying uniform numbers until the product falls below exp(-rate). Source: Knuth, The Art of Computer Programming 2, 3.4.1.
double spikes(double rate, Random& random) {
  const double stop = std::exp(-rate);
  double count = 0;
  for (double product = random.uniform(); product > stop; product *= random.uniform()) ++count;
  return count;
}

Recording simulate_recording(std::uint64_t seed) {
  constexpr Index sites = 40, repeats = 8, dimensions = 12;
  const Dataset objects = sorted_objects(50, object_size, Variation::medium, seed);
  const Index n = objects.size();
  Sequential<float> net = hidden_network();
  const StimulusOptions as_trained{.mean = {object_mean / 255}, .deviation = {object_deviation / 255}};
  const Tensor<float> units = layer_features(net, "layer3", prepare_stimuli(objects, as_trained));
  // the last rows: where the images lie on the first principal axes
  const brain::SymmetricEigen components = brain::symmetric_eigen(brain::gram(units).centred.clone());
  Recording r{.origin = concat(n, " drawn objects, ", sites, " simulated sites of known truth"),
              .images = Tensor<std::uint8_t>({n, object_size, object_size}),
              .trials = Tensor<double>({repeats, n, sites}),
              .category = {},
              .category_names = objects.names,
              .train = {},
              .test = {},
              .truth = "hidden network layer3"};
  std::copy(objects.images.begin(), objects.images.end(), r.images.begin());
  Random random(seed, 3);
  for (Index s = 0; s < sites; ++s) {
    double weights[dimensions];
    for (double& w : weights) w = random.normal(0, 1 / std::sqrt(static_cast<double>(dimensions)));
    for (Index i = 0; i < n; ++i) {
      double drive = 0;
      for (Index k = 0; k < dimensions; ++k) drive += weights[k] * components.vectors[(n - 1 - k) * n + i] * std::sqrt(static_cast<double>(n));
      const double rate = std::max(0.1, 6 + 2.5 * drive);
      for (Index t = 0; t < repeats; ++t) r.trials[(t * n + i) * sites + s] = spikes(rate, random);
    }
  }
  for (Index i = 0; i < n; ++i) {
    r.category.push_back(objects.labels[i]);
    (i % 5 == 4 ? r.test : r.train).push_back(i);
  }
  return r;
}

}  // namespace

Recording load_recording(const std::string& data, std::uint64_t seed) {
  const DataFolder v4 = find_set(data, "cowley_v4", "s210325_trials_f32.npy");
  if (!v4) return simulate_recording(seed);
  const auto file = [&](const char* name) { return join_path(v4.path, std::string("s210325_") + name + ".npy"); };
  const Tensor<float> trials = read_npy<float>(file("trials_f32"));  // [images,sites,repeats]
  const Tensor<std::uint8_t> category = read_npy<std::uint8_t>(file("category_u8")), is_test = read_npy<std::uint8_t>(file("is_test_u8"));
  const Index n = trials.dim(0), sites = trials.dim(1), repeats = trials.dim(2);
  Recording r{.origin = concat("macaque V4, Cowley et al. 2023, session s210325, ", v4.path),
              .images = read_npy<std::uint8_t>(file("images_gray_u8")),
              .trials = Tensor<double>({repeats, n, sites}),
              .category = {},
              .category_names = read_lines(join_path(v4.path, "s210325_category_names.txt")),
              .train = {},
              .test = {},
              .truth = {}};
  require<ShapeError>(r.images.dim(0) == n && category.size() == n && is_test.size() == n, v4.path, ": ", r.images.dim(0), " images, ",
                      category.size(), " categories, ", is_test.size(), " marks of the test, ", n, " rows of trials");
  for (Index i = 0; i < n; ++i) {
    for (Index s = 0; s < sites; ++s)
      for (Index t = 0; t < repeats; ++t) r.trials[(t * n + i) * sites + s] = trials[(i * sites + s) * repeats + t];
    r.category.push_back(category[i]);
    for (Index c = static_cast<Index>(r.category_names.size()); c <= category[i]; ++c) r.category_names.push_back(concat("category ", c));
    (is_test[i] ? r.test : r.train).push_back(i);
  }
  return r;
}

std::vector<brain::Split> training_folds(const Recording& r, Index folds, std::uint64_t seed) {
  std::vector<Index> category;
  for (const Index i : r.train) category.push_back(r.category[static_cast<std::size_t>(i)]);
  std::vector<brain::Split> splits = brain::stratified_k_fold(category, folds, Random(seed));
  for (brain::Split& split : splits)
    for (auto* side : {&split.train, &split.test})
      for (Index& i : *side) i = r.train[static_cast<std::size_t>(i)];
  return splits;
}

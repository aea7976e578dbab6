// ventral_bench_brain_evc DATA: how like EVC the hand-made baselines are in several configurations, on the 92 images: Spearman of each RDM with the mean EVC RDM and with the mean IT
// RDM of Cichy et al. 2014, and Kendall's tau-a with EVC, mean over the 15 people. The figures of docs/measurements/brain.md.
#include <cstdio>

#include "ventral/brain/comparators.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/data/stimuli.hpp"
#include "ventral/io/npy.hpp"
#include "ventral/models/difference_of_gaussians.hpp"
#include "ventral/models/gabor_energy.hpp"
#include "ventral/models/hmax.hpp"
#include "ventral/models/pixels.hpp"

using namespace ventral;
using brain::Comparator, brain::Distance;

namespace {

struct Areas {
  std::vector<brain::Rdm> evc, it;
};

void print_row(const char* name, const Tensor<float>& features, const Areas& areas, Distance distance = Distance::correlation) {
  const brain::Rdm rdm = brain::rdm(features, distance);
  double tau = 0;
  for (const brain::Rdm& person : areas.evc) tau += compare(rdm, person, Comparator::tau_a) / static_cast<double>(areas.evc.size());
  std::printf("%-58s %8.3f %8.3f %8.3f\n", name, compare(rdm, brain::mean_rdm(areas.evc), Comparator::spearman), compare(rdm, brain::mean_rdm(areas.it), Comparator::spearman), tau);
}

Tensor<float> output(Sequential<float> model, const Tensor<float>& x) { return std::move(model.capture(x, {model.names().back()})[0]); }

int run(const std::string& data) {
  const auto file = [&](const char* name) { return read_npy<double>(join_path(data, name)); };
  const Areas areas{brain::rdms_from_matrices(file("cichy92/fmri_evc_rdms.npy")), brain::rdms_from_matrices(file("cichy92/fmri_it_rdms.npy"))};
  const Tensor<std::uint8_t> images = read_npy<std::uint8_t>(join_path(data, "kriegeskorte92/stimuli_rgb_u8.npy"));
  constexpr double screen = 128.0 / 255;
  const auto grey = [&](Index padding) { return prepare_stimuli(images, {.channels = 1, .size = 128, .padding = padding, .background = screen, .mean = {screen}}); };
  const Tensor<float> plain = grey(0), padded = grey(64);

  std::printf("%-58s %8s %8s %8s\n", "model", "EVC", "IT", "tau EVC");
  print_row("Gabor energy, unit L2 norm (declared beforehand)", output(gabor_energy<float>({.gain = GaborGain::unit_norm}), plain), areas);
  print_row("Gabor energy, contrast units", output(gabor_energy<float>(), plain), areas);
  print_row("Gabor energy, contrast units, cosine distance", output(gabor_energy<float>(), plain), areas, Distance::cosine);
  print_row("Gabor energy, unit L2 norm, on the screen", output(gabor_energy<float>({.gain = GaborGain::unit_norm}), padded), areas);
  print_row("Gabor energy, contrast units, on the screen (the default)", output(gabor_energy<float>(), padded), areas);
  print_row("difference of Gaussians, sigma 1 2 4", output(difference_of_gaussians<float>({.sigmas = {1, 2, 4}}), plain), areas);
  print_row("difference of Gaussians, on the screen", output(difference_of_gaussians<float>({.sigmas = {1, 2, 4}}), padded), areas);
  print_row("pixels", output(pixels<float>(), plain), areas);
  print_row("pixels, on the screen", output(pixels<float>(), padded), areas);
  Hmax<float> hmax;
  const Tensor<float> levels = prepare_stimuli(images, {.channels = 1, .size = 96});
  hmax.imprint(levels, 25, 1);
  const HmaxFeatures<float> found = hmax.features(levels);
  print_row("HMAX C1, 96 pixels", found.c1, areas);
  print_row("HMAX C2, 96 pixels, patches of the same images", found.c2, areas);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fputs("usage: ventral_bench_brain_evc DATA (the folder with kriegeskorte92 and cichy92)\n", stderr), 2;
  try {
    return run(argv[1]);
  } catch (const Error& e) {
    std::fprintf(stderr, "ventral_bench_brain_evc: %s\n", e.what());
    return 1;
  }
}

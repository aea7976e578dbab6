// A program that compares a model with recordings: RDMs, rank correlation, ridge regression, a report.
#include <cstdio>
#include <ventral/brain.hpp>

int main() {
  using namespace ventral;
  Random random(1);
  Tensor<float> layer({20, 50});
  Tensor<double> sites({20, 3});
  for (float& v : layer) v = static_cast<float>(random.normal());
  for (Index i = 0; i < 20; ++i)
    for (Index s = 0; s < 3; ++s) sites.at(i, s) = layer.at(i, s) + 0.1 * random.normal();
  const double similarity = brain::compare(brain::rdm(layer, brain::Distance::correlation), brain::rdm(sites, brain::Distance::euclidean), brain::Comparator::tau_a);
  const Tensor<double> predicted = brain::fit_ridge(layer, sites).predict(layer);
  report::Page page("consumer");
  page.add(report::RdmPicture{.title = "layer", .rdm = brain::rdm(layer, brain::Distance::correlation)});
  std::printf("tau-a %.3f, %lld predictions, %zu characters of report, LAPACK: %s\n", similarity, static_cast<long long>(predicted.size()), page.html().size(), brain::has_lapack() ? "yes" : "no");
  return predicted.size() == 60 && similarity > 0 && page.html().size() > 1000 ? 0 : 1;
}

#include <optional>

#include "brain_conformance/case.hpp"
#include "ventral/brain/crossnobis.hpp"
#include "ventral/brain/distances.hpp"
#include "ventral/brain/poisson.hpp"

namespace brain_conformance {

namespace {

void expect_rdm(Case& c, const std::string& array, const brain::Rdm& rdm, Tolerance tolerance = {}) { c.expect_all(array, rdm.values(), tolerance); }

template <class T>
void run_distances(Case& c, const Tensor<T>& x) {
  using brain::Distance;
  constexpr bool single = sizeof(T) == 4;
  const bool offset = c.name().find("offset") != std::string::npos;  // float32 rows whose differences are few units in the last place
  const Tolerance angle = single ? Tolerance{offset ? 1e-3 : 0, 2e-6} : Tolerance{}, length = single ? Tolerance{offset ? 1e-3 : 1e-5, 0} : Tolerance{};
  const auto distance = [&](const char* array, Distance kind, Tolerance tolerance) {
    c.attempt(array, [&] { expect_rdm(c, array, brain::rdm(x, kind), tolerance); });
  };
  distance("correlation", Distance::correlation, angle);
  distance("cosine", Distance::cosine, angle);
  distance("euclidean", Distance::euclidean, length);
  distance("sqeuclidean", Distance::squared_euclidean, length);
  distance("sqeuclidean_per_channel", Distance::squared_euclidean_per_feature, length);
  if (c.has("precision"))
    c.attempt("sqmahalanobis_per_channel", [&] { expect_rdm(c, "sqmahalanobis_per_channel", brain::mahalanobis_rdm(x, c.read("precision"))); });
  c.attempt("poisson_kl_per_channel", [&] { expect_rdm(c, "poisson_kl_per_channel", brain::poisson_rdm(x)); });
}

}  // namespace

void run_rdm_case(Case& c) {
  if (c.has("X")) c.is_float("X") ? run_distances(c, c.read<float>("X")) : run_distances(c, c.read("X"));
  if (c.has("Y") && c.has("precision"))
    c.attempt("crossnobis_per_channel", [&] { expect_rdm(c, "crossnobis_per_channel", brain::crossnobis_rdm(c.read("Y"), c.read("precision"))); });
  else if (c.has("Y"))
    c.attempt("crossnobis_per_channel", [&] { expect_rdm(c, "crossnobis_per_channel", brain::crossnobis_rdm(c.read("Y"))); });
  if (c.has("Y")) c.attempt("poisson_kl_cv_per_channel", [&] { expect_rdm(c, "poisson_kl_cv_per_channel", brain::crossvalidated_poisson_rdm(c.read("Y"))); });
}

}  // namespace brain_conformance

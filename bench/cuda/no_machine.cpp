// The emulator has no clocks and no graphs, and its times mean nothing.
#include "cuda/graph.hpp"
#include "cuda/machine.hpp"

namespace bench::device {

Ceilings measure_ceilings() { return {}; }
double l2_cache() { return 1; }  // so that one set of arrays is enough
std::string clocks_and_versions() { return "emulated"; }

Graph::Graph(const std::function<void()>&) : why_("emulated") {}
Graph::~Graph() = default;
void Graph::launch() {}
Anatomy Graph::anatomy() const { return {}; }

}  // namespace bench::device

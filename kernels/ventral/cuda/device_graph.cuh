#pragma once
/// CUDA graphs behind space.hpp. Included by runtime.cuh.
#include <utility>

#include "ventral/cuda/device.cuh"

namespace ventral::inline v0::cuda::device {

struct Graph::State : detail::Capture {
  cudaStream_t stream = nullptr;  ///< that is captured
  cudaGraphExec_t executable = nullptr;
  std::size_t size = 0;

  void clear() noexcept {
    if (executable) static_cast<void>(cudaGraphExecDestroy(std::exchange(executable, nullptr)));
    for (const Array& a : arrays) detail::free_on(Space::stream(), a.data, a.bytes);
    arrays.clear();
    nodes.clear();
    size = 0, freed = 0;
  }
  /// Ends the capture; the graph in *out unless it is broken.
  cudaError_t stop(cudaGraph_t* out) noexcept {
    detail::current_capture() = nullptr;
    detail::current_stream() = before;
    const cudaError_t status = cudaStreamEndCapture(stream, out);
    static_cast<void>(cudaStreamDestroy(std::exchange(stream, nullptr)));
    return status;
  }
};

VENTRAL_CUDA_FUNCTION Graph::Graph() : state_(new State) {}
VENTRAL_CUDA_FUNCTION Graph::~Graph() {
  state_->clear();
  delete state_;
}
/// Captures a stream of its own, as the default stream cannot be captured; nothing else on the device waits for it.
VENTRAL_CUDA_FUNCTION void Graph::begin() {
  require<CudaError>(!detail::current_capture(), "Graph::capture inside another capture");
  State& s = *state_;
  s.clear();
  check(cudaStreamCreateWithFlags(&s.stream, cudaStreamNonBlocking), "cudaStreamCreate");
  if (const cudaError_t status = cudaStreamBeginCapture(s.stream, cudaStreamCaptureModeThreadLocal); status != cudaSuccess) {
    static_cast<void>(cudaStreamDestroy(std::exchange(s.stream, nullptr)));
    check(status, "cudaStreamBeginCapture");
  }
  s.before = detail::current_stream();
  detail::current_stream().handle = s.stream;
  detail::current_capture() = &s;
}
VENTRAL_CUDA_FUNCTION void Graph::end() {
  State& s = *state_;
  const char* const last = detail::Ledger::instance().last_kernel;
  cudaGraph_t graph = nullptr;
  const cudaError_t status = s.stop(&graph);
  std::string problem = s.problem();
  if (status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    problem = concat("the capture was broken (", cudaGetErrorName(status), ") by a call after kernel ", last ? last : "none");
  }
  if (problem.empty()) {
    static_cast<void>(cudaGraphGetNodes(graph, nullptr, &s.size));
    if (const cudaError_t made = cudaGraphInstantiate(&s.executable, graph, 0); made != cudaSuccess) {
      static_cast<void>(cudaGetLastError());
      problem = concat("cudaGraphInstantiate: ", cudaGetErrorString(made), " (", cudaGetErrorName(made), ")");
    }
  }
  if (graph) static_cast<void>(cudaGraphDestroy(graph));
  if (problem.empty()) return check(cudaGraphUpload(s.executable, native(s.before)), "cudaGraphUpload");  // else the first launch would wait for it
  s.clear();
  throw CudaError("graph: " + problem);
}
VENTRAL_CUDA_FUNCTION void Graph::abandon() noexcept {
  cudaGraph_t graph = nullptr;
  if (state_->stop(&graph) != cudaSuccess) static_cast<void>(cudaGetLastError());
  if (graph) static_cast<void>(cudaGraphDestroy(graph));
  static_cast<void>(state_->problem());
  state_->clear();
}
VENTRAL_CUDA_FUNCTION void Graph::launch(Stream stream) const {
  detail::forbid_in_capture("Graph::launch");
  if (!state_->executable) return;
  detail::Ledger::instance().last_kernel = "of a graph";
  check(cudaGraphLaunch(state_->executable, native(stream)), "cudaGraphLaunch");
  if (detail::sync_checks()) synchronize(stream);
}
VENTRAL_CUDA_FUNCTION std::size_t Graph::size() const { return state_->size; }
VENTRAL_CUDA_FUNCTION const std::vector<const char*>& Graph::nodes() const { return state_->nodes; }

}  // namespace ventral::inline v0::cuda::device

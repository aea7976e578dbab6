#pragma once
/// A graph on the emulator: the list of what was queued, with copies of the arguments, so that one that should have changed shows as on a GPU.
#include <functional>
#include <tuple>

#include "ventral/cuda/capturing.hpp"
#include "ventral/cuda/emulator/late_copies.hpp"
#include "ventral/cuda/emulator/run.hpp"

namespace ventral::inline v0::cuda::emulated {

struct Graph::State : detail::Capture {
  std::vector<std::function<void()>> work;
};

namespace emulator {

/// Keeps work for the graph that this thread captures, a node of it if it has a name; false when it captures none.
template <class Work>
bool recorded(const char* node, Work&& work) {
  detail::Capture* const capture = detail::current_capture();
  if (capture) static_cast<Graph::State*>(capture)->work.emplace_back(std::forward<Work>(work));
  if (node) detail::note_in_capture(node);
  return capture != nullptr;
}

/// Throws CudaError when a kernel's argument points to an array that has gone since the capture.
template <class T>
void check_argument(const Launch& l, const T& argument) {
  if constexpr (std::is_pointer_v<T>) {
    if (argument && !Arrays::instance().holds(argument))
      throw CudaError(concat("graph: kernel ", to_string(l), " has an argument that points to no array in device memory: one was freed or grew since the capture"));
  }
}

/// A launch as it is kept.
template <class... Parameters>
struct RecordedLaunch {
  Launch launch;
  void (*kernel)(Parameters...);
  std::tuple<Parameters...> arguments;

  void operator()() {
    std::apply([&](const Parameters&... a) { (check_argument(launch, a), ...); }, arguments);
    run(launch, [](void* self) { std::apply(static_cast<RecordedLaunch*>(self)->kernel, static_cast<RecordedLaunch*>(self)->arguments); }, this);
  }
};

inline void free_arrays(Graph::State& state) {
  for (const auto& a : state.arrays) Arrays::instance().deallocate(a.data, a.bytes);
  state.arrays.clear();
}

}  // namespace emulator

inline Graph::Graph() : state_(new State) {}
inline Graph::~Graph() {
  emulator::free_arrays(*state_);
  delete state_;
}
inline void Graph::begin() {
  require<CudaError>(!detail::current_capture(), "Graph::capture inside another capture");
  emulator::free_arrays(*state_);
  state_->work.clear();
  state_->nodes.clear();
  state_->freed = 0;
  detail::current_capture() = state_;
}
inline void Graph::end() {
  detail::current_capture() = nullptr;
  if (const std::string problem = state_->problem(); !problem.empty()) {
    state_->work.clear();
    state_->nodes.clear();
    throw CudaError("graph: " + problem);
  }
}
inline void Graph::abandon() noexcept {
  detail::current_capture() = nullptr;
  static_cast<void>(state_->problem());
  state_->work.clear();
  state_->nodes.clear();
}
inline void Graph::launch(Stream stream) const {
  detail::forbid_in_capture("Graph::launch");
  emulator::LateCopies::instance().deliver(stream);
  for (auto& work : state_->work) work();
}
inline std::size_t Graph::size() const { return state_->nodes.size(); }
inline const std::vector<const char*>& Graph::nodes() const { return state_->nodes; }

}  // namespace ventral::inline v0::cuda::emulated

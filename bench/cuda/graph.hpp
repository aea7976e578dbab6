#pragma once
#include <functional>
#include <string>

namespace bench::device {

/// What a graph is made of; what cannot be found out is 0 or empty.
struct Anatomy {
  int nodes = 0, kernels = 0;
  double workspace = 0;  ///< bytes of its memory nodes: what is allocated and freed within
  std::string kernel;    ///< of the most threads; its registers a thread, and shared memory a block
  int registers = 0;
  double shared = 0;
};

/// Work recorded from the current stream, to be launched as a whole as often as one likes.
class Graph {
 public:
  /// Records what `queue` puts on the current stream, which must not be the default one. What cannot be recorded (a wait, a copy to main memory, nothing at
  /// all on the device) leaves the graph empty, and why() says so.
  explicit Graph(const std::function<void()>& queue);
  ~Graph();
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  explicit operator bool() const { return program_ != nullptr; }
  const std::string& why() const { return why_; }
  void launch();
  Anatomy anatomy() const;

 private:
  void* graph_ = nullptr;
  void* program_ = nullptr;
  std::string why_;
};

}  // namespace bench::device

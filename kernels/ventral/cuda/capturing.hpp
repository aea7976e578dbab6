#pragma once
/// What the GPU and the emulator share while a graph is captured: which calls are forbidden, and whose the arrays are.
#include <vector>

#include "ventral/cuda/space.hpp"

namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail {

/// A capture of this thread. Arrays allocated in it belong to the graph, which runs in order, so one that was freed may serve again.
struct Capture {
  struct Array {
    void* data;
    std::size_t bytes;
    bool held;
  };
  std::vector<Array> arrays;
  std::vector<const char*> nodes;  ///< what the graph does, in order: kernels, "copy" and "clear"
  Stream before;          ///< this thread's stream outside the capture
  std::size_t freed = 0;  ///< bytes of arrays from outside the capture that the work freed

  /// A free array of that size, or null.
  void* reuse(std::size_t bytes) {
    for (Array& a : arrays)
      if (!a.held && a.bytes == bytes) return a.held = true, a.data;
    return nullptr;
  }
  void release(void* p, std::size_t bytes) {
    for (Array& a : arrays)
      if (a.data == p) return static_cast<void>(a.held = false);
    arrays.push_back({p, bytes, false});  // until the graph is captured anew
    freed += bytes;
  }
  /// What makes the graph useless, or an empty text. Arrays that are held are their owners' from now on.
  [[gnu::cold]] std::string problem() {
    std::size_t held = 0, bytes = 0;
    for (const Array& a : arrays)
      if (a.held) ++held, bytes += a.bytes;
    std::erase_if(arrays, [](const Array& a) { return a.held; });
    if (held)
      return concat("the work captured allocated ", held, " arrays (", bytes, " bytes) and kept them: run it once before it is captured, so that it has all it needs");
    if (freed) return concat("the work captured freed ", freed, " bytes that it had before, and that the graph may use: run it once before it is captured");
    return "";
  }
};

/// The capture that this thread is in, or null.
inline Capture*& current_capture() {
  static thread_local Capture* capture = nullptr;
  return capture;
}

/// Notes work for the graph that this thread captures, if it does.
inline void note_in_capture(const char* node) {
  if (Capture* const capture = current_capture()) [[unlikely]] capture->nodes.push_back(node);
}

/// Throws CudaError in a capture: the call needs the CPU, which takes no part when the graph runs.
inline void forbid_in_capture(const char* call) {
  if (current_capture()) [[unlikely]]
    throw CudaError(concat(call, " while a graph is captured: the CPU takes no part when the graph runs. Let kernels keep what changes in device memory, "
                                 "and read or write it between runs"));
}

}  // namespace ventral::inline v0::cuda::VENTRAL_CUDA_MODE::detail

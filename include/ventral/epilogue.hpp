#pragma once
#include "ventral/window.hpp"

namespace ventral::inline v0 {

/// What a layer does to its result before it is written, in place of the layers that follow it: y = pool(relu(x)). A network builds it from those
/// layers (`join`) and hands it to a layer that can (`fuses`), when nobody asked for the activations in between.
struct Epilogue {
  enum class Pool : unsigned char { none, max, mean };

  bool relu = false;
  Pool pool = Pool::none;
  WindowPlan window = {};  ///< of the pooling

  bool operator==(const Epilogue&) const = default;
  bool empty() const { return !relu && pool == Pool::none; }
};

}  // namespace ventral::inline v0

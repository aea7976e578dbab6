#pragma once
/// The fibers' stacks.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <vector>

#include "ventral/cuda/emulator/sanitizers.hpp"
#include "ventral/error.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// A stack between `low` and `top`, above a page that cannot be touched.
struct Stack {
  char *low = nullptr, *top = nullptr;
  std::size_t bytes() const { return static_cast<std::size_t>(top - low); }
};

/// The stacks of one OS thread, kept from launch to launch.
class Stacks {
 public:
  /// 64 KiB; the sanitizers' frames are larger.
  static constexpr std::size_t size = (under_tsan || under_asan ? 256 : 64) * 1024;

  Stacks() = default;
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;
  ~Stacks() {
    for (const Stack* stack : all_) {
      asan_unpoison(stack->low, size);
      munmap(stack->low - page(), page() + size + spread);
      delete stack;
    }
  }

  Stack* take() {
    if (free_.empty()) return make();
    Stack* stack = free_.back();
    free_.pop_back();
    return stack;
  }
  void give(Stack* stack) { free_.push_back(stack); }

 private:
  /// Tops lie at different places within so many bytes: were they all at the same offset in a page, they would fight for the same cache lines.
  static constexpr std::size_t spread = 16 * 1024, step = 832;

  static std::size_t page() {
    static const std::size_t bytes = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    return bytes;
  }

  Stack* make() {
    void* p = mmap(nullptr, page() + size + spread, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require<CudaError>(p != MAP_FAILED && mprotect(p, page(), PROT_NONE) == 0, "the emulator found no memory for the stack of thread ", all_.size(),
                       " of a block");
    char* low = static_cast<char*>(p) + page();
    Stack* stack = new Stack{low, low + size + spread - all_.size() * step % spread / 64 * 64};
    all_.push_back(stack);
    free_.reserve(all_.size());
    return stack;
  }

  std::vector<Stack*> all_, free_;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator

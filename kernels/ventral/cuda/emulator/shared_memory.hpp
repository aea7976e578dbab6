#pragma once
/// The memory that a block's threads share.
#include <sys/mman.h>

#include "ventral/cuda/emulator/guard.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

/// The shared arrays of the block that runs on this OS thread. Each begins as NaN in each block and has guard zones around it.
class SharedMemory {
 public:
  static constexpr std::size_t limit = 227 * 1024, static_limit = 48 * 1024;
  static constexpr int most_arrays = 64;

  struct Array {
    const void* place;  ///< what stands for the declaration; null for the dynamic array
    char* data;
    std::size_t bytes;
    const char* name;
    Site site;
  };

  SharedMemory() : memory_(map(nullptr, capacity)), view_(map(nullptr, capacity)) {}
  ~SharedMemory() {
    asan_unpoison(memory_, capacity);
    munmap(memory_, capacity);
    munmap(view_, capacity);
  }
  SharedMemory(const SharedMemory&) = delete;
  SharedMemory& operator=(const SharedMemory&) = delete;

  /// A new block begins. ThreadSanitizer takes newly mapped memory for other memory, so that threads of two blocks do not race for it.
  void clear() {
    if (under_tsan && used_) map(memory_, used_);
    if (under_asan) asan_poison(memory_, capacity);
    if (viewed_) fill_fresh(view_, capacity);
    viewed_ = false;
    count_ = 0;
    used_ = 0;
    fixed_ = 0;
  }

  VENTRAL_EMULATOR_UNSEEN const Array* find(const void* place) const {
    for (int i = 0; i < count_; ++i)
      if (arrays_[i].place == place) return &arrays_[i];
    return nullptr;
  }

  /// A new array, or null when there is no room for it. Those declared in kernels are aligned to 16 bytes and no more, the dynamic one to 128.
  VENTRAL_EMULATOR_UNSEEN const Array* add(const void* place, std::size_t bytes, std::size_t dynamic_bytes, const char* name, Site site) {
    if (place) fixed_ += bytes;
    if (count_ == most_arrays || fixed_ > static_limit || fixed_ + dynamic_bytes > limit) return nullptr;
    std::size_t begin = (used_ + zone + 127) / 128 * 128;
    if (place) begin += 16;
    char* data = memory_ + begin;
    fill_guard(memory_ + used_, begin - used_, used_);
    asan_unpoison(data, bytes);
    fill_fresh(data, bytes);
    used_ = begin + bytes + zone;
    fill_guard(data + bytes, zone, begin + bytes);
    arrays_[count_] = {place, data, bytes, name, site};
    return &arrays_[count_++];
  }

  VENTRAL_EMULATOR_UNSEEN bool holds(const void* p, std::size_t bytes) const {
    const char* q = static_cast<const char*>(p);
    return q >= memory_ && q + bytes <= memory_ + used_;
  }

  /// The array that a byte is in, or null.
  VENTRAL_EMULATOR_UNSEEN const Array* array_of(const void* p) const {
    const char* q = static_cast<const char*>(p);
    for (int i = 0; i < count_; ++i)
      if (q >= arrays_[i].data && q < arrays_[i].data + arrays_[i].bytes) return &arrays_[i];
    return nullptr;
  }
  /// An address as the tensor cores know it.
  VENTRAL_EMULATOR_UNSEEN std::size_t offset(const void* p) const { return static_cast<std::size_t>(static_cast<const char*>(p) - memory_); }
  VENTRAL_EMULATOR_UNSEEN const char* at(std::size_t offset) const { return memory_ + offset; }

  /// What the copy engine and the tensor cores see there: what threads have written only since their fence, which publishes it.
  VENTRAL_EMULATOR_UNSEEN char* async_view(const void* p) {
    if (!viewed_ && !view_fresh_) fill_fresh(view_, capacity);
    viewed_ = view_fresh_ = true;
    return view_ + offset(p);
  }
  VENTRAL_EMULATOR_UNSEEN void publish() {
    for (int i = 0; i < count_; ++i) copy_unseen(async_view(arrays_[i].data), arrays_[i].data, arrays_[i].bytes);
  }

  /// Whether there was a write past an array; which.
  VENTRAL_EMULATOR_UNSEEN bool damaged() const {
    for (int i = 0; i < count_; ++i)
      if (behind(i) != gap(i) || before(i) != zone) return true;
    return false;
  }
  [[gnu::cold]] std::string damage() const {
    for (int i = 0; i < count_; ++i) {
      const Array& a = arrays_[i];
      const std::string array = concat(" of shared array '", a.name, "' of ", a.bytes, " bytes (", a.site, ")");
      if (const std::size_t at = before(i); at != zone) return concat("a write ", zone - at, " bytes before the begin", array);
      if (const std::size_t at = behind(i); at != gap(i)) return concat("a write ", at, " bytes past the end", array);
    }
    return "";
  }

 private:
  static constexpr std::size_t zone = 128, capacity = limit + most_arrays * (2 * zone + 144) + 4096;

  static char* map(void* place, std::size_t bytes) {
    void* p = mmap(place, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (place ? MAP_FIXED : 0), -1, 0);
    require<CudaError>(p != MAP_FAILED, "the emulator found no memory for a block's shared arrays");
    return static_cast<char*>(p);
  }

  VENTRAL_EMULATOR_UNSEEN std::size_t before(int i) const {
    const char* p = arrays_[i].data - zone;
    return damaged_byte(p, zone, static_cast<std::size_t>(p - memory_));
  }
  /// From an array's end to the next one's zone.
  VENTRAL_EMULATOR_UNSEEN std::size_t gap(int i) const {
    const char* end = i + 1 < count_ ? arrays_[i + 1].data - zone : memory_ + used_;
    return static_cast<std::size_t>(end - (arrays_[i].data + arrays_[i].bytes));
  }
  VENTRAL_EMULATOR_UNSEEN std::size_t behind(int i) const {
    const char* p = arrays_[i].data + arrays_[i].bytes;
    return damaged_byte(p, gap(i), static_cast<std::size_t>(p - memory_));
  }

  char *memory_, *view_;
  bool viewed_ = false, view_fresh_ = false;  ///< looked at in this block; once filled
  std::size_t used_ = 0, fixed_ = 0;
  int count_ = 0;
  Array arrays_[most_arrays];
};

}  // namespace ventral::inline v0::cuda::emulated::emulator

#pragma once
/// The arrays in emulated device memory, each between guard zones.
#include <algorithm>
#include <map>
#include <mutex>
#include <new>
#include <utility>

#include "ventral/cuda/emulator/guard.hpp"
#include "ventral/cuda/space.hpp"

namespace ventral::inline v0::cuda::emulated::emulator {

[[gnu::cold]] inline std::string mebibytes(std::size_t bytes) {
  return bytes < std::size_t{1} << 20 ? concat(bytes, " bytes") : concat(static_cast<double>(bytes) / 0x1p20, " MiB");
}

/// All live arrays of the process.
class Arrays {
 public:
  static Arrays& instance() {
    static Arrays* const arrays = new Arrays;  // outlives tensors of static storage
    return *arrays;
  }

  void* allocate(std::size_t bytes) {
    const std::lock_guard hold(mutex_);
    void* memory = limit_ >= use_.tensors && bytes <= limit_ - use_.tensors ? ::operator new (bytes + 2 * zone, std::align_val_t{zone}, std::nothrow) : nullptr;
    if (!memory) throw CudaError(out_of_memory(bytes));
    char* data = static_cast<char*>(memory) + zone;
    fill_guard(data - zone, zone, 0);
    std::memset(data, 0xFF, bytes);
    fill_guard(data + bytes, zone, bytes);
    live_.emplace(data, bytes);
    ++use_.arrays;
    use_.tensors += bytes;
    use_.most = std::max(use_.most, use_.tensors);
    return data;
  }

  void deallocate(void* p, std::size_t bytes) {
    char* data = static_cast<char*>(p);
    const std::lock_guard hold(mutex_);
    const auto found = live_.find(data);
    require<CudaError>(found != live_.end(), "deallocate: ", address(p), " is not an array in device memory; was it freed before?");
    require<CudaError>(found->second == bytes, "deallocate: ", bytes, " bytes given, the array has ", found->second);
    const std::string damage = is_damaged(*found) ? describe(*found) : "";
    live_.erase(found);
    --use_.arrays;
    use_.tensors -= bytes;
    asan_unpoison(data - zone, zone);
    asan_unpoison(data + bytes, zone);
    ::operator delete (data - zone, std::align_val_t{zone});
    require<CudaError>(damage.empty(), "found when it was freed: ", damage);
  }

  /// Whether a zone beside any array has been written to; what, with the zones made whole again.
  bool damaged() {
    if (under_asan) return false;
    const std::lock_guard hold(mutex_);
    for (const auto& array : live_)
      if (is_damaged(array)) return true;
    return false;
  }
  [[gnu::cold]] std::string damage() {
    std::string out;
    {
      const std::lock_guard hold(mutex_);
      for (const auto& array : live_)
        if (out.empty() && is_damaged(array)) out = describe(array);
    }
    repair();
    return out;
  }
  [[gnu::cold]] void repair() {
    const std::lock_guard hold(mutex_);
    for (const auto& [data, bytes] : live_) {
      fill_guard(data - zone, zone, 0);
      fill_guard(data + bytes, zone, bytes);
    }
  }

  /// Whether a pointer is into an array, or just past its end.
  bool holds(const void* p) {
    const std::lock_guard hold(mutex_);
    const auto after = live_.upper_bound(static_cast<const char*>(p));
    return after != live_.begin() && static_cast<const char*>(p) <= std::prev(after)->first + std::prev(after)->second;
  }
  /// Throws CudaError unless a range lies within one array.
  void check_range(const void* p, std::size_t bytes, const char* call) {
    const char* at = static_cast<const char*>(p);
    const std::lock_guard hold(mutex_);
    const auto found = holder(at);
    require<CudaError>(found != live_.end(), call, ": ", address(p), " is not in device memory");
    const std::size_t offset = static_cast<std::size_t>(at - found->first);
    require<CudaError>(bytes <= found->second - offset, call, ": ", bytes, " bytes at byte ", offset, " of an array of ", found->second, " bytes");
  }
  /// Throws CudaError when a pointer that should be to main memory is to the device's.
  void check_host(const void* p, const char* call) {
    const std::lock_guard hold(mutex_);
    require<CudaError>(holder(static_cast<const char*>(p)) == live_.end(), call, ": ", address(p), " is in device memory, not in main memory");
  }

  MemoryUse use() {
    const std::lock_guard hold(mutex_);
    MemoryUse use = use_;
    use.total = limit_;
    use.free = limit_ - std::min(limit_, use_.tensors);
    return use;
  }
  /// Sets the memory that the device has and returns what it had.
  std::size_t set_limit(std::size_t bytes) {
    const std::lock_guard hold(mutex_);
    return std::exchange(limit_, bytes);
  }

 private:
  static constexpr std::size_t zone = 256;  // also what arrays are aligned to, as CUDA's are
  using Live = std::map<char*, std::size_t, std::less<>>;

  Arrays() {
    if (const char* text = std::getenv("VENTRAL_EMULATOR_MEMORY"); text && *text) {
      char* end = nullptr;
      limit_ = std::strtoull(text, &end, 10);
      require(*end == '\0' && *text != '-', "VENTRAL_EMULATOR_MEMORY is '", text, "'; a number of bytes is needed");
    }
  }

  static std::string address(const void* p) {
    char text[32];
    std::snprintf(text, sizeof text, "%p", p);
    return text;
  }

  Live::const_iterator holder(const char* p) const {
    auto after = live_.upper_bound(p);
    if (after == live_.begin()) return live_.end();
    const auto found = std::prev(after);
    return p < found->first + std::max<std::size_t>(found->second, 1) ? Live::const_iterator(found) : live_.end();
  }

  static bool is_damaged(const Live::value_type& array) {
    return damaged_byte(array.first - zone, zone, 0) != zone || damaged_byte(array.first + array.second, zone, array.second) != zone;
  }
  [[gnu::cold]] static std::string describe(const Live::value_type& array) {
    const std::size_t before = damaged_byte(array.first - zone, zone, 0), behind = damaged_byte(array.first + array.second, zone, array.second);
    const std::string place = behind != zone ? concat(behind, " bytes past the end") : concat(zone - before, " bytes before the begin");
    return concat("a write ", place, " of an array of ", array.second, " bytes in device memory");
  }

  [[gnu::cold]] std::string out_of_memory(std::size_t bytes) const {
    std::map<std::size_t, std::size_t, std::greater<>> sizes;
    for (const auto& array : live_) ++sizes[array.second];
    std::string largest;
    int shown = 0;
    for (auto it = sizes.begin(); it != sizes.end() && shown < 3; ++it, ++shown)
      largest += concat(largest.empty() ? "" : ", ", it->second, " of ", mebibytes(it->first));
    return concat("out of GPU memory: ", mebibytes(bytes), " asked, ", mebibytes(limit_ - std::min(limit_, use_.tensors)), " of ", mebibytes(limit_),
                  " free; ventral's tensors hold ", mebibytes(use_.tensors), " in ", use_.arrays, " arrays",
                  largest.empty() ? "" : concat(" (the largest: ", largest, ")"), ", its pool 0 bytes to spare, CUDA and other programs 0 bytes");
  }

  std::mutex mutex_;
  Live live_;
  MemoryUse use_;
  std::size_t limit_ = std::size_t{8} << 30;
};

/// While it lives, the device has so many bytes of memory.
class UseMemory {
 public:
  explicit UseMemory(std::size_t bytes) : before_(Arrays::instance().set_limit(bytes)) {}
  ~UseMemory() { Arrays::instance().set_limit(before_); }
  UseMemory(const UseMemory&) = delete;
  UseMemory& operator=(const UseMemory&) = delete;

 private:
  std::size_t before_;
};

}  // namespace ventral::inline v0::cuda::emulated::emulator

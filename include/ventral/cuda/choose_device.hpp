#pragma once
#include <string>
#include <string_view>
#include <utility>

#include "ventral/error.hpp"
#include "ventral/space.hpp"
#if defined(VENTRAL_CUDA_EMULATED) || defined(VENTRAL_CUDA_DEVICE)
#include "ventral/cuda/space.hpp"
#endif

namespace ventral::inline v0 {

/// Where a program does its work, and why there, in words for the user: `cuda: NVIDIA H200 (...)`, `cpu: no NVIDIA driver on this machine`.
struct DeviceChoice {
  bool cuda = false;
  std::string why;
};
inline std::string to_string(const DeviceChoice& c) { return (c.cuda ? "cuda: " : "cpu: ") + c.why; }

namespace cuda::VENTRAL_CUDA_MODE {  // each include mode has functions of its own, so that units of different modes can be linked together

/// Decides by what a user asked for: "cpu", "cuda" or "auto" (the GPU if there is one; never the emulator).
/// Throws Error for another word, and when "cuda" cannot be had.
[[gnu::cold]] inline DeviceChoice choose_device(std::string_view wish) {
  require(wish == "cpu" || wish == "cuda" || wish == "auto", "device '", wish, "'; one of cpu, cuda, auto is needed");
  if (wish == "cpu") return {false, "as asked"};
#if defined(VENTRAL_CUDA_EMULATED)
  return wish == "cuda" ? DeviceChoice{true, device_status().text} : DeviceChoice{false, "there is no GPU, only its emulator"};
#elif defined(VENTRAL_CUDA_DEVICE)
  const DeviceStatus status = device_status();
  require(wish != "cuda" || status.usable, "device cuda: ", status.text);
  return {status.usable, status.text};
#else
  require(wish != "cuda", "device cuda: this program was built without CUDA; configure it with -DVENTRAL_CUDA=ON, or EMULATED to try kernels without a GPU");
  return {false, "this program was built without CUDA"};
#endif
}

/// Calls f(Cpu{}) or f(Cuda{}), whichever was chosen: `on_device(choice, [&]<class Space>(Space) { train<Space>(...); })`.
template <class F>
decltype(auto) on_device(const DeviceChoice& choice, F&& f) {
#if defined(VENTRAL_CUDA_EMULATED) || defined(VENTRAL_CUDA_DEVICE)
  if (choice.cuda) return std::forward<F>(f)(Cuda{});
#endif
  static_cast<void>(choice);
  return std::forward<F>(f)(Cpu{});
}

}  // namespace cuda::VENTRAL_CUDA_MODE

using cuda::VENTRAL_CUDA_MODE::choose_device;
using cuda::VENTRAL_CUDA_MODE::on_device;

}  // namespace ventral::inline v0

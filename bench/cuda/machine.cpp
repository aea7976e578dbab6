#include "cuda/machine.hpp"

#include <cuda_runtime.h>

#include <cstdio>

#include "ventral/error.hpp"

namespace bench::device {

namespace {

int attribute(cudaDeviceAttr which) {
  int device = 0, value = 0;
  if (cudaGetDevice(&device) != cudaSuccess || cudaDeviceGetAttribute(&value, which, device) != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    return 0;
  }
  return value;
}

/// What nvidia-smi says of clocks, power and heat; empty where it is missing.
std::string clocks_by_nvidia_smi() {
  std::FILE* const f = popen("nvidia-smi --id=0 --query-gpu=clocks.sm,clocks.max.sm,clocks.mem,clocks.max.mem,power.draw,temperature.gpu --format=csv,noheader 2>/dev/null", "r");
  if (!f) return {};
  char sm[64] = {}, most_sm[64] = {}, memory[64] = {}, most_memory[64] = {}, power[64] = {}, heat[64] = {};
  const int found = std::fscanf(f, "%63[^,], %63[^,], %63[^,], %63[^,], %63[^,], %63[^\n]", sm, most_sm, memory, most_memory, power, heat);
  if (pclose(f) != 0 || found != 6) return {};
  return ventral::concat("processors at ", sm, " of ", most_sm, ", memory at ", memory, " of ", most_memory, ", ", power, ", ", heat, " C");
}

std::string version(int number) { return number ? ventral::concat(number / 1000, ".", number % 1000 / 10) : "unknown"; }

}  // namespace

double l2_cache() { return attribute(cudaDevAttrL2CacheSize); }

std::string clocks_and_versions() {
  int driver = 0, runtime = 0;
  static_cast<void>(cudaDriverGetVersion(&driver));
  static_cast<void>(cudaRuntimeGetVersion(&runtime));
  std::string clocks = clocks_by_nvidia_smi();
  if (clocks.empty()) {
    const int most = attribute(cudaDevAttrClockRate);
    clocks = most ? ventral::concat("clocks now unknown (no nvidia-smi), processors at most at ", most / 1000, " MHz") : "clocks unknown";
  }
  return ventral::concat(attribute(cudaDevAttrMultiProcessorCount), " processors, L2 ", l2_cache() / 0x1p20, " MiB; ", clocks, "; CUDA: driver for ", version(driver),
                         ", runtime ", version(runtime));
}

}  // namespace bench::device

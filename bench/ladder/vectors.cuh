#pragma once
#include "ventral/cuda/primitives.cuh"

/// Runs of numbers at the end of a row, or not at a multiple of 16 bytes: read and written as vectors where they can be, one by one where not.
namespace bench::ladder {

using namespace ventral::gpu;  // launch, In, Out, and on the emulator threadIdx, __syncthreads, ...
using ventral::Index;

template <int count>
using Run = Vector<float, 4 * count>;

/// `count` numbers from p on, of which `left` are there; 0 for the others. `vectors`: p is a multiple of their bytes.
template <int count = 4>
VENTRAL_DEVICE Run<count> load_run(const float* p, Index left, bool vectors) {
  if (vectors && left >= count) return load_vector<float, 4 * count>(p);
  Run<count> run{};
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < count; ++i)
    if (i < left) run.v[i] = p[i];
  return run;
}
template <class T, int bytes>
VENTRAL_DEVICE void store_run(T* p, const Vector<T, bytes>& run, Index left, bool vectors) {
  constexpr int count = Vector<T, bytes>::size;
  if (vectors && left >= count) return store_vector(p, run);
  VENTRAL_DEVICE_UNROLL
  for (int i = 0; i < count; ++i)
    if (i < left) p[i] = run.v[i];
}

}  // namespace bench::ladder

#pragma once
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "ventral/random.hpp"
#include "ventral/tensor.hpp"

// What tests of anything need; those of layers include support.hpp.

namespace test {

using namespace ventral;

/// Normal numbers, the same for a given seed.
template <class T, class Space = Cpu>
Tensor<T, Space> random_tensor(Shape shape, std::uint64_t seed = 1, double mean = 0, double deviation = 1) {
  Random random(seed);
  Tensor<T, Cpu> x(shape);
  for (T& v : x) v = static_cast<T>(random.normal(mean, deviation));
  return x.template to<Space>();
}

/// |a - b| / |b| over whole arrays; infinite when shapes differ or anything is not finite.
template <class A, class B>
double relative_error(const Tensor<A, Cpu>& a, const Tensor<B, Cpu>& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  double difference = 0, norm = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return INFINITY;
    difference += d * d;
    norm += static_cast<double>(b[i]) * static_cast<double>(b[i]);
  }
  return norm == 0 ? std::sqrt(difference) : std::sqrt(difference / norm);
}

/// Largest |a - b| of two arrays; infinite when shapes differ or anything is not finite.
template <class A, class B>
double largest_difference(const Tensor<A, Cpu>& a, const Tensor<B, Cpu>& b) {
  if (!(a.shape() == b.shape())) return INFINITY;
  double largest = 0;
  for (Index i = 0; i < a.size(); ++i) {
    const double d = static_cast<double>(a[i]) - static_cast<double>(b[i]);
    if (!std::isfinite(d)) return INFINITY;
    largest = std::max(largest, std::abs(d));
  }
  return largest;
}

/// The message of the exception of type E that f throws; fails the test when it throws none.
template <class E = ventral::Error, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const E& e) {
    return e.what();
  } catch (const std::exception& e) {
    FAIL("another exception: " << e.what());
  }
  FAIL("no exception");
  return "";
}

}  // namespace test

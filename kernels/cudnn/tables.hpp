#pragma once
#include "library.hpp"

namespace ventral::inline v0::cuda::device::cudnn {

/// Each enters what it offers into the table: for float, bfloat16 and half.
template <class T>
void add_products(ProviderTable<T>& table);
template <class T>
void add_convolutions(ProviderTable<T>& table);
template <class T>
void add_layers(ProviderTable<T>& table);

}  // namespace ventral::inline v0::cuda::device::cudnn

#pragma once
#include "ventral/brain/rdm.hpp"

namespace ventral::inline v0 {

/// A model that knows the categories and nothing else: y[i,c] = 1 where c is the label of condition i, else 0. labels [N], 0..classes-1 -> y
/// [N,classes]. Throws ShapeError for another rank, Error on a label out of range. Source: the categorical model of Khaligh-Razavi, Kriegeskorte
/// 2014, PLoS Comput Biol 10.
template <class T = float>
[[nodiscard]] Tensor<T> category_oracle(In<std::int32_t> labels, Index classes) {
  require<ShapeError>(labels.shape.rank() == 1, "category_oracle: labels ", labels.shape, "; [N] is needed");
  Tensor<T> y({labels.size(), classes});
  for (Index i = 0; i < labels.size(); ++i) {
    const Index label = labels.data[i];
    require(0 <= label && label < classes, "category_oracle: label ", label, " of condition ", i, " is out of range; there are ", classes,
            " classes, from 0");
    y[i * classes + label] = 1;
  }
  return y;
}

/// Its dissimilarities: 0 within a category, 1 between categories. Labels [N] may be any numbers. Throws ShapeError for another rank, below two
/// conditions.
[[nodiscard]] inline brain::Rdm category_rdm(In<std::int32_t> labels) {
  require<ShapeError>(labels.shape.rank() == 1, "category_rdm: labels ", labels.shape, "; [N] is needed");
  brain::Rdm rdm(labels.size());
  Index k = 0;
  for (Index i = 0; i < labels.size(); ++i)
    for (Index j = i + 1; j < labels.size(); ++j) rdm.values()[static_cast<std::size_t>(k++)] = labels.data[i] == labels.data[j] ? 0 : 1;
  return rdm;
}

}  // namespace ventral::inline v0

#include <numeric>

#include "conformance/runners.hpp"
#include "ventral/layers/linear.hpp"

namespace conformance {

namespace {

using namespace ventral;
using Axes = std::vector<Index>;

Index product(const Axes& axes) { return std::accumulate(axes.begin(), axes.end(), Index{1}, [](Index a, Index b) { return a * b; }); }

/// x w^T by Linear on a space: x [rows, depth], w [columns, depth].
template <class Space, class T>
Tensor<T> linear(const Tensor<T>& x, const Tensor<T>& w, const Tensor<T>* bias = nullptr) {
  Linear<T, Space> layer({.in = w.dim(1), .out = w.dim(0), .bias = bias != nullptr});
  layer.weight.value = w.template to<Space>();
  if (bias) layer.bias.value = bias->template to<Space>();
  return forward(layer, x.template to<Space>()).template to<Cpu>();
}

/// `factor` times a matrix, transposed when asked for.
template <class T>
Tensor<T> matrix(const double* values, Index rows, Index columns, bool transposed, double factor = 1) {
  Tensor<T> out(transposed ? Shape{columns, rows} : Shape{rows, columns});
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < columns; ++j) out[transposed ? j * rows + i : i * columns + j] = static_cast<T>(factor * values[i * columns + j]);
  return out;
}

/// [a | b], side by side.
template <class T>
Tensor<T> beside(const Tensor<T>& a, const Tensor<T>& b) {
  const Index rows = a.dim(0), m = a.dim(1), n = b.dim(1);
  Tensor<T> out({rows, m + n});
  for (Index i = 0; i < rows; ++i)
    for (Index j = 0; j < m + n; ++j) out[i * (m + n) + j] = j < m ? a[i * m + j] : b[i * n + j - m];
  return out;
}

/// Y = alpha A' B' + beta C. C as one row is Linear's bias; any other C enters as [A' | I] [alpha B' ; beta C].
template <class T, class Space>
void gemm(const Case& c, Check<T, Space>& check) {
  const Array &a = c.input(0), &b = c.input(1);
  if (a.rank() != 2 || b.rank() != 2) throw Malformed(concat("Gemm of ", a.shape(), " and ", b.shape(), "; two matrices expected"));
  c.attributes.read({"broadcast"});
  const double alpha = c.attributes.number("alpha", 1), beta = c.attributes.number("beta", 1);
  const Tensor<T> x = matrix<T>(a.values.data(), a.shape()[0], a.shape()[1], c.attributes.boolean("transA", false));
  const Tensor<T> w = matrix<T>(b.values.data(), b.shape()[0], b.shape()[1], !c.attributes.boolean("transB", false), alpha);
  if (x.dim(1) != w.dim(1)) throw Malformed(concat("Gemm of ", a.shape(), " and ", b.shape(), " does not fit"));
  const Index rows = x.dim(0), columns = w.dim(0);
  const Array* addend = c.optional_input(2);
  if (!addend) return check.compare("Y", linear<Space>(x, w), c.wanted(0));

  const Index across = addend->rank() == 0 ? 1 : addend->axes.back(), down = addend->rank() == 2 ? addend->axes.front() : 1;
  if (addend->rank() > 2 || (across != 1 && across != columns) || (down != 1 && down != rows)) throw Malformed(concat("C of shape ", addend->shape(), " for a result [", rows, ",", columns, "]"));
  const auto c_at = [&](Index i, Index j) { return static_cast<T>(beta * addend->values[(down == 1 ? 0 : i) * across + (across == 1 ? 0 : j)]); };
  if (down == 1) {
    Tensor<T> bias({columns});
    for (Index j = 0; j < columns; ++j) bias[j] = c_at(0, j);
    return check.compare("Y", linear<Space>(x, w, &bias), c.wanted(0));
  }
  Tensor<T> identity({rows, rows}), transposed({columns, rows});
  for (Index i = 0; i < rows; ++i) {
    identity[i * rows + i] = T(1);
    for (Index j = 0; j < columns; ++j) transposed[j * rows + i] = c_at(i, j);
  }
  check.compare("Y", linear<Space>(beside(x, identity), beside(w, transposed)), c.wanted(0));
}

/// The matrix of `axes` (stacked along the leading ones) that belongs to `position` in the broadcast leading axes `out`.
Index stacked(const Axes& axes, const Axes& out, Index position) {
  Index at = 0, step = 1;
  const std::size_t leading = axes.size() - 2;
  for (std::size_t k = 0; k < out.size(); ++k) {
    const Index here = position % out[out.size() - 1 - k];
    position /= out[out.size() - 1 - k];
    if (k >= leading) continue;
    const Index extent = axes[leading - 1 - k];
    at += (extent == 1 ? 0 : here) * step;
    step *= extent;
  }
  return at;
}

template <class T, class Space>
void mat_mul(const Case& c, Check<T, Space>& check) {
  Axes a = c.input(0).axes, b = c.input(1).axes;
  if (a.empty() || b.empty()) throw Malformed("MatMul of a scalar");
  const bool a_vector = a.size() == 1, b_vector = b.size() == 1;
  if (a_vector) a.insert(a.begin(), 1);
  if (b_vector) b.push_back(1);
  const Index rows = a[a.size() - 2], depth = a.back(), columns = b.back();
  if (b[b.size() - 2] != depth) throw Malformed(concat("MatMul of ", c.input(0).shape(), " and ", c.input(1).shape(), " does not fit"));

  Axes stack(std::max(a.size(), b.size()) - 2, 1);  // the leading axes, broadcast
  for (const Axes* axes : {&a, &b})
    for (std::size_t k = 0; k + 2 < axes->size(); ++k) {
      Index& extent = stack[stack.size() - (axes->size() - 2) + k];
      if (extent == 1) extent = (*axes)[k];
      else if ((*axes)[k] != 1 && (*axes)[k] != extent) throw Malformed(concat("MatMul of ", c.input(0).shape(), " and ", c.input(1).shape(), " cannot be broadcast"));
    }
  const Index count = product(stack);
  Tensor<T> y({count, rows, columns});
  for (Index i = 0; i < count; ++i) {
    const Tensor<T> left = matrix<T>(c.input(0).values.data() + stacked(a, stack, i) * rows * depth, rows, depth, false);
    const Tensor<T> right = matrix<T>(c.input(1).values.data() + stacked(b, stack, i) * depth * columns, depth, columns, true);
    const Tensor<T> one = linear<Space>(left, right);
    Cpu::copy(y.slice(i, i + 1).data, one.data(), static_cast<std::size_t>(one.size()) * sizeof(T));
  }
  Axes out = stack;
  if (!a_vector) out.push_back(rows);
  if (!b_vector) out.push_back(columns);
  const Array& want = c.wanted(0);
  check.expect(want.axes == out, concat("Y has other axes than ", want.shape()));
  if (want.axes == out) check.compare("Y", y.reshaped(want.shape()), want);
}

}  // namespace

template <class T, class Space>
Runners<T, Space> onnx_products() {
  return {{"Gemm", gemm<T, Space>}, {"MatMul", mat_mul<T, Space>}};
}

CONFORMANCE_INSTANTIATE(onnx_products)

}  // namespace conformance

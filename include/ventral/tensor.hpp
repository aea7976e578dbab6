#pragma once
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "ventral/shape.hpp"
#include "ventral/space.hpp"

namespace ventral::inline v0 {

namespace detail {

/// Whether tensors of T may lie in a space: any type on the CPU, those that kernels exist for elsewhere.
template <class T, class S>
constexpr bool space_holds() {
  if constexpr (requires { S::template holds<T>; }) return S::template holds<T>;
  else return true;
}

}  // namespace detail

/// A view of a tensor's elements: pointer, shape and, in its type, the space. What kernels and layers take; owns nothing.
template <class T, class SpaceType = Cpu>
struct TensorRef {
  static_assert(detail::Complete<SpaceType>,
                "Tensor<T, Cuda> needs #include <ventral/cuda.hpp> and one of the CMake targets ventral::cuda, ventral::cuda_headers or ventral::cuda_emulated");
  static_assert(detail::space_holds<std::remove_const_t<T>, SpaceType>(), "Cuda holds float, double, bfloat16, half and whole numbers; no kernel exists for this type");
  using Scalar = std::remove_const_t<T>;
  using Space = SpaceType;

  T* data = nullptr;
  Shape shape{0};

  TensorRef() = default;
  TensorRef(T* first, Shape extents) : data(first), shape(extents) {}
  /// A writable view is also a read-only one.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, std::remove_const_t<T>>)
  TensorRef(TensorRef<U, Space> other) : data(other.data), shape(other.shape) {}

  Index size() const { return shape.size(); }
  typename Space::Stream stream() const { return Space::stream(); }

  /// The same elements under another shape of the same size.
  TensorRef reshaped(Shape to) const {
    require<ShapeError>(to.size() == size(), "cannot view ", shape, " as ", to, ": ", size(), " elements against ", to.size());
    return {data, to};
  }
  /// Rows [first, last) of axis 0.
  TensorRef slice(Index first, Index last) const {
    require<ShapeError>(shape.rank() > 0 && 0 <= first && first <= last && last <= shape[0], "slice [", first, ",", last, ") of ", shape);
    return {data + first * shape.product(1, shape.rank()), shape.with(0, last - first)};
  }
};

/// What a kernel or layer reads: `In<T>` on the CPU, `In<T, Space>` in a layer. T is deduced from the outputs.
template <class T, class Space = Cpu>
using In = TensorRef<const std::type_identity_t<T>, Space>;
/// What a kernel or layer writes.
template <class T, class Space = Cpu>
using Out = TensorRef<T, Space>;

/// An array of numbers in the memory of a space: owns its elements, moves, is contiguous and row-major (images N,C,H,W).
/// Copies are named: `clone()`, `to<Space>()`, `cast<U>()`.
template <class T, class SpaceType = Cpu>
class Tensor {
  static_assert(detail::Complete<SpaceType>,
                "Tensor<T, Cuda> needs #include <ventral/cuda.hpp> and one of the CMake targets ventral::cuda, ventral::cuda_headers or ventral::cuda_emulated");
  static_assert(std::is_trivially_copyable_v<T>);
  static_assert(detail::space_holds<T, SpaceType>(), "Cuda holds float, double, bfloat16, half and whole numbers; no kernel exists for this type");

 public:
  using Scalar = T;
  using Space = SpaceType;

  /// An empty tensor of shape [0].
  Tensor() = default;
  /// A tensor of zeros.
  explicit Tensor(Shape shape) : Tensor(uninitialized(shape)) { zero(); }
  /// A tensor of the given values, row by row. Throws ShapeError when their number differs from the shape's.
  Tensor(Shape shape, std::initializer_list<T> values) : Tensor(uninitialized(shape)) { assign(values.begin(), static_cast<Index>(values.size())); }
  Tensor(Shape shape, const std::vector<T>& values) : Tensor(uninitialized(shape)) { assign(values.data(), static_cast<Index>(values.size())); }
  static Tensor uninitialized(Shape shape) {
    Tensor t;
    t.resize(shape);
    return t;
  }
  static Tensor full(Shape shape, T value) {
    Tensor t = uninitialized(shape);
    t.fill(value);
    return t;
  }

  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  Tensor(Tensor&& o) noexcept : data_(std::exchange(o.data_, nullptr)), capacity_(std::exchange(o.capacity_, 0)), shape_(std::exchange(o.shape_, Shape{0})) {}
  Tensor& operator=(Tensor&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(capacity_, o.capacity_);
    std::swap(shape_, o.shape_);
    return *this;
  }
  ~Tensor() { Space::deallocate(data_, bytes(capacity_)); }

  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Extent of an axis; negative axes count from the end.
  Index dim(int axis) const { return shape_.dim(axis); }
  Index size() const { return shape_.size(); }
  bool empty() const { return size() == 0; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  typename Space::Stream stream() const { return Space::stream(); }

  TensorRef<T, Space> ref() { return {data_, shape_}; }
  TensorRef<const T, Space> ref() const { return {data_, shape_}; }
  operator TensorRef<T, Space>() { return ref(); }
  operator TensorRef<const T, Space>() const { return ref(); }
  /// Views of the same elements; see TensorRef.
  TensorRef<T, Space> reshaped(Shape to) { return ref().reshaped(to); }
  TensorRef<const T, Space> reshaped(Shape to) const { return ref().reshaped(to); }
  TensorRef<T, Space> slice(Index first, Index last) { return ref().slice(first, last); }
  TensorRef<const T, Space> slice(Index first, Index last) const { return ref().slice(first, last); }

  /// Gives the tensor another shape. Allocates only when it grows beyond what it ever held; the elements are unspecified afterwards.
  void resize(Shape shape) {
    if (shape.size() > capacity_) {
      T* fresh = static_cast<T*>(Space::allocate(bytes(shape.size())));
      Space::deallocate(data_, bytes(capacity_));
      data_ = fresh;
      capacity_ = shape.size();
    }
    shape_ = shape;
  }
  void zero() { Space::zero(data_, bytes(size())); }
  void fill(T value) {
    if constexpr (std::is_same_v<Space, Cpu>) {
      for (T& v : *this) v = value;
    } else {
      const std::vector<T> values(static_cast<std::size_t>(size()), value);
      Space::copy_from_host(data_, values.data(), bytes(size()));
    }
  }
  /// Copies the elements of a tensor of the same shape and space. Throws ShapeError when the shapes differ.
  void copy_from(TensorRef<const T, Space> other) {
    require<ShapeError>(other.shape == shape_, "cannot copy a tensor of shape ", other.shape, " into one of shape ", shape_);
    Space::copy(data_, other.data, bytes(size()));
  }

  [[nodiscard]] Tensor clone() const {
    Tensor t = uninitialized(shape_);
    Space::copy(t.data_, data_, bytes(size()));
    return t;
  }
  /// A copy in another space (`x.to<Cuda>()`, `y.to<Cpu>()`).
  template <class To>
  [[nodiscard]] Tensor<T, To> to() const {
    auto t = Tensor<T, To>::uninitialized(shape_);
    if constexpr (std::is_same_v<To, Space>) {
      Space::copy(t.data(), data_, bytes(size()));
    } else if constexpr (std::is_same_v<To, Cpu>) {
      Space::copy_to_host(t.data(), data_, bytes(size()));
    } else {
      static_assert(std::is_same_v<Space, Cpu>, "tensors go from one device space to another by way of Cpu");
      To::copy_from_host(t.data(), data_, bytes(size()));
    }
    return t;
  }
  /// A copy with another element type.
  template <class U>
  [[nodiscard]] Tensor<U, Space> cast() const
    requires std::is_same_v<Space, Cpu>
  {
    auto t = Tensor<U, Space>::uninitialized(shape_);
    for (Index i = 0; i < size(); ++i) t[i] = static_cast<U>(data_[i]);
    return t;
  }

  // Element access, on the CPU only. [] takes the flat position and is unchecked; at() takes one position per axis and is checked.
  T& operator[](Index i) requires std::is_same_v<Space, Cpu> { return data_[i]; }
  const T& operator[](Index i) const requires std::is_same_v<Space, Cpu> { return data_[i]; }
  template <class... Positions>
  T& at(Positions... p) requires std::is_same_v<Space, Cpu> { return data_[offset({static_cast<Index>(p)...})]; }
  template <class... Positions>
  const T& at(Positions... p) const requires std::is_same_v<Space, Cpu> { return data_[offset({static_cast<Index>(p)...})]; }
  T* begin() requires std::is_same_v<Space, Cpu> { return data_; }
  T* end() requires std::is_same_v<Space, Cpu> { return data_ + size(); }
  const T* begin() const requires std::is_same_v<Space, Cpu> { return data_; }
  const T* end() const requires std::is_same_v<Space, Cpu> { return data_ + size(); }

 private:
  static std::size_t bytes(Index n) { return static_cast<std::size_t>(n) * sizeof(T); }

  void assign(const T* values, Index count) {
    require<ShapeError>(count == size(), "a tensor of shape ", shape_, " takes ", size(), " values; got ", count);
    Space::copy_from_host(data_, values, bytes(count));
  }

  Index offset(std::initializer_list<Index> position) const {
    require<ShapeError>(static_cast<int>(position.size()) == rank(), "at(): ", position.size(), " positions for a tensor of shape ", shape_);
    Index flat = 0;
    int axis = 0;
    for (const Index p : position) {
      require<ShapeError>(0 <= p && p < shape_[axis], "at(): position ", p, " on axis ", axis, " of a tensor of shape ", shape_);
      flat = flat * shape_[axis++] + p;
    }
    return flat;
  }

  T* data_ = nullptr;
  Index capacity_ = 0;
  Shape shape_{0};
};

}  // namespace ventral::inline v0

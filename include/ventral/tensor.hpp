#pragma once
#include <initializer_list>
#include <type_traits>
#include <utility>
#include <vector>

#include "ventral/format.hpp"
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

/// A view of a tensor's elements: pointer, shape, memory format and, in its type, the space. What kernels and layers take; owns nothing.
template <class T, class SpaceType = Cpu>
struct TensorRef {
  static_assert(detail::Complete<SpaceType>,
                "Tensor<T, Cuda> needs #include <ventral/cuda.hpp> and one of the CMake targets ventral::cuda, ventral::cuda_headers or ventral::cuda_emulated");
  static_assert(detail::space_holds<std::remove_const_t<T>, SpaceType>(), "Cuda holds float, double, bfloat16, half and whole numbers; no kernel exists for this type");
  using Scalar = std::remove_const_t<T>;
  using Space = SpaceType;

  T* data = nullptr;
  Shape shape{0};
  Format format = Format::rows;

  TensorRef() = default;
  TensorRef(T* first, Shape extents, Format how = Format::rows) : data(first), shape(extents), format(how) {}
  /// A writable view is also a read-only one.
  template <class U>
    requires(std::is_const_v<T> && std::is_same_v<U, std::remove_const_t<T>>)
  TensorRef(TensorRef<U, Space> other) : data(other.data), shape(other.shape), format(other.format) {}

  Index size() const { return shape.size(); }
  typename Space::Stream stream() const { return Space::stream(); }

  /// The same elements under another shape of the same size; in blocks, of the same number of images.
  [[gnu::noinline]] TensorRef reshaped(Shape to) const {
    require<ShapeError>(to.size() == size(), "cannot view ", shape, " as ", to, ": ", size(), " elements against ", to.size());
    require<ShapeError>(format == Format::rows || (to.rank() > 0 && to[0] == shape[0]), "cannot view ", shape, " in blocks as ", to);
    return {data, to, format};
  }
  /// All numbers in memory, the unused lanes of blocks included, as if they were rows: for work on each number by itself.
  TensorRef stored() const { return format == Format::rows ? *this : TensorRef(data, shape.with(0, stored_images(shape[0], format))); }
  /// Rows [first, last) of axis 0.
  [[gnu::noinline]] TensorRef slice(Index first, Index last) const {
    require<ShapeError>(shape.rank() > 0 && 0 <= first && first <= last && last <= shape[0], "slice [", first, ",", last, ") of ", shape);
    require<ShapeError>(format == Format::rows, "slice [", first, ",", last, ") of ", shape, " in blocks");
    return {data + first * shape.product(1, shape.rank()), shape.with(0, last - first)};
  }
};

/// What a kernel or layer reads: `In<T>` on the CPU, `In<T, Space>` in a layer. T is deduced from the outputs.
template <class T, class Space = Cpu>
using In = TensorRef<const std::type_identity_t<T>, Space>;
/// What a kernel or layer writes.
template <class T, class Space = Cpu>
using Out = TensorRef<T, Space>;

/// An array of numbers in the memory of a space: owns its elements, moves, is contiguous and row-major (images N,C,H,W) unless made in another Format.
/// Copies are named: `clone()`, `to<Space>()`, `cast<U>()`. Positions in `[]` and iterators are those in memory, `at()` counts in any format.
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
  static Tensor uninitialized(Shape shape, Format format = Format::rows) {
    Tensor t;
    t.resize(shape, format);
    return t;
  }
  static Tensor full(Shape shape, T value) {
    Tensor t = uninitialized(shape);
    t.fill(value);
    return t;
  }

  Tensor(const Tensor&) = delete;
  Tensor& operator=(const Tensor&) = delete;
  Tensor(Tensor&& o) noexcept : data_(std::exchange(o.data_, nullptr)), capacity_(std::exchange(o.capacity_, 0)), shape_(std::exchange(o.shape_, Shape{0})), format_(std::exchange(o.format_, Format::rows)) {}
  Tensor& operator=(Tensor&& o) noexcept {
    std::swap(data_, o.data_);
    std::swap(capacity_, o.capacity_);
    std::swap(shape_, o.shape_);
    std::swap(format_, o.format_);
    return *this;
  }
  ~Tensor() { Space::deallocate(data_, bytes(capacity_)); }

  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  /// Extent of an axis; negative axes count from the end.
  Index dim(int axis) const { return shape_.dim(axis); }
  Index size() const { return shape_.size(); }
  bool empty() const { return size() == 0; }
  Format format() const { return format_; }
  T* data() { return data_; }
  const T* data() const { return data_; }
  typename Space::Stream stream() const { return Space::stream(); }

  TensorRef<T, Space> ref() { return {data_, shape_, format_}; }
  TensorRef<const T, Space> ref() const { return {data_, shape_, format_}; }
  operator TensorRef<T, Space>() { return ref(); }
  operator TensorRef<const T, Space>() const { return ref(); }
  /// Views of the same elements; see TensorRef.
  TensorRef<T, Space> reshaped(Shape to) { return ref().reshaped(to); }
  TensorRef<const T, Space> reshaped(Shape to) const { return ref().reshaped(to); }
  TensorRef<T, Space> slice(Index first, Index last) { return ref().slice(first, last); }
  TensorRef<const T, Space> slice(Index first, Index last) const { return ref().slice(first, last); }

  /// Gives the tensor another shape. Allocates only when it grows beyond what it ever held; the elements are unspecified afterwards.
  [[gnu::noinline]] void resize(Shape shape, Format format = Format::rows) {
    const Index wanted = stored_size(shape, format);
    if (wanted > capacity_) {
      T* fresh = static_cast<T*>(Space::allocate(bytes(wanted)));
      Space::deallocate(data_, bytes(capacity_));
      data_ = fresh;
      capacity_ = wanted;
    }
    shape_ = shape;
    format_ = format;
  }
  void zero() { Space::zero(data_, bytes(stored())); }
  void fill(T value) {
    if constexpr (std::is_same_v<Space, Cpu>) {
      for (T& v : *this) v = value;
    } else {
      const std::vector<T> values(static_cast<std::size_t>(stored()), value);
      Space::copy_from_host(data_, values.data(), bytes(stored()));
    }
  }
  /// Copies the elements of a tensor of the same shape, format and space. Throws ShapeError when they differ.
  void copy_from(TensorRef<const T, Space> other) {
    require<ShapeError>(other.shape == shape_, "cannot copy a tensor of shape ", other.shape, " into one of shape ", shape_);
    require<ShapeError>(other.format == format_, "cannot copy a tensor in ", to_string(other.format), " into one in ", to_string(format_));
    Space::copy(data_, other.data, bytes(stored()));
  }

  [[nodiscard]] Tensor clone() const {
    Tensor t = uninitialized(shape_, format_);
    Space::copy(t.data_, data_, bytes(stored()));
    return t;
  }
  /// A copy in another space (`x.to<Cuda>()`, `y.to<Cpu>()`).
  template <class To>
  [[nodiscard]] Tensor<T, To> to() const {
    auto t = Tensor<T, To>::uninitialized(shape_, format_);
    if constexpr (std::is_same_v<To, Space>) {
      Space::copy(t.data(), data_, bytes(stored()));
    } else if constexpr (std::is_same_v<To, Cpu>) {
      Space::copy_to_host(t.data(), data_, bytes(stored()));
    } else {
      static_assert(std::is_same_v<Space, Cpu>, "tensors go from one device space to another by way of Cpu");
      To::copy_from_host(t.data(), data_, bytes(stored()));
    }
    return t;
  }
  /// A copy with another element type.
  template <class U>
  [[nodiscard]] Tensor<U, Space> cast() const
    requires std::is_same_v<Space, Cpu>
  {
    auto t = Tensor<U, Space>::uninitialized(shape_, format_);
    for (Index i = 0; i < stored(); ++i) t[i] = static_cast<U>(data_[i]);
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
  T* end() requires std::is_same_v<Space, Cpu> { return data_ + stored(); }
  const T* begin() const requires std::is_same_v<Space, Cpu> { return data_; }
  const T* end() const requires std::is_same_v<Space, Cpu> { return data_ + stored(); }

 private:
  Index stored() const { return stored_size(shape_, format_); }
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
    if (format_ == Format::rows) return flat;
    const Index image = shape_.product(1, rank()), n = flat / image;
    return (n / block_images * image + flat % image) * block_images + n % block_images;
  }

  T* data_ = nullptr;
  Index capacity_ = 0;
  Shape shape_{0};
  Format format_ = Format::rows;
};

}  // namespace ventral::inline v0

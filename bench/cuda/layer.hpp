#pragma once
#include <algorithm>

#include "cuda/data.hpp"
#include "support/layer_contender.hpp"

/// Cases of layers on the device, checked against the same layer on the CPU in float.
namespace bench::device {

using ventral::Cpu;

/// `64x96x55x55`.
inline std::string name_of(const Shape& shape) {
  std::string name = ventral::to_string(shape);
  std::replace(name.begin(), name.end(), ',', 'x');
  return name.substr(1, name.size() - 2);
}

/// Copies within the device that read and write so many bytes in all.
inline Side copy_side(double bytes, int sets) {
  struct Copy {
    Tensor<float> host;
    Sets<float> from, to;
    Copy(Index n, int count) : host(random_numbers<float>({n}, 9)), from(copies(host, count)), to(zeros<float>({n}, count)) {}
  };
  const auto c = std::make_shared<Copy>(std::max(Index{1}, static_cast<Index>(bytes / 8)), sets);
  return {"copy",
          [c](int set) { Cuda::copy(of(c->to, set).data(), of(c->from, set).data(), static_cast<std::size_t>(c->host.size()) * sizeof(float)); },
          {check<float>(
              "copy", of(c->to, 0), [c](Index i) { return static_cast<double>(c->host[i]); }, 1e-7)}};
}

/// A layer on the device and, for what it must give, on the CPU in float; forward, or the gradient by the input.
template <class OnDevice, class OnHost>
struct Layer {
  using T = typename OnDevice::Scalar;

  Tensor<T> x, dy;
  Tensor<float> expected;
  Sets<T> device_x, device_dy, y, dx;
  OnDevice layer;
  std::vector<std::unique_ptr<ventral::Pass<Cuda>>> passes;

  Layer(OnDevice on_device, OnHost on_host, Shape shape, Part part, int sets)
      : x(random_numbers<T>(shape, 1)), dy(random_numbers<T>(on_device.output_shape(shape), 2)), layer(std::move(on_device)) {
    for (auto& p : ventral::parameters_of(layer)) p.parameter->frozen = true;
    for (auto& p : ventral::parameters_of(on_host)) p.parameter->frozen = true;
    device_x = copies(x, sets), y = zeros<T>(dy.shape(), sets);
    if (part == Part::data) device_dy = copies(dy, sets), dx = zeros<T>(shape, sets);
    for (int i = 0; i < sets; ++i) {
      passes.push_back(std::make_unique<ventral::Pass<Cuda>>(ventral::Mode::training));
      forward(i);
    }
    const Tensor<float> host_x = x.template cast<float>(), host_dy = dy.template cast<float>();
    Tensor<float> host_y(dy.shape());
    ventral::Pass<Cpu> pass(ventral::Mode::training);
    on_host.forward(host_x, host_y, pass);
    if (part == Part::data) {
      expected = Tensor<float>(shape);
      TensorRef<float> host_dx = expected;
      on_host.backward(host_x, host_y, host_dy, &host_dx, pass);
    } else {
      expected = std::move(host_y);
    }
  }
  void forward(int set) { layer.forward(of(device_x, set), of(y, set), *passes[static_cast<std::size_t>(set)]); }
  void backward(int set) {
    TensorRef<T, Cuda> gradient = of(dx, set);
    layer.backward(of(device_x, set), of(y, set), of(device_dy, set), &gradient, *passes[static_cast<std::size_t>(set)]);
  }
};

/// What a library's way of a layer works on.
template <class T>
struct Arrays {
  const T *x, *y, *dy;
  T* result;  ///< y, or dx
};
/// The ways of a library for a pass; none where it has none.
template <class T>
using Rivals = std::function<std::vector<std::pair<std::string, std::function<void(const Arrays<T>&)>>>(Part)>;

/// Adds the ways of a library as references, which write where ours does. Returns whether there is one.
template <class L, class T = typename L::T>
bool add_rivals(Contest& c, const Rivals<T>& rivals, const std::shared_ptr<L>& l, Part part, double allowed) {
  const bool forward = part == Part::forward;
  const auto results = std::make_shared<Sets<T>>(zeros<T>(forward ? l->dy.shape() : l->x.shape(), c.sets));
  for (const auto& [algorithm, run] : rivals(part)) {
    Check right = check<T>("result", of(*results, 0), [l](Index i) { return static_cast<double>(l->expected[i]); }, allowed);
    c.others.push_back({"cuDNN",
                        [=, run = run](int set) {
                          run({of(l->device_x, set).data(), of(l->y, set).data(), forward ? nullptr : of(l->device_dy, set).data(), of(*results, set).data()});
                        },
                        {right},
                        algorithm});
  }
  return !c.others.empty();
}

/// Adds forward and backward of a layer, each with its traffic in bytes. `on_device()` and `on_host()` make the layer, when its case is due: it may have arrays.
template <class MakeOnDevice, class MakeOnHost, class OnDevice = std::invoke_result_t<MakeOnDevice>, class OnHost = std::invoke_result_t<MakeOnHost>>
void add_layer(Program& program, const std::string& name, MakeOnDevice on_device, MakeOnHost on_host, Shape shape, double forward_bytes,
               double backward_bytes, double allowed, const Rivals<typename OnDevice::Scalar>& rivals = {}) {
  using T = typename OnDevice::Scalar;
  for (const Part part : {Part::forward, Part::data}) {
    const bool forward = part == Part::forward;
    const double bytes = forward ? forward_bytes : backward_bytes;
    program.add(ventral::concat(name, forward ? "/forward/" : "/data/", name_of(shape), "/", type_name<T>), {.bytes = bytes}, [=] {
      const int sets = sets_for(bytes);
      const auto l = std::make_shared<Layer<OnDevice, OnHost>>(on_device(), on_host(), shape, part, sets);
      Contest c;
      c.sets = sets;
      Check right = check<T>(
          forward ? "y" : "dx", forward ? of(l->y, 0) : of(l->dx, 0), [l](Index i) { return static_cast<double>(l->expected[i]); }, allowed);
      right.samples = shape.size();
      c.ours = {"ventral", [=](int set) { forward ? l->forward(set) : l->backward(set); }, {right}};
      c.set_bytes = bytes;
      if (!rivals || !add_rivals(c, rivals, l, part, allowed)) c.reference = copy_side(bytes, sets);
      return c;
    });
  }
}

/// The same for a layer template, made for the device and for the CPU from the same options.
template <class T, template <class, class> class L, class... Options>
void add_layer(Program& program, const std::string& name, Shape shape, double forward_bytes, double backward_bytes, double allowed, const Options&... options) {
  add_layer(program, name, [=] { return L<T, Cuda>(options...); }, [=] { return L<float, Cpu>(options...); }, shape, forward_bytes, backward_bytes, allowed);
}

}  // namespace bench::device

// Convolutions by cuDNN's graph API, https://docs.nvidia.com/deeplearning/cudnn/backend/latest/: a tensor, a convolution, a graph of one operation, the engine
// configurations that the heuristic names, and an execution plan of each.
#include <algorithm>

#include "cuda/cudnn_handle.hpp"
#include "cuda/reference.hpp"

namespace bench::cudnn {

namespace {

constexpr std::int64_t most_workspace = std::int64_t{4} << 30;
constexpr std::int64_t most_ways = 8;

/// A descriptor of the graph API; copies are the same one.
class Descriptor {
 public:
  explicit Descriptor(cudnnBackendDescriptorType_t type) {
    cudnnBackendDescriptor_t made = nullptr;
    require(cudnnBackendCreateDescriptor(type, &made), "cudnnBackendCreateDescriptor");
    held_.reset(made, [](void* p) { static_cast<void>(cudnnBackendDestroyDescriptor(p)); });
  }
  cudnnBackendDescriptor_t get() const { return held_.get(); }

  template <class V>
  Descriptor& set(cudnnBackendAttributeName_t name, cudnnBackendAttributeType_t type, const std::vector<V>& values) {
    require(cudnnBackendSetAttribute(get(), name, type, static_cast<std::int64_t>(values.size()), values.data()), "cudnnBackendSetAttribute");
    return *this;
  }
  Descriptor& set(cudnnBackendAttributeName_t name, const Descriptor& value) {
    return set(name, CUDNN_TYPE_BACKEND_DESCRIPTOR, std::vector<cudnnBackendDescriptor_t>{value.get()});
  }
  /// Whether the library takes it; a plan that it cannot carry out is refused here.
  bool finished() { return cudnnBackendFinalize(get()) == CUDNN_STATUS_SUCCESS; }
  Descriptor& finish() {
    require(cudnnBackendFinalize(get()), "cudnnBackendFinalize");
    return *this;
  }

 private:
  std::shared_ptr<void> held_;
};

enum Id : std::int64_t { id_x = 1, id_w, id_y };

Descriptor tensor(std::int64_t id, cudnnDataType_t type, const Shape& shape) {
  std::vector<std::int64_t> sizes(4), strides(4);
  std::int64_t stride = 1;
  for (int i = 3; i >= 0; --i) {
    sizes[static_cast<std::size_t>(i)] = shape[i], strides[static_cast<std::size_t>(i)] = stride;
    stride *= shape[i];
  }
  Descriptor t(CUDNN_BACKEND_TENSOR_DESCRIPTOR);
  t.set(CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, std::vector<std::int64_t>{id}).set(CUDNN_ATTR_TENSOR_DATA_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{type});
  t.set(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, std::vector<std::int64_t>{16}).set(CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, sizes);
  return t.set(CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, strides).finish();
}

Descriptor window(const Convolution& c) {
  const std::vector<std::int64_t> padding(2, c.padding);
  Descriptor d(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
  d.set(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_TYPE_DATA_TYPE, std::vector{CUDNN_DATA_FLOAT});
  d.set(CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, std::vector{CUDNN_CROSS_CORRELATION});
  d.set(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, std::vector<std::int64_t>{2});
  d.set(CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, std::vector<std::int64_t>(2, 1));
  d.set(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, std::vector<std::int64_t>(2, c.stride));
  d.set(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, padding).set(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, padding);
  return d.finish();
}

/// The names of a pass's attributes.
struct Pass {
  cudnnBackendDescriptorType_t type;
  cudnnBackendAttributeName_t alpha, beta, window, x, w, y;
};
Pass pass_of(Part part) {
  if (part == Part::forward)
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
            CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y};
  if (part == Part::data)
    return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY};
  return {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
          CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY};
}

/// The graph of one pass.
Descriptor graph_of(const Convolution& c, Part part, cudnnDataType_t type) {
  const Pass names = pass_of(part);
  Descriptor operation(names.type), graph(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
  operation.set(names.alpha, CUDNN_TYPE_FLOAT, std::vector{1.0f}).set(names.beta, CUDNN_TYPE_FLOAT, std::vector{part == Part::weights ? 1.0f : 0.0f});
  operation.set(names.window, window(c)).set(names.x, tensor(id_x, type, c.x)).set(names.w, tensor(id_w, type, c.w)).set(names.y, tensor(id_y, type, c.y)).finish();
  graph.set(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, std::vector{handle()}).set(CUDNN_ATTR_OPERATIONGRAPH_OPS, operation);
  return graph.finish();
}

/// The engine configurations that the heuristic names, the best first.
std::vector<Descriptor> configurations(const Descriptor& graph) {
  Descriptor heuristic(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR);
  heuristic.set(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph).set(CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, std::vector{CUDNN_HEUR_MODE_A}).finish();
  std::vector<Descriptor> all;
  std::vector<cudnnBackendDescriptor_t> handles;
  for (std::int64_t i = 0; i < 2 * most_ways; ++i) handles.push_back(all.emplace_back(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR).get());
  std::int64_t found = 0;
  require(cudnnBackendGetAttribute(heuristic.get(), CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, 2 * most_ways, &found, handles.data()),
          "cudnnBackendGetAttribute");
  all.erase(all.begin() + static_cast<std::ptrdiff_t>(std::min(found, 2 * most_ways)), all.end());
  return all;
}

/// The number of a configuration's engine, and whether it multiplies on tensor cores or rounds its inputs.
struct Engine {
  std::int64_t number = -1;
  bool rounds = false;

  explicit Engine(const Descriptor& configuration) {
    const Descriptor engine(CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    cudnnBackendDescriptor_t p = engine.get();
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT] = {};
    std::int64_t count = 0;
    require(cudnnBackendGetAttribute(configuration.get(), CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count, &p), "cudnnBackendGetAttribute");
    require(cudnnBackendGetAttribute(p, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, 1, &count, &number), "cudnnBackendGetAttribute");
    require(cudnnBackendGetAttribute(p, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT, &count, notes),
            "cudnnBackendGetAttribute");
    for (std::int64_t i = 0; i < std::min<std::int64_t>(count, CUDNN_NUMERICAL_NOTE_TYPE_COUNT); ++i)
      rounds = rounds || notes[i] == CUDNN_NUMERICAL_NOTE_TENSOR_CORE || notes[i] == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS;
  }
};

void run(const Descriptor& plan, const std::vector<const void*>& pointers, void* workspace) {
  Descriptor pack(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR);
  pack.set(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64, std::vector<std::int64_t>{id_x, id_w, id_y});
  pack.set(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR, pointers).set(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, std::vector{workspace});
  pack.finish();
  require(cudnnBackendExecute(handle(), plan.get(), pack.get()), "cudnnBackendExecute");
}

}  // namespace

template <class T>
std::vector<Way<T>> planned(const Convolution& convolution, Part part, ventral::Math math) {
  constexpr bool single = std::is_same_v<T, float>;
  const Descriptor graph = graph_of(convolution, part, single ? CUDNN_DATA_FLOAT : CUDNN_DATA_BFLOAT16);
  const auto workspace = std::make_shared<Tensor<unsigned char, ventral::Cuda>>();
  std::vector<Way<T>> ways;
  for (const Descriptor& configuration : configurations(graph)) {
    const Engine engine(configuration);
    if (single && math != ventral::Math::tf32 && engine.rounds) continue;
    Descriptor plan(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR);
    plan.set(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, CUDNN_TYPE_HANDLE, std::vector{handle()}).set(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, configuration);
    std::int64_t bytes = 0, count = 0;
    if (!plan.finished() || cudnnBackendGetAttribute(plan.get(), CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, 1, &count, &bytes) != CUDNN_STATUS_SUCCESS ||
        bytes > most_workspace)
      continue;
    if (bytes > workspace->size()) workspace->resize({bytes});
    ways.push_back({ventral::concat("engine ", engine.number), static_cast<double>(bytes), [=](const T* first, const T* second, T* result) {
                      const T *const x = part == Part::data ? result : first, *const w = part == Part::forward ? second : part == Part::data ? first : result;
                      run(plan, {x, w, part == Part::forward ? result : second}, workspace->data());
                    }});
    if (static_cast<std::int64_t>(ways.size()) == most_ways) break;
  }
  return ways;
}
template std::vector<Way<float>> planned<float>(const Convolution&, Part, ventral::Math);
template std::vector<Way<ventral::bfloat16>> planned<ventral::bfloat16>(const Convolution&, Part, ventral::Math);

}  // namespace bench::cudnn

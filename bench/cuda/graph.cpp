#include "cuda/graph.hpp"

#include <cuda.h>
#include <cuda_runtime.h>
#include <cxxabi.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "ventral/cuda.hpp"

namespace bench::device {

namespace {

cudaStream_t stream() { return static_cast<cudaStream_t>(ventral::Cuda::stream().handle); }

/// A function of the driver, found at run time, so that programs start where there is no driver; null where it is older than that.
template <class F>
F driver_function(const char* name, [[maybe_unused]] unsigned version) {
  void* found = nullptr;
  cudaDriverEntryPointQueryResult result = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  const cudaError_t status = cudaGetDriverEntryPointByVersion(name, &found, version, cudaEnableDefault, &result);
#else
  const cudaError_t status = cudaGetDriverEntryPoint(name, &found, cudaEnableDefault, &result);
#endif
  if (status != cudaSuccess || result != cudaDriverEntryPointSuccess) {
    static_cast<void>(cudaGetLastError());
    return nullptr;
  }
  return reinterpret_cast<F>(found);
}

/// `gemm_pipelined_kernel` of ours, without namespaces and template arguments; of others, whose arguments say the algorithm, up to 90 letters.
std::string readable(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, decltype(&std::free)> demangled(abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free);
  std::string name = status == 0 && demangled ? demangled.get() : symbol;
  if (name.rfind("void ", 0) == 0) name.erase(0, 5);
  if (name.find("ventral::") != std::string::npos) {
    name.resize(std::min(name.find_first_of("<("), name.size()));
    return name.substr(name.rfind("::") == std::string::npos ? 0 : name.rfind("::") + 2);
  }
  return name.substr(0, 90);
}

struct Kernel {
  std::string name;
  double threads = 0, shared = 0;
  int registers = 0;
};

/// A kernel node by the driver, which knows those of libraries too.
Kernel kernel_of(cudaGraphNode_t node) {
  static const auto parameters = driver_function<CUresult (*)(CUgraphNode, CUDA_KERNEL_NODE_PARAMS_v2*)>("cuGraphKernelNodeGetParams", 12000);
  static const auto function = driver_function<CUresult (*)(CUfunction*, CUkernel)>("cuKernelGetFunction", 12000);
  static const auto attribute = driver_function<CUresult (*)(int*, CUfunction_attribute, CUfunction)>("cuFuncGetAttribute", 3000);
  static const auto name = driver_function<CUresult (*)(const char**, CUfunction)>("cuFuncGetName", 12030);
  CUDA_KERNEL_NODE_PARAMS_v2 p{};
  if (!parameters || !attribute || parameters(node, &p) != CUDA_SUCCESS) return {};
  if (!p.func && (!function || function(&p.func, p.kern) != CUDA_SUCCESS)) return {};
  Kernel k;
  int shared = 0;
  const char* symbol = nullptr;
  k.threads = 1.0 * p.gridDimX * p.gridDimY * p.gridDimZ * p.blockDimX * p.blockDimY * p.blockDimZ;
  if (name && name(&symbol, p.func) == CUDA_SUCCESS && symbol) k.name = readable(symbol);
  if (attribute(&k.registers, CU_FUNC_ATTRIBUTE_NUM_REGS, p.func) != CUDA_SUCCESS) k.registers = 0;
  if (attribute(&shared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, p.func) == CUDA_SUCCESS) k.shared = shared + static_cast<double>(p.sharedMemBytes);
  return k;
}

}  // namespace

Graph::Graph(const std::function<void()>& queue) {
  if (const cudaError_t status = cudaStreamBeginCapture(stream(), cudaStreamCaptureModeThreadLocal); status != cudaSuccess) {
    static_cast<void>(cudaGetLastError());
    why_ = cudaGetErrorString(status);
    return;
  }
  try {
    queue();
  } catch (const std::exception&) {
    why_ = "waits for the device";
  }
  cudaGraph_t graph = nullptr;
  const cudaError_t ended = cudaStreamEndCapture(stream(), &graph);
  static_cast<void>(cudaGetLastError());
  graph_ = graph;
  std::size_t nodes = 0;
  if (!why_.empty()) return;
  if (ended != cudaSuccess) why_ = cudaGetErrorString(ended);
  else if (cudaGraphGetNodes(graph, nullptr, &nodes) != cudaSuccess || nodes == 0) why_ = "nothing on the device";
  else if (cudaGraphExec_t program = nullptr; cudaGraphInstantiateWithFlags(&program, graph, 0) == cudaSuccess) program_ = program;
  else why_ = "cannot be instantiated";
  static_cast<void>(cudaGetLastError());
}

Graph::~Graph() {
  if (program_) static_cast<void>(cudaGraphExecDestroy(static_cast<cudaGraphExec_t>(program_)));
  if (graph_) static_cast<void>(cudaGraphDestroy(static_cast<cudaGraph_t>(graph_)));
}

void Graph::launch() {
  const cudaError_t status = cudaGraphLaunch(static_cast<cudaGraphExec_t>(program_), stream());
  ventral::require(status == cudaSuccess, "cudaGraphLaunch: ", cudaGetErrorString(status));
}

Anatomy Graph::anatomy() const {
  Anatomy a;
  std::size_t count = 0;
  const auto graph = static_cast<cudaGraph_t>(graph_);
  if (!graph || cudaGraphGetNodes(graph, nullptr, &count) != cudaSuccess) return a;
  std::vector<cudaGraphNode_t> nodes(count);
  if (count && cudaGraphGetNodes(graph, nodes.data(), &count) != cudaSuccess) return a;
  a.nodes = static_cast<int>(count);
  double most = 0;
  for (const cudaGraphNode_t node : nodes) {
    cudaGraphNodeType type = cudaGraphNodeTypeEmpty;
    cudaMemAllocNodeParams memory{};
    if (cudaGraphNodeGetType(node, &type) != cudaSuccess) continue;
    if (type == cudaGraphNodeTypeMemAlloc && cudaGraphMemAllocNodeGetParams(node, &memory) == cudaSuccess) a.workspace += static_cast<double>(memory.bytesize);
    if (type != cudaGraphNodeTypeKernel) continue;
    ++a.kernels;
    if (Kernel k = kernel_of(node); k.threads > most) most = k.threads, a.kernel = std::move(k.name), a.registers = k.registers, a.shared = k.shared;
  }
  static_cast<void>(cudaGetLastError());
  return a;
}

}  // namespace bench::device

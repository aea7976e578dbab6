#include <dlfcn.h>

#include <algorithm>
#include <cstring>
#include <dnnl.hpp>

#include "support/gemm_contender.hpp"

namespace bench::onednn {

namespace {

using dnnl::memory;
using Tag = memory::format_tag;

const dnnl::engine& engine() {
  static const dnnl::engine cpu(dnnl::engine::kind::cpu, 0);
  return cpu;
}

const char* name_of(Way way) {
  switch (way) {
    case Way::rows: return "oneDNN rows";
    case Way::reordered: return "oneDNN reordering";
    case Way::own: return "oneDNN";
    case Way::winograd: break;
  }
  return "oneDNN Winograd";
}

dnnl::algorithm algorithm(Way way) { return way == Way::winograd ? dnnl::algorithm::convolution_winograd : dnnl::algorithm::convolution_direct; }

/// A convolution's shapes, in oneDNN's words.
struct Problem {
  Way way;
  memory::dims x, w, b, y, stride, dilation, before, after;

  Problem(Way how, const ventral::Window& window, Index groups, const ventral::Shape& x_shape, const ventral::Shape& w_shape) : way(how) {
    const ventral::WindowPlan plan = ventral::place(window, x_shape[2], x_shape[3], "oneDNN");
    x = {x_shape[0], x_shape[1], x_shape[2], x_shape[3]};
    w = {w_shape[0], w_shape[1], w_shape[2], w_shape[3]};
    if (groups > 1) w = {groups, w_shape[0] / groups, w_shape[1], w_shape[2], w_shape[3]};
    b = {w_shape[0]};
    y = {x_shape[0], w_shape[0], plan.h.out, plan.w.out};
    stride = {plan.h.stride, plan.w.stride};
    dilation = {plan.h.dilation - 1, plan.w.dilation - 1};
    before = {plan.h.before, plan.w.before};
    after = {plan.h.after, plan.w.after};
  }

  static memory::desc plain(const memory::dims& dims) {
    return {dims, memory::data_type::f32, dims.size() == 5 ? Tag::goihw : dims.size() == 4 ? Tag::nchw : Tag::a};
  }
  /// The layout to ask oneDNN for.
  memory::desc wanted(const memory::dims& dims) const { return way == Way::rows || dims.size() == 1 ? plain(dims) : memory::desc(dims, memory::data_type::f32, Tag::any); }
  dnnl::convolution_forward::primitive_desc forward() const {
    return {{dnnl::prop_kind::forward_training, algorithm(way), wanted(x), wanted(w), wanted(b), wanted(y), stride, dilation, before, after}, engine()};
  }
};

class Convolution final : public Contender {
 public:
  Convolution(Way way, const dnnl::primitive& primitive) : way_(way), primitive_(primitive) {}

  void input(int id, In<float> data, const memory::dims& dims, const memory::desc& layout) { add(id, const_cast<float*>(data.data), dims, layout, false); }
  void output(int id, const memory::dims& dims, const memory::desc& layout) {
    Index size = 1;
    for (const auto d : dims) size *= d;
    results_.emplace_back(ventral::Shape{size});
    add(id, results_.back().data(), dims, layout, true);
  }

  const char* name() const override { return name_of(way_); }
  void run() override {
    if (way_ == Way::reordered) to_own();
    primitive_.execute(stream_, memories_);
    if (way_ == Way::reordered) from_own();
    stream_.wait();
  }
  std::vector<Output> outputs() override {
    from_own();
    std::vector<Output> out;
    for (ventral::Tensor<float>& t : results_) out.emplace_back(t.ref());
    return out;
  }
  void poison() override {
    for (Array& a : arrays_)
      if (a.result) std::memset(a.own.get_data_handle(), 0xff, a.own.get_desc().get_size()), std::memset(a.plain.get_data_handle(), 0xff, a.plain.get_desc().get_size());
  }

 private:
  struct Array {
    memory plain, own;
    bool result;
    dnnl::reorder convert;
    bool same() const { return plain.get_data_handle() == own.get_data_handle(); }
  };

  void add(int id, float* data, const memory::dims& dims, const memory::desc& layout, bool result) {
    const memory plain(Problem::plain(dims), engine(), data), own = layout == plain.get_desc() ? plain : memory(layout, engine());
    arrays_.push_back({plain, own, result, result ? dnnl::reorder(own, plain) : dnnl::reorder(plain, own)});
    memories_.insert({id, own});
    if (!result) to_own();
  }
  void to_own() {
    for (Array& a : arrays_)
      if (!a.result && !a.same()) a.convert.execute(stream_, a.plain, a.own);
    stream_.wait();
  }
  void from_own() {
    for (Array& a : arrays_)
      if (a.result && !a.same()) a.convert.execute(stream_, a.own, a.plain);
    stream_.wait();
  }

  Way way_;
  dnnl::primitive primitive_;
  dnnl::stream stream_{engine()};
  std::vector<ventral::Tensor<float>> results_;
  std::vector<Array> arrays_;
  std::unordered_map<int, memory> memories_;
};

/// Null where oneDNN has no such primitive.
template <class Make>
std::unique_ptr<Contender> if_it_can(Make make) {
  try {
    return make();
  } catch (const dnnl::error& e) {
    if (e.status != dnnl_unimplemented) throw;
    return nullptr;
  }
}

}  // namespace

std::string version() {
  const dnnl_version_t* v = dnnl_version();
  return ventral::concat("oneDNN ", v->major, ".", v->minor, ".", v->patch);
}
/// oneDNN takes its threads from OpenMP, in whichever build of it the library was linked to.
void prepare(int threads) {
  if (const auto set = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))) set(threads);
}

std::unique_ptr<Contender> gemm(In<float> a, In<float> b, bool b_transposed) {
  return std::make_unique<GemmContender<float>>(
      "oneDNN", [](const Product<float>& p) { dnnl_sgemm('N', p.b_transposed ? 'T' : 'N', p.m, p.n, p.k, 1, p.a, p.k, p.b, p.b_transposed ? p.k : p.n, 0, p.c, p.n); }, a, b,
      b_transposed);
}

std::unique_ptr<Contender> conv2d_forward(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> b) {
  return if_it_can([&] {
    const Problem p(way, window, groups, x.shape, w.shape);
    const auto d = p.forward();
    auto c = std::make_unique<Convolution>(way, dnnl::convolution_forward(d));
    c->input(DNNL_ARG_SRC, x, p.x, d.src_desc());
    c->input(DNNL_ARG_WEIGHTS, w, p.w, d.weights_desc());
    c->input(DNNL_ARG_BIAS, b, p.b, d.bias_desc());
    c->output(DNNL_ARG_DST, p.y, d.dst_desc());
    return c;
  });
}

std::unique_ptr<Contender> conv2d_backward_data(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy) {
  return if_it_can([&] {
    const Problem p(way, window, groups, x.shape, w.shape);
    const dnnl::convolution_backward_data::primitive_desc d(
        {algorithm(way), p.wanted(p.x), p.wanted(p.w), p.wanted(p.y), p.stride, p.dilation, p.before, p.after}, engine(), p.forward());
    auto c = std::make_unique<Convolution>(way, dnnl::convolution_backward_data(d));
    c->input(DNNL_ARG_WEIGHTS, w, p.w, d.weights_desc());
    c->input(DNNL_ARG_DIFF_DST, dy, p.y, d.diff_dst_desc());
    c->output(DNNL_ARG_DIFF_SRC, p.x, d.diff_src_desc());
    return c;
  });
}

std::unique_ptr<Contender> conv2d_backward_weights(Way way, const ventral::Window& window, Index groups, In<float> x, In<float> w, In<float> dy) {
  return if_it_can([&] {
    const Problem p(way, window, groups, x.shape, w.shape);
    const dnnl::convolution_backward_weights::primitive_desc d(
        {algorithm(way), p.wanted(p.x), p.wanted(p.w), p.wanted(p.b), p.wanted(p.y), p.stride, p.dilation, p.before, p.after}, engine(), p.forward());
    auto c = std::make_unique<Convolution>(way, dnnl::convolution_backward_weights(d));
    c->input(DNNL_ARG_SRC, x, p.x, d.src_desc());
    c->input(DNNL_ARG_DIFF_DST, dy, p.y, d.diff_dst_desc());
    c->output(DNNL_ARG_DIFF_WEIGHTS, p.w, d.diff_weights_desc());
    c->output(DNNL_ARG_DIFF_BIAS, p.b, d.diff_bias_desc());
    return c;
  });
}

}  // namespace bench::onednn

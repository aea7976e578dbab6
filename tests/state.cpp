#include "ventral/io/state.hpp"

#include "ventral/layers/linear.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

/// y = x, with parameters and a buffer of given shapes.
template <class T>
struct Holder {
  using Scalar = T;
  using Space = Cpu;
  static constexpr const char* kind = "Holder";
  Parameter<T, Cpu> weight, bias;
  Buffer<T, Cpu> mean;
  Holder(Shape w, Shape b) : weight(w), bias(b), mean(b) {}
  Shape output_shape(const Shape& x) const { return x; }
  void forward(In<T> x, Out<T> y, Pass<Cpu>&) { Cpu::copy(y.data, x.data, sizeof(T) * static_cast<std::size_t>(x.size())); }
  void backward(In<T>, In<T>, In<T>, Out<T>*, Pass<Cpu>&) {}
  std::vector<NamedParameter<T, Cpu>> parameters() { return {{"weight", &weight}, {"bias", &bias}}; }
  std::vector<NamedBuffer<T, Cpu>> buffers() { return {{"running_mean", &mean}}; }
};

template <class T>
Sequential<T> network(std::uint64_t seed, Shape first = {4, 3}) {
  Sequential<T> net, block;
  block.add("inner", Holder<T>({2}, {1}));
  net.add("fc1", Holder<T>(first, {4})).add("block", std::move(block));
  Random random(seed);
  detail::visit_state(net, [&](const std::string&, Tensor<T>& t) {
    for (T& v : t) v = static_cast<T>(random.normal());
  });
  return net;
}

template <class T>
std::vector<double> values(Sequential<T>& net) {
  std::vector<double> out;
  detail::visit_state(net, [&](const std::string&, const Tensor<T>& t) { out.insert(out.end(), t.begin(), t.end()); });
  return out;
}

}  // namespace

TEST_CASE("state: saved and loaded, by PyTorch's names, bit for bit") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "net.safetensors";
  auto a = network<float>(1), b = network<float>(2);
  CHECK(values(a) != values(b));
  save(a, path, {{"epoch", "3"}});
  const Metadata m = load(b, path);
  CHECK(values(a) == values(b));
  CHECK(m.at("epoch") == "3");
  CHECK(m.at("format") == "pt");
  const Safetensors f = read_safetensors(path);
  CHECK(f.entries().size() == 6);
  for (const char* name : {"fc1.weight", "fc1.bias", "fc1.running_mean", "block.inner.weight", "block.inner.bias", "block.inner.running_mean"})
    CHECK(f.find(name) != nullptr);
  save(a, path);
  save(a, folder / "again.safetensors");
  CHECK(read_file(path) == read_file(folder / "again.safetensors"));
  CHECK(list_folder(folder.path()).size() == 2);
}

TEST_CASE("state: float is widened, double is rounded") {
  const test::TemporaryFolder folder;
  auto a = network<float>(1);
  auto d = network<double>(2);
  save(a, folder / "f");
  load(d, folder / "f");
  CHECK(values(d) == values(a));
  d = network<double>(3);
  save(d, folder / "d");
  load(a, folder / "d");
  const auto rounded = values(a), exact = values(d);
  for (std::size_t i = 0; i < exact.size(); ++i) CHECK(rounded[i] == static_cast<double>(static_cast<float>(exact[i])));
}

TEST_CASE("state: everything that does not fit is reported at once, and nothing changes") {
  const test::TemporaryFolder folder;
  auto a = network<float>(1);
  const Tensor<float> w({4, 2}), b({4}), c({7});
  const Tensor<std::int64_t> count({1});
  write_safetensors(folder / "f", {{"fc1.weight", w},
                                   {"fc1.bias", b},
                                   {"head.bias", c},
                                   {"fc1.running_mean", b},
                                   {"block.inner.weight", Tensor<float>({3})},
                                   {"bn.num_batches_tracked", count}});
  const auto before = values(a);
  CHECK(test::message_of<Error>([&] { load(a, folder / "f"); }) ==
        folder / "f" +
            ": does not fit the network; missing: block.inner.bias [1], block.inner.running_mean [1]; unexpected: head.bias [7]; "
            "other shapes: fc1.weight is [4,2], the network has [4,3], block.inner.weight is [3], the network has [2]");
  CHECK(values(a) == before);

  // the last array cannot be converted: the first ones are not loaded either
  auto d = network<double>(4);
  detail::visit_state(d, [](const std::string& name, Tensor<double>& t) {
    if (name == "block.inner.running_mean") t[0] = 1e300;
  });
  save(d, folder / "d");
  CHECK(test::message_of<FileError>([&] { load(a, folder / "d"); }).find("'block.inner.running_mean': at byte ") != std::string::npos);
  CHECK(values(a) == before);
}

TEST_CASE("state: PyTorch's batch counts are passed over, later versions and damaged files refused") {
  const test::TemporaryFolder folder;
  auto a = network<float>(1), b = network<float>(2);
  save(a, folder / "f");
  const Safetensors f = read_safetensors(folder / "f");
  std::vector<Tensor<float>> held;
  std::vector<SafetensorsItem> items;
  for (const auto& e : f.entries()) held.push_back(f.tensor<float>(e.name)), items.emplace_back(e.name, held.back().ref());
  const Tensor<std::int64_t> count({1});
  items.emplace_back("fc1.num_batches_tracked", count);
  write_safetensors(folder / "g", items, {{"format", "pt"}});
  load(b, folder / "g");
  CHECK(values(a) == values(b));
  write_safetensors(folder / "h", items, {{"ventral.state", "2"}});
  CHECK(test::message_of<FileError>([&] { load(b, folder / "h"); }) == folder / "h" + ": state of version 2; this ventral reads version 1");
  Bytes bytes = read_file(folder / "f");
  bytes.pop_back();
  write_file(folder / "f", bytes);
  CHECK(test::message_of<FileError>([&] { load(b, folder / "f"); }).find(folder / "f" + ": at byte ") == 0);
  CHECK(test::message_of<FileError>([&] { load(b, folder / "none"); }).find("cannot be opened") != std::string::npos);
  CHECK(values(a) == values(b));
}

TEST_CASE("state: the math mode is not part of it; the same weights in the same mode give the same bits") {
  const test::TemporaryFolder folder;
  const auto x = test::random_tensor<float, Cuda>({20, 40}, 1);
  const auto make = [](std::uint64_t seed) {
    Sequential<float, Cuda> net;
    net.add("fc", Linear<float, Cuda>({.in = 40, .out = 30}));
    net.initialize(seed);
    return net;
  };
  const auto output = [&](Sequential<float, Cuda>& net) {
    auto y = Tensor<float, Cuda>::uninitialized({20, 30});
    y.copy_from(net.forward(x));
    return y.to<Cpu>();
  };
  auto a = make(1), b = make(2);
  const auto exact = output(a), rounded = output(a.math(Math::tf32));
  save(a, folder / "f");
  load(b, folder / "f");
  CHECK(!b.math());
  CHECK(test::largest_difference(output(b), exact) == 0);
  CHECK(test::largest_difference(output(b.math(Math::tf32)), rounded) == 0);
}

/// The emulator shows mistakes with Hopper's barriers, copies and products.
#include "emulator/planted_hopper.hpp"
#include "emulator/run.hpp"

using namespace test::on_emulator;
using namespace test;
using Bug = planted::HopperBug;

namespace {

struct Operands {
  Tensor<bfloat16> a = random_tensor<bfloat16>({64, 128}, 1), b = random_tensor<bfloat16>({256, 128}, 2);
  Tensor<bfloat16, Cuda> on_a = a.to<Cuda>(), on_b = b.to<Cuda>();
  Tensor<float, Cuda> d = Tensor<float, Cuda>::uninitialized({64, 256});
  Tensor<float> expected{{64, 256}};

  Operands() {
    a.at(Index{1}, Index{64 + 16}) = bfloat16(1);
    on_a = a.to<Cuda>();
    for (Index i = 0; i < 64; ++i)
      for (Index j = 0; j < 256; ++j) {
        double sum = i == 1 ? static_cast<double>(static_cast<float>(b.at(j, Index{64 + 16}))) : 0;
        for (Index k = 0; k < 128; ++k) sum += static_cast<double>(static_cast<float>(a.at(i, k))) * static_cast<double>(static_cast<float>(b.at(j, k)));
        expected.at(i, j) = static_cast<float>(sum);
      }
  }
  template <Bug bug>
  void run() {
    launch({}, {.kernel = "hopper_kernel", .blocks = 1, .threads = 160, .shared = 1024 + 320 * 128}, planted::hopper_kernel<bug>, gpu::tensor_map(on_a.data(), 64, 128, 128, 64),
           gpu::tensor_map(on_b.data(), 256, 128, 128, 256), d.data());
  }
  /// The largest error, infinite for NaN.
  double error() const {
    const auto got = d.to<Cpu>();
    double most = 0;
    for (Index i = 0; i < got.size(); ++i) {
      const double e = std::abs(static_cast<double>(got[i]) - static_cast<double>(expected[i]));
      most = e <= most ? most : std::isfinite(e) ? e : INFINITY;
    }
    return most;
  }
};

/// The bug makes the launch fail with this text, in every schedule.
template <Bug bug>
void check_message(const std::string& part) {
  Operands x;
  for_all_schedules([&] {
    const std::string text = message_of<CudaError>([&] { x.run<bug>(); });
    CHECK_CONTAINS(text, part);
    x.run<Bug::none>();
    CHECK(x.error() < 1e-4);
  });
}

/// The bug makes the result wrong, or the launch fail, in these schedules.
template <Bug bug>
void check_wrong(std::initializer_list<Options> schedules) {
  Operands x;
  for (const Options& options : schedules) {
    CAPTURE(static_cast<int>(bug));
    CAPTURE(static_cast<int>(options.order));
    const emulator::UseOptions use(options);
    bool failed = false;
    try {
      x.run<bug>();
    } catch (const CudaError&) {
      failed = true;
    }
    CHECK((failed || x.error() > 0.1));
    x.run<Bug::none>();
    CHECK(x.error() < 1e-4);
  }
}

constexpr Options fifo{}, lifo{.order = Order::lifo};

}  // namespace

TEST_CASE("emulator: a product by Hopper's instructions is right in every schedule") {
  Operands x;
  for_all_schedules([&] {
    x.run<Bug::none>();
    CHECK(x.error() < 1e-4);
  });
  for (std::uint64_t seed = 3; seed < 30; ++seed) {
    const emulator::UseOptions use({.order = Order::random, .seed = seed});
    x.run<Bug::none>();
    CHECK(x.error() < 1e-4);
  }
}

TEST_CASE("emulator shows: misused barriers in shared memory") {
  check_message<Bug::no_init>("mbarrier that has not been initialised, in thread (128,0,0) of block (0,0,0) at ");
  check_message<Bug::init_twice>("mbarrier initialised twice, before at ");
  check_message<Bug::no_init_fence>("copy to an mbarrier without a fence after its initialisation at ");
  check_message<Bug::barrier_overwritten>("mbarrier whose memory was written to; it was initialised at ");
  check_message<Bug::too_many_arrivals>("more arrivals at an mbarrier than the 1 of a phase, in phase 0, in thread (128,0,0)");
  check_message<Bug::too_many_bytes>("mbarrier that expects 1048576 bytes; 1048575 are possible");
  check_message<Bug::wrong_parity>("; 1 threads wait at an mbarrier, 'empty' + 0 bytes, initialised at ");
  check_message<Bug::wrong_parity>("; of phase 0 4 of 4 arrivals and 0 bytes are missing");
  check_message<Bug::too_few_bytes>("; 128 threads wait at an mbarrier, 'full' + 0 bytes, initialised at ");
  check_message<Bug::too_few_bytes>("; of phase 0 0 of 1 arrivals and 16 bytes are missing");
  check_message<Bug::no_release>("; 1 threads wait at an mbarrier, 'empty' + 0 bytes, initialised at ");
  check_message<Bug::no_release>("; of phase 0 3 of 4 arrivals and 0 bytes are missing");
  Operands x;
  const emulator::UseOptions use(fifo);
  const std::string text = message_of<CudaError>([&] { x.run<Bug::no_init_barrier>(); });
  CHECK_CONTAINS(text, "mbarrier used before a barrier of the block made its initialisation by thread (0,0,0) at ");
}

TEST_CASE("emulator shows: misused copies of boxes") {
  check_message<Bug::misaligned_box>("copy of a box to an address that is no multiple of 1024 bytes");
  check_message<Bug::box_past_array>("copy of a box of 32768 bytes past a shared array");
  check_wrong<Bug::ended_parity>({fifo, lifo});
  check_wrong<Bug::no_copy_wait>({fifo, lifo});
  {
    Operands x;
    const emulator::UseOptions use(fifo);
    const std::string text = message_of<CudaError>([&] { x.run<Bug::copy_without_wait>(); });
    CHECK_CONTAINS(text, "copy of a box that nobody waited for: the block has ended");
  }
  const auto x = Tensor<float, Cuda>::uninitialized({64});
  const auto refused = [&](Index shift, Index rows, Index columns, Index stride, int box_rows) {
    return message_of<CudaError>([&] { gpu::tensor_map(x.data() + shift, rows, columns, stride, box_rows); });
  };
  CHECK(contains(refused(1, 1, 32, 32, 1), "tensor map: rows that do not begin at multiples of 16 bytes"));
  CHECK(contains(refused(0, 2, 3, 3, 1), "tensor map: rows that do not begin at multiples of 16 bytes"));
  CHECK(contains(refused(0, 1, 32, 32, 257), "tensor map: a box that is not 1 to 256 rows of 128 bytes"));
  CHECK(contains(refused(0, 3, 32, 32, 1), "tensor map: 384 bytes at byte 0 of an array of 256 bytes"));
}

TEST_CASE("emulator shows: misused copies of pixels") {
  using Places = gpu::WindowPlaces;
  const auto x = Tensor<float, Cuda>::uninitialized({2, 5, 6, 32});
  const gpu::TensorMap map = gpu::pixel_map(x.data(), 2, 5, 6, 32, 32, Places{-1, 2, 3}, Places{0, 1, 4}, 8);
  const auto run = [&](const gpu::TensorMap& of, int line, int position, int right, int pixels) {
    launch({}, {.kernel = "pixels_kernel", .blocks = 1, .threads = 1, .shared = 2048 + 1024}, planted::pixels_kernel, of, line, position, right, pixels);
  };
  const auto message = [&](auto... arguments) { return message_of<CudaError>([&] { run(arguments...); }); };
  CHECK_NOTHROW(run(map, -1, 0, 0, 8));
  CHECK_NOTHROW(run(map, 3, 3, 255, 8));
  for (const int line : {-2, 4}) CHECK_CONTAINS(message(map, line, 0, 0, 8), "copy of pixels from where no window stands");
  for (const int position : {-1, 4}) CHECK_CONTAINS(message(map, 1, position, 0, 8), "copy of pixels from where no window stands");
  CHECK_CONTAINS(message(map, -1, 0, 256, 8), "copy of pixels more than 255 from where their windows stand");
  CHECK_CONTAINS(message(map, -1, 0, 0, 7), "0 of 1 arrivals and -128 bytes are missing");
  CHECK_CONTAINS(message(gpu::tensor_map(x.data(), 60, 32, 32, 8), 0, 0, 0, 8), "copy of pixels by the map of a matrix");
  const auto refused = [&](const float* data, Index channels, Index pitch, const Places& down, const Places& across, int pixels) {
    return message_of<CudaError>([&] { gpu::pixel_map(data, 2, 5, 6, channels, pitch, down, across, pixels); });
  };
  const Places all{0, 1, 5};
  CHECK_CONTAINS(refused(x.data() + 1, 31, 32, all, all, 8), "pixels that do not begin at multiples of 16 bytes");
  CHECK_CONTAINS(refused(x.data(), 31, 31, all, all, 8), "pixels that do not begin at multiples of 16 bytes");
  CHECK_CONTAINS(refused(x.data(), 0, 32, all, all, 8), "an extent that is not 1 to 2^32");
  CHECK_CONTAINS(refused(x.data(), 32, 32, {-129, 1, 5}, all, 8), "windows that begin or end more than 127 pixels from the edge");
  CHECK_CONTAINS(refused(x.data(), 32, 32, all, {0, 1, 200}, 8), "windows that begin or end more than 127 pixels from the edge");
  CHECK_CONTAINS(refused(x.data(), 32, 32, {0, 1, 0}, all, 8), "no window");
  CHECK_CONTAINS(refused(x.data(), 32, 32, {0, 9, 1}, all, 8), "steps that are not 1 to 8");
  CHECK_CONTAINS(refused(x.data(), 32, 32, all, all, 1025), "a box that is not 1 to 1024 pixels of 128 bytes");
  CHECK_CONTAINS(refused(x.data() + 32, 32, 32, all, all, 8), "tensor map: ");
}

TEST_CASE("emulator shows: misused products of warpgroups") {
  check_message<Bug::no_warpgroup_fence>("wgmma on registers that no wgmma.fence has handed over since the last wait");
  check_message<Bug::exit_without_wait>("wgmma without a wait for it: the thread has returned");
  check_message<Bug::three_warps>("96 threads wait for others of their warpgroup, the first is thread (0,0,0) at ");
  check_message<Bug::different_products>("threads of a warpgroup have issued different wgmma: this one and thread (");
  check_wrong<Bug::no_product_wait>({fifo, lifo});
  check_wrong<Bug::early_release>({fifo});
  check_wrong<Bug::no_async_fence>({fifo, lifo});
  check_wrong<Bug::wrong_swizzle>({fifo, lifo});
}

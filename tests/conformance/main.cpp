#include <algorithm>
#include <cstdio>

#include "conformance/runners.hpp"

namespace {

using namespace conformance;

/// What became of a case in one scalar type on one space.
struct Outcome {
  double error = 0;
  std::string failure;
};

template <class T, class Space>
Outcome outcome(const Case& c) {
  constexpr bool is_double = sizeof(T) == sizeof(double);
  const Tolerance by_norm{false, is_double ? 1e-9 : 1e-4, 0, 0};
  const Tolerance by_element{true, 0, c.rtol, is_double ? c.atol : std::max(c.atol, 1e-6)};
  Check<T, Space> check(c.format == Case::Format::onnx ? by_element : by_norm);
  try {
    run(c, check);
  } catch (const ventral::Error& e) {
    return {check.error(), e.what()};
  }
  if (const std::string unread = c.attributes.unread(); !unread.empty()) throw NotOffered(concat(c.op, " with attribute ", unread));
  if (check.comparisons() == 0) throw Malformed("gives nothing to compare");
  return {check.error(), check.failure()};
}

struct Count {
  int passed = 0, failed = 0, skipped = 0, malformed = 0;  // a malformed case is a failed one, too
};

template <class Space>
void run_case(const Case& c, Count& count) {
  try {
    const Outcome in_float = outcome<float, Space>(c), in_double = outcome<double, Space>(c);
    const std::string errors = concat("[float err ", in_float.error, " double err ", in_double.error, "]");
    if (in_float.failure.empty() && in_double.failure.empty()) {
      std::printf("pass %s %s\n", c.name.c_str(), errors.c_str());
      ++count.passed;
    } else {
      const char* first = in_float.failure.empty() ? "double" : "float";
      std::printf("fail %s %s in %s: %s\n", c.name.c_str(), errors.c_str(), first, (in_float.failure.empty() ? in_double : in_float).failure.c_str());
      ++count.failed;
    }
  } catch (const NotOffered& e) {
    std::printf("skip %s not offered: %s\n", c.name.c_str(), e.what());
    ++count.skipped;
  } catch (const Malformed& e) {
    std::printf("fail %s malformed: %s\n", c.name.c_str(), e.what());
    ++count.failed, ++count.malformed;
  }
}

constexpr const char* usage =
    "usage: ventral_conformance [--device cpu|cuda|auto] DIR...\n"
    "Runs the cases of each folder (manifest.json and .npy files, in the format of gold/grad or gold/onnx_node) through\n"
    "ventral's layers, losses and optimizers, in float and in double. Device auto is the GPU if there is one; cuda is the\n"
    "emulator in a program built with that. err is the norm of the difference over the norm of the\n"
    "reference (gold/grad: at most 1e-4 and 1e-9) or the largest share of the case's own tolerance (gold/onnx_node: at most 1).\n"
    "Status: 0 all passed, 1 a case failed, 2 a folder or a case does not follow its format.\n";

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> folders(argv + 1, argv + argc);
  std::string wish = "auto";
  if (folders.size() > 1 && folders[0] == "--device") {
    wish = folders[1];
    folders.erase(folders.begin(), folders.begin() + 2);
  }
  if (folders.empty() || folders[0].starts_with("--")) {
    const bool help = !folders.empty() && folders[0] == "--help";
    std::fputs(usage, help ? stdout : stderr);
    return help ? 0 : 2;
  }
  try {
    const ventral::DeviceChoice device = ventral::choose_device(wish);
    std::printf("device: %s\n", to_string(device).c_str());
    std::vector<Case> cases;
    for (const std::string& folder : folders)
      for (Case& c : read_folder(folder)) cases.push_back(std::move(c));
    Count count;
    ventral::on_device(device, [&]<class Space>(Space) {
      for (const Case& c : cases) run_case<Space>(c, count);
    });
    std::printf("%d passed, %d failed, %d skipped\n", count.passed, count.failed, count.skipped);
    return count.malformed > 0 ? 2 : count.failed > 0 ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ventral_conformance: %s\n", e.what());
    return 2;
  }
}

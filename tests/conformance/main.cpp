#include <cstdio>

#include "conformance/check.hpp"

namespace {

using namespace conformance;

/// What became of a case in one scalar type.
struct Outcome {
  double error = 0;
  std::string failure;
};

template <class T>
Outcome run(const Case& c) {
  constexpr bool is_double = sizeof(T) == sizeof(double);
  const bool onnx = c.format == Case::Format::onnx;
  Check<T> check(onnx ? Tolerance{true, 0, c.rtol, is_double ? c.atol : c.atol < 1e-6 ? 1e-6 : c.atol} : Tolerance{false, is_double ? 1e-9 : 1e-4, 0, 0});
  try {
    onnx ? run_onnx<T>(c, check) : run_grad<T>(c, check);
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

void run_case(const Case& c, Count& count) {
  try {
    const Outcome in_float = run<float>(c), in_double = run<double>(c);
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
    "usage: ventral_conformance DIR...\n"
    "Runs the cases of each folder (manifest.json and .npy files, in the format of gold/grad or gold/onnx_node) through\n"
    "ventral's layers, losses and optimizers, in float and in double. err is the norm of the difference over the norm of the\n"
    "reference (gold/grad: at most 1e-4 and 1e-9) or the largest share of the case's own tolerance (gold/onnx_node: at most 1).\n"
    "Status: 0 all passed, 1 a case failed, 2 a folder or a case does not follow its format.\n";

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2 || std::string(argv[1]) == "--help") {
    std::fputs(usage, argc < 2 ? stderr : stdout);
    return argc < 2 ? 2 : 0;
  }
  try {
    std::vector<Case> cases;
    for (int i = 1; i < argc; ++i)
      for (Case& c : read_folder(argv[i])) cases.push_back(std::move(c));
    Count count;
    for (const Case& c : cases) run_case(c, count);
    std::printf("%d passed, %d failed, %d skipped\n", count.passed, count.failed, count.skipped);
    return count.malformed > 0 ? 2 : count.failed > 0 ? 1 : 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "ventral_conformance: %s\n", e.what());
    return 2;
  }
}

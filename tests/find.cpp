#include "ventral/data/find.hpp"

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

/// Sets VENTRAL_DATA (null: unset) and puts back what was there.
class DataVariable {
 public:
  explicit DataVariable(const char* value) {
    if (const char* old = std::getenv("VENTRAL_DATA")) held_ = old, had_ = true;
    set(value);
  }
  ~DataVariable() { set(had_ ? held_.c_str() : nullptr); }

 private:
  static void set(const char* value) { value ? ::setenv("VENTRAL_DATA", value, 1) : ::unsetenv("VENTRAL_DATA"); }
  std::string held_;
  bool had_ = false;
};

/// Works in another folder for a while.
class WorkingFolder {
 public:
  explicit WorkingFolder(const std::string& path) {
    char buffer[4096];
    REQUIRE(::getcwd(buffer, sizeof buffer) != nullptr);
    held_ = buffer;
    REQUIRE(::chdir(path.c_str()) == 0);
  }
  ~WorkingFolder() { static_cast<void>(::chdir(held_.c_str()) == 0); }

 private:
  std::string held_;
};

}  // namespace

TEST_CASE("find: --data, then VENTRAL_DATA, then data/") {
  const test::TemporaryFolder root;
  const std::string given = root.folder("given"), named = root.folder("named"), work = root.folder("work"), data = root.folder("work/data");
  for (const std::string& base : {given, named, data}) {
    REQUIRE(::mkdir((base + "/mnist").c_str(), 0777) == 0);
    write_file(base + "/mnist/train-images-idx3-ubyte.gz", {});
  }
  const WorkingFolder here(work);
  {
    const DataVariable variable(named.c_str());
    DataFolder f = find_mnist(given);
    CHECK(f.path == given + "/mnist");
    CHECK(f.origin == "--data");
    CHECK(to_string(f) == given + "/mnist (from --data)");
    f = find_mnist(given + "/mnist");  // the folder itself
    CHECK(f.path == given + "/mnist");
    f = find_mnist();
    CHECK(f.path == named + "/mnist");
    CHECK(f.origin == "VENTRAL_DATA");
    CHECK(find_data().path == named);
  }
  const DataVariable variable(nullptr);
  const DataFolder f = find_mnist();
  CHECK(f.path == "data/mnist");
  CHECK(f.origin == "the default");
  CHECK(f.tried == "  VENTRAL_DATA is not set\n");
  CHECK(find_data().path == "data");
}

TEST_CASE("find: what was tried is told; a folder given by --data is not passed over") {
  const test::TemporaryFolder root;
  const std::string empty = root.folder("empty"), work = root.folder("work");
  const WorkingFolder here(work);
  const DataVariable variable(empty.c_str());
  const DataFolder f = find_mnist();
  CHECK_FALSE(f);
  CHECK(to_string(f) ==
        "not found; tried\n  " + empty + "/mnist (VENTRAL_DATA): no such folder\n  " + empty +
            " (VENTRAL_DATA): not there; the folder is empty\n  data/mnist (the default): no such folder\n  data (the default): no such folder\n");
  CHECK(test::message_of<FileError>([&] { find_mnist(root.path()); }) == "no mnist in " + root.path() + "; tried\n  " + root.path() +
                                                                             "/mnist (--data): no such folder\n  " + root.path() +
                                                                             " (--data): not there; the folder has: empty, work\n");
  CHECK(test::message_of<FileError>([&] { find_data(root / "none"); }) ==
        "no data in " + root / "none" + "; tried\n  " + root / "none" + " (--data): no such folder\n");
}

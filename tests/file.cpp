#include "ventral/io/file.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "support.hpp"
#include "temporary.hpp"

using namespace ventral;

namespace {

/// Runs f in a process of its own and returns its exit status.
template <class F>
int in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) {
    int status = 99;
    try {
      status = f();
    } catch (...) {
    }
    ::_exit(status);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

TEST_CASE("file: write, read, limits, what exists") {
  const test::TemporaryFolder folder;
  write_file(folder / "a", test::bytes_of("hello"));
  CHECK(test::text_of(read_file(folder / "a")) == "hello");
  write_file(folder / "a", {});
  CHECK(read_file(folder / "a").empty());
  Bytes large(300000);
  for (std::size_t i = 0; i < large.size(); ++i) large[i] = static_cast<std::uint8_t>(i * 7);
  write_file(folder / "b", large);
  CHECK(read_file(folder / "b") == large);
  CHECK(read_file(folder / "b", {.max_bytes = 300000}) == large);
  CHECK(test::message_of<FileError>([&] { read_file(folder / "b", {.max_bytes = 299999}); }) == folder / "b" + ": at least 300000 bytes; the limit is 299999");
  CHECK(list_folder(folder.path()) == std::vector<std::string>{"a", "b"});
  CHECK(test::message_of<FileError>([&] { read_file(folder / "c"); }) == folder / "c" + ": cannot be opened: No such file or directory; the folder has: a, b");
  CHECK(test::message_of<FileError>([&] { read_file(folder / "d/c"); }) ==
        folder / "d/c" + ": cannot be opened: No such file or directory; there is no folder " + folder / "d");
  CHECK(test::message_of<FileError>([&] { read_file(folder.path()); }) == folder.path() + ": is a folder, not a file");
  CHECK(test::message_of<FileError>([&] { list_folder(folder / "a"); }) == folder / "a" + ": not a folder");
  CHECK(folder_of("a/b") == "a");
  CHECK(folder_of("/b") == "/");
  CHECK(folder_of("b") == ".");
  CHECK(join_path("a/", "b") == "a/b");
  CHECK(join_path("", "b") == "b");
}

TEST_CASE("file: a pipe is read to its end, within the limit") {
  const test::TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  const auto write_from_child = [&] {
    const pid_t child = ::fork();
    if (child == 0) {
      std::signal(SIGPIPE, SIG_IGN);
      const int to = ::open(pipe.c_str(), O_WRONLY);
      const Bytes data(200000, 5);
      const ::ssize_t put = ::write(to, data.data(), data.size());
      ::_exit(put > 0 ? 0 : 1);
    }
    return child;
  };
  pid_t child = write_from_child();
  CHECK(read_file(pipe).size() == 200000);
  ::waitpid(child, nullptr, 0);
  child = write_from_child();
  CHECK_THROWS_AS(read_file(pipe, {.max_bytes = 100000}), FileError);
  ::waitpid(child, nullptr, 0);
  CHECK(test::message_of<FileError>([&] { write_file(pipe, {}); }) == pipe + ": cannot be written: it is not a regular file");
}

TEST_CASE("file: without commit, and when writing fails, the old file stays whole and nothing is left behind") {
  const test::TemporaryFolder folder;
  const std::string path = folder / "a";
  write_file(path, test::bytes_of("old"));
  {
    AtomicFile file(path);
    file.write(test::bytes_of("new"));
    CHECK(test::text_of(read_file(path)) == "old");
    CHECK(list_folder(folder.path()).size() == 2);
  }
  CHECK(test::text_of(read_file(path)) == "old");
  CHECK(list_folder(folder.path()).size() == 1);

  const int status = in_child([&] {  // a full disk, as far as this process can tell
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{1000, 1000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      write_file(path, Bytes(5000));
    } catch (const FileError& e) {
      return e.what() == path + ": cannot be written: File too large" ? 7 : 8;
    }
    return 9;
  });
  CHECK(status == 7);
  CHECK(test::text_of(read_file(path)) == "old");
  CHECK(list_folder(folder.path()).size() == 1);

  CHECK(in_child([&] {  // killed in the middle
          AtomicFile file(path);
          file.write(test::bytes_of("half of the n"));
          ::raise(SIGKILL);
          return 0;
        }) == -SIGKILL);
  CHECK(test::text_of(read_file(path)) == "old");
}

TEST_CASE("file: permissions and symbolic links survive a save") {
  const test::TemporaryFolder folder;
  write_file(folder / "real", test::bytes_of("old"));
  REQUIRE(::chmod((folder / "real").c_str(), 0640) == 0);
  REQUIRE(::symlink("real", (folder / "link").c_str()) == 0);
  write_file(folder / "link", test::bytes_of("new"));
  struct ::stat s;
  REQUIRE(::lstat((folder / "link").c_str(), &s) == 0);
  CHECK(S_ISLNK(s.st_mode));
  REQUIRE(::stat((folder / "real").c_str(), &s) == 0);
  CHECK((s.st_mode & 0777) == 0640);
  CHECK(test::text_of(read_file(folder / "real")) == "new");
  CHECK(test::message_of<FileError>([&] { write_file(folder.path(), {}); }).find("cannot be written: it is not a regular file") != std::string::npos);
  CHECK(test::message_of<FileError>([&] { write_file(folder / "no/x", {}); }).find("cannot be written: No such file or directory; there is no folder") !=
        std::string::npos);
}

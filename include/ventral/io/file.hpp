#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <string>
#include <utility>

#include "ventral/io/bytes.hpp"

namespace ventral::inline v0 {

/// Limits on reading a file.
struct ReadLimits {
  std::size_t max_bytes = std::size_t{1} << 34;  ///< of the file, and of what it holds after decompression
};

inline bool is_file(const std::string& path) {
  struct ::stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISREG(s.st_mode);
}
inline bool is_folder(const std::string& path) {
  struct ::stat s;
  return ::stat(path.c_str(), &s) == 0 && S_ISDIR(s.st_mode);
}
/// `folder/name`, or just `name` in the empty folder.
[[gnu::cold]] inline std::string join_path(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return concat(folder, folder.back() == '/' ? "" : "/", name);
}
/// The folder that a path lies in: `a/b` -> `a`, `b` -> `.`.
[[gnu::cold]] inline std::string folder_of(const std::string& path) {
  const std::size_t slash = path.find_last_of('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

namespace detail {

/// An open file descriptor, closed at the end.
class Descriptor {
 public:
  explicit Descriptor(int number = -1) : number_(number) {}
  Descriptor(Descriptor&& o) noexcept : number_(std::exchange(o.number_, -1)) {}
  Descriptor& operator=(Descriptor&& o) noexcept {
    std::swap(number_, o.number_);
    return *this;
  }
  ~Descriptor() { close(); }
  int number() const { return number_; }
  bool close() { return number_ < 0 || ::close(std::exchange(number_, -1)) == 0; }

 private:
  int number_;
};

[[gnu::cold]] inline std::string system_error(int number) { return std::strerror(number); }

/// Names in a folder without `.` and `..`, sorted by bytes; empty when it cannot be read.
[[gnu::cold]] inline std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  dirent** found = nullptr;
  const auto real = [](const dirent* d) { return int{std::strcmp(d->d_name, ".") != 0 && std::strcmp(d->d_name, "..") != 0}; };
  const int count = ::scandir(folder.c_str(), &found, real, [](const dirent** a, const dirent** b) { return std::strcmp((*a)->d_name, (*b)->d_name); });
  for (int i = 0; i < count; ++i) {
    names.push_back(std::string(found[i]->d_name));
    std::free(found[i]);
  }
  std::free(found);
  return names;
}

/// `; the folder has: a.npy, b.npy`, for errors about a file that is not there.
[[gnu::cold]] inline std::string what_exists(const std::string& path) {
  const std::string folder = folder_of(path);
  if (!is_folder(folder)) return concat("; there is no folder ", folder);
  const std::vector<std::string> names = names_in(folder);
  std::string text = names.empty() ? "; the folder is empty" : "; the folder has: ";
  constexpr std::size_t shown = 8;
  for (std::size_t i = 0; i < std::min(names.size(), shown); ++i) text.append(i ? ", " : "").append(names[i]);
  return names.size() > shown ? concat(text, " and ", names.size() - shown, " more") : text;
}

}  // namespace detail

/// Names in a folder, sorted by bytes. Throws FileError when it is not a folder or cannot be read.
[[gnu::cold]] inline std::vector<std::string> list_folder(const std::string& path) {
  require<FileError>(is_folder(path), path, ": not a folder");
  require<FileError>(::access(path.c_str(), R_OK | X_OK) == 0, path, ": cannot be read: ", detail::system_error(errno));
  return detail::names_in(path);
}

/// The whole contents of a file. Throws FileError when it is missing (the message lists what the folder has), unreadable or above the limit.
[[gnu::cold]] inline Bytes read_file(const std::string& path, const ReadLimits& limits = {}) {
  detail::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.number() < 0) {
    const int reason = errno;
    throw FileError(concat(path, ": cannot be opened: ", detail::system_error(reason), reason == ENOENT ? detail::what_exists(path) : ""));
  }
  struct ::stat s;
  require<FileError>(::fstat(file.number(), &s) == 0, path, ": cannot be examined: ", detail::system_error(errno));
  require<FileError>(!S_ISDIR(s.st_mode), path, ": is a folder, not a file");
  const auto within = [&](std::size_t size) {
    require<FileError>(size <= limits.max_bytes, path, ": at least ", size, " bytes; the limit is ", limits.max_bytes);
  };
  std::size_t expected = S_ISREG(s.st_mode) ? static_cast<std::size_t>(s.st_size) : 0;  // pipes have no size
  within(expected);
  Bytes out;
  std::size_t filled = 0;
  for (;;) {
    if (filled == out.size()) out.resize(filled == 0 && expected > 0 ? expected + 1 : filled + std::max<std::size_t>(filled, 1 << 16));
    const ::ssize_t got = ::read(file.number(), out.data() + filled, std::min<std::size_t>(out.size() - filled, 1 << 30));
    if (got < 0 && errno == EINTR) continue;
    require<FileError>(got >= 0, path, ": at byte ", filled, ": cannot be read: ", detail::system_error(errno));
    if (got == 0) break;
    filled += static_cast<std::size_t>(got);
    within(filled);
  }
  out.resize(filled);
  return out;
}

/// Writes a file so that an interruption loses nothing: into a temporary file beside it, then fsync and rename. Until commit() the old file stays
/// whole; without commit() the temporary file is removed. A symbolic link is followed. Throws FileError when anything fails.
class AtomicFile {
 public:
  [[gnu::cold]] explicit AtomicFile(const std::string& path) : path_(path), target_(resolved(path)) {
    struct ::stat s;
    const bool exists = ::stat(target_.c_str(), &s) == 0;
    require<FileError>(!exists || S_ISREG(s.st_mode), path_, ": cannot be written: it is not a regular file");
    static std::atomic<unsigned> counter{0};
    do {
      temporary_ = concat(target_, ".", ::getpid(), ".", counter.fetch_add(1), ".tmp");
      file_ = detail::Descriptor(::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666));
    } while (file_.number() < 0 && errno == EEXIST);
    if (file_.number() < 0) {
      const int reason = errno;
      throw FileError(concat(path_, ": cannot be written: ", detail::system_error(reason), reason == ENOENT ? detail::what_exists(path_) : ""));
    }
    if (exists && ::fchmod(file_.number(), s.st_mode & 07777) != 0) fail();
  }
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  [[gnu::cold]] ~AtomicFile() { discard(); }

  [[gnu::cold]] void write(const void* data, std::size_t size) {
    const auto* p = static_cast<const std::uint8_t*>(data);
    while (size > 0) {
      const ::ssize_t put = ::write(file_.number(), p, std::min<std::size_t>(size, 1 << 30));
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) fail();
      p += put;
      size -= static_cast<std::size_t>(put);
    }
  }
  void write(ByteSpan bytes) { write(bytes.data(), bytes.size()); }

  /// Puts the new file in the place of the old one.
  [[gnu::cold]] void commit() {
    if (::fsync(file_.number()) != 0 || !file_.close() || ::rename(temporary_.c_str(), target_.c_str()) != 0) fail();
    temporary_.clear();
    const detail::Descriptor folder(::open(folder_of(target_).c_str(), O_RDONLY | O_CLOEXEC));
    if (folder.number() >= 0) static_cast<void>(::fsync(folder.number()));  // the name, too; not every file system can
  }

 private:
  [[gnu::cold]] static std::string resolved(const std::string& path) {
    char buffer[PATH_MAX];
    struct ::stat s;
    const bool link = ::lstat(path.c_str(), &s) == 0 && S_ISLNK(s.st_mode);
    return link && ::realpath(path.c_str(), buffer) ? std::string(buffer) : path;
  }
  [[noreturn, gnu::cold]] void fail() {
    const int reason = errno;
    discard();
    throw FileError(concat(path_, ": cannot be written: ", detail::system_error(reason)));
  }
  [[gnu::cold]] void discard() {
    if (temporary_.empty()) return;
    file_.close();
    ::unlink(temporary_.c_str());
    temporary_.clear();
  }

  std::string path_, target_, temporary_;
  detail::Descriptor file_;
};

/// Writes a whole file, see AtomicFile.
[[gnu::cold]] inline void write_file(const std::string& path, ByteSpan bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

}  // namespace ventral::inline v0

#pragma once
#include <doctest/doctest.h>
#include <stdlib.h>
#include <unistd.h>

#include <string>

#include "ventral/io/file.hpp"

namespace test {

/// A folder of this test's own, removed at the end with the files (and folders of files) in it.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const char* base = std::getenv("TMPDIR");
    path_ = ventral::join_path(base && *base ? base : "/tmp", "ventral-test-XXXXXX");
    REQUIRE(::mkdtemp(path_.data()) != nullptr);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  ~TemporaryFolder() { remove(path_); }

  const std::string& path() const { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  /// Makes a folder inside and returns its path.
  std::string folder(const std::string& name) const {
    const std::string made = path_ + "/" + name;
    REQUIRE(::mkdir(made.c_str(), 0777) == 0);
    return made;
  }

 private:
  static void remove(const std::string& path) {
    for (const auto& name : ventral::detail::names_in(path)) {
      const std::string inner = path + "/" + name;
      if (::unlink(inner.c_str()) != 0) remove(inner);
    }
    ::rmdir(path.c_str());
  }

  std::string path_;
};

inline std::string text_of(const ventral::Bytes& bytes) { return std::string(bytes.begin(), bytes.end()); }
inline ventral::Bytes bytes_of(std::string_view text) { return ventral::Bytes(text.begin(), text.end()); }

/// Parses every beginning of a valid file but the whole: each must be a FileError.
template <class Parse>
void check_truncations(const ventral::Bytes& file, Parse parse) {
  for (std::size_t n = 0; n < file.size(); ++n) {
    const ventral::Bytes cut(file.begin(), file.begin() + static_cast<std::ptrdiff_t>(n));  // a copy, so that sanitizers see a step too far
    INFO("cut to " << n << " bytes");
    CHECK_THROWS_AS(parse(cut), ventral::FileError);
  }
}

/// Parses the file with each byte changed in three ways: each must be a FileError or a valid result.
template <class Parse>
void check_flips(const ventral::Bytes& file, Parse parse) {
  for (std::size_t i = 0; i < file.size(); ++i)
    for (const int change : {1, 0x80, 0xFF}) {
      ventral::Bytes changed = file;
      changed[i] = static_cast<std::uint8_t>(changed[i] ^ change);
      INFO("byte " << i << " xor " << change);
      try {
        parse(changed);
      } catch (const ventral::FileError&) {
      } catch (const std::exception& e) {
        FAIL("another exception: " << e.what());
      }
    }
}

}  // namespace test

#pragma once
#include <cstdlib>

#include "ventral/io/file.hpp"

namespace ventral::inline v0 {

/// Where data were found, for a program to say: `data: /home/ann/mnist (from VENTRAL_DATA)`.
struct DataFolder {
  std::string path;    ///< empty when nothing was found
  std::string origin;  ///< `--data`, `VENTRAL_DATA` or `the default`
  std::string tried;   ///< one place a line, with why it was passed over

  explicit operator bool() const { return !path.empty(); }
};

inline std::string to_string(const DataFolder& found) {
  return found ? concat(found.path, " (from ", found.origin, ")") : concat("not found; tried\n", found.tried);
}

/// Looks for a folder that `accept`s: in `given` (the value of a --data option) if that is not empty, else in the environment variable VENTRAL_DATA, then in
/// `data`; in each under `name`, if there is one, then directly. A `given` place is not passed over: Error when it has no such data.
template <class Accept>
DataFolder find_data(const std::string& given, const std::string& name, Accept accept) {
  DataFolder found;
  const auto look = [&](const std::string& base, const char* origin) {
    for (const std::string& path : {name.empty() ? std::string() : join_path(base, name), base}) {
      if (path.empty() || found) continue;
      if (!is_folder(path)) {
        found.tried += concat("  ", path, " (", origin, "): no such folder\n");
      } else if (!accept(path)) {
        found.tried += concat("  ", path, " (", origin, "): not there", detail::what_exists(join_path(path, "?")), "\n");
      } else {
        found.path = path;
        found.origin = origin;
      }
    }
  };
  if (!given.empty()) {
    look(given, "--data");
    require<FileError>(static_cast<bool>(found), "no ", name.empty() ? "data" : name, " in ", given, "; tried\n", found.tried);
    return found;
  }
  const char* variable = std::getenv("VENTRAL_DATA");
  if (variable && *variable) look(variable, "VENTRAL_DATA");
  else found.tried += "  VENTRAL_DATA is not set\n";
  if (!found) look("data", "the default");
  return found;
}

/// The folder with the data sets themselves: `given`, VENTRAL_DATA or `data`.
inline DataFolder find_data(const std::string& given = "") {
  return find_data(given, "", [](const std::string&) { return true; });
}

/// The folder with MNIST's training files, named `mnist` in one of those places or that place itself; read it by read_mnist(path) of data/mnist.hpp.
inline DataFolder find_mnist(const std::string& given = "") {
  return find_data(given, "mnist", [](const std::string& folder) {
    for (const char* name : {"train-images-idx3-ubyte", "train-images-idx3-ubyte.gz", "train-images.idx3-ubyte", "train-images.idx3-ubyte.gz"})
      if (is_file(join_path(folder, name))) return true;
    return false;
  });
}

}  // namespace ventral::inline v0

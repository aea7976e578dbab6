#pragma once
#include <cstdint>
#include <memory>
#include <string>

/// Command-line options of the examples. The parser behind it is CLI11, seen by options.cpp alone because it takes seconds to compile.
///
///     int epochs = 10;
///     Options options("03_lenet", "Trains LeNet-5.");
///     options.add("epochs", epochs, "passes over the training images");
///     options.parse(argc, argv);   // --help prints all options with their defaults and ends the program
class Options {
 public:
  Options(const char* program, const char* description);
  ~Options();
  Options(const Options&) = delete;
  Options& operator=(const Options&) = delete;

  /// Adds --name VALUE; `value` holds the default and receives what was given.
  Options& add(const char* name, int& value, const char* help);
  Options& add(const char* name, std::uint64_t& value, const char* help);
  Options& add(const char* name, double& value, const char* help);
  Options& add(const char* name, std::string& value, const char* help);
  /// Adds the switch --name.
  Options& add(const char* name, bool& value, const char* help);

  /// Reads the command line. Ends the program with status 0 after --help and with 2 after a mistake, which it names.
  void parse(int argc, char** argv);

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
};

/// Runs the example, prints an exception as one line `program: what` on the error stream, and returns the exit status.
int run_example(const char* program, int (*example)(int, char**), int argc, char** argv);

/// Makes a folder, and those above it, unless it is there. Throws when it cannot be made.
void make_folder(const std::string& path);

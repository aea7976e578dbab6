#include "options.hpp"

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

struct Options::Parser {
  CLI::App app;
};

static std::string long_name(const char* name) { return std::string("--") + name; }

Options::Options(const char* program, const char* description) : parser_(new Parser{CLI::App(description, program)}) {
  parser_->app.option_defaults()->always_capture_default();
}
Options::~Options() = default;

Options& Options::add(const char* name, int& value, const char* help) { return parser_->app.add_option(long_name(name), value, help), *this; }
Options& Options::add(const char* name, std::uint64_t& value, const char* help) { return parser_->app.add_option(long_name(name), value, help), *this; }
Options& Options::add(const char* name, double& value, const char* help) { return parser_->app.add_option(long_name(name), value, help), *this; }
Options& Options::add(const char* name, std::string& value, const char* help) { return parser_->app.add_option(long_name(name), value, help), *this; }
Options& Options::add(const char* name, bool& value, const char* help) { return parser_->app.add_flag(long_name(name), value, help), *this; }

void Options::parse(int argc, char** argv) {
  try {
    parser_->app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    std::exit(parser_->app.exit(e) == 0 ? 0 : 2);
  }
}

int run_example(const char* program, int (*example)(int, char**), int argc, char** argv) {
  try {
    return example(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s: %s\n", program, e.what());
    return 1;
  }
}

void make_folder(const std::string& path) { std::filesystem::create_directories(path); }

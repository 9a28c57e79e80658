#include "apps/bench/output.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "apps/bench/prompts.h"
#include "apps/common/output.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

namespace fs = std::filesystem;

// The exit code of plot.py without matplotlib.
constexpr int kNoMatplotlib = 3;
// What posix_spawnp may report for a program that is not there.
constexpr int kNoProgram = 127;

void write_file(const fs::path& path, const std::string& text) {
  Output file = Output::file(path.string());
  file.write(text);
  file.close();
}

// Debian's python3, which has Debian's matplotlib, stands behind others on some paths.
constexpr std::array<const char*, 2> kPythons = {"python3", "/usr/bin/python3"};

// The exit code; -1 if it could not be started.
int run_python(std::string python, const std::string& script, const std::string& folder) {
  std::string script_text = script;
  std::string folder_text = folder;
  std::array<char*, 4> arguments = {python.data(), script_text.data(), folder_text.data(), nullptr};
  pid_t child = 0;
  if (::posix_spawnp(&child, arguments[0], nullptr, nullptr, arguments.data(), environ) != 0) {
    return -1;
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

void draw_plots(const std::string& folder) {
  const std::string script = shared_file("plot.py");
  if (script.empty()) {
    say("no plots: share/gumbelspec/plot.py is missing; install it there");
    return;
  }
  int code = -1;
  for (const char* python : kPythons) {
    code = run_python(python, script, folder);
    if (code == 0) return;
    if (code != -1 && code != kNoMatplotlib && code != kNoProgram) break;
  }
  if (code == -1 || code == kNoMatplotlib || code == kNoProgram) {
    say("no plots: they need python3 with matplotlib (apt-get install python3-matplotlib), then "
        "python3 " +
        in_quotes(script) + " " + in_quotes(folder));
  } else {
    say("no plots: plot.py failed with exit code " + std::to_string(code));
  }
}

}  // namespace

void prepare_folder(const std::string& folder) {
  std::error_code failure;
  fs::create_directories(folder, failure);
  if (failure) {
    throw OutputError("folder " + in_quotes(folder) + " cannot be made: " + failure.message() +
                          "; check the path and its permissions",
                      /*is_broken_pipe=*/false);
  }
  if (::access(folder.c_str(), W_OK | X_OK) != 0) {
    throw OutputError("folder " + in_quotes(folder) +
                          " cannot be written: " + std::generic_category().message(errno) +
                          "; check the path and its permissions",
                      /*is_broken_pipe=*/false);
  }
}

void write_folder(const std::string& folder, const BenchReport& report) {
  const fs::path path = folder;
  write_file(path / "results.json", bench_text(report, BenchFormat::json));
  write_file(path / "results.md", bench_text(report, BenchFormat::md));
  if (!report.rows.empty()) draw_plots(folder);
}

}  // namespace gumbelspec::apps::bench

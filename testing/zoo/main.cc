// gumbelspec-zoo: small models of every architecture that llama.cpp knows, written, run and
// compared.
//
//   gumbelspec-zoo                         all of them
//   gumbelspec-zoo llama gemma2:soft-caps  some; --list prints the names
//   gumbelspec-zoo --page zoo.md           and a page of the results
//   gumbelspec-zoo --keep FOLDER           the files stay there, for other programs
//
// Exit code: 0: no fault; 1: faults; 2: wrong use.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "testing/zoo/children.h"
#include "testing/zoo/model_check.h"
#include "testing/zoo/plain_llama.h"
#include "testing/zoo/report.h"
#include "testing/zoo/zoo_model.h"
#ifdef GUMBELSPEC_WITH_KERNELS
#include "gumbelspec/kernels.h"
#endif

namespace gumbelspec::zoo {
namespace {

struct Options {
  std::vector<std::string> names;
  std::string page;
  std::string folder;  // empty: a temporary one
  std::size_t n_at_once = std::max(1U, std::thread::hardware_concurrency());
  std::uint64_t seed = 1;
  bool uses_kernels = true;
  bool is_list = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    const auto value = [&]() -> std::string {
      if (++i == argc) throw std::runtime_error(name + " needs a value");
      return argv[i];
    };
    if (name == "--list") {
      options.is_list = true;
    } else if (name == "--no-kernels") {
      options.uses_kernels = false;
    } else if (name == "--page") {
      options.page = value();
    } else if (name == "--keep") {
      options.folder = value();
    } else if (name == "--jobs") {
      options.n_at_once = std::max(1UL, std::stoul(value()));
    } else if (name == "--seed") {
      options.seed = std::stoull(value());
    } else if (name.rfind("--", 0) == 0) {
      throw std::runtime_error("option " + name +
                               " is unknown; there are --list, --page FILE, --keep FOLDER, "
                               "--jobs N, --seed S, --no-kernels");
    } else {
      options.names.push_back(name);
    }
  }
  return options;
}

std::vector<ZooModel> chosen_models(const Options& options) {
  std::vector<ZooModel> all = all_models();
  if (options.names.empty()) return all;
  std::vector<ZooModel> chosen;
  for (const std::string& name : options.names) {
    const auto found =
        std::find_if(all.begin(), all.end(), [&](const ZooModel& m) { return m.name == name; });
    if (found == all.end()) throw std::runtime_error("model " + name + " is unknown; see --list");
    chosen.push_back(*found);
  }
  return chosen;
}

// A folder that is removed with it, unless somebody wants it.
class Folder {
 public:
  explicit Folder(const std::string& kept) : path_(kept), is_kept_(!kept.empty()) {
    if (is_kept_) {
      std::filesystem::create_directories(path_);
      return;
    }
    std::string name = std::filesystem::temp_directory_path() / "gumbelspec-zoo-XXXXXX";
    if (mkdtemp(name.data()) == nullptr) throw std::runtime_error("cannot make a folder " + name);
    path_ = name;
  }
  ~Folder() {
    std::error_code ignored;
    if (!is_kept_) std::filesystem::remove_all(path_, ignored);
  }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] bool is_kept() const { return is_kept_; }

 private:
  std::string path_;
  bool is_kept_;
};

std::string last_line(const std::string& text) {
  const std::size_t end = text.find_last_not_of('\n');
  if (end == std::string::npos) return {};
  const std::size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1, end - (begin + 1) + 1);
}

// The child sends lines: "stage ...", and in the end its report.
ModelReport report_of(const ZooModel& model, const ChildEnd& end) {
  const std::string last = last_line(end.output);
  if (end.signal == 0 && end.exit_code == 0 && !last.empty() && last[0] == '{') {
    return report_of_json(last);
  }
  ModelReport report;
  report.name = model.name;
  const std::string where = last.empty() ? "before anything" : "while " + last;
  const std::string cause = last_line(end.errors);
  const std::string how = end.signal == SIGXCPU ? "takes too long"
                          : end.signal != 0     ? "ends by signal " + std::to_string(end.signal)
                                                : "fails";
  report.faults.push_back("it " + how + " " + where + (cause.empty() ? "" : ": " + cause));
  return report;
}

std::string processor() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("model name", 0) == 0) return line.substr(line.find(':') + 2);
  }
  return "an unknown processor";
}

std::string kernels_in_use(bool is_wanted) {
#ifdef GUMBELSPEC_WITH_KERNELS
  if (is_wanted && kernels::register_device() == kernels::Registration::registered) {
    std::string isa = kernels::info().isa;
    kernels::unregister_device();
    return isa;
  }
#endif
  (void)is_wanted;
  return "none";
}

class Zoo {
 public:
  explicit Zoo(const Options& options)
      : options_(options),
        models_(chosen_models(options)),
        folder_(options.folder),
        reports_(models_.size()) {}

  int run() {
    const auto begin = std::chrono::steady_clock::now();
    ChildJobs jobs;
    jobs.n_jobs = models_.size();
    jobs.n_at_once = options_.n_at_once;
    jobs.run = [this](std::size_t job, const auto& send) { check(job, send); };
    jobs.on_end = [this](std::size_t job, const ChildEnd& end) {
      reports_[job] = report_of(models_[job], end);
      std::fputs(lines_of(*reports_[job]).c_str(), stdout);
      std::fflush(stdout);
    };
    run_children(jobs);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    return conclude(seconds.count());
  }

 private:
  void check(std::size_t job, const std::function<void(const std::string&)>& send) {
    keep_llama_errors();
    // Each in a folder of its own, which goes with the job.
    const std::string folder =
        folder_.path() + (folder_.is_kept() ? "" : "/" + std::to_string(job));
    std::filesystem::create_directories(folder);
    CheckOptions check;
    check.folder = folder;
    check.seed = options_.seed;
    check.uses_kernels = options_.uses_kernels;
    check.on_stage = [&send](const std::string& stage) { send(stage + "\n"); };
    send(to_json(check_model(models_[job], check)) + "\n");
    if (!folder_.is_kept()) std::filesystem::remove_all(folder);
  }

  int conclude(double seconds) const {
    std::vector<ModelReport> reports;
    std::size_t n_faulty = 0;
    for (const auto& report : reports_) {
      reports.push_back(report.value());
      if (!report->faults.empty()) ++n_faulty;
    }
    if (!options_.page.empty()) {
      const PageFacts facts{processor(), kernels_in_use(options_.uses_kernels),
                            "llama.cpp " GUMBELSPEC_LLAMA_VERSION, seconds, options_.n_at_once};
      std::ofstream(options_.page) << page_of(reports, facts);
    }
    std::printf("%zu models in %.0f s, %zu with a fault\n", reports.size(), seconds, n_faulty);
    return n_faulty == 0 ? 0 : 1;
  }

  const Options& options_;
  std::vector<ZooModel> models_;
  Folder folder_;
  std::vector<std::optional<ModelReport>> reports_;
};

}  // namespace
}  // namespace gumbelspec::zoo

int main(int argc, char** argv) {
  using namespace gumbelspec::zoo;  // NOLINT(google-build-using-namespace)
  // An abort's own words are enough; a debugger's trace takes seconds.
  setenv("GGML_NO_BACKTRACE", "1", 0);
  try {
    const Options options = parse(argc, argv);
    if (!options.is_list) return Zoo(options).run();
    for (const ZooModel& model : all_models()) std::puts(model.name.c_str());
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gumbelspec-zoo: %s\n", error.what());
    return 2;
  }
}

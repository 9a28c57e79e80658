#include "apps/bench/machine.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <thread>

#include "gumbelspec/noise.h"
#include "src/pair/kernels.h"

namespace gumbelspec::apps::bench {
namespace {

namespace fs = std::filesystem;

// The marks of gumbelspec-scale in a model file.
constexpr const char* kScaledFromKey = "gumbelspec.scaled_from";
constexpr const char* kPaddedFromKey = "gumbelspec.padded_from";

std::string content_of(const char* path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

std::string operating_system() {
  const std::string release = content_of("/etc/os-release");
  const std::string key = "PRETTY_NAME=\"";
  std::string name;
  if (const std::size_t at = release.find(key); at != std::string::npos) {
    const std::size_t begin = at + key.size();
    name = release.substr(begin, release.find('"', begin) - begin);
  }
  utsname system{};
  if (::uname(&system) != 0) return name;
  // The version without what a distributor or a host adds to it: "6.1.0-13-amd64" is 6.1.
  std::string version = system.release;
  const std::size_t minor = version.find('.');
  if (minor != std::string::npos) {
    version.resize(std::min(version.size(), version.find_first_not_of("0123456789", minor + 1)));
  }
  const std::string kernel = std::string(system.sysname) + " " + version;
  return name.empty() ? kernel : name + ", " + kernel;
}

Json memory_gib() {
  const auto pages = ::sysconf(_SC_PHYS_PAGES);
  const auto page = ::sysconf(_SC_PAGE_SIZE);
  if (pages <= 0 || page <= 0) return {};
  const double gib = static_cast<double>(pages) * static_cast<double>(page) / (1U << 30U);
  return std::round(gib * 10.0) / 10.0;
}

Json load_average() {
  double load = 0.0;
  return ::getloadavg(&load, 1) == 1 ? Json(std::round(load * 100.0) / 100.0) : Json();
}

std::string date_utc() {
  const std::time_t now = std::time(nullptr);
  std::tm time{};
  ::gmtime_r(&now, &time);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &time)};
}

Json model_json(const std::string& path, const LlamaModel& model) {
  std::error_code failure;
  const auto size = fs::file_size(path, failure);
  return {{"file", fs::path(path).filename().string()},
          {"description", model.description()},
          {"size_bytes", failure ? Json() : Json(size)},
          {"n_vocab", model.limits().n_vocab},
          {"scaled_from", or_null(model.metadata(kScaledFromKey))},
          {"padded_from", or_null(model.metadata(kPaddedFromKey))}};
}

}  // namespace

std::string cpuinfo_value(std::string_view cpuinfo, std::string_view key) {
  for (std::size_t begin = 0; begin < cpuinfo.size();) {
    const std::size_t end = std::min(cpuinfo.find('\n', begin), cpuinfo.size());
    const std::string_view line = cpuinfo.substr(begin, end - begin);
    begin = end + 1;
    const std::size_t colon = line.find(':');
    if (line.substr(0, key.size()) != key || colon == std::string_view::npos) continue;
    if (line.substr(key.size(), colon - key.size()).find_first_not_of(" \t") !=
        std::string_view::npos) {
      continue;
    }
    const std::size_t value = line.find_first_not_of(" \t", colon + 1);
    return value == std::string_view::npos ? std::string() : std::string(line.substr(value));
  }
  return {};
}

Json machine_json(bool uses_kernels) {
  const std::string cpuinfo = content_of("/proc/cpuinfo");
  const std::string cores = cpuinfo_value(cpuinfo, "cpu cores");
  return {{"cpu", or_null(cpuinfo_value(cpuinfo, "model name"))},
          {"cores", cores.empty() ? Json() : Json(std::atoi(cores.c_str()))},
          {"hardware_threads", std::thread::hardware_concurrency()},
          {"memory_gib", memory_gib()},
          {"os", or_null(operating_system())},
          {"load_average", load_average()},
          {"kernels", uses_kernels ? kernels_description() : "off (--no-kernels)"},
          {"date", date_utc()}};
}

Json versions_json() {
  const std::string backend = LlamaModel::backend_description();
  return {{"gumbelspec", GUMBELSPEC_VERSION},
          {"llama_cpp", backend.substr(0, backend.find(':'))},
          {"noise_version", kNoiseVersion}};
}

Json models_json(const ModelOptions& options, const Models& models) {
  const Json target = model_json(options.target, *models.target);
  const Json draft = models.draft == nullptr ? Json() : model_json(options.draft, *models.draft);
  const bool is_scaled =
      !target["scaled_from"].is_null() || (draft.is_object() && !draft["scaled_from"].is_null());
  return {{"target", target}, {"draft", draft}, {"is_scaled_pair", is_scaled}};
}

}  // namespace gumbelspec::apps::bench

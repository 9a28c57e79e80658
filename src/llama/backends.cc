#include "src/llama/backends.h"

#include <dlfcn.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "ggml-backend.h"
#include "gumbelspec/error.h"
#include "llama.h"
#include "llama_libraries.h"  // made by cmake/GumbelspecLlama.cmake
#include "src/llama/loaded_library.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kCpuPrefix = "libggml-cpu-";
constexpr std::string_view kSuffix = ".so";
constexpr const char* kChoice = "GUMBELSPEC_CPU_VARIANT";

struct Variant {
  std::string name;
  fs::path file;
  int score = 0;  // ggml's; 0: not on this processor
};

struct CloseLibrary {
  void operator()(void* handle) const { dlclose(handle); }
};
using LibraryHandle = std::unique_ptr<void, CloseLibrary>;

[[noreturn]] void fail(const std::string& what) {
  throw Error(ErrorCode::file_not_found, what + "; install or build gumbelspec again");
}

// Of another build, ggml's numbers for operations may mean something else: no error, but nonsense.
void check_build(const LibraryBuild& expected) {
  const auto loaded = find_loaded_library(expected.name);
  if (!loaded || loaded->build_id == expected.build_id || expected.build_id.empty()) return;
  const bool is_led_astray = std::getenv("LD_LIBRARY_PATH") != nullptr;
  fail(printable(loaded->path) + " is not of the llama.cpp " + llama_version() +
       " that this program was built with" +
       (is_led_astray ? "; unset LD_LIBRARY_PATH" : std::string()));
}

// Where llama.cpp's libraries are.
fs::path library_folder() {
  const auto base = find_loaded_library("libggml-base.so");
  if (!base) fail("libggml-base.so is not loaded");
  std::error_code failure;
  const fs::path path = fs::canonical(base->path, failure);
  if (failure) fail(printable(base->path) + " cannot be found any more");
  return path.parent_path();
}

LibraryHandle open(const fs::path& file) {
  std::error_code failure;
  if (!fs::exists(file, failure)) fail(printable(file.string()) + " is missing");
  LibraryHandle handle(dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL));
  if (handle == nullptr) {
    const char* reason = dlerror();
    fail("cannot load " + printable(reason == nullptr ? file.string() : std::string(reason)));
  }
  return handle;
}

Variant variant_of(const LibraryBuild& module, const fs::path& folder) {
  const std::string_view name = module.name.substr(
      kCpuPrefix.size(), module.name.size() - kCpuPrefix.size() - kSuffix.size());
  Variant variant{std::string(name), folder / module.name, 0};
  const LibraryHandle handle = open(variant.file);
  check_build(module);
  const auto score = reinterpret_cast<int (*)()>(dlsym(handle.get(), "ggml_backend_score"));
  if (score == nullptr) fail(printable(variant.file.string()) + " is not a backend of ggml");
  if (has_registers_for(name)) variant.score = score();
  return variant;
}

std::string processor_name() {
  std::ifstream info("/proc/cpuinfo");
  std::string line;
  while (std::getline(info, line)) {
    const std::size_t colon = line.find(": ");
    if (line.rfind("model name", 0) == 0 && colon != std::string::npos) {
      return line.substr(colon + 2);
    }
  }
  return "of unknown name";
}

std::string names_of(const std::vector<Variant>& variants, bool (*is_named)(const Variant&)) {
  std::string names;
  for (const Variant& v : variants) {
    if (is_named(v)) names += (names.empty() ? "" : ", ") + v.name;
  }
  return names;
}

bool runs_here(const Variant& variant) { return variant.score > 0; }

const Variant& choose(const std::vector<Variant>& variants) {
  const char* wanted = std::getenv(kChoice);
  if (wanted != nullptr && *wanted != '\0') {
    const auto found = std::find_if(variants.begin(), variants.end(),
                                    [&](const Variant& v) { return v.name == wanted; });
    const std::string told = std::string(kChoice) + " is " + printable(wanted) + ", which ";
    const std::string remedy = "; give one of " + names_of(variants, runs_here) + ", or unset it";
    if (found == variants.end()) {
      throw Error(ErrorCode::invalid_option, told + "is not in this build" + remedy);
    }
    if (!runs_here(*found)) {
      throw Error(ErrorCode::invalid_option,
                  told + "does not run on this processor (" + processor_name() + ")" + remedy);
    }
    return *found;
  }
  const auto best =
      std::max_element(variants.begin(), variants.end(),
                       [](const Variant& a, const Variant& b) { return a.score < b.score; });
  if (best == variants.end() || !runs_here(*best)) {
    fail("no CPU code of this build (" + names_of(variants, [](const Variant&) { return true; }) +
         ") runs on this processor (" + processor_name() + ")");
  }
  return *best;
}

// Backends of devices that may not be there, such as GPUs, may fail to load: ggml says why in its
// messages, and the devices are not among those found.
void load_device_module(const LibraryBuild& module, const fs::path& folder) {
  const fs::path file = folder / module.name;
  std::error_code failure;
  if (!fs::exists(file, failure)) fail(printable(file.string()) + " is missing");
  if (ggml_backend_load(file.c_str()) != nullptr) check_build(module);
}

std::string load_modules() {
  for (const LibraryBuild& library : kLlamaLibraries) check_build(library);
  if (kBackendModules.empty()) {
    const char* wanted = std::getenv(kChoice);
    if (wanted != nullptr && *wanted != '\0') {
      throw Error(ErrorCode::invalid_option,
                  std::string(kChoice) + " is " + printable(wanted) +
                      ", but this build has code for the processor that built it alone; unset it, "
                      "or use the portable build");
    }
    return {};
  }
  const fs::path folder = library_folder();
  std::vector<Variant> variants;
  for (const LibraryBuild& module : kBackendModules) {
    if (module.name.substr(0, kCpuPrefix.size()) == kCpuPrefix) {
      variants.push_back(variant_of(module, folder));
    }
  }
  const Variant& chosen = choose(variants);
  for (const LibraryBuild& module : kBackendModules) {
    if (module.name.substr(0, kCpuPrefix.size()) != kCpuPrefix) load_device_module(module, folder);
  }
  if (ggml_backend_load(chosen.file.c_str()) == nullptr) {
    fail(printable(chosen.file.string()) + " is not a backend of this ggml");
  }
  return chosen.name;
}

const std::string& prepared() {
  static std::once_flag once;
  static std::string variant;
  std::call_once(once, [] {
    variant = load_modules();
    // Not before: as long as there are no backends, it loads what lies in the current folder.
    llama_backend_init();
  });
  return variant;
}

}  // namespace

void prepare_backends() { prepared(); }

std::string cpu_variant() { return prepared(); }

bool has_registers_for(std::string_view variant) {
#if defined(__x86_64__)
  constexpr std::array<std::string_view, 2> kNarrow = {"x64", "sse42"};
  constexpr std::array<std::string_view, 5> kAvx = {"sandybridge", "ivybridge", "piledriver",
                                                    "haswell", "alderlake"};
  const auto is_in = [variant](const auto& names) {
    return std::find(names.begin(), names.end(), variant) != names.end();
  };
  // The compiler's check asks the operating system, ggml's does not.
  if (is_in(kNarrow)) return true;
  if (is_in(kAvx)) return static_cast<bool>(__builtin_cpu_supports("avx"));
  return static_cast<bool>(__builtin_cpu_supports("avx512f"));
#else
  (void)variant;
  return true;
#endif
}

}  // namespace gumbelspec::internal

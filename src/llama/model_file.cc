#include "src/llama/model_file.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdint>
#include <exception>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

#include "gguf.h"
#include "gumbelspec/error.h"
#include "src/llama/abort_guard.h"
#include "src/llama/backends.h"
#include "src/llama/header_checks.h"
#include "src/llama/load_details.h"
#include "src/llama/mtp_layers.h"
#include "src/llama/utf8.h"
#include "src/llama/weight_layout.h"

namespace gumbelspec::internal {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void fail(ErrorCode code, const std::string& path, const std::string& what) {
  throw Error(code, "model file " + printable(path) + " " + what, "path");
}

constexpr const char* kGetGguf =
    "give a .gguf file (llama.cpp's convert_hf_to_gguf.py makes one from a Hugging Face model)";

void check_is_readable_file(const std::string& path) {
  std::error_code failure;
  const fs::file_status status = fs::status(path, failure);
  if (status.type() == fs::file_type::not_found) {
    fail(ErrorCode::file_not_found, path, "does not exist; check the path");
  }
  if (failure) fail(ErrorCode::file_not_found, path, "cannot be read: " + failure.message());
  if (fs::is_directory(status)) {
    fail(ErrorCode::file_not_found, path, "is a directory; give a .gguf file in it");
  }
  if (!fs::is_regular_file(status)) {
    fail(ErrorCode::file_not_found, path, "is not a regular file; give a .gguf file");
  }
}

// Small numbers look large in the wrong order of bytes.
void check_version(const std::string& path, std::uint32_t version) {
  if (version != 0 && (version & 0xFFFFU) == 0) {
    fail(ErrorCode::invalid_model, path,
         "has the other order of bytes (endianness) than this machine; convert it with gguf-py's "
         "gguf_convert_endian.py");
  }
  if (version == 1) {
    fail(ErrorCode::invalid_model, path,
         "is of GGUF version 1, but llama.cpp reads 2 and 3; convert the original model again");
  }
  if (version > GGUF_VERSION) {
    fail(ErrorCode::invalid_model, path,
         "is of GGUF version " + std::to_string(version) + ", but llama.cpp " + llama_version() +
             " reads 2 to " + std::to_string(GGUF_VERSION) + "; build with a newer llama.cpp");
  }
}

void check_is_gguf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(ErrorCode::file_not_found, path, "cannot be opened; check its permissions");
  std::array<char, 4> magic{};
  file.read(magic.data(), magic.size());
  const std::string_view start(magic.data(), static_cast<std::size_t>(file.gcount()));
  if (start.empty()) {
    fail(ErrorCode::invalid_model, path, "is empty; download or convert it again");
  }
  if (start != "GGUF") {
    fail(ErrorCode::invalid_model, path,
         "is not a GGUF file: it begins with " + printable(start) + "; " + kGetGguf);
  }
  std::uint32_t version = GGUF_VERSION;
  file.read(reinterpret_cast<char*>(&version), sizeof version);
  if (file) check_version(path, version);
}

// What llama.cpp says may hold texts of the file.
std::string on_one_line(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 0x20 || c == 0x7F; }, ' ');
  constexpr std::size_t kMost = 400;
  if (text.size() > kMost) text.resize(kMost);
  return text;
}

using GgufPtr = std::unique_ptr<gguf_context, decltype(&gguf_free)>;

struct Header {
  GgufPtr gguf{nullptr, &gguf_free};
  std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors{nullptr, &ggml_free};  // no data
};

Header read_header(const std::string& path, const LogSink& log) {
  const LogCapture capture(log);
  Header header;
  ggml_context* tensors = nullptr;
  const gguf_init_params params{/*no_alloc=*/true, /*ctx=*/&tensors};
  header.gguf.reset(gguf_init_from_file(path.c_str(), params));
  header.tensors.reset(tensors);
  if (header.gguf == nullptr) {
    const std::string cause = on_one_line(capture.last_error());
    fail(ErrorCode::invalid_model, path,
         "is damaged or incomplete" + (cause.empty() ? "" : " (" + cause + ")") +
             "; download or convert it again");
  }
  return header;
}

// Empty if it is not there.
std::string architecture_of(const gguf_context* gguf) {
  const std::int64_t name = gguf == nullptr ? -1 : gguf_find_key(gguf, "general.architecture");
  if (name < 0 || gguf_get_kv_type(gguf, name) != GGUF_TYPE_STRING) return {};
  return gguf_get_val_str(gguf, name);
}

// Nothing where the file cannot be read: whoever loads it says what is wrong.
Header readable_header(const std::string& path) {
  try {
    check_is_readable_file(path);
    check_is_gguf(path);
    LogCapture::install();
    return read_header(path, {});
  } catch (const Error&) {
    return {};
  }
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

// ggml wants mapped weights where its own memory would begin.
bool can_map(const gguf_context* gguf) {
  return gguf_get_alignment(gguf) %
             ggml_backend_buft_get_alignment(ggml_backend_cpu_buffer_type()) ==
         0;
}

[[noreturn]] void fail_to_load(const std::string& path, const std::string& said) {
  const std::string cause = on_one_line(said);
  if (contains(cause, "allocate") || contains(cause, "out of memory")) {
    fail(ErrorCode::out_of_memory, path,
         "does not fit into memory (" + cause + "); use a smaller model or quantization");
  }
  if (contains(cause, "unknown model architecture")) {
    fail(ErrorCode::invalid_model, path,
         "has an " + cause + " that llama.cpp " + llama_version() +
             " does not run; use another model or build with a newer llama.cpp");
  }
  if (contains(cause, "file bounds")) {
    fail(ErrorCode::invalid_model, path,
         "is truncated (" + cause + "); download or convert it again");
  }
  fail(ErrorCode::invalid_model, path,
       "cannot be loaded by llama.cpp" + (cause.empty() ? "" : ": " + cause) +
           "; check it with llama.cpp's own tools or convert it again");
}

// on_progress may throw; an exception must not cross llama.cpp.
struct Progress {
  const std::function<bool(float)>& on_progress;
  bool is_cancelled = false;
  std::exception_ptr failure;
};

bool report_progress(float value, void* data) {
  auto& progress = *static_cast<Progress*>(data);
  try {
    if (!progress.on_progress || progress.on_progress(value)) return true;
    progress.is_cancelled = true;
  } catch (...) {
    progress.failure = std::current_exception();
  }
  return false;
}

// llama.cpp reads them while it loads.
struct DeviceParams {
  explicit DeviceParams(const ModelFileOptions& options) : split(options.tensor_split) {
    for (const Device& device : options.devices) handles.push_back(device.handle);
    handles.push_back(nullptr);
    if (!split.empty()) split.resize(std::max(llama_max_devices(), options.devices.size()));
  }
  void put(const ModelFileOptions& options, llama_model_params& params) {
    params.devices = handles.data();
    if (!split.empty()) params.tensor_split = split.data();
    params.main_gpu = options.main_gpu;
    switch (options.split_mode) {
      case SplitMode::none:
        params.split_mode = LLAMA_SPLIT_MODE_NONE;
        break;
      case SplitMode::layer:
        params.split_mode = LLAMA_SPLIT_MODE_LAYER;
        break;
      case SplitMode::row:
        params.split_mode = LLAMA_SPLIT_MODE_ROW;
        break;
    }
  }
  std::vector<ggml_backend_dev_t> handles;
  std::vector<float> split;
};

// In any case.
bool is_among(std::string_view type, const std::vector<std::string>& types) {
  return std::any_of(types.begin(), types.end(), [&](const std::string& t) {
    return std::equal(
        t.begin(), t.end(), type.begin(), type.end(),
        [](unsigned char a, unsigned char b) { return std::tolower(a) == std::tolower(b); });
  });
}

}  // namespace

namespace {

llama_load_mode load_mode(const ModelFileOptions& options, bool can_map) {
  const bool is_mapped = options.use_mmap && can_map;
  if (options.use_direct_io) {
    if (options.use_mmap || options.use_mlock) {
      throw Error(ErrorCode::invalid_option,
                  "use_direct_io does not go with mapping or locking; give one of them",
                  "use_direct_io");
    }
    return LLAMA_LOAD_MODE_DIRECT_IO;
  }
  if (options.use_mlock) return is_mapped ? LLAMA_LOAD_MODE_MMAP_MLOCK : LLAMA_LOAD_MODE_MLOCK;
  return is_mapped ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
}

// llama.cpp only logs that it could not lock weights, and goes on without.
class MemoryLockLog {
 public:
  explicit MemoryLockLog(const LogSink& sink)
      : sink_([this, &sink](std::string_view line) {
          has_failed_ = has_failed_ || contains(line, "failed to mlock");
          if (sink) sink(line);
        }) {}
  [[nodiscard]] const LogSink& sink() const { return sink_; }
  [[nodiscard]] bool has_failed() const { return has_failed_; }

 private:
  bool has_failed_ = false;
  LogSink sink_;
};

}  // namespace

ModelFileOptions file_options(const LlamaModelOptions& options,
                              const std::vector<Device>& devices) {
  ModelFileOptions file;
  file.path = options.path;
  file.n_gpu_layers = options.n_gpu_layers;
  file.devices = devices;
  file.split_mode = options.split_mode;
  file.tensor_split = options.tensor_split;
  file.main_gpu = options.main_gpu;
  file.use_mmap = options.use_mmap;
  file.use_mlock = options.use_mlock;
  file.use_direct_io = options.use_direct_io;
  file.numa = options.numa;
  file.overrides = options.overrides;
  file.weight_places = options.weight_places;
  if (options.accelerators) file.accelerated_types = options.order_free_types;
  file.on_progress = options.on_progress;
  return file;
}

LlamaModelPtr load_model_file(const ModelFileOptions& options, const LogSink& log) {
  check_is_readable_file(options.path);
  check_is_gguf(options.path);
  LogCapture::install();
  const Header header = read_header(options.path, log);
  check_header(options.path, header.gguf.get(), options.vocabulary_only);
  MemoryLockLog lock_log(log);
  const LogCapture capture(lock_log.sink());
  prepare_backends();
  prepare_numa(options.numa);
  WeightPlaces places(options.weight_places);
  Progress progress{options.on_progress, false, nullptr};
  llama_model_params params = llama_model_default_params();
  params.n_gpu_layers = options.n_gpu_layers;
  DeviceParams devices(options);
  devices.put(options, params);
  params.load_mode = load_mode(options, can_map(header.gguf.get()));
  const auto overrides = metadata_overrides(options.overrides);
  if (!overrides.empty()) params.kv_overrides = overrides.data();
  params.vocab_only = options.vocabulary_only;
  params.load_mtp = options.loads_mtp && !options.vocabulary_only;
  const bool is_on_cpu = options.n_gpu_layers == 0 || options.devices.empty();
  const WeightLayout layout(header.tensors.get(),
                            is_on_cpu && !is_among("IQ4_NL", options.accelerated_types));
  if (options.is_batch_invariant) {
    layout.put(params);
    turn_off_iq_panels();
  }
  places.put(params);
  params.progress_callback = report_progress;
  params.progress_callback_user_data = &progress;
  LlamaModelPtr model;
  {
    const AbortGuard guard;  // llama.cpp catches what it throws, and says so
    model.reset(llama_model_load_from_file(options.path.c_str(), params));
  }
  if (progress.failure) std::rethrow_exception(progress.failure);
  if (progress.is_cancelled) {
    fail(ErrorCode::invalid_model, options.path, "was not loaded: on_progress returned false");
  }
  if (model == nullptr) fail_to_load(options.path, capture.last_error());
  if (options.use_mlock && lock_log.has_failed()) {
    fail(ErrorCode::out_of_memory, options.path,
         "could not be locked in memory; raise the limit (ulimit -l unlimited, or systemd's "
         "LimitMEMLOCK=infinity) or leave locking out");
  }
  return model;
}

bool has_only_types(const std::string& path, const std::vector<std::string>& types,
                    const LogSink& log) {
  if (types.empty()) return false;
  const Header header = read_header(path, log);
  const gguf_context* gguf = header.gguf.get();
  if (gguf_find_key(gguf, "split.count") >= 0) return false;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
    if (!is_among(ggml_type_name(gguf_get_tensor_type(gguf, i)), types)) return false;
  }
  return true;
}

bool has_tensor(const std::string& path, const char* name, const LogSink& log) {
  return gguf_find_tensor(read_header(path, log).gguf.get(), name) >= 0;
}

std::string mtp_obstacle(const std::string& path) {
  return mtp_obstacle(readable_header(path).gguf.get());
}

bool is_eagle3_file(const std::string& path) {
  return architecture_of(readable_header(path).gguf.get()) == "eagle3";
}

std::string model_metadata(const llama_model* model, const std::string& key) {
  std::string full_key = key;
  if (const auto at = full_key.find("%s"); at != std::string::npos) {
    full_key.replace(at, 2, model_metadata(model, "general.architecture"));
  }
  std::string value(256, '\0');
  const auto read = [&] {
    return llama_model_meta_val_str(model, full_key.c_str(), value.data(), value.size());
  };
  const std::int32_t n = read();
  if (n < 0) return {};
  const auto size = static_cast<std::size_t>(n);
  if (size >= value.size()) {  // a chat template
    value.resize(size + 1);
    read();
  }
  value.resize(size);
  return value;
}

}  // namespace gumbelspec::internal

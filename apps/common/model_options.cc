#include "apps/common/model_options.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <limits>
#include <string_view>
#include <system_error>

#include "apps/common/load_options.h"
#include "apps/common/option_names.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/pair.h"
#include "gumbelspec/simd.h"
#include "src/pair/kernels.h"

namespace gumbelspec::apps {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxInt = std::numeric_limits<int>::max();

Attention parse_attention(const std::string& text) {
  if (text == "exact") return Attention::exact;
  if (text == "fast") return Attention::fast;
  throw bad_option("--attention is " + in_quotes(text) + "; give exact or fast");
}

std::vector<std::string> parts_of(const std::string& text, const char* separators) {
  std::vector<std::string> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find_first_of(separators, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

std::vector<std::string> parse_names(const std::string& option, const std::string& text) {
  std::vector<std::string> names = parts_of(text, ",");
  if (std::find(names.begin(), names.end(), "") != names.end()) {
    throw bad_option(option + " is " + in_quotes(text) + ", with an empty name; leave it out");
  }
  return names;
}

std::vector<float> parse_split(const std::string& text) {
  std::vector<float> parts;
  for (const std::string& part : parts_of(text, ",/")) {
    float value = 0.0F;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
    if (error != std::errc() || end != part.data() + part.size() || !(value >= 0.0F)) {
      throw bad_option("--tensor-split is " + in_quotes(text) +
                       "; give a number from 0 up for each device, e.g. 3,1");
    }
    parts.push_back(value);
  }
  if (*std::max_element(parts.begin(), parts.end()) <= 0.0F) {
    throw bad_option("--tensor-split is " + in_quotes(text) +
                     ", which leaves nothing to any device; give one a part above 0");
  }
  return parts;
}

SplitMode parse_split_mode(const std::string& text) {
  if (text == "none") return SplitMode::none;
  if (text == "layer") return SplitMode::layer;
  if (text == "row") return SplitMode::row;
  throw bad_option("--split-mode is " + in_quotes(text) + "; give none, layer or row");
}

// The build tree and an installation have the same layout: bin/, share/gumbelspec/models/.
std::string demo_model(std::string_view name) {
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path path =
      program.parent_path().parent_path() / "share" / "gumbelspec" / "models" / name;
  if (failure || !fs::exists(path, failure)) {
    throw Error(ErrorCode::file_not_found, "the demo model " + in_quotes(path.string()) +
                                               " is missing; install it there or give a model "
                                               "with -m");
  }
  return path.string();
}

LlamaModelOptions load_options(const ModelOptions& options, Progress& progress) {
  LlamaModelOptions load = options.more;
  load.n_context = options.n_context;
  load.n_threads = options.n_threads;
  load.use_mmap = options.use_mmap && !options.more.use_direct_io;
  load.rpc_timeout = options.rpc_timeout;
  load.attention = options.attention;
  load.is_cancelled = options.is_cancelled;
  if (options.is_verbose) {
    load.on_log = [&progress](std::string_view line) {
      progress.clear();
      say(line);
    };
  }
  return load;
}

void add_device_options(Arguments& arguments, ModelOptions& options) {
  add_integer(
      arguments, "--gpu-layers,--n-gpu-layers", -1, kMaxInt,
      [&](std::int64_t n) { options.n_gpu_layers = static_cast<int>(n); },
      "Layers of the target on GPUs and RPC servers; -1: all (default: -1)");
  add_integer(
      arguments, "--gpu-layers-draft,--n-gpu-layers-draft", -1, kMaxInt,
      [&](std::int64_t n) { options.n_gpu_layers_draft = static_cast<int>(n); },
      "The same for the draft (default: -1)");
  arguments.add_option(
      "--device", "NAMES",
      "Devices for the target, separated by commas, as gumbelspec info lists them; none: "
      "the CPU alone (default: all, RPC servers first)",
      [&](const std::string& text) { options.devices = parse_names("--device", text); });
  arguments.add_option("--device-draft", "NAMES",
                       "The same for the draft (default: all in this machine)",
                       [&](const std::string& text) {
                         options.devices_draft = parse_names("--device-draft", text);
                       });
  arguments.add_option(
      "--split-mode", "NAME",
      "The target on several devices: none: on one, see --main-gpu; layer: whole layers on "
      "each; row: each matrix by rows (default: layer)",
      [&](const std::string& text) { options.split_mode = parse_split_mode(text); });
  arguments.add_option(
      "--tensor-split", "PARTS",
      "How much of the target each device gets, e.g. 3,1 (default: by free memory)",
      [&](const std::string& text) { options.tensor_split = parse_split(text); });
  add_integer(
      arguments, "--main-gpu", 0, 1024,
      [&](std::int64_t n) { options.main_gpu = static_cast<int>(n); },
      "The device for --split-mode none, counted from 0 (default: 0)");
  arguments.add_option(
      "--rpc", "SERVERS",
      "llama.cpp's rpc-servers that the target is spread over, HOST:PORT, separated by "
      "commas; private networks only, see docs/distributed.md (default: none)",
      [&](const std::string& text) { options.rpc_servers = parse_names("--rpc", text); });
  add_integer(
      arguments, "--rpc-timeout", 1, 3600,
      [&](std::int64_t n) { options.rpc_timeout = std::chrono::seconds(n); },
      "Seconds without a sign of life after which an RPC server is lost, 1 to 3600 (default: 10)");
}

}  // namespace

void add_model_options(Arguments& arguments, ModelOptions& options) {
  add_text(arguments, "-m,--model", "FILE", options.target,
           "Target model, a .gguf file; the text has its distribution (default: the demo pair)");
  add_text(
      arguments, "--model-draft", "FILE", options.draft,
      "Draft model (of any vocabulary; best with the target's), or an EAGLE-3 head made for the "
      "target; needs -m (default with -m: the target's own MTP layers, if it has them)");
  arguments.add_flag(
      "--no-mtp", [&] { options.use_mtp = false; },
      "Leave out MTP layers, which otherwise draft where no draft model is given");
  add_integer(
      arguments, "-c,--ctx-size", 0, kMaxInt,
      [&](std::int64_t n) { options.n_context = static_cast<std::size_t>(n); },
      "Context: tokens of prompt and text together; 0: what the target was trained for, which is "
      "also the limit (default: 0)");
  add_integer(
      arguments, "-t,--threads", 0, 1024,
      [&](std::int64_t n) { options.n_threads = static_cast<int>(n); },
      "Threads, up to 1024; 0: one per physical core (default: 0)");
  add_integer(
      arguments, "--threads-draft", 0, 1024,
      [&](std::int64_t n) { options.n_threads_draft = static_cast<int>(n); },
      "The same for the draft (default: as --threads)");
  add_device_options(arguments, options);
  arguments.add_option(
      "--attention", "NAME",
      "exact: a token's attention is the same number in every pass, so a seed's text does "
      "not depend on the method; fast: llama.cpp's defaults (default: exact)",
      [&](const std::string& text) { options.attention = parse_attention(text); });
  add_integer(
      arguments, "--snapshots", 0, 64,
      [&](std::int64_t n) { options.n_snapshots = static_cast<std::size_t>(n); },
      "Of a target with recurrent layers, tokens that can be taken back at once, so the longest "
      "chain that is verified; each takes the memory of a state per text, see gumbelspec info; 0: "
      "a copy of the state instead (default: 5; serve: 2 with --parallel above 4, 1 from 8 on)");
  arguments.add_flag(
      "--no-mmap", [&] { options.use_mmap = false; }, "Read the models instead of mapping them");
  arguments.add_flag(
      "--no-kernels", [&] { options.use_kernels = false; },
      "Compute with ggml's own CPU code instead of the kernels for small batches");
  arguments.add_flag("-v,--verbose", options.is_verbose, "llama.cpp's messages on standard error");
  arguments.group_new_options("Models");
  add_hub_options(arguments, options.hub);
  add_load_options(arguments, options);
}

bool has_draft(const ModelOptions& options) {
  return !options.draft.empty() || (options.use_mtp && options.rpc_servers.empty() &&
                                    LlamaModel::has_mtp_layers(options.target));
}

ModelOptions with_demo_pair(const ModelOptions& given) {
  ModelOptions options = given;
  Progress progress;
  fetch_models(options.hub, options.target, options.draft, progress);
  if (!options.target.empty()) return options;
  if (!options.draft.empty()) {
    throw bad_option("a draft model without a target (-md " + in_quotes(options.draft) +
                     "); give the target with -m");
  }
  options.target = demo_model("demo-target-q8_0.gguf");
  options.draft = demo_model("demo-draft-q8_0.gguf");
  return options;
}

std::unique_ptr<LlamaModel> load_model(LlamaModelOptions options, Progress& progress) {
  const std::string name = fs::path(options.path).filename().string();
  options.on_progress = [&progress, &name](float fraction) {
    progress.show("loading " + visible(name) + " " +
                  std::to_string(static_cast<int>(fraction * 100.0F)) + " %");
    return !stop_requested();
  };
  try {
    auto model = LlamaModel::load(options);
    progress.clear();
    return model;
  } catch (const Error&) {
    if (stop_requested()) throw Stopped();
    throw;
  }
}

std::unique_ptr<LlamaModel> load_draft(const LlamaModelOptions& options, Progress& progress) {
  try {
    return load_model(options, progress);
  } catch (const Error& error) {
    if (error.field() != "n_context") throw named_for_draft(error);
    LlamaModelOptions own = options;
    own.n_context = 0;
    return load_model(own, progress);
  }
}

std::size_t default_snapshots(std::size_t n_texts) noexcept {
  if (n_texts <= 4) return LlamaModelOptions{}.n_snapshots;
  return n_texts < 8 ? 2 : 1;
}

LlamaModelOptions target_load_options(const ModelOptions& options, Progress& progress) {
  // Before a model is loaded: its weights go into the kernels' own layout then.
  if (options.use_kernels) register_kernels();
  LlamaModelOptions load = load_options(options, progress);
  if (options.use_kernels) load.order_free_types = order_free_types();
  load.path = options.target;
  load.n_gpu_layers = options.n_gpu_layers;
  load.devices = options.devices;
  load.tensor_split = options.tensor_split;
  load.split_mode = options.split_mode;
  load.main_gpu = options.main_gpu;
  load.rpc_servers = options.rpc_servers;
  load.n_sequences = options.n_sequences;
  load.n_snapshots = options.n_snapshots.value_or(default_snapshots(1));
  load.loads_mtp = options.draft.empty() && has_draft(options);
  return load;
}

LlamaModelOptions draft_load_options(const ModelOptions& options, const ModelLimits& target,
                                     Progress& progress) {
  LlamaModelOptions load =
      draft_options(options.draft, target_load_options(options, progress), target);
  load.n_gpu_layers = options.n_gpu_layers_draft;
  load.devices = options.devices_draft;
  // On RPC servers only if asked for.
  if (!load.devices.empty()) load.rpc_servers = options.rpc_servers;
  if (options.n_threads_draft > 0) load.n_threads = load.n_threads_prompt = options.n_threads_draft;
  if (!options.cache_type_k_draft.empty()) load.cache_type_k = options.cache_type_k_draft;
  if (!options.cache_type_v_draft.empty()) load.cache_type_v = options.cache_type_v_draft;
  load.n_sequences = options.n_draft_sequences;
  return load;
}

Models load_models(const ModelOptions& options, bool wants_draft, Progress& progress) {
  if (stop_requested()) throw Stopped();
  // One line for a wrong name now, not in the middle of a text.
  (void)simd_in_use();
  Models models;
  models.target = load_model(target_load_options(options, progress), progress);
  if (!wants_draft || (options.draft.empty() && !models.target->has_mtp())) return models;
  LlamaModelOptions draft = draft_load_options(options, models.target->limits(), progress);
  draft.target = models.target.get();
  models.draft = load_draft(draft, progress);
  models.translated = translate_draft(*models.target, *models.draft);
  if (models.translated.model) {
    progress.clear();
    say("the draft has " + to_string(models.translated.likeness));
  }
  return models;
}

}  // namespace gumbelspec::apps

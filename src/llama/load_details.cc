#include "src/llama/load_details.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <regex>
#include <string_view>
#include <system_error>

#include "ggml-backend.h"
#include "gumbelspec/error.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

constexpr std::array<ggml_type, 9> kCacheTypes = {GGML_TYPE_F32,  GGML_TYPE_F16,  GGML_TYPE_BF16,
                                                  GGML_TYPE_Q8_0, GGML_TYPE_Q4_0, GGML_TYPE_Q4_1,
                                                  GGML_TYPE_Q5_0, GGML_TYPE_Q5_1, GGML_TYPE_IQ4_NL};

[[noreturn]] void refuse(const std::string& message, const char* field) {
  throw Error(ErrorCode::invalid_option, message, field);
}

ggml_type cache_type(const std::string& name, const char* field) {
  std::string names;
  for (const ggml_type type : kCacheTypes) {
    if (name == ggml_type_name(type)) return type;
    names += (names.empty() ? "" : ", ") + std::string(ggml_type_name(type));
  }
  refuse(std::string(field) + " is " + printable(name) + "; give one of " + names, field);
}

// A part of the file's metadata: "KEY=TYPE:VALUE".
llama_model_kv_override metadata_override(const std::string& text) {
  constexpr const char* kField = "overrides";
  const auto fail = [&](const std::string& what) {
    refuse("overrides has " + printable(text) + ", " + what +
               "; give KEY=TYPE:VALUE with int, float, bool or str for TYPE, e.g. "
               "tokenizer.ggml.add_bos_token=bool:false",
           kField);
  };
  llama_model_kv_override override{};
  const std::size_t equals = text.find('=');
  const std::size_t colon = text.find(':', equals == std::string::npos ? 0 : equals);
  if (equals == std::string::npos || equals == 0 || colon == std::string::npos) {
    fail("which is no KEY=TYPE:VALUE");
  }
  if (equals >= sizeof override.key) fail("whose key has more than 127 bytes");
  text.copy(override.key, equals);
  const std::string type = text.substr(equals + 1, colon - equals - 1);
  const std::string value = text.substr(colon + 1);
  const char* end = value.data() + value.size();
  if (type == "int") {
    override.tag = LLAMA_KV_OVERRIDE_TYPE_INT;
    const auto [at, error] = std::from_chars(value.data(), end, override.val_i64);
    if (error != std::errc() || at != end) fail("whose value is no whole number");
  } else if (type == "float") {
    override.tag = LLAMA_KV_OVERRIDE_TYPE_FLOAT;
    const auto [at, error] = std::from_chars(value.data(), end, override.val_f64);
    if (error != std::errc() || at != end) fail("whose value is no number");
  } else if (type == "bool") {
    override.tag = LLAMA_KV_OVERRIDE_TYPE_BOOL;
    if (value != "true" && value != "false") fail("whose value is neither true nor false");
    override.val_bool = value == "true";
  } else if (type == "str") {
    override.tag = LLAMA_KV_OVERRIDE_TYPE_STR;
    if (value.size() >= sizeof override.val_str) fail("whose value has more than 127 bytes");
    value.copy(override.val_str, value.size());
  } else {
    fail("of an unknown type");
  }
  return override;
}

std::map<std::string, ggml_backend_buffer_type_t> buffer_types() {
  std::map<std::string, ggml_backend_buffer_type_t> types;
  for (std::size_t i = 0; i < ggml_backend_dev_count(); ++i) {
    ggml_backend_dev_t device = ggml_backend_dev_get(i);
    // An accelerator's own layout is no place to choose.
    if (ggml_backend_dev_type(device) == GGML_BACKEND_DEVICE_TYPE_ACCEL) continue;
    if (const auto type = ggml_backend_dev_buffer_type(device); type != nullptr) {
      types[ggml_backend_buft_name(type)] = type;
    }
  }
  return types;
}

}  // namespace

bool CacheTypes::suit_kernels() const {
  const auto suits = [](ggml_type type) {
    return type == GGML_TYPE_F16 || type == GGML_TYPE_BF16 || type == GGML_TYPE_F32 ||
           type == GGML_TYPE_Q8_0;
  };
  return suits(k) && suits(v);
}

CacheTypes cache_types(const LlamaModelOptions& options, CacheTypes own, bool is_exact) {
  CacheTypes types = own;
  types.are_given = !options.cache_type_k.empty() || !options.cache_type_v.empty();
  if (!options.cache_type_k.empty()) types.k = cache_type(options.cache_type_k, "cache_type_k");
  if (!options.cache_type_v.empty()) types.v = cache_type(options.cache_type_v, "cache_type_v");
  const bool is_float = types.k == GGML_TYPE_F16 || types.k == GGML_TYPE_F32;
  if (is_exact && types.are_given && types.k == types.v && is_float) {
    const std::string name = ggml_type_name(types.k);
    throw Error(ErrorCode::invalid_option,
                "cache_type_v is " + name + " as cache_type_k is, and ggml's sums over such a " +
                    "cache depend on the pass; give bf16 for one of them, or the fast attention",
                "cache_type_v", "cache_type_k");
  }
  return types;
}

void put_rope(const RopeOptions& rope, llama_context_params& params) {
  const auto check = [](const char* name, float value, float low) {
    if (std::isfinite(value) && value >= low) return;
    refuse(std::string("rope.") + name + " is " + std::to_string(value) +
               "; give a number that is not negative, or leave it out",
           "rope");
  };
  check("freq_base", rope.freq_base, 0.0F);
  check("freq_scale", rope.freq_scale, 0.0F);
  if (rope.scaling == "none") {
    params.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_NONE;
  } else if (rope.scaling == "linear") {
    params.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_LINEAR;
  } else if (rope.scaling == "yarn") {
    params.rope_scaling_type = LLAMA_ROPE_SCALING_TYPE_YARN;
  } else if (!rope.scaling.empty()) {
    refuse("rope.scaling is " + printable(rope.scaling) + "; give none, linear or yarn", "rope");
  }
  params.rope_freq_base = rope.freq_base;
  params.rope_freq_scale = rope.freq_scale;
  params.yarn_ext_factor = rope.yarn_ext_factor;
  params.yarn_attn_factor = rope.yarn_attn_factor;
  params.yarn_beta_fast = rope.yarn_beta_fast;
  params.yarn_beta_slow = rope.yarn_beta_slow;
  params.yarn_orig_ctx = static_cast<std::uint32_t>(rope.yarn_orig_context);
}

std::size_t stretched_context(std::size_t n_trained, const RopeOptions& rope) {
  constexpr std::size_t kMost = std::size_t{1} << 30U;
  if (n_trained == 0) return 0;
  if (rope.freq_base > 0.0F) return kMost;
  if (rope.freq_scale <= 0.0F || rope.freq_scale >= 1.0F) return n_trained;
  const double stretched = static_cast<double>(n_trained) / static_cast<double>(rope.freq_scale);
  return std::min(kMost, static_cast<std::size_t>(std::lround(stretched)));
}

std::vector<llama_model_kv_override> metadata_overrides(const std::vector<std::string>& texts) {
  std::vector<llama_model_kv_override> overrides;
  overrides.reserve(texts.size() + 1);
  for (const std::string& text : texts) overrides.push_back(metadata_override(text));
  if (!overrides.empty()) overrides.emplace_back();
  return overrides;
}

WeightPlaces::WeightPlaces(const std::vector<std::string>& texts) {
  const auto types = buffer_types();
  patterns_.reserve(texts.size());  // their characters must stay where they are
  for (const std::string& text : texts) {
    const std::size_t equals = text.rfind('=');
    const std::string name = equals == std::string::npos ? "" : text.substr(equals + 1);
    const auto type = types.find(name);
    std::string known;
    for (const auto& [known_name, unused] : types)
      known += (known.empty() ? "" : ", ") + known_name;
    if (equals == std::string::npos || equals == 0 || type == types.end()) {
      refuse("weight_places has " + printable(text) +
                 "; give PATTERN=BUFFER with a regular expression and one of " + known,
             "weight_places");
    }
    patterns_.push_back(text.substr(0, equals));
    try {
      (void)std::regex(patterns_.back());
    } catch (const std::regex_error&) {
      refuse("weight_places has " + printable(text) +
                 ", whose pattern is no regular expression; mend it, e.g. exps=CPU",
             "weight_places");
    }
    overrides_.push_back({patterns_.back().c_str(), type->second});
  }
}

void WeightPlaces::put(llama_model_params& params) {
  if (overrides_.empty()) return;
  for (const auto* more = params.tensor_buft_overrides; more != nullptr && more->pattern != nullptr;
       ++more) {
    overrides_.push_back(*more);
  }
  overrides_.push_back({nullptr, nullptr});
  params.tensor_buft_overrides = overrides_.data();
}

void prepare_numa(Numa numa) {
  if (numa == Numa::off) return;
  // ggml keeps it for the process.
  static std::once_flag is_done;
  std::call_once(is_done, [numa] {
    llama_numa_init(numa == Numa::distribute ? GGML_NUMA_STRATEGY_DISTRIBUTE
                    : numa == Numa::isolate  ? GGML_NUMA_STRATEGY_ISOLATE
                                             : GGML_NUMA_STRATEGY_NUMACTL);
  });
}

}  // namespace gumbelspec::internal

#include "apps/common/load_options.h"

#include <sched.h>

#include <charconv>
#include <cmath>
#include <string>
#include <system_error>
#include <vector>

#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

using Texts = std::vector<std::string>;

// At commas; \, is one that belongs to a value.
Texts comma_separated(const std::string& text) {
  Texts parts(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size() && text[i + 1] == ',') {
      parts.back() += text[++i];
    } else if (text[i] == ',') {
      parts.emplace_back();
    } else {
      parts.back() += text[i];
    }
  }
  return parts;
}

// Of all that was given, in its order; none is empty.
Texts all_parts(const std::string& option, const Texts& texts) {
  Texts all;
  for (const std::string& text : texts) {
    for (std::string& part : comma_separated(text)) {
      if (part.empty()) {
        throw bad_option(option + " is " + in_quotes(text) + ", with an empty part; leave it out");
      }
      all.push_back(std::move(part));
    }
  }
  return all;
}

LlamaAdapter scaled_adapter(const std::string& option, const std::string& text) {
  const std::size_t colon = text.rfind(':');
  float scale = 0.0F;
  const char* end = text.data() + text.size();
  bool is_valid = colon != std::string::npos && colon > 0;
  if (is_valid) {
    const auto [at, error] = std::from_chars(text.data() + colon + 1, end, scale);
    is_valid = error == std::errc() && at == end && std::isfinite(scale);
  }
  if (!is_valid) {
    throw bad_option(option + " is " + in_quotes(text) + "; give FILE:SCALE, e.g. style.gguf:0.5");
  }
  return {text.substr(0, colon), scale};
}

void add_adapters(Arguments& arguments, const std::string& name, const std::string& what,
                  std::vector<LlamaAdapter>& adapters) {
  arguments.add_list(name, "FILE", what + "; several: with commas, or given again",
                     [&adapters, name](const Texts& texts) {
                       for (const std::string& path : all_parts(name, texts)) {
                         adapters.push_back({path, 1.0F});
                       }
                     });
  const std::string scaled = name + "-scaled";
  arguments.add_list(scaled, "FILE:SCALE", "The same with a scale",
                     [&adapters, scaled](const Texts& texts) {
                       for (const std::string& text : all_parts(scaled, texts)) {
                         adapters.push_back(scaled_adapter(scaled, text));
                       }
                     });
}

void add_adapter_options(Arguments& arguments, LlamaModelOptions& options) {
  add_adapters(arguments, "--lora",
               "LoRA adapter of the target, which the draft does without: the text is the adapted "
               "target's, whoever drafts",
               options.loras);
  add_adapters(arguments, "--control-vector", "Control vector of the target",
               options.control_vectors);
  arguments.add_pair("--control-vector-layer-range", "START END",
                     "The layers that control vectors act on, both included (default: all)",
                     [&options](const std::string& first, const std::string& last) {
                       const auto layer = [](const std::string& text) {
                         int n = 0;
                         const char* end = text.data() + text.size();
                         const auto [at, error] = std::from_chars(text.data(), end, n);
                         if (error == std::errc() && at == end && n >= 1) return n;
                         throw bad_option("--control-vector-layer-range has " + in_quotes(text) +
                                          "; give two layers, from 1 up");
                       };
                       options.control_first_layer = layer(first);
                       options.control_last_layer = layer(last);
                     });
}

void add_rope_options(Arguments& arguments, RopeOptions& rope) {
  arguments.add_option(
      "--rope-scaling", "NAME",
      "How positions are stretched: none, linear or yarn (default: as the model "
      "says)",
      [&rope](const std::string& text) {
        if (text != "none" && text != "linear" && text != "yarn") {
          throw bad_option("--rope-scaling is " + in_quotes(text) + "; give none, linear or yarn");
        }
        rope.scaling = text;
      });
  const auto add = [&](const std::string& name, const std::string& what, float low,
                       const std::function<void(float)>& set) {
    arguments.add_option(name, "X", what, [name, low, set](const std::string& text) {
      float value = 0.0F;
      const char* end = text.data() + text.size();
      const auto [at, error] = std::from_chars(text.data(), end, value);
      if (error != std::errc() || at != end || !std::isfinite(value) || !(value >= low)) {
        throw bad_option(name + " is " + in_quotes(text) + "; give a number " +
                         (low > 0.0F ? "above 0" : "from 0 up"));
      }
      set(value);
    });
  };
  constexpr float kAboveZero = 1e-30F;
  add("--rope-scale", "Stretches the context by this factor, beyond what the model was trained for",
      kAboveZero, [&rope](float x) { rope.freq_scale = 1.0F / x; });
  add("--rope-freq-scale", "The same as its reciprocal", kAboveZero,
      [&rope](float x) { rope.freq_scale = x; });
  add("--rope-freq-base", "Base frequency of the positions, for NTK-aware scaling", kAboveZero,
      [&rope](float x) { rope.freq_base = x; });
  add_integer(
      arguments, "--yarn-orig-ctx", 0, 1 << 30,
      [&rope](std::int64_t n) { rope.yarn_orig_context = static_cast<std::size_t>(n); },
      "YaRN: tokens that the model was trained for; 0: as it says (default: 0)");
  add("--yarn-ext-factor", "YaRN: extrapolation mix; 0: interpolation only", 0.0F,
      [&rope](float x) { rope.yarn_ext_factor = x; });
  add("--yarn-attn-factor", "YaRN: factor of the attention's magnitude", 0.0F,
      [&rope](float x) { rope.yarn_attn_factor = x; });
  add("--yarn-beta-slow", "YaRN: high correction dimension", 0.0F,
      [&rope](float x) { rope.yarn_beta_slow = x; });
  add("--yarn-beta-fast", "YaRN: low correction dimension", 0.0F,
      [&rope](float x) { rope.yarn_beta_fast = x; });
}

void set_load_mode(ModelOptions& options, const std::string& mode) {
  const bool is_known =
      mode == "none" || mode == "mmap" || mode == "mlock" || mode == "mmap+mlock" || mode == "dio";
  if (!is_known) {
    throw bad_option("--load-mode is " + in_quotes(mode) +
                     "; give none, mmap, mlock, mmap+mlock or dio");
  }
  options.use_mmap = mode == "mmap" || mode == "mmap+mlock";
  options.more.use_mlock = mode == "mlock" || mode == "mmap+mlock";
  options.more.use_direct_io = mode == "dio";
}

constexpr const char* kExperts = R"(\.ffn_(up|down|gate|gate_up)_(ch|)exps)";

void add_place_options(Arguments& arguments, ModelOptions& options) {
  std::vector<std::string>& places = options.more.weight_places;
  arguments.add_option(
      "--load-mode", "MODE",
      "How the weights get into memory: mmap: mapped; none: read; mlock, mmap+mlock: and never "
      "swapped out; dio: read past the system's cache (default: mmap)",
      [&options](const std::string& text) { set_load_mode(options, text); });
  arguments.add_flag("--mlock", options.more.use_mlock, "As --load-mode mmap+mlock");
  arguments.add_option(
      "--numa", "NAME",
      "On machines with several memory nodes: distribute, isolate or numactl (default: none)",
      [&options](const std::string& text) {
        if (text != "distribute" && text != "isolate" && text != "numactl") {
          throw bad_option("--numa is " + in_quotes(text) +
                           "; give distribute, isolate or numactl");
        }
        options.more.numa = text == "distribute" ? Numa::distribute
                            : text == "isolate"  ? Numa::isolate
                                                 : Numa::numactl;
      });
  arguments.add_list("--override-tensor", "PATTERN=BUFFER",
                     "Where weights of the target lie, by a regular expression for their names, "
                     "e.g. exps=CPU; several: with commas, or given again",
                     [&places](const Texts& texts) {
                       for (const std::string& place : all_parts("--override-tensor", texts)) {
                         places.push_back(place);
                       }
                     });
  arguments.add_flag(
      "--cpu-moe", [&places] { places.push_back(std::string(kExperts) + "=CPU"); },
      "Experts of a mixture stay in the CPU's memory");
  add_integer(
      arguments, "--n-cpu-moe", 0, 4096,
      [&places](std::int64_t n) {
        for (std::int64_t i = 0; i < n; ++i) {
          places.push_back("blk\\." + std::to_string(i) + kExperts + "=CPU");
        }
      },
      "The same for the first N layers");
  arguments.add_list("--override-kv", "KEY=TYPE:VALUE",
                     "Takes the place of a value in the target's file; TYPE is int, float, bool or "
                     "str; several: with commas, or given again",
                     [&options](const Texts& texts) {
                       options.more.overrides = all_parts("--override-kv", texts);
                     });
}

// Threads that are made later are on the same processors.
void run_on(const std::string& option, const std::string& given, const cpu_set_t& set) {
  if (CPU_COUNT(&set) > 0 && sched_setaffinity(0, sizeof set, &set) == 0) return;
  throw bad_option(option + " is " + in_quotes(given) +
                   ", of which this process may use no processor; give others (nproc, taskset)");
}

void set_cpu_mask(const std::string& given) {
  std::string_view digits = given;
  if (digits.substr(0, 2) == "0x") digits.remove_prefix(2);
  cpu_set_t set;
  CPU_ZERO(&set);
  std::size_t cpu = 4 * digits.size();
  bool is_valid = !digits.empty() && cpu <= CPU_SETSIZE;
  for (std::size_t i = 0; is_valid && i < digits.size(); ++i) {
    unsigned value = 0;
    is_valid = std::from_chars(&digits[i], &digits[i] + 1, value, 16).ec == std::errc();
    for (unsigned bit = 4; bit-- > 0;) {
      --cpu;
      if ((value >> bit & 1U) != 0) CPU_SET(cpu, &set);
    }
  }
  if (!is_valid) {
    throw bad_option("--cpu-mask is " + in_quotes(given) + "; give up to " +
                     std::to_string(CPU_SETSIZE / 4) +
                     " hexadecimal digits, e.g. f0 for processors 4 to 7");
  }
  run_on("--cpu-mask", given, set);
}

void set_cpu_range(const std::string& given) {
  const std::size_t dash = given.find('-');
  std::size_t low = 0;
  std::size_t high = 0;
  const char* data = given.data();
  const char* end = data + given.size();
  bool is_valid = dash != std::string::npos;
  if (is_valid) {
    const auto first = std::from_chars(data, data + dash, low);
    const auto last = std::from_chars(data + dash + 1, end, high);
    is_valid = first.ec == std::errc() && first.ptr == data + dash && last.ec == std::errc() &&
               last.ptr == end && low <= high && high < CPU_SETSIZE;
  }
  if (!is_valid) {
    throw bad_option("--cpu-range is " + in_quotes(given) + "; give LOW-HIGH, e.g. 0-7, up to " +
                     std::to_string(CPU_SETSIZE - 1));
  }
  cpu_set_t set;
  CPU_ZERO(&set);
  for (std::size_t cpu = low; cpu <= high; ++cpu) CPU_SET(cpu, &set);
  run_on("--cpu-range", given, set);
}

void add_computing_options(Arguments& arguments, ModelOptions& options) {
  LlamaModelOptions& more = options.more;
  const std::string types = "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1 or iq4_nl";
  add_text(arguments, "--cache-type-k", "TYPE", more.cache_type_k,
           "Type of the cached keys: " + types +
               "; a seed's text stays the same with every method, but is that of the rounded "
               "cache (default: f16)");
  add_text(arguments, "--cache-type-v", "TYPE", more.cache_type_v,
           "The same for the values (default: bf16; f16 with --attention fast)");
  add_text(arguments, "--cache-type-k-draft", "TYPE", options.cache_type_k_draft,
           "The same for the draft's keys (default: as the target's)");
  add_text(arguments, "--cache-type-v-draft", "TYPE", options.cache_type_v_draft,
           "And for its values (default: as the target's)");
  add_integer(
      arguments, "--ubatch-size", 1, 65536,
      [&more](std::int64_t n) { more.prompt_chunk = static_cast<std::size_t>(n); },
      "Tokens of a prompt that one pass reads; a pass over a tree may be larger (default: 512)");
  add_integer(
      arguments, "--threads-batch", 0, 1024,
      [&more](std::int64_t n) { more.n_threads_prompt = static_cast<int>(n); },
      "Threads while a prompt is read; 0: as --threads (default: 0)");
  arguments.add_option("-C,--cpu-mask", "MASK",
                       "The processors that the program runs on, as hexadecimal digits",
                       set_cpu_mask);
  arguments.add_option("--cpu-range", "LOW-HIGH", "The same as a range, counted from 0",
                       set_cpu_range);
}

}  // namespace

void add_load_options(Arguments& arguments, ModelOptions& options) {
  add_computing_options(arguments, options);
  add_place_options(arguments, options);
  add_rope_options(arguments, options.more.rope);
  add_adapter_options(arguments, options.more);
  arguments.group_new_options("Loading");
}

void tell_what_follows(const LlamaModelOptions& options) {
  const auto is_coarse = [](const std::string& type) {
    return !type.empty() && type != "f16" && type != "bf16" && type != "f32";
  };
  if (is_coarse(options.cache_type_k) || is_coarse(options.cache_type_v)) {
    say("the cache is rounded (" + (options.cache_type_k.empty() ? "f16" : options.cache_type_k) +
        " keys, " + (options.cache_type_v.empty() ? "bf16" : options.cache_type_v) +
        " values): a seed has one text with every method, but another than with the default cache");
  }
}

}  // namespace gumbelspec::apps

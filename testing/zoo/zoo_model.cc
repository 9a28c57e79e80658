#include "testing/zoo/zoo_model.h"

#include <algorithm>
#include <cstdint>
#include <utility>

namespace gumbelspec::zoo {
namespace {

using Keys = std::map<std::string, KeyValue>;
using Ints = std::vector<int>;

// What the parameters of llama.cpp's own test lack, or have such that a model sees too little.
const std::map<std::string, Keys>& more_keys() {
  static const Keys kBert = {{"tokenizer.ggml.token_type_count", 2}};
  static const Keys kRwkv7 = {{"%s.attention.decay_lora_rank", 32},
                              {"%s.attention.iclr_lora_rank", 32},
                              {"%s.attention.value_residual_mix_lora_rank", 32},
                              {"%s.attention.gate_lora_rank", 32}};
  static const std::map<std::string, Keys> kKeys = {
      {"bert", kBert},
      {"nomic-bert", kBert},
      {"nomic-bert-moe", kBert},
      {"jina-bert-v3", kBert},
      {"dflash",
       {{"%s.target_layers", Ints{0, 1}}, {"%s.attention.sliding_window_pattern", Ints{1, 0}}}},
      {"eagle3", {{"%s.target_layers", Ints{0, 1, 2}}, {"%s.target_hidden_size", 256}}},
      {"gemma4", {{"%s.attention.sliding_window_pattern", Ints{1, 1, 1, 1, 0}}}},
      {"graniteswitch",
       {{"%s.adapters.count", 1},
        {"%s.adapters.lora_rank", 8},
        {"%s.adapters.token_ids_activate", Ints{5}},
        {"%s.adapters.token_ids_substitute", Ints{6}}}},
      // Of a head's dimensions the last half is rotated; by default all are.
      {"minicpm3", {{"%s.rope.dimension_count", 64}}},
      {"minimax-01", {{"%s.residual_scale", 1.0F}}},
      {"mpt", {{"%s.attention.clamp_kqv", 8.0F}}},
      {"rwkv6qwen2", {{"%s.token_shift_count", 1}}},
      {"rwkv7", kRwkv7},
      {"arwkv7", [] {
         Keys keys = kRwkv7;
         keys["%s.token_shift_count"] = 1;
         return keys;
       }()}};
  return kKeys;
}

// Architecture -> words of the message.
const std::map<std::string, std::string>& refusals() {
  static constexpr const char* kNoCache = "keeps no cache";  // every token sees every other
  static constexpr const char* kEncoder = "has an encoder";
  static constexpr const char* kHead = "is a draft head";
  static constexpr const char* kDiffusion = "generates by diffusion";
  static const std::map<std::string, std::string> kRefusals = {
      {"bert", kNoCache},
      {"clip", "cannot be used as main model"},
      {"dflash", kHead},
      {"dream", kDiffusion},
      {"eagle3", kHead},
      {"eurobert", kNoCache},
      {"gemma-embedding", kNoCache},
      {"gptj", "unsupported model architecture"},
      {"jina-bert-v3", kNoCache},
      {"llada", kDiffusion},
      {"llada-moe", kDiffusion},
      {"llama-embed", "has no output head"},
      {"modern-bert", kNoCache},
      {"neo-bert", kNoCache},
      {"nomic-bert", kNoCache},
      {"nomic-bert-moe", kNoCache},
      {"plm", "cannot build"},
      {"pockettts", "makes sounds"},
      {"qwen3tts", "makes codes of sounds"},
      {"rnd1", kDiffusion},
      {"t5", kEncoder},
      {"t5encoder", kEncoder},
      {"wavtokenizer-dec", kNoCache},
  };
  return kRefusals;
}

// With experts: "llama-moe".
struct Variant {
  std::string base;
  std::string name;
  Keys keys = {};
  std::string weights = "q8_0";
  bool is_full = false;
  bool is_fused = false;
};

// The last layer is one for tokens further ahead; of the architectures whose graph llama.cpp has.
const Keys kMtp = {{"%s.nextn_predict_layers", 1}};

std::vector<Variant> variants() {
  // As its files of text have it: llama.cpp's graph of that layer cannot rotate by sections.
  Keys glm_mtp = kMtp;
  glm_mtp["%s.rope.dimension_sections"] = std::monostate();
  const Keys grouped = {{"%s.attention.head_count", 4}, {"%s.attention.head_count_kv", 2}};
  const Keys old_mla = {{"%s.attention.key_length_mla", std::monostate()},
                        {"%s.attention.value_length_mla", std::monostate()},
                        {"%s.attention.key_length", 192},
                        {"%s.attention.value_length", 128}};
  return {
      {"llama", "grouped", grouped},
      {"phi2", "half-rotation", {{"%s.rope.dimension_count", 64}}},
      {"llama",
       "yarn",
       {{"%s.rope.scaling.type", std::string("yarn")},
        {"%s.rope.scaling.factor", 4.0F},
        {"%s.rope.scaling.original_context_length", 128}}},
      {"llama", "all-tensors", {}, "q8_0", true},
      {"llama", "f32", {}, "f32"},
      {"llama", "bf16", {}, "bf16"},
      {"llama", "q4_k", {}, "q4_k"},
      {"qwen2", "all-tensors", grouped, "q8_0", true},
      {"qwen3", "q4_k", {}, "q4_k"},
      {"gemma2",
       "soft-caps",
       {{"%s.attention.head_count", 4},
        {"%s.attention.head_count_kv", 2},
        {"%s.attn_logit_softcapping", 5.0F},
        {"%s.final_logit_softcapping", 5.0F}}},
      {"gemma3", "grouped", grouped},
      {"phi3", "all-tensors", {{"%s.rope.scaling.original_context_length", 256}}, "q8_0", true},
      {"gptneox", "half-rotation", {{"%s.rope.dimension_count", 64}}},
      {"gpt-oss-moe", "all-tensors", grouped, "q8_0", true},
      {"deepseek2-moe", "old-mla", old_mla},
      {"mistral4-moe", "old-mla", old_mla},
      {"deepseek2-moe",
       "expert-groups",
       {{"%s.expert_count", 8}, {"%s.expert_group_count", 4}, {"%s.expert_group_used_count", 2}}},
      {"cohere2moe-moe", "mtp", kMtp},
      {"deepseek2-moe", "mtp", kMtp},
      {"deepseek32-moe", "mtp", kMtp},
      {"glm-dsa-moe", "mtp", kMtp},
      {"glm4moe-moe", "mtp", glm_mtp},
      {"glm4moe-moe", "mtp-by-sections", kMtp},
      {"hy_v3-moe", "mtp", kMtp},
      {"mimo2-moe", "mtp", kMtp, "q8_0", false, true},
      {"step35-moe", "mtp", kMtp},
      {"qwen3moe-moe", "many-experts", {{"%s.expert_count", 32}, {"%s.expert_used_count", 4}}},
  };
}

void set(gguf_context* gguf, const std::string& key, const KeyValue& value) {
  const char* name = key.c_str();
  gguf_remove_key(gguf, name);
  if (const auto* number = std::get_if<int>(&value)) {
    gguf_set_val_u32(gguf, name, static_cast<std::uint32_t>(*number));
  } else if (const auto* real = std::get_if<float>(&value)) {
    gguf_set_val_f32(gguf, name, *real);
  } else if (const auto* text = std::get_if<std::string>(&value)) {
    gguf_set_val_str(gguf, name, text->c_str());
  } else if (const auto* list = std::get_if<Ints>(&value)) {
    gguf_set_arr_data(gguf, name, GGUF_TYPE_INT32, list->data(), list->size());
  }
}

void set_vocabulary(gguf_context* gguf, const std::string& architecture, std::size_t n_tokens) {
  std::vector<std::string> texts;
  for (std::size_t i = 0; i < n_tokens; ++i) texts.push_back("tok_" + std::to_string(i));
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  const std::vector<float> scores(n_tokens, 0.0F);
  set(gguf, architecture + ".vocab_size", static_cast<int>(n_tokens));
  gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", pointers.data(), n_tokens);
  gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), n_tokens);
}

}  // namespace

std::vector<ZooModel> all_models() {
  std::vector<ZooModel> all;
  for (const Architecture& architecture : all_architectures()) {
    // Of the one llama.cpp tells the form by a file's tensors, and the other is a head for a gemma4
    // that is loaded with it: neither can be made from parameters. Both would be refused.
    if (architecture.name == "jina-bert-v2" || architecture.name == "gemma4-assistant") continue;
    ZooModel& model = all.emplace_back();
    model.name = architecture.name + (architecture.has_experts ? "-moe" : "");
    model.architecture = architecture;
    const auto keys = more_keys().find(architecture.name);
    if (keys != more_keys().end()) model.keys = keys->second;
    const auto refusal = refusals().find(architecture.name);
    if (refusal != refusals().end()) model.refusal = refusal->second;
  }
  for (const Variant& variant : variants()) {
    const auto base = std::find_if(all.begin(), all.end(),
                                   [&](const ZooModel& m) { return m.name == variant.base; });
    ZooModel model = *base;
    model.name += ":" + variant.name;
    for (const auto& [key, value] : variant.keys) model.keys[key] = value;
    model.weights = variant.weights;
    model.is_full = variant.is_full;
    model.is_fused = variant.is_fused;
    all.push_back(std::move(model));
  }
  return all;
}

ZooModel useless_model(std::size_t n_vocab) {
  ZooModel model;
  model.name = "useless";
  model.architecture = {"llama", false};
  model.n_vocab = n_vocab;
  return model;
}

Gguf parameters_of(const ZooModel& model) {
  Gguf gguf = parameters_of(model.architecture);
  const std::string& name = model.architecture.name;
  set(gguf.get(), name + ".context_length", 512);
  if (model.architecture.has_experts) set(gguf.get(), name + ".expert_count", 4);
  for (const auto& [key, value] : model.keys) {
    std::string full = key;
    if (const auto at = full.find("%s"); at != std::string::npos) full.replace(at, 2, name);
    set(gguf.get(), full, value);
  }
  if (model.n_vocab > 0) set_vocabulary(gguf.get(), name, model.n_vocab);
  return gguf;
}

}  // namespace gumbelspec::zoo

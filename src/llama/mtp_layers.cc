#include "src/llama/mtp_layers.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace gumbelspec::internal {
namespace {

constexpr std::array<const char*, 3> kAlways = {"nextn.eh_proj.weight", "nextn.enorm.weight",
                                                "nextn.hnorm.weight"};
constexpr std::array<const char*, 1> kExperts = {"ffn_gate_inp.weight"};
constexpr std::array<const char*, 4> kSharedExperts = {
    "ffn_gate_inp.weight", "ffn_gate_shexp.weight", "ffn_up_shexp.weight", "ffn_down_shexp.weight"};
constexpr std::array<const char*, 11> kDeepseek2 = {
    "attn_q_a.weight",       "attn_q_a_norm.weight",  "attn_q_b.weight",     "attn_kv_a_mqa.weight",
    "attn_kv_a_norm.weight", "attn_k_b.weight",       "ffn_gate_inp.weight", "ffn_down_exps.weight",
    "ffn_gate_shexp.weight", "ffn_down_shexp.weight", "ffn_up_shexp.weight"};
constexpr std::array<const char*, 4> kMimo2 = {"attn_qkv.weight", "ffn_gate.weight",
                                               "ffn_up.weight", "ffn_down.weight"};

// What llama.cpp v0.5.0's graph of such a layer asks for, by its checks.
struct Graph {
  std::string_view architecture;
  std::span<const char* const> tensors;  // of each such layer, besides kAlways
  bool has_one_layer = false;            // there may be no second one
  bool forbids_sections = false;         // rotations by sections: it makes plain ones
};

constexpr std::array<Graph, 8> kGraphs = {{{"cohere2moe", kExperts, true, false},
                                           {"deepseek2", kDeepseek2, true, false},
                                           {"deepseek32", kExperts, true, false},
                                           {"glm-dsa", kExperts, true, false},
                                           {"glm4moe", kSharedExperts, true, true},
                                           {"hy_v3", {}, false, false},
                                           {"mimo2", kMimo2, false, false},
                                           {"step35", {}, false, false}}};

const Graph* graph_of(std::string_view architecture) {
  const auto* found = std::find_if(kGraphs.begin(), kGraphs.end(),
                                   [&](const Graph& g) { return g.architecture == architecture; });
  return found == kGraphs.end() ? nullptr : found;
}

std::int64_t number(const gguf_context* gguf, const std::string& key) {
  const std::int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_UINT32) return 0;
  return gguf_get_val_u32(gguf, id);
}

// As llama.cpp's llama_hparams::use_mrope.
bool has_sections(const gguf_context* gguf, const std::string& key) {
  const std::int64_t id = gguf_find_key(gguf, key.c_str());
  if (id < 0 || gguf_get_kv_type(gguf, id) != GGUF_TYPE_ARRAY) return false;
  const gguf_type type = gguf_get_arr_type(gguf, id);
  if ((type != GGUF_TYPE_INT32 && type != GGUF_TYPE_UINT32) || gguf_get_arr_n(gguf, id) < 2) {
    return false;
  }
  std::array<std::int32_t, 2> sections{};
  std::memcpy(sections.data(), gguf_get_arr_data(gguf, id), sizeof sections);
  return sections[0] > 0 && sections[1] > 0;
}

std::string missing_tensor(const gguf_context* gguf, const Graph& graph, std::int64_t first,
                           std::int64_t end) {
  for (std::int64_t layer = first; layer < end; ++layer) {
    const std::string prefix = "blk." + std::to_string(layer) + ".";
    for (const std::span<const char* const> names :
         {std::span<const char* const>(kAlways), graph.tensors}) {
      for (const char* name : names) {
        if (gguf_find_tensor(gguf, (prefix + name).c_str()) < 0) return prefix + name;
      }
    }
  }
  return {};
}

}  // namespace

bool is_mtp_architecture(std::string_view name) { return graph_of(name) != nullptr; }

std::string mtp_obstacle(const gguf_context* gguf) {
  const std::int64_t id = gguf == nullptr ? -1 : gguf_find_key(gguf, "general.architecture");
  const bool has_name = id >= 0 && gguf_get_kv_type(gguf, id) == GGUF_TYPE_STRING;
  const std::string architecture = has_name ? gguf_get_val_str(gguf, id) : "";
  const std::int64_t n = has_name ? number(gguf, architecture + ".nextn_predict_layers") : 0;
  const Graph* graph = graph_of(architecture);
  if (graph == nullptr || n == 0) return "has no MTP layers that llama.cpp can draft with";
  if (graph->has_one_layer && n > 1) {
    return "has " + std::to_string(n) + " MTP layers, but llama.cpp drafts with 1 of this kind";
  }
  if (graph->forbids_sections && has_sections(gguf, architecture + ".rope.dimension_sections")) {
    return "has MTP layers that rotate by sections (M-RoPE), for which llama.cpp has no graph";
  }
  if (gguf_find_key(gguf, "split.count") >= 0) return {};
  const std::int64_t n_layers = number(gguf, architecture + ".block_count");
  const std::string missing =
      missing_tensor(gguf, *graph, std::max<std::int64_t>(0, n_layers - n), n_layers);
  if (missing.empty()) return {};
  return "has no tensor " + missing + ", which drafting with its MTP layers needs";
}

}  // namespace gumbelspec::internal

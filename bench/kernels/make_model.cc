// Writes a GGUF model of any size with random weights, for measurements: llama's architecture, with
// --experts qwen3moe's, or, with --hybrid, that of Qwen3.5: three layers with gated delta nets, one
// with attention.
//
//   make_model --vocab ggml-vocab-llama-spm.gguf --out 1b-q8_0.gguf --type q8_0
//              --layers 22 --embd 2048 --ff 5632 --heads 32 --heads-kv 4
//              [--experts 128 --experts-used 8]      # --ff: of one expert
//   make_model --hybrid --vocab ggml-vocab-llama-spm.gguf --out hybrid-1b-q8_0.gguf
//              --layers 16 --embd 2048 --ff 6144 --heads 8 --heads-kv 2
//
// The tokenizer is copied from --vocab: a vocabulary-only file of llama.cpp (models/ggml-vocab-*)
// or any model. Texts of such a model are noise; only its speed means something.
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>
#include <vector>

#include "apps/scale/gguf_writer.h"

namespace {

using namespace gumbelspec::scale;

// Of a gated delta net: heads of 128, as many of keys as of values, which are as wide as the rest.
constexpr int kDeltaHead = 128;
constexpr int kDeltaKernel = 4;
constexpr int kAttentionEvery = 4;

// Where the value of each "--name value" and the presence of each "--flag" goes.
struct OptionTable {
  std::map<std::string, int*> numbers;
  std::map<std::string, std::string*> texts;
  std::map<std::string, bool*> flags;
};

void parse_options(const OptionTable& table, int argc, char** argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (const auto f = table.flags.find(name); f != table.flags.end()) {
      *f->second = true;
      continue;
    }
    if (i + 1 == argc) fail(name + " needs a value");
    if (const auto n = table.numbers.find(name); n != table.numbers.end()) {
      *n->second = std::atoi(argv[++i]);
    } else if (const auto t = table.texts.find(name); t != table.texts.end()) {
      *t->second = argv[++i];
    } else {
      fail("unknown option " + name);
    }
  }
}

struct Options {
  std::string vocab, out;
  std::string type = "q8_0";
  int experts = 0, experts_used = 8;
  int layers = 22, embd = 2048, ff = 5632, heads = 32, heads_kv = 4;
  int context = 8192;
  bool hybrid = false;      // Qwen3.5's architecture
  bool tied = false;        // no output matrix of its own
  int distinct_rows = 256;  // rows quantised per shape, then repeated; 0: every row its own
  int seed = 1;
  int threads = all_cores();
};

Options parse(int argc, char** argv) {
  Options o;
  parse_options({{{"--layers", &o.layers},
                  {"--embd", &o.embd},
                  {"--experts", &o.experts},
                  {"--experts-used", &o.experts_used},
                  {"--ff", &o.ff},
                  {"--heads", &o.heads},
                  {"--heads-kv", &o.heads_kv},
                  {"--context", &o.context},
                  {"--threads", &o.threads},
                  {"--distinct-rows", &o.distinct_rows},
                  {"--seed", &o.seed}},
                 {{"--vocab", &o.vocab}, {"--out", &o.out}, {"--type", &o.type}},
                 {{"--tied", &o.tied}, {"--hybrid", &o.hybrid}}},
                argc, argv);
  if (o.vocab.empty() || o.out.empty()) fail("--vocab and --out are needed");
  if (o.heads < 1 || o.embd % o.heads != 0) fail("--embd must be a multiple of --heads");
  if (o.hybrid && o.embd % kDeltaHead != 0) fail("--embd must be a multiple of 128");
  if (o.hybrid && o.experts > 0) fail("--hybrid and --experts: one of them");
  if (o.heads_kv < 1 || o.heads % o.heads_kv != 0) fail("--heads: a multiple of --heads-kv");
  if (o.experts < 0 || (o.experts > 0 && o.experts_used > o.experts)) {
    fail("--experts-used: at most --experts");
  }
  return o;
}

// Any type that ggml can quantise to.
ggml_type any_type_named(const std::string& name) {
  for (int i = 0; i < GGML_TYPE_COUNT; ++i) {
    const auto type = static_cast<ggml_type>(i);
    if (ggml_is_quantized(type) && name == ggml_type_name(type)) return type;
  }
  return type_named(name, " q4_k_m, or another of ggml's types");
}

// The mix of llama.cpp's Q4_K_M: better types where errors hurt most.
ggml_type type_of(const Options& o, const std::string& part, int layer) {
  if (o.type != "q4_k_m") return any_type_named(o.type);
  if (part == "output") return GGML_TYPE_Q6_K;
  const int n = o.layers;
  const bool more = layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
  return (part == "attn_v" || part == "ffn_down") && more ? GGML_TYPE_Q6_K : GGML_TYPE_Q4_K;
}

int delta_heads(const Options& o) { return o.embd / kDeltaHead; }

void add_hybrid_block(const Options& o, int layer, std::vector<Tensor>& all) {
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const int64_t head = static_cast<int64_t>(o.embd) / o.heads;
  const auto add = [&](const std::string& part, int64_t columns, int64_t rows) {
    all.push_back({prefix + part + ".weight", type_of(o, part, layer), columns, rows});
  };
  const auto plain = [&](const std::string& name, int64_t columns, int64_t rows = 1) {
    all.push_back({prefix + name, GGML_TYPE_F32, columns, rows});
  };
  plain("attn_norm.weight", o.embd);
  plain("post_attention_norm.weight", o.embd);
  if ((layer + 1) % kAttentionEvery == 0) {
    add("attn_q", o.embd, 2 * static_cast<int64_t>(o.embd));  // with its gate
    add("attn_k", o.embd, head * o.heads_kv);
    add("attn_v", o.embd, head * o.heads_kv);
    add("attn_output", o.embd, o.embd);
    plain("attn_q_norm.weight", head);
    plain("attn_k_norm.weight", head);
  } else {
    add("attn_qkv", o.embd, 3 * static_cast<int64_t>(o.embd));
    add("attn_gate", o.embd, o.embd);
    plain("ssm_conv1d.weight", kDeltaKernel, 3 * static_cast<int64_t>(o.embd));
    plain("ssm_dt.bias", delta_heads(o));
    plain("ssm_a", delta_heads(o));
    add("ssm_beta", o.embd, delta_heads(o));
    add("ssm_alpha", o.embd, delta_heads(o));
    plain("ssm_norm.weight", kDeltaHead);
    add("ssm_out", o.embd, o.embd);
  }
  add("ffn_gate", o.embd, o.ff);
  add("ffn_up", o.embd, o.ff);
  add("ffn_down", o.ff, o.embd);
}

std::vector<Tensor> tensors_of(const Options& o, int64_t n_vocab) {
  const int64_t kv = static_cast<int64_t>(o.embd) / o.heads * o.heads_kv;
  std::vector<Tensor> all;
  all.push_back({"token_embd.weight", type_of(o, o.tied ? "output" : "token_embd", o.layers / 2),
                 o.embd, n_vocab});
  all.push_back({"output_norm.weight", GGML_TYPE_F32, o.embd, 1});
  if (!o.tied) all.push_back({"output.weight", type_of(o, "output", 0), o.embd, n_vocab});
  for (int i = 0; i < o.layers; ++i) {
    if (o.hybrid) {
      add_hybrid_block(o, i, all);
      continue;
    }
    const std::string prefix = "blk." + std::to_string(i) + ".";
    const auto add = [&](const std::string& part, int64_t columns, int64_t rows) {
      all.push_back({prefix + part + ".weight", type_of(o, part, i), columns, rows});
    };
    const auto add_experts = [&](const std::string& part, int64_t columns, int64_t rows) {
      all.push_back(
          {prefix + part + "_exps.weight", type_of(o, part, i), columns, rows, o.experts});
    };
    all.push_back({prefix + "attn_norm.weight", GGML_TYPE_F32, o.embd, 1});
    add("attn_q", o.embd, o.embd);
    add("attn_k", o.embd, kv);
    add("attn_v", o.embd, kv);
    add("attn_output", o.embd, o.embd);
    all.push_back({prefix + "ffn_norm.weight", GGML_TYPE_F32, o.embd, 1});
    if (o.experts == 0) {
      add("ffn_gate", o.embd, o.ff);
      add("ffn_up", o.embd, o.ff);
      add("ffn_down", o.ff, o.embd);
      continue;
    }
    all.push_back({prefix + "attn_q_norm.weight", GGML_TYPE_F32, o.embd / o.heads, 1});
    all.push_back({prefix + "attn_k_norm.weight", GGML_TYPE_F32, o.embd / o.heads, 1});
    all.push_back({prefix + "ffn_gate_inp.weight", GGML_TYPE_F32, o.embd, o.experts});
    add_experts("ffn_gate", o.embd, o.ff);
    add_experts("ffn_up", o.embd, o.ff);
    add_experts("ffn_down", o.ff, o.embd);
  }
  return all;
}

int64_t vocabulary_size(const gguf_context* g) {
  const int64_t id = gguf_find_key(g, "tokenizer.ggml.tokens");
  if (id < 0) fail("the --vocab file has no tokenizer");
  return static_cast<int64_t>(gguf_get_arr_n(g, id));
}

void set_parameters(const Options& o, gguf_context* g, int64_t n_vocab) {
  const std::string name = o.hybrid ? "qwen35" : o.experts > 0 ? "qwen3moe" : "llama";
  const auto key_of = [&](const char* key) { return name + "." + key; };
  const auto number = [&](const char* key, int value) {
    gguf_set_val_u32(g, key_of(key).c_str(), static_cast<uint32_t>(value));
  };
  gguf_set_val_str(g, "general.architecture", name.c_str());
  gguf_set_val_str(g, "general.name", "random weights");
  gguf_remove_key(g, "general.file_type");
  const int head = o.embd / o.heads;
  number("block_count", o.layers);
  number("context_length", o.context);
  number("embedding_length", o.embd);
  number("feed_forward_length", o.ff);
  number("attention.head_count", o.heads);
  number("attention.head_count_kv", o.heads_kv);
  number("rope.dimension_count", o.hybrid ? head / 4 : head);
  number("vocab_size", static_cast<int>(n_vocab));
  gguf_set_val_f32(g, key_of("attention.layer_norm_rms_epsilon").c_str(), 1e-5f);
  gguf_set_val_f32(g, key_of("rope.freq_base").c_str(), 10000.0f);
  if (!o.hybrid && o.experts == 0) return;
  number("attention.key_length", head);
  number("attention.value_length", head);
  if (o.experts > 0) {
    number("expert_count", o.experts);
    number("expert_used_count", o.experts_used);
    number("expert_feed_forward_length", o.ff);
  }
  if (!o.hybrid) return;
  number("full_attention_interval", kAttentionEvery);
  number("ssm.conv_kernel", kDeltaKernel);
  number("ssm.inner_size", o.embd);
  number("ssm.state_size", kDeltaHead);
  number("ssm.time_step_rank", delta_heads(o));
  number("ssm.group_count", delta_heads(o));
  const std::array<int32_t, 4> sections = {head / 24, head / 24, head / 24, 0};
  gguf_set_arr_data(g, key_of("rope.dimension_sections").c_str(), GGUF_TYPE_INT32, sections.data(),
                    sections.size());
}

// Vectors: norms leave what they get as it is; states decay.
float value_of(const Tensor& t) {
  const auto ends = [&](const std::string& end) {
    return t.name.size() >= end.size() && t.name.substr(t.name.size() - end.size()) == end;
  };
  if (ends("ssm_a")) return -0.5f;
  return ends("ssm_dt.bias") ? -2.0f : 1.0f;
}

void write_model(const Options& o) {
  const Gguf vocab(gguf_init_from_file(o.vocab.c_str(), {true, nullptr}));
  if (!vocab) fail("cannot read " + o.vocab);
  const int64_t n_vocab = vocabulary_size(vocab.get());
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), vocab.get());
  set_parameters(o, out.get(), n_vocab);

  Noise noise(o.distinct_rows, o.threads, static_cast<unsigned>(o.seed));
  write_gguf(o.out, out.get(), tensors_of(o, n_vocab), [&](const Tensor& t) {
    if (t.rows > 1) return noise.matrix(t);
    return bytes_of(std::vector<float>(static_cast<size_t>(t.columns), value_of(t)));
  });
}

}  // namespace

int main(int argc, char** argv) {
  try {
    write_model(parse(argc, argv));
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "make_model: %s\n", error.what());
    return 1;
  }
}

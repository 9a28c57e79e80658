// Writes a GGUF model of any size with random weights (llama architecture), for measurements.
//
//   make_model --vocab ggml-vocab-llama-spm.gguf --out 1b-q8_0.gguf --type q8_0
//              --layers 22 --embd 2048 --ff 5632 --heads 32 --heads-kv 4
//
// The tokenizer is copied from --vocab: a vocabulary-only file of llama.cpp (models/ggml-vocab-*)
// or any model. Texts of such a model are noise; only its speed means something.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "ggml.h"
#include "gguf.h"

namespace {

struct Options {
  std::string vocab, out;
  std::string type = "q8_0";
  int layers = 22, embd = 2048, ff = 5632, heads = 32, heads_kv = 4;
  int context = 8192;
  bool tied = false;        // no output matrix of its own
  int distinct_rows = 256;  // rows quantised per shape, then repeated; 0: every row its own
  unsigned seed = 1;
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
};

[[noreturn]] void fail(const std::string& message) { throw std::runtime_error(message); }

Options parse(int argc, char** argv) {
  Options o;
  const std::map<std::string, int*> numbers = {{"--layers", &o.layers},
                                               {"--embd", &o.embd},
                                               {"--ff", &o.ff},
                                               {"--heads", &o.heads},
                                               {"--heads-kv", &o.heads_kv},
                                               {"--context", &o.context},
                                               {"--threads", &o.threads},
                                               {"--distinct-rows", &o.distinct_rows}};
  const std::map<std::string, std::string*> texts = {
      {"--vocab", &o.vocab}, {"--out", &o.out}, {"--type", &o.type}};
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--tied") {
      o.tied = true;
      continue;
    }
    if (i + 1 == argc) fail(name + " needs a value");
    if (const auto n = numbers.find(name); n != numbers.end()) {
      *n->second = std::atoi(argv[++i]);
    } else if (const auto t = texts.find(name); t != texts.end()) {
      *t->second = argv[++i];
    } else if (name == "--seed") {
      o.seed = static_cast<unsigned>(std::atoi(argv[++i]));
    } else {
      fail("unknown option " + name);
    }
  }
  if (o.vocab.empty() || o.out.empty()) fail("--vocab and --out are needed");
  if (o.heads < 1 || o.embd % o.heads != 0) fail("--embd must be a multiple of --heads");
  if (o.heads_kv < 1 || o.heads % o.heads_kv != 0) fail("--heads: a multiple of --heads-kv");
  return o;
}

ggml_type type_named(const std::string& name) {
  static const std::map<std::string, ggml_type> kTypes = {
      {"f32", GGML_TYPE_F32},   {"f16", GGML_TYPE_F16},   {"bf16", GGML_TYPE_BF16},
      {"q8_0", GGML_TYPE_Q8_0}, {"q4_0", GGML_TYPE_Q4_0}, {"q4_k", GGML_TYPE_Q4_K},
      {"q5_k", GGML_TYPE_Q5_K}, {"q6_k", GGML_TYPE_Q6_K}};
  const auto it = kTypes.find(name);
  if (it == kTypes.end())
    fail("unknown type " + name +
         ": use f32 f16 bf16 q8_0 q4_0 q4_k q5_k "
         "q6_k or q4_k_m");
  return it->second;
}

// The mix of llama.cpp's Q4_K_M: better types where errors hurt most.
ggml_type type_of(const Options& o, const std::string& part, int layer) {
  if (o.type != "q4_k_m") return type_named(o.type);
  if (part == "output") return GGML_TYPE_Q6_K;
  const int n = o.layers;
  const bool more = layer < n / 8 || layer >= 7 * n / 8 || (layer - n / 8) % 3 == 2;
  return (part == "attn_v" || part == "ffn_down") && more ? GGML_TYPE_Q6_K : GGML_TYPE_Q4_K;
}

struct Tensor {
  std::string name;
  ggml_type type;
  int64_t columns, rows;
};

std::vector<Tensor> tensors_of(const Options& o, int64_t n_vocab) {
  const int64_t kv = static_cast<int64_t>(o.embd) / o.heads * o.heads_kv;
  std::vector<Tensor> all;
  all.push_back({"token_embd.weight", type_of(o, o.tied ? "output" : "token_embd", o.layers / 2),
                 o.embd, n_vocab});
  all.push_back({"output_norm.weight", GGML_TYPE_F32, o.embd, 1});
  if (!o.tied) all.push_back({"output.weight", type_of(o, "output", 0), o.embd, n_vocab});
  for (int i = 0; i < o.layers; ++i) {
    const std::string prefix = "blk." + std::to_string(i) + ".";
    const auto add = [&](const std::string& part, int64_t columns, int64_t rows) {
      all.push_back({prefix + part + ".weight", type_of(o, part, i), columns, rows});
    };
    all.push_back({prefix + "attn_norm.weight", GGML_TYPE_F32, o.embd, 1});
    add("attn_q", o.embd, o.embd);
    add("attn_k", o.embd, kv);
    add("attn_v", o.embd, kv);
    add("attn_output", o.embd, o.embd);
    all.push_back({prefix + "ffn_norm.weight", GGML_TYPE_F32, o.embd, 1});
    add("ffn_gate", o.embd, o.ff);
    add("ffn_up", o.embd, o.ff);
    add("ffn_down", o.ff, o.embd);
  }
  return all;
}

// Quantised rows of uniform noise of variance 1 / columns, so that activations keep their size.
class Noise {
 public:
  explicit Noise(const Options& o) : options_(o) {}

  std::vector<uint8_t> matrix(const Tensor& t) {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    const int64_t distinct =
        options_.distinct_rows > 0 ? std::min<int64_t>(options_.distinct_rows, t.rows) : t.rows;
    const std::vector<uint8_t>* rows = &pool_[{t.type, t.columns}];
    std::vector<uint8_t> own;
    if (options_.distinct_rows <= 0 || static_cast<int64_t>(rows->size() / row_bytes) < distinct) {
      own = quantise(t, distinct);
      if (options_.distinct_rows > 0) pool_[{t.type, t.columns}] = own;
      rows = &own;
    }
    if (distinct == t.rows && rows == &own) return own;
    std::vector<uint8_t> data(row_bytes * static_cast<size_t>(t.rows));
    const size_t have = rows->size() / row_bytes;
    for (int64_t r = 0; r < t.rows; ++r) {
      std::memcpy(data.data() + static_cast<size_t>(r) * row_bytes,
                  rows->data() + rng_() % have * row_bytes, row_bytes);
    }
    return data;
  }

 private:
  std::vector<uint8_t> quantise(const Tensor& t, int64_t n_rows) {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    std::vector<uint8_t> out(row_bytes * static_cast<size_t>(n_rows));
    const float range = std::sqrt(3.0f / static_cast<float>(t.columns));
    const auto first_seed = static_cast<uint32_t>(rng_());
    ggml_quantize_init(t.type);
    const auto work = [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(t.columns));
      for (int64_t r = begin; r < end; ++r) {
        std::minstd_rand rng(first_seed + static_cast<uint32_t>(r));
        std::uniform_real_distribution<float> uniform(-range, range);
        for (float& x : row) x = uniform(rng);
        ggml_quantize_chunk(t.type, row.data(), out.data() + static_cast<size_t>(r) * row_bytes, 0,
                            1, t.columns, nullptr);
      }
    };
    std::vector<std::thread> team;
    const int n = static_cast<int>(std::min<int64_t>(options_.threads, n_rows));
    for (int i = 0; i < n; ++i) team.emplace_back(work, n_rows * i / n, n_rows * (i + 1) / n);
    for (std::thread& thread : team) thread.join();
    return out;
  }

  const Options& options_;
  std::mt19937_64 rng_{options_.seed};
  std::map<std::pair<ggml_type, int64_t>, std::vector<uint8_t>> pool_;
};

struct GgufDeleter {
  void operator()(gguf_context* c) const { gguf_free(c); }
};
struct GgmlDeleter {
  void operator()(ggml_context* c) const { ggml_free(c); }
};
using Gguf = std::unique_ptr<gguf_context, GgufDeleter>;

int64_t vocabulary_size(const gguf_context* g) {
  const int64_t id = gguf_find_key(g, "tokenizer.ggml.tokens");
  if (id < 0) fail("the --vocab file has no tokenizer");
  return static_cast<int64_t>(gguf_get_arr_n(g, id));
}

void set_parameters(const Options& o, gguf_context* g, int64_t n_vocab) {
  const auto number = [&](const char* key, int value) {
    gguf_set_val_u32(g, key, static_cast<uint32_t>(value));
  };
  gguf_set_val_str(g, "general.architecture", "llama");
  gguf_set_val_str(g, "general.name", "random weights");
  gguf_remove_key(g, "general.file_type");
  number("llama.block_count", o.layers);
  number("llama.context_length", o.context);
  number("llama.embedding_length", o.embd);
  number("llama.feed_forward_length", o.ff);
  number("llama.attention.head_count", o.heads);
  number("llama.attention.head_count_kv", o.heads_kv);
  number("llama.rope.dimension_count", o.embd / o.heads);
  number("llama.vocab_size", static_cast<int>(n_vocab));
  gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon", 1e-5f);
  gguf_set_val_f32(g, "llama.rope.freq_base", 10000.0f);
}

void write_model(const Options& o) {
  const Gguf vocab(gguf_init_from_file(o.vocab.c_str(), {true, nullptr}));
  if (!vocab) fail("cannot read " + o.vocab);
  const int64_t n_vocab = vocabulary_size(vocab.get());
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), vocab.get());
  set_parameters(o, out.get(), n_vocab);

  const std::vector<Tensor> tensors = tensors_of(o, n_vocab);
  const std::unique_ptr<ggml_context, GgmlDeleter> meta(
      ggml_init({(tensors.size() + 1) * ggml_tensor_overhead(), nullptr, true}));
  for (const Tensor& t : tensors) {
    ggml_tensor* shape = t.rows == 1 ? ggml_new_tensor_1d(meta.get(), t.type, t.columns)
                                     : ggml_new_tensor_2d(meta.get(), t.type, t.columns, t.rows);
    ggml_set_name(shape, t.name.c_str());
    gguf_add_tensor(out.get(), shape);
  }
  if (!gguf_write_to_file(out.get(), o.out.c_str(), true)) fail("cannot write " + o.out);

  std::ofstream file(o.out, std::ios::binary | std::ios::app);
  const size_t alignment = gguf_get_alignment(out.get());
  Noise noise(o);
  for (const Tensor& t : tensors) {
    std::vector<uint8_t> data;
    if (t.rows == 1) {
      const std::vector<float> ones(static_cast<size_t>(t.columns), 1.0f);
      data.resize(ones.size() * sizeof(float));
      std::memcpy(data.data(), ones.data(), data.size());
    } else {
      data = noise.matrix(t);
    }
    data.resize((data.size() + alignment - 1) / alignment * alignment);
    file.write(reinterpret_cast<const char*>(data.data()),
               static_cast<std::streamsize>(data.size()));
    if (!file) fail("cannot write " + o.out + ": disk full?");
  }
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

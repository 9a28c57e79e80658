#include "apps/scale/padding.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <random>
#include <vector>

#include "gumbelspec/llama_model.h"

namespace gumbelspec::scale {
namespace {

// A character for private use (U+E000). With it at both ends a name cannot come out of merging
// pieces that are tokens, as no token of the model has it.
constexpr const char* kMark = "\xEE\x80\x80";

constexpr int kLeastBlock = 32;
constexpr double kSpread = 0.5;

std::string added_name(std::int64_t token) { return kMark + std::to_string(token) + kMark; }

// In [0, 1), of the token alone, so that target and draft agree (splitmix64's last step).
double spread_of(std::int64_t token) {
  auto x = (static_cast<std::uint64_t>(token) + 1) * 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return static_cast<double>((x ^ (x >> 31U)) >> 11U) * 0x1p-53;
}

std::vector<float> as_stored(ggml_type type, const std::vector<float>& row) {
  if (type == GGML_TYPE_F32) return row;
  const auto n = static_cast<std::int64_t>(row.size());
  std::vector<std::uint8_t> stored(ggml_row_size(type, n));
  ggml_quantize_init(type);
  // Some types cannot do without: every column is worth the same.
  const std::vector<float> importance(row.size(), 1.0F);
  ggml_quantize_chunk(type, row.data(), stored.data(), 0, 1, n,
                      ggml_quantize_requires_imatrix(type) ? importance.data() : nullptr);
  std::vector<float> values(row.size());
  ggml_get_type_traits(type)->to_float(stored.data(), values.data(), n);
  return values;
}

double root_mean_square(const std::vector<float>& values) {
  double sum = 0.0;
  for (const float v : values) sum += static_cast<double>(v) * static_cast<double>(v);
  return std::sqrt(sum / static_cast<double>(values.size()));
}

void require_room(const Source& source, std::int64_t n_real, int n_vocab) {
  if (n_vocab <= n_real) {
    fail("--vocab is " + std::to_string(n_vocab) + ", but the model has " + std::to_string(n_real) +
         " tokens; give more, or leave --vocab out");
  }
  if (source.n_ctx() < 64) {
    fail("--vocab needs a model with a context of 64 tokens, to measure on; this one has " +
         std::to_string(source.n_ctx()) + "; give another");
  }
}

// Texts of the model's own at temperature 1, side by side; each begins with a random token.
class ProbeTexts {
 public:
  static constexpr std::size_t kTexts = 8;
  static constexpr int kTokens = 60;
  // The first tokens of a text are unlike all others; real prompts have more.
  static constexpr int kFirst = 4;

  ProbeTexts(LlamaModel& model, std::size_t n_real) : model_(model), n_real_(n_real) {
    for (std::size_t i = 0; i < kTexts; ++i) {
      const auto first = static_cast<TokenId>(rng_() % n_real_);
      nodes_.push_back({model_.open(), kCommitted, first, true});
    }
  }

  // see(row) for the rows of all texts.
  template <typename See>
  void run(const See& see) {
    for (int n = 0; n < kTokens; ++n) {
      if (model_.evaluate(nodes_) != PassOutcome::ok) fail("a pass of the padded model failed");
      for (std::size_t i = 0; i < kTexts; ++i) {
        const auto row = model_.row(i);
        if (n >= kFirst) see(row);
        const PendingId node = pending_id(0);
        model_.commit(nodes_[i].seq, std::span(&node, 1));
        nodes_[i].token = choice(row.first(n_real_));
      }
    }
  }

 private:
  TokenId choice(std::span<const float> row) {
    std::exponential_distribution<double> waiting(1.0);
    std::size_t best = 0;
    double best_score = -HUGE_VAL;
    for (std::size_t v = 0; v < row.size(); ++v) {
      const double score = static_cast<double>(row[v]) - std::log(waiting(rng_));
      if (score > best_score) {
        best = v;
        best_score = score;
      }
    }
    return static_cast<TokenId>(best);
  }

  LlamaModel& model_;
  std::size_t n_real_;
  std::mt19937 rng_{1};
  std::vector<PassNode> nodes_;
};

}  // namespace

void Padding::fill_added(std::int64_t token, std::span<float> row) const {
  const auto size =
      static_cast<float>(static_cast<double>(output_entry) * (1.0 + kSpread * spread_of(token)));
  for (int i = 0; i < n_dims; ++i) {
    row[static_cast<std::size_t>(first_dim + i)] = i % 2 == 0 ? -size : size;
  }
}

void Padding::fill_embedding(std::int64_t token, std::span<float> row) const {
  if (is_tied && token >= n_real) return fill_added(token, row);
  for (int i = 0; i < n_dims; ++i) row[static_cast<std::size_t>(first_dim + i)] = constant;
}

void Padding::fill_output(std::int64_t token, std::span<float> row) const {
  if (token >= n_real) fill_added(token, row);
}

void Padding::fill_final_norm(std::span<float> weights) const {
  const auto weight =
      static_cast<float>(final_norm_weight / std::sqrt(static_cast<double>(weights.size())));
  for (int i = 0; i < n_dims; ++i) {
    weights[static_cast<std::size_t>(first_dim + i)] = i % 2 == 0 ? weight : -weight;
  }
}

Padding plan_padding(const Source& source, ggml_type type, int n_vocab) {
  const ggml_tensor* embedding = source.find("token_embd.weight");
  if (embedding == nullptr) fail("the model has no token_embd.weight; give another");
  require_room(source, embedding->ne[1], n_vocab);
  Padding p;
  p.n_real = embedding->ne[1];
  p.n_vocab = n_vocab;
  p.is_tied = source.is_tied();
  p.n_dims = std::max(kLeastBlock, static_cast<int>(ggml_blck_size(type)));
  p.first_dim = (source.shape().embd + p.n_dims - 1) / p.n_dims * p.n_dims;
  // Half of what epsilon adds to the sum of squares: the other half is left to be epsilon.
  const double room = static_cast<double>(source.epsilon()) * source.shape().embd;
  p.constant = static_cast<float>(std::sqrt(room / 2.0 / p.n_dims));
  const std::vector<float> block(static_cast<std::size_t>(p.n_dims), p.constant);
  for (const float c : as_stored(type, block)) {
    p.sum_of_squares += static_cast<double>(c) * static_cast<double>(c);
  }
  if (!(p.sum_of_squares > 0.1 * room && p.sum_of_squares < 0.9 * room)) {
    fail("the type cannot hold the small numbers that --vocab needs (" +
         std::to_string(p.constant) + "); give another --type, e.g. q8_0");
  }
  p.output_entry = static_cast<float>(
      root_mean_square(floats_of(p.is_tied ? embedding : source.find("output.weight"))));
  std::vector<float> added(static_cast<std::size_t>(p.n_dims));
  for (std::size_t i = 0; i < added.size(); ++i) {
    added[i] = i % 2 == 0 ? -p.output_entry : p.output_entry;
  }
  added = as_stored(type, added);
  const double mean_constant = std::sqrt(p.sum_of_squares / p.n_dims);
  for (std::size_t i = 0; i < added.size(); ++i) {
    p.reach += mean_constant * static_cast<double>(i % 2 == 0 ? -added[i] : added[i]);
  }
  return p;
}

void set_vocabulary(const Padding& padding, gguf_context* gguf) {
  const auto n_real = static_cast<std::size_t>(padding.n_real);
  const auto n_vocab = static_cast<std::size_t>(padding.n_vocab);
  const auto find = [&](const char* key) {
    const std::int64_t id = gguf_find_key(gguf, key);
    if (id >= 0 && gguf_get_arr_n(gguf, id) != n_real) {
      fail(std::string(key) + " has another number of tokens than the model; convert it again");
    }
    return id;
  };
  const std::int64_t tokens = find("tokenizer.ggml.tokens");
  if (tokens < 0) fail("the model has no vocabulary, which --vocab needs; give another");
  std::vector<std::string> names;
  for (std::size_t i = 0; i < n_real; ++i) {
    names.emplace_back(gguf_get_arr_str(gguf, tokens, i));
    if (names.back().find(kMark) == std::string::npos) continue;
    fail("the model has tokens with the character U+E000, by which added tokens are known (" +
         std::string("is it padded already?); give the model that it was made of"));
  }
  for (std::size_t i = n_real; i < n_vocab; ++i) {
    names.push_back(added_name(static_cast<std::int64_t>(i)));
  }
  std::vector<const char*> texts;
  for (const std::string& name : names) texts.push_back(name.c_str());
  gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", texts.data(), n_vocab);

  if (const std::int64_t id = find("tokenizer.ggml.scores"); id >= 0) {
    const auto* old = static_cast<const float*>(gguf_get_arr_data(gguf, id));
    std::vector<float> scores(old, old + n_real);
    scores.resize(n_vocab, -1e6F);
    gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), n_vocab);
  }
  constexpr std::int32_t kNormal = 1, kUnused = 5;  // llama.cpp's llama_token_type
  std::vector<std::int32_t> kinds(n_real, kNormal);
  if (const std::int64_t id = find("tokenizer.ggml.token_type"); id >= 0) {
    const auto* old = static_cast<const std::int32_t*>(gguf_get_arr_data(gguf, id));
    kinds.assign(old, old + n_real);
  }
  kinds.resize(n_vocab, kUnused);
  gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, kinds.data(), n_vocab);
  gguf_set_val_u32(gguf, "llama.vocab_size", static_cast<std::uint32_t>(n_vocab));
  gguf_set_val_u32(gguf, "gumbelspec.padded_from", static_cast<std::uint32_t>(n_real));
}

double measure_final_norm_weight(const std::string& path, int n_threads) {
  const auto model = LlamaModel::load({.path = path,
                                       .n_context = ProbeTexts::kTokens,
                                       .n_sequences = ProbeTexts::kTexts,
                                       .n_threads = n_threads,
                                       .devices = {"none"}});
  const std::size_t n_real = model->limits().n_vocab - 1;
  double needed = 0.0;
  bool is_below = true;
  ProbeTexts(*model, n_real).run([&](std::span<const float> row) {
    const double likeliest = static_cast<double>(*std::max_element(row.begin(), row.end()));
    const double added = static_cast<double>(row[n_real]);
    is_below = is_below && added < 0.0;
    needed = std::max(needed, (kPaddedGapNats - likeliest) / -added);
  });
  if (!is_below || !std::isfinite(needed)) {
    fail(
        "the model's residual stream is too large beside its norms' epsilon for --vocab; give "
        "another --type, e.g. q8_0, or another model");
  }
  // Two digits, upwards: rounding in the run does not show in the file.
  const double unit = std::pow(10.0, std::floor(std::log10(std::max(needed, 1e-3))) - 1.0);
  return std::ceil(std::max(needed, 1e-3) / unit) * unit;
}

}  // namespace gumbelspec::scale

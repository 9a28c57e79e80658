#include "testing/zoo/plain_llama.h"

#include <algorithm>
#include <stdexcept>

#include "llama.h"

namespace gumbelspec::zoo {
namespace {

thread_local std::string last_error;

struct ContextDeleter {
  void operator()(llama_context* context) const { llama_free(context); }
};
using Context = std::unique_ptr<llama_context, ContextDeleter>;

[[noreturn]] void fail(const std::string& what) {
  const std::string cause = last_llama_error();
  throw std::runtime_error(what + (cause.empty() ? "" : ": " + cause));
}

Context make_context(llama_model* model, const PlainSettings& settings) {
  llama_context_params params = llama_context_default_params();
  // As long as the program's: factors of the rotation depend on it (phi3).
  params.n_ctx = static_cast<std::uint32_t>(llama_model_n_ctx_train(model));
  params.n_batch = params.n_ubatch =
      static_cast<std::uint32_t>(std::max(settings.n_prompt, settings.n_batch));
  params.flash_attn_type =
      settings.flash_attention ? LLAMA_FLASH_ATTN_TYPE_ENABLED : LLAMA_FLASH_ATTN_TYPE_DISABLED;
  params.type_k = settings.type_k;
  params.type_v = settings.type_v;
  params.n_threads = params.n_threads_batch = 1;
  params.pooling_type = LLAMA_POOLING_TYPE_NONE;
  Context context(llama_init_from_model(model, params));
  if (context == nullptr) fail("llama.cpp made no context");
  return context;
}

// One batch of tokens behind what is in the cache; rows of those from `first` on go to `rows`.
void decode(llama_context* context, std::span<const int> text, std::size_t begin, std::size_t end,
            std::size_t first, Rows& rows) {
  llama_batch batch = llama_batch_init(static_cast<std::int32_t>(end - begin), 0, 1);
  batch.n_tokens = static_cast<std::int32_t>(end - begin);
  for (std::size_t i = begin; i < end; ++i) {
    const std::size_t k = i - begin;
    batch.token[k] = text[i];
    batch.pos[k] = static_cast<llama_pos>(i);
    batch.n_seq_id[k] = 1;
    batch.seq_id[k][0] = 0;
    // All of them: some graphs do not heed which rows are wanted.
    batch.logits[k] = 1;
  }
  const int code = llama_decode(context, batch);
  llama_batch_free(batch);
  if (code != 0) fail("llama_decode gave " + std::to_string(code));
  const int n_vocab = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(context)));
  for (std::size_t i = std::max(begin, first); i < end; ++i) {
    const float* row = llama_get_logits_ith(context, static_cast<std::int32_t>(i - begin));
    if (row == nullptr) fail("llama.cpp has no logits");
    rows.emplace_back(row, row + n_vocab);
  }
}

}  // namespace

std::string last_llama_error() {
  std::string text;
  text.swap(last_error);
  while (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

void keep_llama_errors() {
  llama_log_set(
      [](ggml_log_level level, const char* text, void*) {
        if (level == GGML_LOG_LEVEL_ERROR) last_error = text;
      },
      nullptr);
}

void PlainLlama::ModelDeleter::operator()(llama_model* model) const { llama_model_free(model); }

PlainLlama::PlainLlama(const std::string& path) {
  llama_model_params params = llama_model_default_params();
  params.use_extra_bufts = false;
  params.n_gpu_layers = 0;
  model_.reset(llama_model_load_from_file(path.c_str(), params));
  if (model_ == nullptr) fail("llama.cpp does not load it");
}

std::size_t PlainLlama::n_vocab() const {
  return static_cast<std::size_t>(llama_vocab_n_tokens(llama_model_get_vocab(model_.get())));
}
std::size_t PlainLlama::n_context() const {
  return static_cast<std::size_t>(llama_model_n_ctx_train(model_.get()));
}

Rows PlainLlama::rows(std::span<const int> text, std::size_t first,
                      const PlainSettings& settings) const {
  const Context context = make_context(model_.get(), settings);
  Rows rows;
  std::size_t begin = 0;
  if (settings.n_prompt > 0) {
    begin = std::min(settings.n_prompt, text.size());
    decode(context.get(), text, 0, begin, first, rows);
  }
  for (; begin < text.size(); begin += settings.n_batch) {
    decode(context.get(), text, begin, std::min(begin + settings.n_batch, text.size()), first,
           rows);
  }
  return rows;
}

Rows PlainLlama::own_rows(std::span<const int> text, std::size_t first,
                          PlainSettings settings) const {
  settings.flash_attention = true;
  settings.type_k = GGML_TYPE_F16;
  settings.type_v = GGML_TYPE_BF16;
  try {
    return rows(text, first, settings);
  } catch (const std::runtime_error&) {
    // Latent attention has one type for both.
    settings.type_k = GGML_TYPE_BF16;
    return rows(text, first, settings);
  }
}

std::vector<int> PlainLlama::greedy(std::span<const int> text, std::size_t n) const {
  const Context context = make_context(model_.get(), {});
  std::vector<int> whole(text.begin(), text.end());
  Rows rows;
  for (std::size_t i = 0; i < text.size() + n - 1; ++i) {
    decode(context.get(), whole, i, i + 1, text.size() - 1, rows);
    if (i + 1 < text.size()) continue;
    const std::vector<float>& row = rows.back();
    whole.push_back(static_cast<int>(std::max_element(row.begin(), row.end()) - row.begin()));
  }
  return {whole.begin() + static_cast<std::ptrdiff_t>(text.size()), whole.end()};
}

}  // namespace gumbelspec::zoo

#include "gumbelspec/llama_embedder.h"

#include <algorithm>
#include <new>
#include <utility>

#include "gumbelspec/error.h"
#include "llama.h"
#include "src/llama/abort_guard.h"
#include "src/llama/accelerators.h"
#include "src/llama/context_setup.h"
#include "src/llama/cpu_topology.h"
#include "src/llama/devices.h"
#include "src/llama/load_details.h"
#include "src/llama/log_capture.h"
#include "src/llama/model_file.h"
#include "src/llama/pair_tokens.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec {
namespace {

using Text = std::vector<TokenId>;

constexpr std::size_t kMostTexts = 64;
constexpr std::size_t kUsualTokens = 2048;

enum llama_pooling_type llama_pooling(Pooling pooling) {
  switch (pooling) {
    case Pooling::none:
      return LLAMA_POOLING_TYPE_NONE;
    case Pooling::mean:
      return LLAMA_POOLING_TYPE_MEAN;
    case Pooling::cls:
      return LLAMA_POOLING_TYPE_CLS;
    case Pooling::last:
      return LLAMA_POOLING_TYPE_LAST;
    case Pooling::rank:
      return LLAMA_POOLING_TYPE_RANK;
    default:
      return LLAMA_POOLING_TYPE_UNSPECIFIED;
  }
}

Pooling pooling_of(enum llama_pooling_type type) {
  for (const Pooling pooling : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::rank}) {
    if (llama_pooling(pooling) == type) return pooling;
  }
  return Pooling::none;
}

[[noreturn]] void refuse_model(const std::string& why) {
  throw Error(ErrorCode::invalid_model, "the model " + why, "path");
}

// Its positions may be a table: what is beyond is not there.
std::size_t context_of(std::size_t n_trained, const LlamaModelOptions& options) {
  const std::size_t n_most = internal::stretched_context(n_trained, options.rope);
  if (n_trained > 0 && options.n_context > n_most) {
    throw Error(ErrorCode::invalid_option,
                "n_context is " + std::to_string(options.n_context) +
                    " tokens, but the model was trained for " + std::to_string(n_trained) +
                    "; give at most " + std::to_string(n_most),
                "n_context");
  }
  if (options.n_context > 0) return options.n_context;
  return n_trained > 0 ? std::min(n_trained, kUsualTokens) : kUsualTokens;
}

}  // namespace

class LlamaEmbedder::Impl {
 public:
  explicit Impl(const LlamaEmbedderOptions& options)
      : log_(options.model.on_log), is_cancelled_(options.model.is_cancelled) {
    load(options);
  }
  ~Impl() {
    // llama.cpp logs while it frees.
    const internal::LogCapture capture(log_);
    context_.reset();
    model_.reset();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<std::vector<float>> embed(std::span<const std::vector<TokenId>> texts);

  [[nodiscard]] const llama_model* model() const { return model_.get(); }
  [[nodiscard]] const llama_vocab* vocab() const { return llama_model_get_vocab(model_.get()); }
  [[nodiscard]] std::size_t n_vocab() const {
    return static_cast<std::size_t>(llama_vocab_n_tokens(vocab()));
  }

  Pooling pooling = Pooling::none;
  std::size_t n_dimensions = 0;
  std::size_t n_context = 0;
  std::size_t n_trained = 0;
  std::size_t max_tokens = 0;

 private:
  void load(const LlamaEmbedderOptions& options);
  void check_model(const LlamaEmbedderOptions& options) const;
  void make_context(const LlamaEmbedderOptions& options);
  void check_passes();
  void check_text(const std::vector<TokenId>& text) const;
  void run(std::span<const std::vector<TokenId>> texts, std::vector<std::vector<float>>& out);
  void decode(std::span<const std::vector<TokenId>> texts);
  static bool ask_cancelled(void* impl);

  internal::LogSink log_;
  std::function<bool()> is_cancelled_;
  internal::LlamaModelPtr model_;
  internal::LlamaContextPtr context_;
  std::size_t max_texts_ = 1;
};

bool LlamaEmbedder::Impl::ask_cancelled(void* impl) {
  try {
    return static_cast<Impl*>(impl)->is_cancelled_();
  } catch (...) {
    // It must not cross llama.cpp's threads; a callback that fails is a wish to stop.
    return true;
  }
}

void LlamaEmbedder::Impl::load(const LlamaEmbedderOptions& options) {
  // The two read ggml's list of devices one after the other.
  const std::vector<internal::Device> devices = [&] {
    const internal::DeviceList list(/*with_accelerators=*/true);
    return internal::chosen_devices(options.model);
  }();
  const internal::DeviceList list(options.model.accelerators);
  model_ = internal::load_model_file(internal::file_options(options.model, devices), log_);
  try {
    const internal::AbortGuard guard;
    internal::require_texts(vocab());
    internal::check_pieces(vocab());
    check_model(options);
    make_context(options);
    check_passes();
  } catch (const internal::AbortError& error) {
    refuse_model(std::string("cannot be used by llama.cpp: ") + error.what() +
                 "; convert it again");
  }
}

void LlamaEmbedder::Impl::check_model(const LlamaEmbedderOptions& options) const {
  const std::string name = internal::model_metadata(model(), "general.architecture");
  if (llama_model_has_encoder(model()) && llama_model_has_decoder(model())) {
    refuse_model("has an encoder and a decoder (" + name +
                 "), which makes no vectors of texts; use an embedding model");
  }
  if (options.pooling != Pooling::rank) return;
  const auto has = [&](const char* tensor) {
    return internal::has_tensor(options.model.path, tensor, log_);
  };
  // The first part of a model in parts does not tell.
  const bool is_split = !internal::model_metadata(model(), "split.count").empty();
  if (is_split || has("cls.weight") || has("cls.output.weight")) return;
  refuse_model("has no head that ranks texts (cls.weight, cls.output.weight); use a reranker");
}

void LlamaEmbedder::Impl::make_context(const LlamaEmbedderOptions& options) {
  const LlamaModelOptions& given = options.model;
  n_trained = static_cast<std::size_t>(std::max(0, llama_model_n_ctx_train(model())));
  n_context = context_of(n_trained, given);
  max_tokens = std::min(options.max_tokens > 0 ? options.max_tokens : kUsualTokens, n_context);
  max_texts_ = std::clamp<std::size_t>(given.n_sequences, 1, kMostTexts);
  llama_context_params params = llama_context_default_params();
  params.n_ctx = static_cast<std::uint32_t>(n_context);
  params.n_batch = params.n_ubatch = static_cast<std::uint32_t>(max_tokens);
  params.n_seq_max = static_cast<std::uint32_t>(max_texts_);
  params.kv_unified = true;
  params.swa_full = true;
  params.embeddings = true;
  params.pooling_type = llama_pooling(options.pooling);
  params.n_threads = given.n_threads > 0 ? given.n_threads : internal::n_physical_cores();
  params.n_threads_batch = given.n_threads_prompt > 0 ? given.n_threads_prompt : params.n_threads;
  if (is_cancelled_) {
    params.abort_callback = &Impl::ask_cancelled;
    params.abort_callback_data = this;
  }
  internal::put_rope(given.rope, params);
  const internal::LogCapture capture(log_);
  context_.reset(llama_init_from_model(model_.get(), params));
  if (context_ == nullptr) {
    throw Error(ErrorCode::out_of_memory, "no context of " + std::to_string(n_context) +
                                              " tokens could be made: " + capture.last_error() +
                                              "; ask for a shorter context");
  }
  internal::apply_adapters(model_.get(), context_.get(), given);
  pooling = pooling_of(llama_pooling_type(context_.get()));
  n_dimensions = static_cast<std::size_t>(
      pooling == Pooling::rank ? static_cast<std::int32_t>(llama_model_n_cls_out(model()))
                               : llama_model_n_embd_out(model()));
}

// ggml ends the process over a tensor of a type that its operation does not take, e.g. quantized
// token types, when a pass comes to it. In one thread, which is this one, the guard sees that.
void LlamaEmbedder::Impl::check_passes() {
  const std::int32_t n_threads = llama_n_threads(context_.get());
  const std::int32_t n_threads_batch = llama_n_threads_batch(context_.get());
  llama_set_n_threads(context_.get(), 1, 1);
  const Text one = {TokenId{0}};
  const Text two = {TokenId{0}, TokenId{0}};
  const std::vector<Text> texts =
      max_texts_ > 1 && max_tokens > 2 ? std::vector<Text>{two, one} : std::vector<Text>{one};
  decode(texts);
  llama_set_n_threads(context_.get(), n_threads, n_threads_batch);
}

void LlamaEmbedder::Impl::check_text(const std::vector<TokenId>& text) const {
  if (text.empty()) throw Error(ErrorCode::invalid_prompt, "a text is empty; give it", "prompt");
  if (text.size() > max_tokens) {
    throw Error(ErrorCode::prompt_too_long,
                "a text of " + std::to_string(text.size()) + " tokens is too large; give at most " +
                    std::to_string(max_tokens) + ", or raise max_tokens",
                "prompt", "max_tokens");
  }
  const bool is_known = std::all_of(text.begin(), text.end(),
                                    [&](TokenId token) { return index(token) < n_vocab(); });
  if (!is_known) {
    throw Error(
        ErrorCode::invalid_prompt,
        "a text has a token that the vocabulary does not have; it has " + std::to_string(n_vocab()),
        "prompt");
  }
}

std::vector<std::vector<float>> LlamaEmbedder::Impl::embed(
    std::span<const std::vector<TokenId>> texts) {
  for (const auto& text : texts) check_text(text);
  std::vector<std::vector<float>> out;
  out.reserve(texts.size());
  while (out.size() < texts.size()) {
    const std::size_t first = out.size();
    std::size_t n = 0;
    std::size_t n_tokens = 0;
    while (first + n < texts.size() && n < max_texts_ &&
           n_tokens + texts[first + n].size() <= max_tokens) {
      n_tokens += texts[first + n].size();
      ++n;
    }
    run(texts.subspan(first, n), out);
  }
  return out;
}

void LlamaEmbedder::Impl::decode(std::span<const std::vector<TokenId>> texts) {
  std::vector<llama_token> tokens;
  std::vector<llama_pos> positions;
  std::vector<llama_seq_id> ids;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    for (std::size_t k = 0; k < texts[i].size(); ++k) {
      tokens.push_back(static_cast<llama_token>(texts[i][k]));
      positions.push_back(static_cast<llama_pos>(k));
      ids.push_back(static_cast<llama_seq_id>(i));
    }
  }
  std::vector<std::int32_t> n_ids(tokens.size(), 1);
  std::vector<llama_seq_id*> id_places;
  id_places.reserve(ids.size());
  for (llama_seq_id& id : ids) id_places.push_back(&id);
  // Pooling wants the vectors of all of them.
  std::vector<std::int8_t> wants_row(tokens.size(), 1);
  llama_batch batch{};
  batch.n_tokens = static_cast<std::int32_t>(tokens.size());
  batch.token = tokens.data();
  batch.pos = positions.data();
  batch.n_seq_id = n_ids.data();
  batch.seq_id = id_places.data();
  batch.logits = wants_row.data();
  const internal::LogCapture capture(log_);
  if (llama_memory_t memory = llama_get_memory(context_.get()); memory != nullptr) {
    llama_memory_clear(memory, /*data=*/true);
  }
  const std::int32_t status = llama_decode(context_.get(), batch);
  if (status == 0) return;
  const bool is_cancelled = is_cancelled_ && ask_cancelled(this);
  throw Error(ErrorCode::evaluation_failed,
              is_cancelled
                  ? "the pass was cancelled"
                  : "llama.cpp could not evaluate a pass over " + std::to_string(tokens.size()) +
                        " tokens (status " + std::to_string(status) + "): " + capture.last_error());
}

void LlamaEmbedder::Impl::run(std::span<const std::vector<TokenId>> texts,
                              std::vector<std::vector<float>>& out) {
  decode(texts);
  const auto missing = [] {
    return Error(ErrorCode::evaluation_failed, "llama.cpp gave no vector for a text");
  };
  std::int32_t place = 0;
  for (std::size_t i = 0; i < texts.size(); ++i) {
    std::vector<float> vector;
    if (pooling == Pooling::none) {
      for (std::size_t k = 0; k < texts[i].size(); ++k) {
        const float* row = llama_get_embeddings_ith(context_.get(), place++);
        if (row == nullptr) throw missing();
        vector.insert(vector.end(), row, row + n_dimensions);
      }
    } else {
      const float* row = llama_get_embeddings_seq(context_.get(), static_cast<llama_seq_id>(i));
      if (row == nullptr) throw missing();
      vector.assign(row, row + n_dimensions);
    }
    out.push_back(std::move(vector));
  }
}

LlamaEmbedder::LlamaEmbedder(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LlamaEmbedder::~LlamaEmbedder() = default;

std::unique_ptr<LlamaEmbedder> LlamaEmbedder::load(const LlamaEmbedderOptions& options) {
  try {
    return std::unique_ptr<LlamaEmbedder>(new LlamaEmbedder(std::make_unique<Impl>(options)));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "not enough memory for model file \"" +
                                              options.model.path +
                                              "\"; use a smaller model or a shorter context");
  }
}

Pooling LlamaEmbedder::pooling() const { return impl_->pooling; }
std::size_t LlamaEmbedder::n_dimensions() const { return impl_->n_dimensions; }
std::size_t LlamaEmbedder::n_context() const { return impl_->n_context; }
std::size_t LlamaEmbedder::n_context_trained() const { return impl_->n_trained; }
std::size_t LlamaEmbedder::max_tokens() const { return impl_->max_tokens; }

std::vector<std::vector<float>> LlamaEmbedder::embed(std::span<const std::vector<TokenId>> texts) {
  return impl_->embed(texts);
}

std::vector<TokenId> LlamaEmbedder::tokenize(std::string_view text,
                                             const TokenizeOptions& options) const {
  return internal::tokenize(impl_->vocab(), text, options);
}

std::string LlamaEmbedder::piece(TokenId token) const {
  return index(token) < n_vocab() ? internal::piece_of(impl_->vocab(), token) : std::string();
}

std::string LlamaEmbedder::token_text(TokenId token) const {
  if (index(token) >= n_vocab()) return {};
  return internal::text_of_token(impl_->vocab(), static_cast<llama_token>(token));
}

std::string LlamaEmbedder::bos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_bos(impl_->vocab()));
}

std::string LlamaEmbedder::eos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_eos(impl_->vocab()));
}

std::size_t LlamaEmbedder::n_vocab() const { return impl_->n_vocab(); }

std::string LlamaEmbedder::metadata(const std::string& key) const {
  return internal::model_metadata(impl_->model(), key);
}

std::string LlamaEmbedder::file_type() const {
  return llama_ftype_name(llama_model_ftype(impl_->model()));
}

LlamaSize LlamaEmbedder::size() const {
  return {llama_model_n_params(impl_->model()), llama_model_size(impl_->model()),
          static_cast<std::size_t>(llama_model_n_embd(impl_->model()))};
}

std::vector<TokenId> LlamaEmbedder::pair_tokens(std::string_view query,
                                                std::string_view document) const {
  return internal::pair_tokens(impl_->model(), query, document);
}

}  // namespace gumbelspec

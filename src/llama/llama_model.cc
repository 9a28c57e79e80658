#include "gumbelspec/llama_model.h"

#include <array>
#include <cstdio>
#include <stdexcept>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "llama.h"
#include "src/llama/context_setup.h"
#include "src/llama/grammar.h"
#include "src/llama/model_file.h"
#include "src/llama/tree_cache.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec {

class LlamaModel::Impl {
 public:
  explicit Impl(const LlamaModelOptions& options)
      : log_(options.on_log), is_cancelled_(options.is_cancelled) {
    internal::ModelFileOptions file;
    file.path = options.path;
    file.n_gpu_layers = options.n_gpu_layers;
    file.use_mmap = options.use_mmap;
    file.is_batch_invariant = options.attention == Attention::exact;
    file.on_progress = options.on_progress;
    model_ = internal::load_model_file(file, log_);
    vocab_ = llama_model_get_vocab(model_.get());
    setup_ = internal::make_context(model_.get(), options,
                                    is_cancelled_ ? &Impl::ask_cancelled : nullptr, this, log_);
    cache_ = std::make_unique<internal::TreeCache>(setup_.context.get(), setup_.cache, log_,
                                                   is_cancelled_);
  }

  ~Impl() {
    // llama.cpp logs while it frees.
    const internal::LogCapture capture(log_);
    cache_.reset();
    setup_.context.reset();
    model_.reset();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  [[nodiscard]] const ModelLimits& limits() const { return setup_.limits; }
  [[nodiscard]] int n_threads() const { return setup_.n_threads; }
  [[nodiscard]] const llama_model* model() const { return model_.get(); }
  [[nodiscard]] const llama_vocab* vocab() const { return vocab_; }
  [[nodiscard]] internal::TreeCache& cache() { return *cache_; }
  [[nodiscard]] const internal::TreeCache& cache() const { return *cache_; }

 private:
  static bool ask_cancelled(void* impl) {
    try {
      return static_cast<Impl*>(impl)->is_cancelled_();
    } catch (...) {
      // It must not cross llama.cpp's threads; a callback that fails is a wish to stop.
      return true;
    }
  }

  internal::LogSink log_;
  std::function<bool()> is_cancelled_;
  internal::LlamaModelPtr model_;
  const llama_vocab* vocab_ = nullptr;
  internal::ContextSetup setup_;
  std::unique_ptr<internal::TreeCache> cache_;
};

LlamaModel::LlamaModel(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LlamaModel::~LlamaModel() = default;

std::unique_ptr<LlamaModel> LlamaModel::load(const LlamaModelOptions& options) {
  try {
    return std::unique_ptr<LlamaModel>(new LlamaModel(std::make_unique<Impl>(options)));
  } catch (const std::bad_alloc&) {
    throw Error(ErrorCode::out_of_memory, "not enough memory for model file \"" + options.path +
                                              "\"; use a smaller model or a shorter context");
  }
}

const ModelLimits& LlamaModel::limits() const { return impl_->limits(); }

bool LlamaModel::is_end(TokenId token) const {
  return index(token) < limits().n_vocab &&
         llama_vocab_is_eog(impl_->vocab(), static_cast<llama_token>(token));
}

SeqId LlamaModel::open() { return impl_->cache().open(); }
void LlamaModel::close(SeqId seq) { impl_->cache().close(seq); }

std::size_t LlamaModel::n_committed(SeqId seq) const { return impl_->cache().n_committed(seq); }

PassOutcome LlamaModel::extend(SeqId seq, std::span<const TokenId> tokens) {
  return impl_->cache().extend(seq, tokens);
}

PassOutcome LlamaModel::evaluate(std::span<const PassNode> nodes) {
  return impl_->cache().evaluate(nodes);
}

std::span<const float> LlamaModel::row(std::size_t i) const {
  return {impl_->cache().row(i), limits().n_vocab};
}

void LlamaModel::commit(SeqId seq, std::span<const PendingId> path) {
  impl_->cache().commit(seq, path);
}

void LlamaModel::truncate(SeqId seq, std::size_t n) { impl_->cache().truncate(seq, n); }

std::vector<TokenId> LlamaModel::tokenize(std::string_view text,
                                          const TokenizeOptions& options) const {
  return internal::tokenize(impl_->vocab(), text, options);
}

std::string LlamaModel::piece(TokenId token) const {
  if (index(token) >= limits().n_vocab) return {};
  return internal::piece_of(impl_->vocab(), token);
}

std::string LlamaModel::bos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_bos(impl_->vocab()));
}

std::string LlamaModel::eos_text() const {
  return internal::text_of_token(impl_->vocab(), llama_vocab_eos(impl_->vocab()));
}

std::string LlamaModel::description() const {
  const auto n_parameters = static_cast<double>(llama_model_n_params(impl_->model()));
  const bool is_large = n_parameters >= 1e9;
  std::array<char, 32> size{};
  std::snprintf(size.data(), size.size(), "%.3g %s", n_parameters / (is_large ? 1e9 : 1e6),
                is_large ? "B" : "M");
  // llama.cpp marks types that the file does not name.
  constexpr std::string_view kGuessed = "(guessed) ";
  std::string_view type = llama_ftype_name(llama_model_ftype(impl_->model()));
  if (type.substr(0, kGuessed.size()) == kGuessed) type.remove_prefix(kGuessed.size());
  return internal::model_metadata(impl_->model(), "general.architecture") + " " + size.data() +
         " " + std::string(type);
}

std::string LlamaModel::metadata(const std::string& key) const {
  return internal::model_metadata(impl_->model(), key);
}

int LlamaModel::n_threads() const { return impl_->n_threads(); }

void LlamaModel::require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft) {
  const auto difference =
      internal::vocabulary_difference(target.impl_->vocab(), draft.impl_->vocab());
  if (!difference) return;
  throw Error(ErrorCode::vocabulary_mismatch,
              "target and draft do not share a vocabulary: " + *difference +
                  "; use a draft of the target's family");
}

std::unique_ptr<TokenConstraint> make_grammar(const LlamaModel& model, const std::string& gbnf) {
  return internal::make_grammar_constraint(model.impl_->vocab(), gbnf);
}

std::string LlamaModel::backend_description() {
  const std::string version = llama_version();
  return "llama.cpp " + version + ": " + llama_print_system_info();
}

}  // namespace gumbelspec

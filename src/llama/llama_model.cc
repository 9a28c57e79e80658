#include "gumbelspec/llama_model.h"

#include <new>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "llama.h"
#include "src/llama/llama_model_impl.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec {

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

const ModelLimits& LlamaModel::limits() const { return impl_->description().limits; }

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

PassOutcome LlamaModel::extend_after(SeqId seq, std::span<const TokenId> tokens,
                                     std::span<const float> states) {
  return impl_->cache().extend_after(seq, tokens, states);
}
void LlamaModel::copy_state(std::size_t i, std::span<float> out) const {
  impl_->cache().copy_state(i, out);
}
HeadKind LlamaModel::head_kind() const { return impl_->head_kind(); }
bool LlamaModel::has_mtp() const { return impl_->has_mtp(); }

std::span<const float> LlamaModel::row(std::size_t i) const {
  return {impl_->cache().row(i), limits().n_vocab};
}

void LlamaModel::commit(SeqId seq, std::span<const PendingId> path) {
  impl_->cache().commit(seq, path);
}

void LlamaModel::truncate(SeqId seq, std::size_t n) { impl_->cache().truncate(seq, n); }
std::size_t LlamaModel::n_restorable(SeqId seq, std::size_t n) const {
  return impl_->cache().n_restorable(seq, n);
}
void LlamaModel::remember(SeqId seq) { impl_->cache().remember(seq); }
std::size_t LlamaModel::n_extra() const { return impl_->cache().n_extra(); }
std::vector<std::uint8_t> LlamaModel::state(SeqId seq) { return impl_->cache().state(seq); }
bool LlamaModel::set_state(SeqId seq, std::span<const std::uint8_t> state, std::size_t n_tokens) {
  return impl_->cache().set_state(seq, state, n_tokens);
}

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

std::vector<TokenId> LlamaModel::suppressed_tokens() const {
  std::int32_t n = 0;
  const llama_token* tokens = llama_vocab_get_suppress_tokens(impl_->vocab(), &n);
  std::vector<TokenId> ids;
  for (std::int32_t i = 0; tokens != nullptr && i < n; ++i) {
    ids.push_back(static_cast<TokenId>(tokens[i]));
  }
  return ids;
}

std::string LlamaModel::token_text(TokenId token) const {
  if (index(token) >= limits().n_vocab) return {};
  return internal::text_of_token(impl_->vocab(), static_cast<llama_token>(token));
}

LlamaFillTokens LlamaModel::fill_tokens() const {
  const auto some = [](llama_token token) {
    return token == LLAMA_TOKEN_NULL ? std::nullopt
                                     : std::optional(token_id(static_cast<std::size_t>(token)));
  };
  const llama_vocab* vocab = impl_->vocab();
  return {some(llama_vocab_fim_pre(vocab)), some(llama_vocab_fim_suf(vocab)),
          some(llama_vocab_fim_mid(vocab)), some(llama_vocab_fim_rep(vocab)),
          some(llama_vocab_fim_sep(vocab))};
}

LlamaSize LlamaModel::size() const { return impl_->description().size; }

std::string LlamaModel::description() const { return impl_->description().text; }

std::string LlamaModel::metadata(const std::string& key) const {
  return internal::model_metadata(impl_->vocabulary(), key);
}

int LlamaModel::n_threads() const { return impl_->description().n_threads; }

void LlamaModel::restore() { impl_->restore(); }

PassGuarantee LlamaModel::guarantee() const { return impl_->guarantee(); }
LlamaRollback LlamaModel::rollback() const { return impl_->description().rollback; }

std::vector<LlamaPlacement> LlamaModel::placement() const { return impl_->placement(); }
RpcTraffic LlamaModel::rpc_traffic() const { return impl_->traffic(); }

void LlamaModel::require_same_vocabulary(const LlamaModel& target, const LlamaModel& draft) {
  const auto difference =
      internal::vocabulary_difference(target.impl_->vocab(), draft.impl_->vocab());
  if (!difference) return;
  throw Error(ErrorCode::vocabulary_mismatch,
              "target and draft do not share a vocabulary: " + *difference +
                  "; use a draft of the target's family");
}

std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model, const std::string& gbnf,
                                               const GrammarTrigger& trigger) {
  return model.impl_->compile_grammar(gbnf, trigger);
}

std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model, const std::string& gbnf) {
  return compile_grammar(model, gbnf, {});
}

}  // namespace gumbelspec

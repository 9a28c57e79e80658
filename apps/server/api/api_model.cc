#include "apps/server/api/api_model.h"

#include <charconv>
#include <mutex>
#include <utility>

#include "gumbelspec/dry_breakers.h"
#include "gumbelspec/noise.h"

namespace gumbelspec::server {
namespace {

class ModelTokenizer final : public Tokenizer {
 public:
  explicit ModelTokenizer(const LlamaModel& model) : model_(model) {}

  std::vector<TokenId> tokenize(std::string_view text,
                                const TokenizeOptions& options) const override {
    return model_.tokenize(text, options);
  }
  std::string piece(TokenId token) const override { return model_.piece(token); }
  std::string text(TokenId token) const override {
    std::string bytes = model_.piece(token);
    return bytes.empty() ? model_.token_text(token) : bytes;
  }
  std::size_t n_vocab() const override { return model_.limits().n_vocab; }
  std::shared_ptr<const std::vector<DryBreaker>> dry_breakers(
      const std::vector<std::string>& texts) const override {
    const std::scoped_lock lock(mutex_);
    if (!last_breakers_ || texts != last_texts_) {
      last_breakers_ = gumbelspec::dry_breakers(model_, texts);
      last_texts_ = texts;
    }
    return last_breakers_;
  }

 private:
  const LlamaModel& model_;
  // Of most requests the same ones.
  mutable std::mutex mutex_;
  mutable std::vector<std::string> last_texts_;
  mutable std::shared_ptr<const std::vector<DryBreaker>> last_breakers_;
};

// ChatML's control tokens are one token each in vocabularies that have them.
bool has_chatml_tokens(const LlamaModel& model) {
  constexpr TokenizeOptions kControl{.adds_special = false, .reads_control = true};
  constexpr TokenizeOptions kText{.adds_special = false, .reads_control = false};
  for (const char* token : {"<|im_start|>", "<|im_end|>"}) {
    const auto read = model.tokenize(token, kControl);
    if (read.size() != 1 || read == model.tokenize(token, kText)) return false;
  }
  return true;
}

std::size_t trained_context(const LlamaModel& model) {
  const std::string text = model.metadata("%s.context_length");
  std::size_t n = 0;
  std::from_chars(text.data(), text.data() + text.size(), n);
  return n;
}

}  // namespace

// Clients of llama.cpp's server look for a "b" in front.
std::string router_fingerprint() { return "b0.5.0-gumbelspec-" GUMBELSPEC_VERSION; }

ApiModel make_api_model(const LlamaModel& target, const std::string& chat_template) {
  ApiModel model;
  model.tokenizer = std::make_shared<ModelTokenizer>(target);
  model.compile_grammar = [&target](const std::string& gbnf, const GrammarTrigger& trigger) {
    return compile_grammar(target, gbnf, trigger);
  };
  model.chat_template = std::make_shared<ChatTemplate>(
      chat_template.empty() ? target.metadata("tokenizer.chat_template") : chat_template,
      target.bos_text(), target.eos_text(), has_chatml_tokens(target));
  model.fingerprint = router_fingerprint() + "-noise" + std::to_string(kNoiseVersion);
  model.n_context = target.limits().n_context;
  model.architecture = target.metadata("general.architecture");
  const std::string about = target.description();
  model.file_type = about.substr(about.rfind(' ') + 1);
  model.fill_tokens = target.fill_tokens();
  model.size = target.size();
  model.n_context_trained = trained_context(target);
  return model;
}

}  // namespace gumbelspec::server

#include "tests/bindings/c_api_fixture.h"

#include <stdexcept>

#include "tests/cli/process.h"

namespace gumbelspec::testing {

gumbelspec_pair* CApi::pair_ = nullptr;

namespace {

void require(gumbelspec_status status) {
  if (status != GUMBELSPEC_OK) throw std::runtime_error(gumbelspec_last_error());
}

}  // namespace

PairPtr load_demo(const std::string& options) {
  gumbelspec_pair* pair = nullptr;
  require(gumbelspec_pair_load(model_path("demo-target-q8_0.gguf").c_str(),
                               model_path("demo-draft-q8_0.gguf").c_str(), options.c_str(), nullptr,
                               nullptr, &pair));
  return PairPtr(pair);
}

SessionPtr new_session(gumbelspec_pair* pair, const std::string& options) {
  gumbelspec_session* session = nullptr;
  require(gumbelspec_session_new(pair, options.c_str(), &session));
  return SessionPtr(session);
}

std::vector<int> tokenize(const gumbelspec_pair* pair, const std::string& text, int flags) {
  std::size_t n = 0;
  (void)gumbelspec_tokenize(pair, text.data(), text.size(), flags, nullptr, 0, &n);
  std::vector<int> tokens(n);
  require(gumbelspec_tokenize(pair, text.data(), text.size(), flags, tokens.data(), n, &n));
  return tokens;
}

SessionText text_of(gumbelspec_session* session, const std::vector<int>& prompt) {
  SessionText out;
  const gumbelspec_round* round = nullptr;
  require(gumbelspec_session_start(session, prompt.data(), prompt.size(), &round));
  while (round->outcome == GUMBELSPEC_RUNNING) {
    require(gumbelspec_session_step(session, &round));
    out.text.append(round->text, round->n_text);
    for (std::size_t i = 0; i < round->n_tokens; ++i) out.tokens.push_back(round->tokens[i].token);
  }
  out.outcome = round->outcome;
  return out;
}

SessionText text_of(gumbelspec_pair* pair, const std::string& prompt, const std::string& options) {
  return text_of(new_session(pair, options).get(), tokenize(pair, prompt));
}

}  // namespace gumbelspec::testing

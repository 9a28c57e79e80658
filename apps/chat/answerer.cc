#include "apps/chat/answerer.h"

#include <memory>

namespace gumbelspec::chat {
namespace {

// Where an answer and its error go; both outlive the sink.
class AnswerSink final : public TextSink {
 public:
  AnswerSink(Answer& answer, std::optional<Error>& error,
             const std::function<bool(const GeneratedToken&)>& on_token,
             const std::function<void(std::size_t, std::size_t)>& on_prompt,
             const std::function<bool()>& is_stopped)
      : answer_(answer),
        error_(error),
        on_token_(on_token),
        on_prompt_(on_prompt),
        is_stopped_(is_stopped) {}

  void on_prompt(std::size_t n_done, std::size_t n_total, std::size_t n_reused) override {
    answer_.n_reused = n_reused;
    if (on_prompt_) on_prompt_(n_done, n_total);
  }

  bool on_round(const BatchRound& round) override {
    for (const GeneratedToken& token : round.tokens) {
      answer_.tokens.push_back(token.token);
      if (!on_token_(token)) return false;
    }
    return !is_stopped_();
  }

  void on_end(Outcome outcome, const Statistics& statistics, const Error* error) override {
    answer_.outcome = outcome;
    answer_.statistics = statistics;
    if (error != nullptr) error_ = *error;
  }

 private:
  Answer& answer_;
  std::optional<Error>& error_;
  const std::function<bool(const GeneratedToken&)>& on_token_;
  const std::function<void(std::size_t, std::size_t)>& on_prompt_;
  const std::function<bool()>& is_stopped_;
};

}  // namespace

Answer Answerer::run(std::span<const TokenId> prompt, const TextOptions& options,
                     const std::function<bool(const GeneratedToken&)>& on_token,
                     const std::function<void(std::size_t, std::size_t)>& on_prompt,
                     const std::function<bool()>& is_stopped) {
  Answer answer;
  std::optional<Error> error;
  const TextId id =
      batch_.add(prompt, options,
                 std::make_unique<AnswerSink>(answer, error, on_token, on_prompt, is_stopped));
  while (answer.outcome == Outcome::running) {
    // A long prompt is read in pieces.
    if (is_stopped()) batch_.cancel(id);
    if (!batch_.step()) break;
  }
  if (error) throw *error;
  if (answer.outcome == Outcome::cancelled) answer.outcome = Outcome::stop;
  return answer;
}

}  // namespace gumbelspec::chat

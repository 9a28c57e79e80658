// How the library reports what went wrong while something was built up (loading, options).
// A step of a running session never throws for an expected end; it returns an Outcome.
#ifndef GUMBELSPEC_ERROR_H_
#define GUMBELSPEC_ERROR_H_

#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

namespace gumbelspec {

enum class ErrorCode {
  invalid_option,       // a value outside its limits
  file_not_found,       // a model file or a library that is not there or cannot be used
  invalid_model,        // not a GGUF file, truncated, or an architecture that cannot decode
  vocabulary_mismatch,  // target and draft do not share a vocabulary
  invalid_prompt,       // empty, not UTF-8, or a token outside the vocabulary
  prompt_too_long,      // the prompt does not fit into the context
  out_of_memory,        // the engine below could not allocate
  evaluation_failed,    // the engine below failed inside a pass
  no_token_allowed,     // every token is masked or its logit is not a number
  peer_lost,            // an RPC server cannot be reached, or went away
};

// One line: the value, the limit and the remedy. Options have the names of the library's structs in
// it ("top_p is 2, but must be in (0, 1]"); a program whose users know them under other names says
// message_with().
class Error : public std::runtime_error {
 public:
  // field: what the message is about: an option ("top_p", "max_tokens"), or "prompt"; empty:
  // nothing that the caller gave. remedy: another option, which the message names as the way out;
  // mostly empty. Both stand in the message as words, in front of any text of a user's.
  Error(ErrorCode code, const std::string& message, std::string field = {}, std::string remedy = {})
      : std::runtime_error(message),
        code_(code),
        field_(std::move(field)),
        remedy_(std::move(remedy)) {}

  [[nodiscard]] ErrorCode code() const { return code_; }
  [[nodiscard]] const std::string& field() const { return field_; }

  // The message with other names in the places of the field and the remedy: "--top-p is 2, ...".
  // name_of: from a library's name to the one to say; empty: the library's.
  [[nodiscard]] std::string message_with(
      const std::function<std::string(std::string_view)>& name_of) const;

 private:
  ErrorCode code_;
  std::string field_;
  std::string remedy_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ERROR_H_

// How the library reports what went wrong while something was built up (loading, options).
// A step of a running session never throws for an expected end; it returns an Outcome.
#ifndef GUMBELSPEC_ERROR_H_
#define GUMBELSPEC_ERROR_H_

#include <stdexcept>
#include <string>

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

// One line: the value, the limit and the remedy.
class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ERROR_H_

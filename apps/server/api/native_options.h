// Fields that llama.cpp's server has besides OpenAI's: what its own form of an answer tells.
#ifndef GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_
#define GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_

#include <string>
#include <vector>

namespace gumbelspec::server {

struct NativeOptions {
  bool has_probs = false;          // n_probs: TextOptions::n_logprobs in llama.cpp's form
  bool returns_tokens = false;     // return_tokens
  bool returns_progress = false;   // return_progress: how far prompts are read
  bool timings_per_token = false;  // every event has timings
  bool is_verbose = false;         // verbose: the answer in llama.cpp's form, too
  double max_predict_ms = 0.0;     // t_max_predict_ms, behind a line's end; 0: none
  std::vector<std::string> response_fields = {};  // of the answer; "a/b": within; empty: all
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_

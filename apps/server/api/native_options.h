// Fields that llama.cpp's server has besides OpenAI's: what its own form of an answer tells, and
// how a text is placed.
#ifndef GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_
#define GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "gumbelspec/text_options.h"

namespace gumbelspec::server {

struct NativeOptions {
  bool has_probs = false;          // n_probs: ParsedRequest::n_logprobs in llama.cpp's form
  bool final_probs = false;        // post_sampling_probs
  bool returns_tokens = false;     // return_tokens
  bool returns_progress = false;   // return_progress: how far prompts are read
  bool timings_per_token = false;  // every event has timings
  bool is_verbose = false;         // verbose: the answer in llama.cpp's form, too
  double max_predict_ms = 0.0;     // t_max_predict_ms, behind a line's end; 0: none
  std::vector<std::string> response_fields = {};  // of the answer; "a/b": within; empty: all
  std::size_t slot = kAnySlot;                    // id_slot
  bool reuses_prefix = true;                      // cache_prompt
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_NATIVE_OPTIONS_H_

// llama.cpp as it is, without this project's device: the oracle.
#ifndef GUMBELSPEC_TESTING_ZOO_PLAIN_LLAMA_H_
#define GUMBELSPEC_TESTING_ZOO_PLAIN_LLAMA_H_

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ggml.h"

struct llama_model;

namespace gumbelspec::zoo {

// Logits of the tokens [first, n) of a text. Shape: [n - first][n_vocab].
using Rows = std::vector<std::vector<float>>;

// How llama.cpp is asked to compute the same thing. By default as llama_decode() would for somebody
// who generates a text: one token after the other.
struct PlainSettings {
  std::size_t n_prompt = 0;  // tokens decoded together first
  std::size_t n_batch = 1;   // tokens decoded together afterwards
  bool flash_attention = false;
  ggml_type type_k = GGML_TYPE_F16;
  ggml_type type_v = GGML_TYPE_F16;
};

// Requires: this project's device is not registered while it is made and used.
class PlainLlama {
 public:
  // Throws: std::runtime_error with llama.cpp's last error.
  explicit PlainLlama(const std::string& path);

  [[nodiscard]] std::size_t n_vocab() const;
  [[nodiscard]] std::size_t n_context() const;

  // Throws: std::runtime_error.
  [[nodiscard]] Rows rows(std::span<const int> text, std::size_t first,
                          const PlainSettings& settings = {}) const;

  // The same with the types of cache that this project asks for, which some models do not take.
  [[nodiscard]] Rows own_rows(std::span<const int> text, std::size_t first,
                              PlainSettings settings = {}) const;

  // `n` likeliest tokens behind the text, one after the other. Throws: std::runtime_error.
  [[nodiscard]] std::vector<int> greedy(std::span<const int> text, std::size_t n) const;

 private:
  struct ModelDeleter {
    void operator()(llama_model* model) const;
  };
  std::unique_ptr<llama_model, ModelDeleter> model_;
};

// llama.cpp's last message of an error on this thread, and forgets it.
[[nodiscard]] std::string last_llama_error();
// From now on llama.cpp's errors are kept for that, and nothing is printed.
void keep_llama_errors();

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_PLAIN_LLAMA_H_

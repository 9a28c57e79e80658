// The models of the zoo by name: every architecture as llama.cpp's own test has it, and variants.
#ifndef GUMBELSPEC_TESTING_ZOO_ZOO_MODEL_H_
#define GUMBELSPEC_TESTING_ZOO_ZOO_MODEL_H_

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "testing/zoo/architectures.h"

namespace gumbelspec::zoo {

// A value of the file's metadata; an int32 list; nothing: the key is taken out.
using KeyValue = std::variant<std::monostate, int, float, bool, std::string, std::vector<int>>;

struct ZooModel {
  std::string name;  // "llama", "llama-moe", "llama:softcap"
  Architecture architecture;
  // Keys and their values; %s is the architecture.
  std::map<std::string, KeyValue> keys = {};
  std::string weights = "q8_0";  // the type of matrices
  bool is_full = false;          // with every tensor that such a file may have, e.g. biases
  bool is_fused = false;         // a layer's projections to queries, keys and values in one matrix
  std::size_t n_vocab = 0;       // 0: the architecture's
  // Such files generate no text, and this stands in the words that refuse them. Their weights do
  // not matter. Empty: the model is to load.
  std::string refusal = {};
};

[[nodiscard]] std::vector<ZooModel> all_models();

// A model with that many tokens and another text than any other's: a useless draft.
[[nodiscard]] ZooModel useless_model(std::size_t n_vocab);

// The metadata of its file.
[[nodiscard]] Gguf parameters_of(const ZooModel& model);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_ZOO_MODEL_H_

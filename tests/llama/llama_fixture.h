// What the tests of the llama layer share: files, texts, random trees and the oracle, which is
// plain decoding of one token per pass.
#ifndef GUMBELSPEC_TESTS_LLAMA_LLAMA_FIXTURE_H_
#define GUMBELSPEC_TESTS_LLAMA_LLAMA_FIXTURE_H_

#include <cstddef>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {

using Logits = std::vector<float>;

// A folder that is removed with it.
class TemporaryFolder {
 public:
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  [[nodiscard]] std::string file(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Writes a tiny model and loads it; options.path is ignored.
std::unique_ptr<LlamaModel> load_tiny(const TinyModel& tiny, LlamaModelOptions options = {});

// Tokens drawn evenly; the first n_vocab / 2 only, so that "the next id" is another token.
std::vector<TokenId> random_text(std::mt19937& random, std::size_t n, std::size_t n_vocab);

// Bitwise, so that -0 and 0 differ and NaN equals itself.
bool same_bits(std::span<const float> left, std::span<const float> right);

// The logits after each of text[n_prompt..), each token evaluated and committed alone, behind the
// first n_prompt tokens as a prompt.
std::vector<Logits> decode_plainly(LanguageModel& model, SeqId seq, std::span<const TokenId> text,
                                   std::size_t n_prompt);

// A tree below the committed text, some of whose nodes lie on a given continuation.
struct RandomTree {
  std::vector<PassNode> nodes;
  std::vector<int> depth;  // on the continuation: 0 for its first token; -1: beside it
};
RandomTree random_tree(std::mt19937& random, SeqId seq, std::span<const TokenId> continuation,
                       std::size_t n_nodes);

// The longest path of the tree along the continuation, of at most max_length nodes.
std::vector<PendingId> path_along(const RandomTree& tree, std::size_t max_length);

struct Comparison {
  std::size_t n_rows = 0;
  std::size_t n_different = 0;  // rows that are not the oracle's bits
  double max_difference = 0;
  std::size_t n_passes = 0;
};

// Goes through text behind n_prompt tokens with random trees and compares every row on the text
// with the oracle's. nodes_per_pass: a tree is evaluated in slices of this many nodes.
Comparison compare_trees(LanguageModel& model, SeqId seq, std::span<const TokenId> text,
                         std::size_t n_prompt, std::span<const Logits> oracle, std::size_t max_tree,
                         std::size_t nodes_per_pass, unsigned seed);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LLAMA_LLAMA_FIXTURE_H_

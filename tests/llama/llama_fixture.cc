#include "tests/llama/llama_fixture.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <stdexcept>

namespace gumbelspec::testing {

TemporaryFolder::TemporaryFolder() {
  std::string pattern = (std::filesystem::temp_directory_path() / "gumbelspec-XXXXXX").string();
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("no temporary folder");
  path_ = pattern;
}

TemporaryFolder::~TemporaryFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::unique_ptr<LlamaModel> load_tiny(const TinyModel& tiny, LlamaModelOptions options) {
  const TemporaryFolder folder;
  options.path = folder.file("tiny.gguf");
  options.use_mmap = false;
  // So little work per pass that threads would mostly wait for each other.
  if (options.n_threads == 0) options.n_threads = 1;
  write_tiny_model(tiny, options.path);
  return LlamaModel::load(options);
}

std::vector<TokenId> random_text(std::mt19937& random, std::size_t n, std::size_t n_vocab) {
  std::vector<TokenId> text(n);
  for (TokenId& token : text) token = token_id(random() % (n_vocab / 2));
  return text;
}

bool same_bits(std::span<const float> left, std::span<const float> right) {
  return left.size() == right.size() &&
         std::memcmp(left.data(), right.data(), left.size_bytes()) == 0;
}

std::vector<Logits> decode_plainly(LanguageModel& model, SeqId seq, std::span<const TokenId> text,
                                   std::size_t n_prompt) {
  std::vector<Logits> rows;
  if (model.extend(seq, text.first(n_prompt)) != PassOutcome::ok) {
    throw std::runtime_error("extend failed");
  }
  for (const TokenId token : text.subspan(n_prompt)) {
    const PassNode node{seq, kCommitted, token, true};
    if (model.evaluate({&node, 1}) != PassOutcome::ok) throw std::runtime_error("evaluate failed");
    const auto row = model.row(0);
    rows.emplace_back(row.begin(), row.end());
    const PendingId first = pending_id(0);
    model.commit(seq, {&first, 1});
  }
  return rows;
}

RandomTree random_tree(std::mt19937& random, SeqId seq, std::span<const TokenId> continuation,
                       std::size_t n_nodes) {
  RandomTree tree;
  tree.nodes.push_back({seq, kCommitted, continuation[0], true});
  tree.depth.push_back(0);
  std::vector<bool> continued(n_nodes, false);
  while (tree.nodes.size() < n_nodes) {
    const std::size_t n = tree.nodes.size();
    const std::size_t parent = random() % 2 == 0 ? n - 1 : random() % n;
    int depth = -1;
    if (tree.depth[parent] >= 0 && !continued[parent] && random() % 10 < 7 &&
        static_cast<std::size_t>(tree.depth[parent]) + 1 < continuation.size()) {
      depth = tree.depth[parent] + 1;
      continued[parent] = true;
    }
    // Beside the continuation: any token but the continuation's own.
    const std::size_t next = static_cast<std::size_t>(std::max(tree.depth[parent], -1) + 1);
    const TokenId beside =
        token_id(index(continuation[std::min(next, continuation.size() - 1)]) + 1 + random() % 9);
    tree.nodes.push_back({seq, pending_id(parent),
                          depth >= 0 ? continuation[static_cast<std::size_t>(depth)] : beside,
                          true});
    tree.depth.push_back(depth);
  }
  return tree;
}

std::vector<PendingId> path_along(const RandomTree& tree, std::size_t max_length) {
  std::vector<PendingId> path;
  for (std::size_t i = 0; i < tree.nodes.size() && path.size() < max_length; ++i) {
    if (tree.depth[i] == static_cast<int>(path.size())) path.push_back(pending_id(i));
  }
  return path;
}

Comparison compare_trees(LanguageModel& model, SeqId seq, std::span<const TokenId> text,
                         std::size_t n_prompt, std::span<const Logits> oracle, std::size_t max_tree,
                         std::size_t nodes_per_pass, unsigned seed) {
  std::mt19937 random(seed);
  Comparison comparison;
  if (model.extend(seq, text.first(n_prompt)) != PassOutcome::ok) {
    throw std::runtime_error("extend failed");
  }
  std::size_t done = n_prompt;
  while (done < text.size()) {
    const auto rest = text.subspan(done, std::min<std::size_t>(text.size() - done, 12));
    const RandomTree tree = random_tree(random, seq, rest, 1 + random() % max_tree);
    for (std::size_t begin = 0; begin < tree.nodes.size(); begin += nodes_per_pass) {
      const std::size_t n = std::min(nodes_per_pass, tree.nodes.size() - begin);
      if (model.evaluate(std::span(tree.nodes).subspan(begin, n)) != PassOutcome::ok) {
        throw std::runtime_error("evaluate failed");
      }
      ++comparison.n_passes;
      for (std::size_t i = 0; i < n; ++i) {
        if (tree.depth[begin + i] < 0) continue;
        const auto row = model.row(i);
        const Logits& expected =
            oracle[done - n_prompt + static_cast<std::size_t>(tree.depth[begin + i])];
        ++comparison.n_rows;
        if (same_bits(row, expected)) continue;
        ++comparison.n_different;
        for (std::size_t v = 0; v < row.size(); ++v) {
          comparison.max_difference = std::max(comparison.max_difference,
                                               static_cast<double>(std::abs(row[v] - expected[v])));
        }
      }
    }
    const auto path = path_along(tree, 1 + random() % 12);
    model.commit(seq, path);
    done += path.size();
  }
  return comparison;
}

}  // namespace gumbelspec::testing

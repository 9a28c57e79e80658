#include "testing/zoo/comparison.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace gumbelspec::zoo {
namespace {

// Some architectures forbid tokens by a very small logit.
bool is_forbidden(float logit) { return logit < -1e30F; }

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0.0F;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (is_forbidden(a[i]) && is_forbidden(b[i])) continue;
    const float distance = std::fabs(a[i] - b[i]);
    // What is not a number is as far away as can be.
    largest = std::isfinite(distance) ? std::max(largest, distance) : INFINITY;
  }
  return largest;
}

std::size_t best_of(const std::vector<float>& row) {
  return static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

TokenId token(int id) { return TokenId{id}; }

void expect_ok(PassOutcome outcome) {
  if (outcome != PassOutcome::ok) throw std::runtime_error("a pass found no space");
}

void extend_to_first(LanguageModel& model, SeqId seq, const PlainText& text) {
  std::vector<TokenId> prompt;
  for (std::size_t i = 0; i < text.first; ++i) prompt.push_back(token(text.tokens[i]));
  expect_ok(model.extend(seq, prompt));
}

}  // namespace

PlainText make_plain_text(const PlainLlama& llama, const PlainLlama& nudged,
                          const TextShape& shape) {
  PlainText text;
  text.first = shape.first;
  unsigned state = shape.seed;
  for (std::size_t i = 0; i < shape.n_prompt; ++i) {
    state = state * 1664525U + 1013904223U;
    text.tokens.push_back(static_cast<int>((state >> 8U) % llama.n_vocab()));
  }
  const std::vector<int> generated = llama.greedy(text.tokens, shape.n_generated);
  text.tokens.insert(text.tokens.end(), generated.begin(), generated.end());
  text.usual = llama.rows(text.tokens, text.first);
  text.rows = llama.own_rows(text.tokens, text.first);
  PlainSettings other;
  other.n_prompt = text.tokens.size();
  text.others.push_back(llama.own_rows(text.tokens, text.first, other));
  text.others.push_back(nudged.own_rows(text.tokens, text.first, other));
  other.n_prompt = text.first;
  other.n_batch = 5;
  text.others.push_back(llama.own_rows(text.tokens, text.first, other));
  return text;
}

Difference difference(const Rows& expected, const Rows& rows) {
  if (rows.size() != expected.size()) throw std::logic_error("difference: not the same rows");
  Difference result;
  result.n_rows = rows.size();
  std::vector<float> distances;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    distances.push_back(largest_difference(expected[i], rows[i]));
    const std::size_t best = best_of(expected[i]);
    const std::size_t other = best_of(rows[i]);
    if (best == other) continue;
    ++result.n_other_choice;
    result.largest_margin = std::max(result.largest_margin, expected[i][best] - expected[i][other]);
  }
  std::sort(distances.begin(), distances.end());
  if (!distances.empty()) {
    result.largest = distances.back();
    result.median = distances[distances.size() / 2];
  }
  return result;
}

Difference rounding_of(const PlainText& text) {
  Difference result;
  std::vector<const Rows*> all = {&text.usual};
  for (const Rows& rows : text.others) all.push_back(&rows);
  for (const Rows* rows : all) {
    const Difference one = difference(text.rows, *rows);
    result.n_rows = one.n_rows;
    result.largest = std::max(result.largest, one.largest);
    result.median = std::max(result.median, one.median);
    result.n_other_choice = std::max(result.n_other_choice, one.n_other_choice);
    result.largest_margin = std::max(result.largest_margin, one.largest_margin);
  }
  return result;
}

Rows rows_one_by_one(LanguageModel& model, const PlainText& text) {
  const SeqId seq = model.open();
  extend_to_first(model, seq, text);
  Rows rows;
  for (std::size_t i = text.first; i < text.tokens.size(); ++i) {
    const PassNode node{seq, kCommitted, token(text.tokens[i]), true};
    expect_ok(model.evaluate({&node, 1}));
    const std::span<const float> row = model.row(0);
    rows.emplace_back(row.begin(), row.end());
    const PendingId path = pending_id(0);
    model.commit(seq, {&path, 1});
  }
  model.close(seq);
  return rows;
}

Rows rows_of_trees(LanguageModel& model, const PlainText& text) {
  constexpr std::size_t kDepth = 3;
  const int n_vocab = static_cast<int>(model.limits().n_vocab);
  const SeqId seq = model.open();
  extend_to_first(model, seq, text);
  Rows rows;
  for (std::size_t begin = text.first; begin < text.tokens.size(); begin += kDepth) {
    const std::size_t n = std::min(kDepth, text.tokens.size() - begin);
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    PendingId parent = kCommitted;
    for (std::size_t i = 0; i < n; ++i) {
      const int id = text.tokens[begin + i];
      // The wrong token first: the right one is not the first branch then.
      nodes.push_back({seq, parent, token((id + 1) % n_vocab), true});
      nodes.push_back({seq, parent, token(id), true});
      parent = pending_id(2 * i + 1);
      path.push_back(parent);
    }
    expect_ok(model.evaluate(nodes));
    for (std::size_t i = 0; i < n; ++i) {
      const std::span<const float> row = model.row(2 * i + 1);
      rows.emplace_back(row.begin(), row.end());
    }
    model.commit(seq, path);
  }
  model.close(seq);
  return rows;
}

Rows rows_of_chains(LanguageModel& model, const PlainText& text) {
  constexpr std::size_t kKept = 3;
  constexpr std::size_t kDropped = 2;
  const int n_vocab = static_cast<int>(model.limits().n_vocab);
  const SeqId seq = model.open();
  extend_to_first(model, seq, text);
  Rows rows;
  for (std::size_t begin = text.first; begin < text.tokens.size(); begin += kKept) {
    const std::size_t n = std::min(kKept, text.tokens.size() - begin);
    std::vector<PassNode> nodes;
    std::vector<PendingId> path;
    for (std::size_t i = 0; i < n + kDropped; ++i) {
      const bool is_kept = i < n;
      const int id = is_kept ? text.tokens[begin + i] : text.tokens[begin + n - 1] + 1;
      nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), token(id % n_vocab), is_kept});
      if (is_kept) path.push_back(pending_id(i));
    }
    expect_ok(model.evaluate(nodes));
    for (std::size_t i = 0; i < n; ++i) {
      const std::span<const float> row = model.row(i);
      rows.emplace_back(row.begin(), row.end());
    }
    model.commit(seq, path);
  }
  model.close(seq);
  return rows;
}

}  // namespace gumbelspec::zoo

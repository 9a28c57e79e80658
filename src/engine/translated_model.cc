#include "src/engine/translated_model.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "gumbelspec/error.h"

namespace gumbelspec {
namespace {

[[noreturn]] void refuse(const std::string& why) {
  throw Error(ErrorCode::vocabulary_mismatch,
              "target and draft do not share a vocabulary, and the draft " + why +
                  "; use a draft of the target's family");
}

// Nodes from the first on that are each other's only children, below the committed text.
std::size_t n_in_chain(std::span<const PassNode> nodes) {
  std::size_t n = 0;
  while (n < nodes.size() && nodes[n].seq == nodes[0].seq &&
         nodes[n].parent == (n == 0 ? kCommitted : pending_id(n - 1))) {
    ++n;
  }
  return n;
}

}  // namespace

TranslatedModel::TranslatedModel(LanguageModel& draft,
                                 std::shared_ptr<const TokenTexts> target_texts,
                                 std::shared_ptr<const TokenTexts> draft_texts)
    : draft_(draft),
      map_(std::move(target_texts), std::move(draft_texts)),
      maker_(map_),
      limits_(draft.limits()) {
  if (limits_.is_head()) refuse("is a head");
  if (!limits_.can_drop) refuse(std::string(limits_.why_no_drop));
  if (map_.n_twins() == 0) refuse("has no token with a text of the target's");
  limits_.n_vocab = map_.target().n_vocab();
  limits_.n_state = 0;
}

SeqId TranslatedModel::open() {
  const SeqId seq = draft_.open();
  while (texts_.size() <= index(seq)) texts_.push_back(nullptr);
  texts_[index(seq)] = std::make_unique<Text>(map_);
  return seq;
}

void TranslatedModel::close(SeqId seq) {
  draft_.close(seq);
  texts_[index(seq)].reset();
}

std::size_t TranslatedModel::n_committed(SeqId seq) const { return text(seq).text.size(); }

bool TranslatedModel::has_room(const Text& text, std::size_t n_read, std::size_t n) const {
  return n_read + text.pending.size() + n <= draft_.limits().n_context;
}

void TranslatedModel::drop_what_follows(SeqId seq, std::size_t n_kept) {
  text(seq).text.drop_read(n_kept);
  if (draft_.n_committed(seq) > n_kept) draft_.truncate(seq, n_kept);
}

PassOutcome TranslatedModel::extend(SeqId seq, std::span<const TokenId> tokens) {
  Text& t = text(seq);
  if (!t.nodes.empty()) throw std::logic_error("TranslatedModel: extend() with pending tokens");
  if (tokens.empty()) return PassOutcome::ok;
  const std::size_t n_before = t.text.size();
  for (const TokenId token : tokens) t.text.append(token);
  if (t.is_full) return PassOutcome::ok;
  std::size_t n_kept = 0;
  t.text.plan(n_kept, missing_);
  const std::size_t n_free = draft_.limits().n_context - n_kept;
  t.is_full = missing_.size() > n_free;
  missing_.resize(std::min(missing_.size(), n_free));
  drop_what_follows(seq, n_kept);
  tokens_.clear();
  for (const ReadToken& read : missing_) tokens_.push_back(read.token);
  const PassOutcome outcome = draft_.extend(seq, tokens_);
  if (outcome != PassOutcome::ok) {
    drop_what_follows(seq, n_kept);
    t.text.truncate(n_before);
    return outcome;
  }
  for (const ReadToken& read : missing_) t.text.add_read(read);
  t.text.set_settled(t.text.n_bytes());
  return PassOutcome::ok;
}

void TranslatedModel::begin_pass(std::span<const PassNode> nodes) {
  pass_.clear();
  row_of_.clear();
  places_.clear();
  std::size_t n_rows = 0;
  for (const PassNode& node : nodes) {
    Text& t = text(node.seq);
    t.n_old_nodes = t.nodes.size();
    t.n_old_pending = t.pending.size();
    if (node.wants_row) ++n_rows;
  }
  rows_.assign(n_rows * limits_.n_vocab, 0.0F);
}

PendingId TranslatedModel::append_read(SeqId seq, PendingId parent, const ReadToken& read) {
  Text& t = text(seq);
  t.pending.push_back({read, pass_.size()});
  pass_.push_back({seq, parent, read.token, false, nullptr});
  row_of_.push_back(kNobody);
  return pending_id(t.pending.size() - 1);
}

// Of the text's last node. Where the draft read nothing for it, its row says nothing.
void TranslatedModel::append_place(const PassNode& node) {
  const Text& t = text(node.seq);
  Place place{.seq = node.seq, .node = t.nodes.size() - 1};
  const Node& own = t.nodes.back();
  if (node.wants_row) {
    place.row = static_cast<std::size_t>(std::count_if(
        places_.begin(), places_.end(), [](const Place& p) { return p.row != kNobody; }));
    const bool is_read = own.last != kCommitted && index(own.last) >= t.n_old_pending;
    if (is_read && !own.is_lost) {
      const std::size_t at = t.pending[index(own.last)].place;
      if (row_of_[at] == kNobody) {
        row_of_[at] = places_.size();
        pass_[at].wants_row = true;
      }
    }
  }
  places_.push_back(place);
}

// The text up to the root, as the draft's own tokenizer has it.
void TranslatedModel::append_chain(std::span<const PassNode> chain) {
  const SeqId seq = chain[0].seq;
  Text& t = text(seq);
  const std::size_t n_text = t.text.size();
  const std::size_t n_bytes = t.text.n_bytes();
  for (const PassNode& node : chain) t.text.append(node.token);
  std::size_t n_kept = 0;
  if (!t.is_full) {
    t.text.plan(n_kept, missing_);
    t.is_full = !has_room(t, n_kept, missing_.size());
  }
  std::vector<std::size_t> ends;
  for (std::size_t k = 0; k < chain.size(); ++k) ends.push_back(t.text.end(n_text + k));
  t.text.truncate(n_text);
  if (t.is_full) {
    missing_.clear();
  } else {
    drop_what_follows(seq, n_kept);
  }
  PendingId last = kCommitted;
  for (const ReadToken& read : missing_) last = append_read(seq, last, read);
  const auto n_until = [&](std::size_t end) {
    return static_cast<std::size_t>(
        std::upper_bound(missing_.begin(), missing_.end(), end,
                         [](std::size_t b, const ReadToken& r) { return b < r.end; }) -
        missing_.begin());
  };
  t.n_before = n_until(n_bytes);
  for (std::size_t k = 0, first = t.n_before; k < chain.size(); ++k) {
    // Bytes that the draft cannot write may stand at the end.
    const std::size_t behind = k + 1 == chain.size() ? missing_.size() : n_until(ends[k]);
    Node& node = t.nodes.emplace_back();
    node.token = chain[k].token;
    node.first = first;
    node.n = behind - first;
    node.last = behind == 0 ? kCommitted : pending_id(behind - 1);
    node.is_planned = true;
    node.is_lost = t.is_full;
    first = behind;
    append_place(chain[k]);
  }
}

void TranslatedModel::append_node(const PassNode& node) {
  Text& t = text(node.seq);
  Node child;
  child.token = node.token;
  child.first = t.pending.size();
  child.last = t.n_before == 0 ? kCommitted : pending_id(t.n_before - 1);
  child.is_lost = t.is_full;
  if (node.parent != kCommitted) {
    const Node& parent = t.nodes.at(index(node.parent));
    child.last = parent.last;
    child.is_lost = parent.is_lost;
    TranslatedRows::rests_below(parent.longs, node.token, child.rests);
  }
  const std::span<const ReadToken> pieces = map_.pieces(node.token);
  child.is_lost = child.is_lost || !has_room(t, t.text.read().size(), pieces.size());
  if (!child.is_lost) {
    for (const ReadToken& piece : pieces) {
      child.last = append_read(node.seq, child.last, piece);
      ++child.n;
    }
  }
  t.nodes.push_back(std::move(child));
  append_place(node);
}

PassOutcome TranslatedModel::evaluate(std::span<const PassNode> nodes) {
  begin_pass(nodes);
  for (std::size_t i = 0; i < nodes.size();) {
    if (text(nodes[i].seq).nodes.empty()) {
      const std::size_t n = n_in_chain(nodes.subspan(i));
      if (n == 0) throw std::logic_error("TranslatedModel: the first node has a parent");
      append_chain(nodes.subspan(i, n));
      i += n;
    } else {
      append_node(nodes[i]);
      ++i;
    }
  }
  return run();
}

PassOutcome TranslatedModel::run() {
  n_extra_ = pass_.size() - std::min(pass_.size(), places_.size());
  const std::size_t n_most = draft_.limits().max_pass_nodes;
  for (std::size_t first = 0; first < pass_.size(); first += n_most) {
    const std::size_t n = std::min(n_most, pass_.size() - first);
    const PassOutcome outcome = draft_.evaluate(std::span(pass_).subspan(first, n));
    if (outcome != PassOutcome::ok) {
      drop_new(first);
      return outcome;
    }
    n_extra_ += draft_.n_extra();
    take_rows(first, n);
  }
  return PassOutcome::ok;
}

void TranslatedModel::take_rows(std::size_t first, std::size_t n) {
  for (std::size_t i = first; i < first + n; ++i) {
    if (row_of_[i] == kNobody) continue;
    const Place& place = places_[row_of_[i]];
    Node& node = text(place.seq).nodes[place.node];
    maker_.translate(draft_.row(i - first), node.rests,
                     std::span(rows_).subspan(place.row * limits_.n_vocab, limits_.n_vocab),
                     node.longs);
  }
}

// A pass did not take place, or the draft's first n_evaluated nodes of it only.
void TranslatedModel::drop_new(std::size_t n_evaluated) {
  for (const Place& place : places_) {
    Text& t = text(place.seq);
    t.nodes.resize(std::min(t.nodes.size(), t.n_old_nodes));
    std::size_t n = t.n_old_pending;
    for (const PassNode& node : std::span(pass_).first(n_evaluated)) {
      n += node.seq == place.seq ? 1U : 0U;
    }
    t.pending.resize(std::min(t.pending.size(), n));
    if (t.n_old_nodes == 0) t.n_before = 0;
  }
}

std::span<const float> TranslatedModel::row(std::size_t i) const {
  if (places_.at(i).row == kNobody) {
    throw std::logic_error("TranslatedModel: the node did not want its row");
  }
  return std::span(rows_).subspan(places_[i].row * limits_.n_vocab, limits_.n_vocab);
}

void TranslatedModel::commit(SeqId seq, std::span<const PendingId> path) {
  Text& t = text(seq);
  commit_.clear();
  const auto read = [&](std::size_t id, std::size_t begin) {
    commit_.push_back(pending_id(id));
    const ReadToken& own = t.pending[id].read;
    t.text.add_read({own.token, begin + own.end});
  };
  if (!path.empty()) {
    for (std::size_t i = 0; i < t.n_before; ++i) read(i, 0);
  }
  for (const PendingId id : path) {
    const Node& node = t.nodes.at(index(id));
    const std::size_t begin = node.is_planned ? 0 : t.text.n_bytes();
    t.text.append(node.token);
    for (std::size_t i = 0; i < node.n; ++i) read(node.first + i, begin);
    if (node.is_planned) t.text.set_settled(t.text.n_bytes());
  }
  draft_.commit(seq, commit_);
  t.nodes.clear();
  t.pending.clear();
  t.n_before = 0;
}

void TranslatedModel::truncate(SeqId seq, std::size_t n) {
  Text& t = text(seq);
  t.text.truncate(n);
  draft_.truncate(seq, std::min(t.text.read().size(), draft_.n_committed(seq)));
  t.nodes.clear();
  t.pending.clear();
  t.n_before = 0;
  t.is_full = false;
}

std::unique_ptr<LanguageModel> make_translated_model(
    LanguageModel& draft, std::shared_ptr<const TokenTexts> target_texts,
    std::shared_ptr<const TokenTexts> draft_texts) {
  return std::make_unique<TranslatedModel>(draft, std::move(target_texts), std::move(draft_texts));
}

}  // namespace gumbelspec

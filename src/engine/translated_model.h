// See make_translated_model().
#ifndef GUMBELSPEC_ENGINE_TRANSLATED_MODEL_H_
#define GUMBELSPEC_ENGINE_TRANSLATED_MODEL_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/translated_model.h"
#include "src/engine/translated_rows.h"
#include "src/engine/translated_text.h"

namespace gumbelspec {

class TranslatedModel final : public LanguageModel {
 public:
  TranslatedModel(LanguageModel& draft, std::shared_ptr<const TokenTexts> target_texts,
                  std::shared_ptr<const TokenTexts> draft_texts);

  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }
  [[nodiscard]] bool is_end(TokenId token) const override { return map_.target().is_end(token); }
  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;
  [[nodiscard]] std::size_t n_extra() const override { return n_extra_; }

  // For tests: what the draft has read of a text.
  [[nodiscard]] std::span<const ReadToken> read(SeqId seq) const { return text(seq).text.read(); }

 private:
  static constexpr std::size_t kNobody = static_cast<std::size_t>(-1);

  struct Node {
    TokenId token{};
    // The draft's pending tokens of this node, [first, first + n) of its sequence's.
    std::size_t first = 0;
    std::size_t n = 0;
    PendingId last = kCommitted;  // the last one, of this node or of those before it
    bool is_planned = false;      // read as a part of the whole text
    bool is_lost = false;         // the draft had no room for it, or for one before it
    std::vector<LongToken> longs;
    std::vector<RestOfToken> rests;
  };
  struct Pending {
    ReadToken read;         // its end counts from the node's beginning; planned: from the text's
    std::size_t place = 0;  // in the pass that evaluated it
  };
  struct Text {
    explicit Text(VocabularyMap& map) : text(map) {}
    TranslatedText text;
    bool is_full = false;          // the draft's context is
    std::vector<Node> nodes;       // by the target's pending id
    std::vector<Pending> pending;  // by the draft's
    std::size_t n_before = 0;      // of them, those of the committed text
    std::size_t n_old_nodes = 0;   // before the pass that is under way
    std::size_t n_old_pending = 0;
  };
  // A node of the target's pass.
  struct Place {
    SeqId seq{};
    std::size_t node = 0;       // in its text
    std::size_t row = kNobody;  // none wanted
  };

  Text& text(SeqId seq) { return *texts_[index(seq)]; }
  [[nodiscard]] const Text& text(SeqId seq) const { return *texts_[index(seq)]; }
  [[nodiscard]] bool has_room(const Text& text, std::size_t n_read, std::size_t n) const;
  void begin_pass(std::span<const PassNode> nodes);
  void append_chain(std::span<const PassNode> chain);
  void append_node(const PassNode& node);
  PendingId append_read(SeqId seq, PendingId parent, const ReadToken& read);
  void append_place(const PassNode& node);
  void drop_what_follows(SeqId seq, std::size_t n_kept);
  PassOutcome run();
  void take_rows(std::size_t first, std::size_t n);
  void drop_new(std::size_t n_evaluated);

  LanguageModel& draft_;
  VocabularyMap map_;
  TranslatedRows maker_;
  ModelLimits limits_;
  std::vector<std::unique_ptr<Text>> texts_;  // by sequence

  // Of the pass that is under way, or was last.
  std::vector<PassNode> pass_;       // the draft's
  std::vector<std::size_t> row_of_;  // by node of it, the place whose row it gives; or kNobody
  std::vector<Place> places_;        // by node of the target's pass
  std::vector<float> rows_;          // [wanted, target's n_vocab]
  std::size_t n_extra_ = 0;
  std::vector<ReadToken> missing_;
  std::vector<TokenId> tokens_;
  std::vector<PendingId> commit_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TRANSLATED_MODEL_H_

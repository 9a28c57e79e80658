// The places of a grammar that texts have been at, and the ways between them.
//
// A place is a set of readings: a step of the program and the frame that the step's rule returns
// to. A frame stands for all callers of a rule at one place of the text, so that readings of a
// prefix share what they have in common (a graph-structured stack); equal frames and equal places
// are one object. Calls that are the last thing in a rule return to the caller's frame, so lists do
// not pile up. Every way from a place by a byte is computed once: inside the same string, the same
// number or the same list this is a finite automaton, built as texts need it.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_STATES_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_STATES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "src/llama/grammar_program.h"

namespace gumbelspec::internal {

class GrammarFrame;

struct GrammarReading {
  std::uint32_t step = 0;
  std::uint32_t in_character = 0;  // the state of the set's automaton
  const GrammarFrame* frame = nullptr;
};

// Where a rule returns to: all its callers.
class GrammarFrame {
 public:
  struct Return {
    std::uint32_t step = 0;
    const GrammarFrame* frame = nullptr;
  };
  std::vector<Return> returns = {};
  std::uint64_t id = 0;
  mutable bool is_kept = false;
};

class GrammarPlace : public std::enable_shared_from_this<GrammarPlace> {
 public:
  std::vector<GrammarReading> readings = {};
  std::uint64_t id = 0;
  bool may_end = false;     // the text is complete here
  bool has_tokens = false;  // a reading asks for a token and not for characters
  // Of a grammar that waits for its trigger: how much of one the text ends with, as a state of the
  // triggers' automaton. kActive: it does not wait.
  static constexpr std::uint32_t kActive = 0xFFFFFFFF;
  std::uint32_t waiting = kActive;

 private:
  friend class GrammarStates;
  // By class of bytes. Null: not computed yet.
  std::vector<GrammarPlace*> next_ = {};
};

// What has to stand in the text before the grammar counts.
struct GrammarTriggers {
  // A word that begins with a U+0000, which no text has, counts at the text's beginning only.
  std::vector<std::string> words = {};
  std::vector<std::uint32_t> tokens = {};  // the grammar begins with the token
  std::vector<std::size_t> begins = {};    // by word: its byte that the grammar begins with, else 0
  std::string begun = {};                  // without words and tokens: the grammar's text so far
  [[nodiscard]] std::string_view grammar_text(std::size_t word) const {
    return std::string_view(words[word]).substr(word < begins.size() ? begins[word] : 0);
  }
  [[nodiscard]] bool any() const { return !words.empty() || !tokens.empty(); }
};

using PlacePtr = std::shared_ptr<GrammarPlace>;

struct GrammarLimits {
  std::size_t max_readings = 20'000;               // of one text at once
  std::size_t max_bytes = std::size_t{16} << 20U;  // of places and frames, about; see max_held
  // Of places that texts are at and what these need, about: what cannot be forgotten.
  std::size_t max_held = std::size_t{48} << 20U;
  // Steps for one mask or token, about: a look at 16 readings, or a step that is followed.
  std::size_t max_work = 100'000;
};

// Threads: one at a time.
class GrammarStates {
 public:
  // Throws: Error{invalid_option} where a trigger, or what is begun, cannot begin the grammar.
  explicit GrammarStates(GrammarProgram program, GrammarTriggers triggers = {},
                         const GrammarLimits& limits = {});
  GrammarStates(const GrammarStates&) = delete;
  GrammarStates& operator=(const GrammarStates&) = delete;

  [[nodiscard]] PlacePtr begin() const { return begin_; }
  [[nodiscard]] const GrammarProgram& program() const { return program_; }
  [[nodiscard]] const GrammarTriggers& triggers() const { return triggers_; }

  // The place behind a byte; null where the grammar does not allow it. A place is one object for as
  // long as somebody holds it, or max_bytes allow.
  // Throws: Error{invalid_option}, field "grammar": max_readings, max_work since begin_work().
  [[nodiscard]] GrammarPlace* next(GrammarPlace& from, std::uint8_t byte);
  // The place behind a token that `from` asks for, or that the trigger is, when its bytes lead to
  // by_bytes (or null).
  [[nodiscard]] GrammarPlace* next_by_token(GrammarPlace& from, std::uint32_t token,
                                            GrammarPlace* by_bytes, std::string_view bytes);
  // Pointers that next() returned stay valid until the next begin_work().
  // Throws: Error{invalid_option}, field "grammar": max_held.
  void begin_work();
  [[nodiscard]] PlacePtr hold(const GrammarPlace* place);

  [[nodiscard]] std::size_t n_places() const { return places_.size(); }
  [[nodiscard]] std::size_t n_bytes() const { return n_bytes_; }

 private:
  using Position = std::pair<std::uint32_t, const GrammarFrame*>;
  struct Hash {
    std::size_t operator()(const Position& position) const;
  };

  GrammarPlace* compute(const GrammarPlace& from, std::uint8_t byte);
  GrammarPlace* waiting_place(std::uint32_t state);
  // All readings of the positions in todo_, as a place.
  GrammarPlace* close(std::vector<GrammarReading> readings, bool may_end);
  void visit(const Position& position, std::vector<GrammarReading>& readings, bool& may_end);
  void call(std::uint32_t rule, std::uint32_t next, bool is_last, const GrammarFrame* frame);
  void enter_called_rules(std::vector<GrammarReading>& readings);
  void share_with_peers(std::uint32_t rank);
  void enter(std::uint32_t rule, std::vector<GrammarReading>& readings);
  const GrammarFrame* frame_of(std::vector<GrammarFrame::Return> returns);
  GrammarPlace* place_of(std::vector<GrammarReading> readings, bool may_end,
                         std::uint32_t waiting = GrammarPlace::kActive);
  void count_work(std::size_t n);
  void drop_unused();
  void make_triggers();
  [[noreturn]] static void refuse_begin(const char* what, std::string_view text);
  GrammarPlace* run(GrammarPlace* from, std::string_view bytes);

  GrammarProgram program_;
  GrammarTriggers triggers_;
  GrammarLimits limits_;
  std::size_t drop_at_ = 0;  // bytes
  std::vector<PlacePtr> places_;
  std::vector<std::unique_ptr<GrammarFrame>> frames_;
  std::unordered_multimap<std::uint64_t, GrammarPlace*> place_by_hash_;
  std::unordered_multimap<std::uint64_t, const GrammarFrame*> frame_by_hash_;
  std::size_t n_bytes_ = 0;
  std::uint64_t n_ids_ = 0;
  std::size_t work_ = 0;
  GrammarPlace nowhere_;
  PlacePtr begin_;   // of a text
  PlacePtr active_;  // of the grammar
  // Of close(): positions to visit, those seen, and who calls which rule.
  std::vector<Position> todo_;
  std::unordered_map<Position, char, Hash> seen_;
  std::vector<std::vector<GrammarFrame::Return>> callers_;  // by rule
  std::vector<std::vector<std::uint32_t>> called_;          // rules by rank
  std::vector<std::uint32_t> ranks_;                        // a heap of those with called rules
  std::vector<std::vector<std::uint32_t>> peers_;           // by rank: the rules of it, if several
  // The triggers' automaton (Aho and Corasick): by state and byte.
  struct Trigger {
    std::vector<std::uint32_t> next;
    std::size_t word = 0;  // complete here: its number from 1
  };
  std::vector<Trigger> trigger_states_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_STATES_H_

// A grammar as a program of small steps, bounded before it is built.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_PROGRAM_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_PROGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "src/llama/byte_automaton.h"
#include "src/llama/gbnf.h"

namespace gumbelspec::internal {

// Steps of a grammar, at most; repetitions count as often as they may be repeated.
inline constexpr std::size_t kMaxGrammarSteps = 300'000;

struct GrammarStep {
  enum class Kind : std::uint8_t {
    chars,      // a: the set; next
    token,      // a: the token; next
    not_token,  // a: the token; next
    call,       // a: the rule; next
    split,      // next or a
    end,        // of a rule
    accept      // of the text
  };
  Kind kind = Kind::end;
  std::uint32_t a = 0;
  std::uint32_t next = 0;
};

// Where a rule begins: what stands there once all calls, splits and rules that may be empty are
// followed.
struct RuleBegin {
  struct Call {
    std::uint32_t rule = 0;
    std::uint32_t next = 0;
    bool is_last = false;  // nothing follows: the caller's place need not be remembered
  };
  std::vector<std::uint32_t> terminals;  // steps that take a character or a token
  std::vector<Call> calls;
};

struct GrammarProgram {
  std::vector<GrammarStep> steps;
  std::vector<ByteAutomaton> sets;
  std::vector<RuleBegin> begins;   // by rule
  std::vector<char> may_be_empty;  // by rule
  // Rules that begin with others come before them; rules that begin with each other have the same
  // rank, and call each other there as the last thing only.
  std::vector<std::uint32_t> rank;     // by rule
  std::vector<char> begins_with_peer;  // by rule: it shares its rank
  std::uint32_t root = 0;
  std::uint32_t accept = 0;                    // the step
  std::array<std::uint8_t, 256> byte_class{};  // bytes of a class are told apart by no set
  std::vector<std::uint8_t> byte_of_class;     // one of each
};

// Throws: Error{invalid_option}, field "grammar": too many steps, a rule that begins with itself.
GrammarProgram make_program(const Gbnf& gbnf);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_PROGRAM_H_

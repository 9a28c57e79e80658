// What grammars say of texts, byte by byte.
#ifndef GUMBELSPEC_TESTS_LLAMA_GRAMMAR_STATES_FIXTURE_H_
#define GUMBELSPEC_TESTS_LLAMA_GRAMMAR_STATES_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <optional>
#include <string>

#include "gumbelspec/error.h"
#include "src/llama/grammar_states.h"

namespace gumbelspec::internal {

inline GrammarProgram program_of(const std::string& gbnf) {
  return make_program(parse_gbnf(gbnf, [](std::string_view) { return std::nullopt; }));
}

// Whether the text is in the grammar, and whether something that begins with it is.
struct Verdict {
  bool is_prefix = false;
  bool is_text = false;
  bool operator==(const Verdict&) const = default;
};

inline Verdict verdict(GrammarStates& states, const std::string& text) {
  PlacePtr at = states.begin();
  for (const char c : text) {
    if (at == nullptr) break;
    states.begin_work();
    at = states.hold(states.next(*at, static_cast<std::uint8_t>(c)));
  }
  return {at != nullptr, at != nullptr && at->may_end};
}
inline Verdict verdict(const std::string& gbnf, const std::string& text) {
  GrammarStates states(program_of(gbnf));
  return verdict(states, text);
}

inline bool takes(const std::string& gbnf, const std::string& text) {
  return verdict(gbnf, text).is_text;
}

inline std::string refusal(const std::string& gbnf) {
  try {
    (void)program_of(gbnf);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.field(), "grammar");
    return error.what();
  }
}

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_TESTS_LLAMA_GRAMMAR_STATES_FIXTURE_H_

// Grammars that wait for a trigger, or that go on with what the prompt holds.
#include <algorithm>

#include "gumbelspec/error.h"
#include "src/llama/grammar_states.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {

void GrammarStates::refuse_begin(const char* what, std::string_view text) {
  throw Error(ErrorCode::invalid_option,
              std::string("grammar cannot begin with ") + what + " " +
                  printable(text.substr(0, 40)) + "; its texts have to begin with it",
              "grammar");
}

GrammarPlace* GrammarStates::run(GrammarPlace* from, std::string_view bytes) {
  for (const char byte : bytes) {
    if (from == nullptr) return nullptr;
    from = next(*from, static_cast<std::uint8_t>(byte));
  }
  return from;
}

GrammarPlace* GrammarStates::waiting_place(std::uint32_t state) {
  return place_of({}, true, state);
}

void GrammarStates::make_triggers() {
  constexpr std::uint32_t kNone = 0xFFFFFFFF;
  const auto add = [&] {
    trigger_states_.push_back({std::vector<std::uint32_t>(256, kNone)});
    return static_cast<std::uint32_t>(trigger_states_.size() - 1);
  };
  (void)add();
  for (std::size_t word = 0; word < triggers_.words.size(); ++word) {
    std::uint32_t at = 0;
    for (const char c : triggers_.words[word]) {
      const auto byte = static_cast<std::uint8_t>(c);
      if (trigger_states_[at].next[byte] == kNone) {
        const std::uint32_t to = add();
        trigger_states_[at].next[byte] = to;
      }
      at = trigger_states_[at].next[byte];
    }
    if (trigger_states_[at].word == 0) trigger_states_[at].word = word + 1;
    if (at == 0 || run(active_.get(), triggers_.grammar_text(word)) == nullptr) {
      refuse_begin("its trigger", triggers_.grammar_text(word));
    }
  }
  // Breadth first: where a state has no way, the way of its longest proper suffix.
  std::vector<std::pair<std::uint32_t, std::uint32_t>> order = {{0, 0}};  // state, suffix
  for (std::size_t i = 0; i < order.size(); ++i) {
    const auto [state, suffix] = order[i];
    Trigger& trigger = trigger_states_[state];
    if (trigger.word == 0) trigger.word = trigger_states_[suffix].word;
    for (std::size_t byte = 0; byte < 256; ++byte) {
      const std::uint32_t beside = state == 0 ? 0 : trigger_states_[suffix].next[byte];
      if (trigger.next[byte] == kNone) {
        trigger.next[byte] = beside;
      } else {
        order.emplace_back(trigger.next[byte], beside);
      }
    }
  }
  begin_ = hold(waiting_place(trigger_states_[0].next[0]));
}

}  // namespace gumbelspec::internal

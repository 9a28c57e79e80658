// Proposals that need no draft model: from the text itself, and from what the target said before.
#ifndef GUMBELSPEC_DRAFT_SOURCES_H_
#define GUMBELSPEC_DRAFT_SOURCES_H_

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace gumbelspec {

class Drafter;
struct SamplingOptions;

// Which of them a planned or fixed gumbel-tree uses, beside a draft model or without one. None of
// them costs a pass, and none can change a text.
//   suffix: where the end of the text stood before, what followed there follows again.
//   recycled: the target's own last distribution after the same one or two tokens, with the noise
//     of the new position (after token recycling, 2408.08696).
//   grammar: where a constraint allows one token only, that token.
struct DraftSources {
  bool suffix = false;
  bool recycled = false;
  bool grammar = false;

  [[nodiscard]] static constexpr DraftSources none() { return {}; }
  [[nodiscard]] static constexpr DraftSources all() { return {true, true, true}; }
  [[nodiscard]] constexpr bool any() const { return suffix || recycled || grammar; }
  friend bool operator==(const DraftSources&, const DraftSources&) = default;
};

inline constexpr std::array<std::string_view, 3> kDraftSourceNames = {"suffix", "recycled",
                                                                      "grammar"};

// "suffix+recycled", a comma is as good, or "none"; to_string() makes what is read back.
// Throws: Error{invalid_option} with the known names.
[[nodiscard]] DraftSources parse_draft_sources(std::string_view text);
[[nodiscard]] std::string to_string(const DraftSources& sources);

// All of them as one drafter, for TextOptions::drafter; a text of a method gumbel-tree has one
// anyway (Method::sources). Equal tokens of several sources merge: a mixture, whose weights
// are learnt as the text goes, by what the sources say of themselves.
// n_vocab: the target's. Memory: under 1 MiB a text, and 16 bytes per token of it.
[[nodiscard]] std::unique_ptr<Drafter> make_source_drafter(const DraftSources& sources,
                                                           const SamplingOptions& sampling,
                                                           std::size_t n_vocab);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRAFT_SOURCES_H_

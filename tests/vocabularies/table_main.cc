// Prints docs/results/vocabularies.md (scripts/vocabularies).
#include <cstdio>
#include <string>

#include "tests/vocabularies/odd_strings.h"
#include "tests/vocabularies/round_trip.h"

namespace {

using gumbelspec::testing::RoundTrip;

constexpr std::size_t kStrings = 1000;

constexpr const char* kHead =
    "# Real vocabularies\n\n"
    "Made by one command, `scripts/vocabularies`: %zu odd texts (mixed and right-to-left scripts, "
    "joined emoji, combining marks, zero-width and control characters with U+0000, long white "
    "space, line ends, digits, code, private use, the edges of UTF-8, what looks like control "
    "tokens) to tokens and back, with the vocabularies that llama.cpp v0.5.0 comes with.\n\n"
    "Agrees: the tokens are `llama_tokenize`'s, the text `llama_detokenize`'s, the tokens of the "
    "makers' texts those of the makers' tokenizers (llama.cpp's `.inp` and `.out` files), and the "
    "text of every token what the file's spelling stands for, decoded by a few lines of the "
    "test.\n\n"
    "| vocabulary | kind | tokens | without text | makers' texts | agrees | comes back | what "
    "differs |\n|---|---|---|---|---|---|---|---|\n";

constexpr const char* kTail =
    "\n- **space in front**: the vocabulary begins every text with one; `llama_detokenize` takes "
    "it "
    "away, a generated text goes on behind a prompt and has it.\n"
    "- **U+2581**: the vocabulary writes spaces so, and reads the character as one.\n"
    "- **bytes without a token** are dropped by llama.cpp's tokenizer: the model does not see such "
    "characters of a prompt.\n"
    "- **normalised**: embedding models', with which the program does not generate.\n"
    "- **cleaned**: texts from which `llama_detokenize` takes spaces before punctuation (\" ?\", "
    "\" "
    "'s\"); the program writes them.\n\n"
    "The tests `vocabulary_tokens_test`, `vocabulary_streams_test` and `vocabulary_models_test` "
    "hold this page, and that with each vocabulary streams give out whole characters only, texts "
    "end before stop strings that begin and end inside tokens, and JSON is what its schema says. "
    "Prompts of 69 of the 70 chat templates of llama.cpp's source are those of Jinja2, which "
    "refuses the messages with the other, firefunction-v2 (`server_templates_test`).\n";

std::string differences(const RoundTrip& r, bool normalises) {
  std::string out;
  const auto add = [&](std::size_t n, const std::string& what) {
    if (n > 0) out += (out.empty() ? "" : "; ") + std::to_string(n) + " " + what;
  };
  add(r.n_prefixed, "with a space in front");
  add(r.n_spaced, "with spaces for U+2581");
  add(r.n_dropped, "without bytes without a token (" + std::to_string(r.missing.size()) + ")");
  add(r.n_changed, normalises ? "normalised" : "CHANGED");
  add(r.n_cleaned, "cleaned by llama_detokenize");
  return out;
}

}  // namespace

int main() {
  using namespace gumbelspec::testing;
  std::printf(kHead, kStrings);
  for (const VocabularyFile& file : all_vocabularies()) {
    const RoundTrip r = round_trip(file, odd_strings(kStrings));
    const std::size_t n_wrong = r.wrong.size() + wrong_pieces(file).size();
    std::printf("| %s | %s | %zu | %zu | %zu | %s | %zu of %zu | %s |\n", file.name, r.type.c_str(),
                r.n_tokens, r.n_silent, r.n_known, n_wrong == 0 ? "yes" : "**no**", r.n_same,
                r.n_strings, differences(r, *file.architecture == '\0').c_str());
    std::fflush(stdout);
  }
  std::fputs(kTail, stdout);
}

#include "gumbelspec/draft_sources.h"

#include "gumbelspec/drafter.h"
#include "gumbelspec/error.h"
#include "src/engine/text_sources.h"

namespace gumbelspec {
namespace {

class SourceDrafter final : public Drafter {
 public:
  SourceDrafter(const DraftSources& sources, const SamplingOptions& sampling, std::size_t n_vocab)
      : sources_(sources, sampling, n_vocab) {}
  void begin_text(std::span<const TokenId> /*prompt*/) override { sources_.begin_text(); }
  void begin(DraftRound& round) override { sources_.begin(round); }
  void see(const VerifiedTree& verified) override { sources_.see(verified); }

 private:
  TextSources sources_;
};

constexpr std::array<bool DraftSources::*, 3> kFields = {
    &DraftSources::suffix, &DraftSources::recycled, &DraftSources::grammar};

}  // namespace

DraftSources parse_draft_sources(std::string_view text) {
  DraftSources sources;
  if (text == "none") return sources;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find_first_of(",+");
    const std::string_view name = rest.substr(0, comma);
    bool is_known = false;
    for (std::size_t i = 0; i < kFields.size(); ++i) {
      if (name != kDraftSourceNames[i]) continue;
      sources.*kFields[i] = is_known = true;
    }
    if (!is_known) {
      throw Error(ErrorCode::invalid_option,
                  "draft source '" + std::string(name) +
                      "' is not known; give suffix, recycled, grammar, with + or commas between "
                      "them, or none alone",
                  "sources");
    }
    if (comma == std::string_view::npos) return sources;
    rest = rest.substr(comma + 1);
  }
}

std::string to_string(const DraftSources& sources) {
  std::string text;
  for (std::size_t i = 0; i < kFields.size(); ++i) {
    if (sources.*kFields[i]) text += (text.empty() ? "" : "+") + std::string(kDraftSourceNames[i]);
  }
  return text.empty() ? "none" : text;
}

std::unique_ptr<Drafter> make_source_drafter(const DraftSources& sources,
                                             const SamplingOptions& sampling, std::size_t n_vocab) {
  validate(sampling);
  return std::make_unique<SourceDrafter>(sources, sampling, n_vocab);
}

}  // namespace gumbelspec

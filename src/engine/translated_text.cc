#include "src/engine/translated_text.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace gumbelspec {
namespace {

// A word's beginning is looked for in so many bytes. What is split anew begins at some token before
// them where a text has no spaces.
constexpr std::size_t kMostWord = 192;

// Whether a letter or a digit ends before byte `end`. Some vocabularies have tokens of a sign and
// the space behind it, and none that reach beyond a word. Signs of other scripts than ASCII's are
// told by their first byte, and if in doubt are no letters.
bool is_behind_word(std::string_view bytes, std::size_t end) {
  std::size_t i = end - 1;
  while (i > 0 && end - i < 4 && (static_cast<unsigned char>(bytes[i]) & 0xC0) == 0x80) --i;
  const auto lead = static_cast<unsigned char>(bytes[i]);
  if (lead < 0x80) return std::isalnum(lead) != 0;
  const bool is_cjk_sign = lead == 0xE3 && static_cast<unsigned char>(bytes[i + 1]) == 0x80;
  return lead > 0xC2 && lead < 0xEF && lead != 0xE2 && !is_cjk_sign;
}

}  // namespace

void TranslatedText::append(TokenId token) {
  const bool is_first = tokens_.empty();
  tokens_.push_back(token);
  const TokenTexts::Token own = map_.target().token(token);
  const std::int32_t twin = map_.twins()[index(token)];
  if (is_first && own.kind == TokenTexts::Kind::control) {
    const std::vector<TokenId> beginning = map_.target().beginning();
    if (!beginning.empty() && beginning.front() == token && !map_.draft().beginning().empty()) {
      ends_.push_back(0);  // the draft begins with its own
      return;
    }
  }
  if ((own.kind == TokenTexts::Kind::control && twin != VocabularyMap::kNone) || own.text.empty()) {
    if (twin != VocabularyMap::kNone) {
      marks_.push_back({bytes_.size(), token_id(static_cast<std::size_t>(twin))});
      bytes_ += '\0';
    }
  } else {
    bytes_ += own.text;
  }
  ends_.push_back(bytes_.size());
}

void TranslatedText::truncate(std::size_t n) {
  tokens_.resize(n);
  ends_.resize(n);
  bytes_.resize(n == 0 ? 0 : ends_.back());
  while (!marks_.empty() && marks_.back().begin >= bytes_.size()) marks_.pop_back();
  while (!read_.empty() && (n == 0 || read_.back().end > bytes_.size())) read_.pop_back();
  n_settled_ = std::min(n_settled_, bytes_.size());
}

void TranslatedText::drop_read(std::size_t n_kept) { read_.resize(n_kept); }

void TranslatedText::set_settled(std::size_t n_bytes) {
  n_settled_ = std::min(n_bytes, bytes_.size());
}

bool TranslatedText::is_read_end(std::size_t byte) const {
  const auto at = std::lower_bound(read_.begin(), read_.end(), byte,
                                   [](const ReadToken& r, std::size_t b) { return r.end < b; });
  return at != read_.end() && at->end == byte;
}

// The beginning of the word in which the text stopped being what was split, where a token that was
// read ends.
std::size_t TranslatedText::first_changed() const {
  const std::size_t n_read = read_.empty() ? 0 : read_.back().end;
  const std::size_t from = std::min(n_settled_, n_read);
  const std::size_t least = from - std::min(from, kMostWord);
  const auto mark =
      std::find_if(marks_.rbegin(), marks_.rend(), [&](const Mark& m) { return m.begin < from; });
  const std::size_t behind_mark = mark == marks_.rend() ? 0 : mark->begin + 1;
  for (std::size_t i = from; i > std::max(least, behind_mark); --i) {
    if (i < bytes_.size() && bytes_[i] == ' ' && is_behind_word(bytes_, i) && is_read_end(i)) {
      return i;
    }
  }
  if (behind_mark >= least && (behind_mark == 0 || is_read_end(behind_mark))) return behind_mark;
  // The last one before.
  const auto at = std::upper_bound(read_.begin(), read_.end(), least,
                                   [](std::size_t b, const ReadToken& r) { return b < r.end; });
  return at == read_.begin() ? 0 : (at - 1)->end;
}

void TranslatedText::split_from(std::size_t begin, std::vector<ReadToken>& out) const {
  auto mark = std::lower_bound(marks_.begin(), marks_.end(), begin,
                               [](const Mark& m, std::size_t b) { return m.begin < b; });
  bool is_first = begin == 0 || (mark != marks_.begin() && (mark - 1)->begin + 1 == begin);
  while (begin < bytes_.size()) {
    const std::size_t end = mark == marks_.end() ? bytes_.size() : mark->begin;
    if (end > begin) {
      map_.draft_tokenizer().split(std::string_view(bytes_).substr(begin, end - begin), begin,
                                   is_first, out);
    }
    if (mark == marks_.end()) break;
    out.push_back({mark->token, mark->begin + 1});
    begin = mark->begin + 1;
    is_first = true;
    ++mark;
  }
}

void TranslatedText::plan(std::size_t& n_kept, std::vector<ReadToken>& missing) const {
  missing.clear();
  std::size_t begin = 0;
  if (map_.is_by_id()) {
    n_kept = read_.size();
    // A token that was read in part is read again.
    while (n_kept > 0 && !std::binary_search(ends_.begin(), ends_.end(), read_[n_kept - 1].end)) {
      --n_kept;
    }
    begin = n_kept == 0 ? 0 : read_[n_kept - 1].end;
  } else {
    begin = first_changed();
    const auto at = std::upper_bound(read_.begin(), read_.end(), begin,
                                     [](std::size_t b, const ReadToken& r) { return b < r.end; });
    n_kept = static_cast<std::size_t>(at - read_.begin());
  }
  if (n_kept == 0 || begin == 0) {
    n_kept = begin = 0;
    for (const TokenId token : map_.draft().beginning()) missing.push_back({token, 0});
  }
  if (map_.is_by_id()) {
    std::size_t i = static_cast<std::size_t>(std::upper_bound(ends_.begin(), ends_.end(), begin) -
                                             ends_.begin());
    for (; i < tokens_.size(); ++i) {
      const std::size_t first = i == 0 ? 0 : ends_[i - 1];
      for (const ReadToken& piece : map_.pieces(tokens_[i])) {
        missing.push_back({piece.token, first + piece.end});
      }
    }
  } else {
    split_from(begin, missing);
  }
  std::size_t n_same = 0;
  while (n_same < missing.size() && n_kept + n_same < read_.size() &&
         read_[n_kept + n_same] == missing[n_same]) {
    ++n_same;
  }
  n_kept += n_same;
  missing.erase(missing.begin(), missing.begin() + static_cast<std::ptrdiff_t>(n_same));
  // A row comes from reading something.
  if (missing.empty() && n_kept > 0) missing.push_back(read_[--n_kept]);
}

}  // namespace gumbelspec

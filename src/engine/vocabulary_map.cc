#include "src/engine/vocabulary_map.h"

#include <algorithm>
#include <utility>

namespace gumbelspec {
namespace {

std::size_t n_following(unsigned char lead) {
  if (lead < 0x80) return 0;
  if (lead >= 0xC2 && lead < 0xE0) return 1;
  if (lead >= 0xE0 && lead < 0xF0) return 2;
  return lead >= 0xF0 && lead < 0xF5 ? 3 : 4;
}

// Lead bytes whose second byte has less room: no overlong forms, surrogates, or beyond U+10FFFF.
bool fits(unsigned char lead, unsigned char second) {
  const auto low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const auto high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  return second >= low && second <= high;
}

}  // namespace

std::size_t first_character(std::string_view bytes, bool& is_well_formed) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const std::size_t n = n_following(at(0));
  is_well_formed = n < 4 && bytes.size() > n && (n == 0 || fits(at(0), at(1)));
  for (std::size_t i = 2; i <= n && is_well_formed; ++i) is_well_formed = (at(i) & 0xC0) == 0x80;
  return is_well_formed ? n + 1 : 1;
}

ByteTokenizer::ByteTokenizer(const TokenTexts& texts) : texts_(texts) {
  written_.resize(texts.n_vocab());
  for (std::size_t i = 0; i < written_.size(); ++i) {
    TokenTexts::Token token = texts.token(token_id(i));
    if (token.text.empty()) continue;
    Map& map = token.kind == TokenTexts::Kind::text   ? by_text_
               : token.kind == TokenTexts::Kind::byte ? by_byte_
                                                      : by_name_;
    map.emplace(token.text, token_id(i));
    if (token.kind != TokenTexts::Kind::control) written_[i] = std::move(token.text);
  }
  std::string text;
  for (const TokenId token : texts.tokenize("a")) text += written_[index(token)];
  adds_space_ = text == " a";
}

const TokenId* ByteTokenizer::find(const std::string& bytes) const {
  const auto at = by_text_.find(bytes);
  return at != by_text_.end() ? &at->second : find_byte(bytes);
}

const TokenId* ByteTokenizer::find_byte(const std::string& byte) const {
  const auto at = by_byte_.find(byte);
  return at == by_byte_.end() ? nullptr : &at->second;
}

const TokenId* ByteTokenizer::find_control(const std::string& name) const {
  const auto at = by_name_.find(name);
  return at == by_name_.end() ? nullptr : &at->second;
}

// Returns: false, and nothing is appended, where the tokens do not write just these bytes.
bool ByteTokenizer::split_by_tokenizer(std::string_view bytes, std::size_t begin, bool is_first,
                                       std::vector<ReadToken>& out) const {
  std::string text(bytes);
  // What the tokens write before the bytes: the space that the vocabulary puts there, and in the
  // middle of a word a line's end, which gets that space instead; it merges with another one only.
  std::string before;
  if (adds_space_ && text.front() == ' ') {
    text.erase(0, 1);
  } else if (adds_space_ && is_first) {
    before = " ";
  } else if (adds_space_) {
    text.insert(0, 1, text.front() == '\n' ? 'a' : '\n');
    before = " " + text.substr(0, 1);
  }
  const std::string written = before + std::string(bytes);
  const std::size_t n_out = out.size();
  std::size_t at = 0;
  for (const TokenId token : texts_.tokenize(text)) {
    const std::string& piece = written_[index(token)];
    const std::size_t end = at + piece.size();
    const bool is_straddling = !is_first && at < before.size() && end > before.size();
    if (is_straddling || written.compare(at, piece.size(), piece) != 0) {
      at = 0;
      break;
    }
    at = end;
    if (is_first || end > before.size()) {
      out.push_back({token, begin + end - std::min(end, before.size())});
    }
  }
  if (at == written.size()) return true;
  out.resize(n_out);
  return false;
}

void ByteTokenizer::split_by_characters(std::string_view bytes, std::size_t begin,
                                        std::vector<ReadToken>& out) const {
  while (!bytes.empty()) {
    bool is_well_formed = false;
    const std::size_t n = first_character(bytes, is_well_formed);
    if (const TokenId* token = find(std::string(bytes.substr(0, n))); token != nullptr) {
      out.push_back({*token, begin + n});
    } else {
      for (std::size_t i = 0; i < n; ++i) {
        token = find(std::string(bytes.substr(i, 1)));
        if (token != nullptr) out.push_back({*token, begin + i + 1});
      }
    }
    begin += n;
    bytes.remove_prefix(n);
  }
}

void ByteTokenizer::split(std::string_view bytes, std::size_t begin, bool is_first,
                          std::vector<ReadToken>& out) const {
  while (!bytes.empty()) {
    // A tokenizer takes well-formed texts only.
    std::size_t n = 0;
    bool is_well_formed = true;
    while (n < bytes.size()) {
      const std::size_t n_character = first_character(bytes.substr(n), is_well_formed);
      if (!is_well_formed) break;
      n += n_character;
    }
    const std::string_view run = bytes.substr(0, n);
    if (n > 0 && !split_by_tokenizer(run, begin, is_first, out)) {
      split_by_characters(run, begin, out);
    }
    if (n < bytes.size()) split_by_characters(bytes.substr(n, 1), begin + n, out);
    const std::size_t n_done = std::min(n + 1, bytes.size());
    begin += n_done;
    bytes.remove_prefix(n_done);
    is_first = false;
  }
}

VocabularyLikeness likeness(const TokenTexts& target, const TokenTexts& draft) {
  return likeness(target, draft, ByteTokenizer(draft));
}

VocabularyLikeness likeness(const TokenTexts& target, const TokenTexts& draft,
                            const ByteTokenizer& tokens) {
  VocabularyLikeness result{.n_target = target.n_vocab(), .n_draft = draft.n_vocab()};
  for (std::size_t i = 0; i < result.n_target; ++i) {
    const TokenTexts::Token token = target.token(token_id(i));
    if (i < result.n_draft && token.text == draft.token(token_id(i)).text) ++result.n_same_ids;
    const bool is_control = token.kind == TokenTexts::Kind::control;
    if ((is_control ? tokens.find_control(token.text) : tokens.find(token.text)) != nullptr) {
      ++result.n_same_texts;
    }
  }
  return result;
}

VocabularyMap::VocabularyMap(std::shared_ptr<const TokenTexts> target,
                             std::shared_ptr<const TokenTexts> draft)
    : target_(std::move(target)),
      draft_(std::move(draft)),
      target_tokenizer_(*target_),
      draft_tokenizer_(*draft_),
      is_by_id_(likeness(*target_, *draft_, draft_tokenizer_).is_alike()) {
  find_twins();
}

const TokenId* VocabularyMap::twin_by_text(TokenId token) const {
  const TokenTexts::Token own = target_->token(token);
  if (own.text.empty()) return nullptr;
  switch (own.kind) {
    case TokenTexts::Kind::control:
      return draft_tokenizer_.find_control(own.text);
    case TokenTexts::Kind::byte: {
      const TokenId* twin = draft_tokenizer_.find_byte(own.text);
      if (twin != nullptr) return twin;
      // What the draft says as a text is the target's text, if it has one.
      const TokenId* text = target_tokenizer_.find(own.text);
      return text != nullptr && *text != token ? nullptr : draft_tokenizer_.find(own.text);
    }
    default:
      return draft_tokenizer_.find(own.text);
  }
}

void VocabularyMap::find_twins() {
  twins_.assign(target_->n_vocab(), kNone);
  for (std::size_t i = 0; i < twins_.size(); ++i) {
    const TokenId token = token_id(i);
    if (is_by_id_ && i < draft_->n_vocab() &&
        target_->token(token).text == draft_->token(token).text) {
      twins_[i] = static_cast<std::int32_t>(i);
    } else if (const TokenId* twin = twin_by_text(token); twin != nullptr) {
      twins_[i] = static_cast<std::int32_t>(index(*twin));
    }
  }
  add_ends();
  std::vector<bool> is_twin(draft_->n_vocab());
  for (const std::int32_t twin : twins_) {
    if (twin == kNone) continue;
    is_twin[static_cast<std::size_t>(twin)] = true;
    ++n_twins_;
  }
  for (std::size_t i = 0; i < is_twin.size(); ++i) {
    if (!is_twin[i] && draft_->token(token_id(i)).kind != TokenTexts::Kind::control) {
      others_.push_back(token_id(i));
    }
  }
}

// Families name the end of a text differently, and mean the same.
void VocabularyMap::add_ends() {
  std::int32_t end = kNone;
  for (std::size_t i = 0; i < draft_->n_vocab() && end == kNone; ++i) {
    if (draft_->is_end(token_id(i))) end = static_cast<std::int32_t>(i);
  }
  for (std::size_t i = 0; i < twins_.size(); ++i) {
    if (twins_[i] == kNone && target_->is_end(token_id(i))) twins_[i] = end;
  }
}

std::span<const TokenId> VocabularyMap::chain(TokenId other) {
  const auto [at, is_new] = chains_.try_emplace(other);
  if (is_new) {
    const std::string text = draft_->token(other).text;
    std::vector<ReadToken> tokens;
    target_tokenizer_.split(text, 0, /*is_first=*/false, tokens);
    // Half of it would say nothing of what comes then.
    if (!tokens.empty() && tokens.back().end == text.size()) {
      for (const ReadToken& read : tokens) at->second.push_back(read.token);
    }
  }
  return at->second;
}

std::span<const ReadToken> VocabularyMap::pieces(TokenId token) {
  const auto [at, is_new] = pieces_.try_emplace(token);
  if (!is_new) return at->second;
  const std::int32_t twin = twins_[index(token)];
  const auto [text, kind] = target_->token(token);
  if (twin != kNone) {
    const bool is_mark = kind == TokenTexts::Kind::control || text.empty();
    at->second.push_back({token_id(static_cast<std::size_t>(twin)), is_mark ? 1 : text.size()});
  } else if (!text.empty()) {
    draft_tokenizer_.split(text, 0, /*is_first=*/false, at->second);
  }
  return at->second;
}

}  // namespace gumbelspec

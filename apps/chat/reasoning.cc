#include "apps/chat/reasoning.h"

#include <algorithm>
#include <array>
#include <utility>

namespace gumbelspec::chat {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";

// The last one is taken where a template names none.
const std::array<ReasoningTags, 4>& known_tags() {
  static const std::array<ReasoningTags, 4> tags = {{
      {"[THINK]", "[/THINK]"},
      {"<seed:think>", "</seed:think>"},
      {"<thinking>", "</thinking>"},
      {"<think>", "</think>"},
  }};
  return tags;
}

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

std::string_view without_trailing_blanks(std::string_view text) {
  return text.substr(0, text.find_last_not_of(kBlanks) + 1);
}

// How much of the text's end the tag begins with.
std::size_t n_begun(std::string_view text, std::string_view tag) {
  for (std::size_t n = std::min(text.size(), tag.size() - 1); n > 0; --n) {
    if (ends_with(text, tag.substr(0, n))) return n;
  }
  return 0;
}

}  // namespace

const ReasoningTags& reasoning_tags(std::string_view chat_template) {
  for (const ReasoningTags& tags : known_tags()) {
    if (chat_template.find(tags.close) != std::string_view::npos) return tags;
  }
  return known_tags().back();
}

ReasoningSplitter::ReasoningSplitter(ReasoningTags tags, std::string_view prompt_end)
    : tags_(std::move(tags)) {
  if (ends_with(without_trailing_blanks(prompt_end), tags_.open)) {
    state_ = State::thoughts;
    skips_blanks_ = true;
  }
}

std::vector<AnswerPart> ReasoningSplitter::append(std::string_view text) {
  held_ += text;
  std::vector<AnswerPart> parts;
  take(/*is_over=*/false, parts);
  return parts;
}

std::vector<AnswerPart> ReasoningSplitter::finish() {
  std::vector<AnswerPart> parts;
  take(/*is_over=*/true, parts);
  return parts;
}

void ReasoningSplitter::give(std::string text, std::vector<AnswerPart>& parts) {
  if (skips_blanks_) {
    text.erase(0, std::min(text.find_first_not_of(kBlanks), text.size()));
    skips_blanks_ = text.empty();
  }
  if (!text.empty()) parts.push_back({std::move(text), state_ == State::thoughts});
}

void ReasoningSplitter::take(bool is_over, std::vector<AnswerPart>& parts) {
  if (state_ == State::beginning) {
    const std::size_t first = held_.find_first_not_of(kBlanks);
    const std::string_view text =
        std::string_view(held_).substr(first == std::string::npos ? held_.size() : first);
    const bool may_begin =
        text.size() < tags_.open.size() && tags_.open.compare(0, text.size(), text) == 0;
    if (may_begin && !is_over) return;
    if (text.substr(0, tags_.open.size()) == tags_.open) {
      held_.erase(0, first + tags_.open.size());
      state_ = State::thoughts;
      skips_blanks_ = true;
    } else {
      state_ = State::answer;
    }
  }
  if (state_ == State::thoughts) {
    const std::size_t close = held_.find(tags_.close);
    if (close == std::string::npos) {
      const std::size_t n_kept = is_over ? 0 : n_begun(held_, tags_.close);
      const std::size_t n = held_.size() - n_kept;
      give(held_.substr(0, n), parts);
      held_.erase(0, n);
      return;
    }
    give(held_.substr(0, close), parts);
    held_.erase(0, close + tags_.close.size());
    state_ = State::answer;
    skips_blanks_ = true;
  }
  give(std::exchange(held_, {}), parts);
}

}  // namespace gumbelspec::chat

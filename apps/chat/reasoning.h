// Thoughts and answer of a reasoning model, told apart while they come.
#ifndef GUMBELSPEC_APPS_CHAT_REASONING_H_
#define GUMBELSPEC_APPS_CHAT_REASONING_H_

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::chat {

// What surrounds thoughts, as models write it: "<think>", "</think>".
struct ReasoningTags {
  std::string open;
  std::string close;
};

// Those that the template speaks of; the most common ones where it speaks of none.
[[nodiscard]] const ReasoningTags& reasoning_tags(std::string_view chat_template);

// A part of an answer, without the tags.
struct AnswerPart {
  std::string text;
  bool is_thought = false;
};

// Thoughts stand at the beginning, or nowhere. Where they have not ended, there is no answer.
class ReasoningSplitter {
 public:
  // prompt_end: the end of what the model was given, which may have begun the thoughts already.
  ReasoningSplitter(ReasoningTags tags, std::string_view prompt_end);

  // Returns: what is known to be one or the other by now; nothing that may be part of a tag, and
  // no blanks between tags and text.
  [[nodiscard]] std::vector<AnswerPart> append(std::string_view text);
  // The answer is over: the rest.
  [[nodiscard]] std::vector<AnswerPart> finish();

 private:
  enum class State { beginning, thoughts, answer };
  void take(bool is_over, std::vector<AnswerPart>& parts);
  void give(std::string text, std::vector<AnswerPart>& parts);

  ReasoningTags tags_;
  State state_ = State::beginning;
  bool skips_blanks_ = false;  // behind a tag
  std::string held_;
};

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_REASONING_H_

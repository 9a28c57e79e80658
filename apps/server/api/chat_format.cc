#include "apps/server/api/chat_format.h"

#include <algorithm>
#include <chrono>
#include <exception>
#include <stdexcept>

namespace gumbelspec::server {
namespace {

bool is_plain(const std::shared_ptr<const ChatFormat>& format) {
  return format == nullptr || format->format == nullptr || format->format->is_plain();
}

void remove_prefix(std::string& text, const std::string& prefix) {
  if (text.compare(0, prefix.size(), prefix) == 0) text.erase(0, prefix.size());
}

double machine_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of the time, for reading. There may be many streams, and one thread.
constexpr double kShare = 0.02;
// A thread that had to wait while it read looks slow; nobody has to wait longer than this for it.
constexpr double kLongestWait = 0.25;  // seconds

}  // namespace

ChatMessageStream::ChatMessageStream(std::shared_ptr<const ChatFormat> format, std::string id,
                                     SecondsClock clock)
    : format_(std::move(format)),
      id_(std::move(id)),
      clock_(clock ? std::move(clock) : SecondsClock(machine_seconds)) {
  if (is_plain(format_)) {
    format_ = nullptr;
    return;
  }
  try {
    begun_ = format_->format->read("", true);
  } catch (const std::exception&) {
    begun_ = {};
  }
}

// A bracket in a string counts, too: what is refused for it is only that the text be read.
void ChatMessageStream::append(const std::string& text) {
  constexpr std::size_t kMostBrackets = 256;
  text_ += text;
  for (const char c : text) {
    if (c == '[' || c == '{') is_too_deep_ = is_too_deep_ || ++depth_ > kMostBrackets;
    if ((c == ']' || c == '}') && depth_ > 0) --depth_;
  }
}

bool ChatMessageStream::is_due() const {
  return clock_() - read_s_ >= std::min(reading_s_ * (1.0 / kShare - 1.0), kLongestWait);
}

std::vector<MessageDelta> ChatMessageStream::add(const std::string& text) {
  if (text.empty()) return {};
  if (format_ == nullptr) return add_content(text);
  append(text);
  if (!is_due()) return {};
  const double began = clock_();
  std::vector<MessageDelta> deltas = read(true);
  read_s_ = clock_();
  reading_s_ = read_s_ - began;
  return deltas;
}

std::vector<MessageDelta> ChatMessageStream::finish(const std::string& text) {
  if (format_ == nullptr) return add_content(text);
  append(text);
  return read(false);
}

std::vector<MessageDelta> ChatMessageStream::add_content(const std::string& text) {
  if (text.empty()) return {};
  message_.content += text;
  MessageDelta delta;
  delta.content = text;
  return {std::move(delta)};
}

// Calls without an id get one as soon as they are seen, and keep it.
void ChatMessageStream::set_ids(Message& message) {
  for (std::size_t i = 0; i < message.tool_calls.size(); ++i) {
    ToolCall& call = message.tool_calls[i];
    if (ids_.size() <= i) ids_.push_back(call.id.empty() ? id_ + std::to_string(i) : call.id);
    call.id = ids_[i];
  }
}

std::vector<MessageDelta> ChatMessageStream::read(bool is_partial) {
  Message now;
  try {
    if (is_too_deep_) throw std::runtime_error("too many brackets");
    now = format_->format->read(text_, is_partial);
  } catch (const std::exception&) {
    // Of what has been told nothing can be taken back.
    if (is_partial || !message_.content.empty() || !message_.reasoning.empty() ||
        !message_.tool_calls.empty()) {
      return {};
    }
    now.content = text_;
  }
  remove_prefix(now.content, begun_.content);
  remove_prefix(now.reasoning, begun_.reasoning);
  set_ids(now);
  try {
    std::vector<MessageDelta> deltas = llama_common::difference(message_, now);
    message_ = std::move(now);
    return deltas;
  } catch (const std::exception&) {
    return {};  // the text had looked like a call
  }
}

}  // namespace gumbelspec::server

// gumbelspec chat: lines that begin with a slash.
#include <algorithm>
#include <iostream>
#include <string>
#include <vector>

#include "apps/cli/chat_run.h"
#include "apps/common/output.h"
#include "apps/common/prompt.h"
#include "apps/common/report.h"
#include "apps/common/sampling_options.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::cli {

const std::array<ChatRun::ChatCommand, 10> ChatRun::kCommands = {{
    {"/help", "", "this list", &ChatRun::show_help},
    {"/regenerate", "", "another answer to the last question", &ChatRun::regenerate},
    {"/seed", "[N]", "the seed of the answers, or another one", &ChatRun::set_seed},
    {"/clear", "", "forget what was said, but not the system prompt", &ChatRun::clear},
    {"/read", "FILE", "put a file in front of the next message", &ChatRun::read_text},
    {"/save", "FILE", "write the conversation, as JSON", &ChatRun::save},
    {"/load", "FILE", "go on with a conversation that was saved", &ChatRun::load_file},
    {"/history", "", "what was said so far", &ChatRun::show_messages},
    {"/stats", "", "counts and times of the last answer", &ChatRun::show_statistics},
    {"/quit", "", "end; so does Ctrl-D", &ChatRun::quit},
}};

std::vector<std::string> ChatRun::command_names() {
  std::vector<std::string> words;
  words.reserve(kCommands.size());
  for (const ChatCommand& command : kCommands) words.emplace_back(command.name);
  return words;
}

void ChatRun::command(const std::string& line) {
  const std::size_t space = line.find_first_of(" \t");
  const std::string name = line.substr(0, space);
  std::string argument = space == std::string::npos ? "" : line.substr(space + 1);
  argument.erase(0, std::min(argument.find_first_not_of(" \t"), argument.size()));
  argument.erase(argument.find_last_not_of(" \t\r") + 1);
  std::vector<const ChatCommand*> found;
  for (const ChatCommand& one : kCommands) {
    if (one.name == name) found = {&one};
    if (one.name == name) break;
    if (name.size() > 1 && one.name.substr(0, name.size()) == name) found.push_back(&one);
  }
  if (name == "/exit") found = {&kCommands.back()};
  if (found.size() != 1) {
    throw bad_option("there is no command " + in_quotes(name) +
                     "; /help lists them, and a message that begins with a blank is none");
  }
  const ChatCommand& one = *found.front();
  if (one.argument.empty() != argument.empty() && one.argument != "[N]") {
    throw bad_option(std::string(one.name) +
                     (argument.empty() ? " needs a file; give " + std::string(one.name) + " FILE"
                                       : " takes nothing; leave " + in_quotes(argument) + " out"));
  }
  (this->*one.action)(argument);
}

void ChatRun::show_help(const std::string& /*argument*/) {
  std::string text;
  for (const ChatCommand& one : kCommands) {
    std::string head = "  " + std::string(one.name) + " " + std::string(one.argument);
    head.resize(std::max<std::size_t>(head.size() + 1, 18), ' ');
    text += head + std::string(one.help) + "\n";
  }
  text +=
      "A line that ends in \\ goes on with the next one; what stands between two lines of \"\"\" "
      "is "
      "one message.\n";
  std::cerr << text << std::flush;
}

void ChatRun::regenerate(const std::string& /*argument*/) {
  if (!conversation_->forget_answer()) {
    throw bad_option("there is no answer yet; ask something first");
  }
  ++stream_;
  answer();
}

void ChatRun::set_seed(const std::string& argument) {
  if (!argument.empty()) seed_ = parse_seed(argument);
  if (!argument.empty()) stream_ = 0;
  say("seed " + std::to_string(seed_));
}

void ChatRun::clear(const std::string& /*argument*/) {
  conversation_->clear();
  pending_.clear();
  say("forgotten");
}

void ChatRun::save(const std::string& argument) {
  const std::string text = conversation_->to_json();
  try {
    Output file = Output::file(argument);
    file.write(text);
    file.close();
  } catch (const OutputError& error) {
    throw bad_option(error.what());
  }
  say(std::to_string(conversation_->messages().size()) + " messages written to " +
      in_quotes(argument));
}

void ChatRun::load_file(const std::string& argument) {
  try {
    conversation_->from_json(read_file(argument));
  } catch (const Error& error) {
    if (error.code() == ErrorCode::file_not_found) throw;
    throw bad_option(in_quotes(argument) + " is no conversation: " + error.what());
  }
  say(std::to_string(conversation_->messages().size()) + " messages read");
  if (conversation_->has_question()) answer();
}

void ChatRun::read_text(const std::string& argument) {
  const std::string text = read_file(argument);
  if (first_invalid_utf8(text)) {
    throw bad_option(in_quotes(argument) + " is not UTF-8; convert it first");
  }
  pending_ += text + (text.empty() || text.back() == '\n' ? "" : "\n");
  say(std::to_string(text.size()) + " bytes go in front of the next message");
}

void ChatRun::show_messages(const std::string& /*argument*/) {
  std::string text;
  for (const server::ChatMessage& message : conversation_->messages()) {
    text += message.role + ": " + message.content + "\n";
  }
  std::cerr << text << std::flush;
}

void ChatRun::show_statistics(const std::string& /*argument*/) {
  if (!last_) throw bad_option("there is no answer yet; ask something first");
  const Statistics& statistics = last_->statistics;
  std::cerr << statistics_text(statistics);
  std::cerr << "of the prompt's " << statistics.n_prompt << " tokens " << last_->n_reused
            << " had been read before\n";
  if (costs_ && costs_->target.is_known() && statistics.decode_s > 0.0) {
    const double plain = 1.0 / costs_->target.seconds(1);
    std::cerr << "plain decoding would make " << formatted("%.1f", plain)
              << " tokens/s, by what passes cost here: this was "
              << formatted("%.2f", statistics.tokens_per_s() / plain) << " times as fast\n";
  } else if (!costs_) {
    std::cerr << "how fast plain decoding would be is not known with --method "
              << to_string(method_) << ", which measures no passes\n";
  }
  std::cerr << "seed " << seed_ << ", stream " << stream_ << "\n" << std::flush;
}

void ChatRun::quit(const std::string& /*argument*/) { is_over_ = true; }

}  // namespace gumbelspec::apps::cli

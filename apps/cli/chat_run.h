// A conversation: what gumbelspec chat does once its options are read.
#ifndef GUMBELSPEC_APPS_CLI_CHAT_RUN_H_
#define GUMBELSPEC_APPS_CLI_CHAT_RUN_H_

#include <array>
#include <csignal>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "apps/chat/answerer.h"
#include "apps/chat/conversation.h"
#include "apps/chat/line_editor.h"
#include "apps/cli/chat_options.h"
#include "apps/common/stop_signals.h"
#include "apps/server/api/text_stream.h"

namespace gumbelspec::apps::cli {

// SIGINT stops an answer, other signals the program.
[[nodiscard]] inline bool stopped_for_good() { return stop_requested() && stop_signal() != SIGINT; }

class ChatRun {
 public:
  ChatRun(const Arguments& arguments, const ChatOptions& options);
  int run();

 private:
  [[nodiscard]] static std::vector<std::string> command_names();

  using Action = void (ChatRun::*)(const std::string& argument);
  struct ChatCommand {
    std::string_view name;
    std::string_view argument;
    std::string_view help;
    Action action;
  };
  static const std::array<ChatCommand, 10> kCommands;

  void load();
  void tell_start() const;
  void talk();
  void answer();
  [[nodiscard]] TextOptions text_options(const chat::Prompt& prompt) const;
  [[nodiscard]] std::shared_ptr<const Grammar> answer_rule(const std::string& prompt) const;
  void keep_answer(const chat::Prompt& prompt, const chat::Answer& answer,
                   const server::TextStream& stream, const std::string& content);
  void tell_end(const chat::Answer& answer) const;
  void command(const std::string& line);

  void show_help(const std::string& argument);
  void regenerate(const std::string& argument);
  void set_seed(const std::string& argument);
  void clear(const std::string& argument);
  void save(const std::string& argument);
  void load_file(const std::string& argument);
  void read_text(const std::string& argument);
  void show_statistics(const std::string& argument);
  void show_messages(const std::string& argument);
  void quit(const std::string& argument);

  const Arguments& arguments_;
  const ChatOptions& options_;
  ModelOptions model_options_;
  Method method_;
  SamplingOptions sampling_;
  std::string system_;
  std::string first_message_;
  std::string template_;
  std::uint64_t seed_;
  std::uint32_t stream_ = 0;  // another answer to the same question
  Output out_ = Output::standard();
  Progress progress_;
  Models models_;
  std::optional<CostCache> cache_;
  std::shared_ptr<CostModel> costs_;
  std::shared_ptr<CalibrationStore> calibrations_;
  std::optional<Structure> structure_;
  std::shared_ptr<const Grammar> grammar_;  // of structure_
  std::shared_ptr<const Grammar> rule_;     // of the answer that is written
  std::optional<server::ApiModel> api_;
  std::optional<chat::Conversation> conversation_;
  std::optional<chat::Answerer> answerer_;
  std::optional<chat::Answer> last_;
  std::optional<chat::LineEditor> editor_;
  std::string pending_;          // what /read put in front of the next message
  bool is_interrupted_ = false;  // the answer
  bool is_over_ = false;
};

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_CHAT_RUN_H_

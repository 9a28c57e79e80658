// gumbelspec chat: a conversation in the terminal, or through a pipe.
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/chat/display.h"
#include "apps/chat/reasoning.h"
#include "apps/cli/chat_run.h"
#include "apps/cli/commands.h"
#include "apps/cli/guarantee.h"
#include "apps/common/escapes.h"
#include "apps/common/load_options.h"
#include "apps/common/method_option.h"
#include "apps/common/model_sampling.h"
#include "apps/common/option_names.h"
#include "apps/common/prompt.h"
#include "apps/common/random_seed.h"
#include "apps/common/report.h"
#include "apps/common/utf8_stream.h"
#include "apps/server/api/reasoning.h"

namespace gumbelspec::apps::cli {
namespace {

using chat::Input;

// Prompt tokens that take a noticeable time.
constexpr std::size_t kLongPrompt = 512;
constexpr const char* kPrompt = "> ";

// Jinja; empty: the model's.
std::string template_source(const ChatOptions& options) {
  if (options.chat_template_file.empty()) return options.chat_template;
  if (!options.chat_template.empty()) {
    throw bad_option("--chat-template and --chat-template-file are both given; give one of them");
  }
  std::string source = read_file(options.chat_template_file);
  if (source.empty()) throw bad_option("--chat-template-file is empty; give a file with Jinja");
  return source;
}

// Whether the model is asked to think, as templates know it.
server::ChatOptions template_options(const ChatOptions& options) {
  server::ChatOptions chat;
  if (options.thinks)
    chat.extra = *options.thinks ? R"({"enable_thinking": true})" : R"({"enable_thinking": false})";
  return chat;
}

}  // namespace

// Everything that can be wrong without the models is found before they are loaded.
ChatRun::ChatRun(const Arguments& arguments, const ChatOptions& options)
    : arguments_(arguments),
      options_(options),
      model_options_(with_demo_pair(options.models)),
      method_(method_for(bounded_method(options.method, options.planner), model_options_)),
      sampling_(options.sampling),
      system_(options.system),
      template_(template_source(options)),
      seed_(options.seed ? *options.seed : random_seed()) {
  validate(sampling_);
  const std::string why = server::ChatTemplate(template_, "", "").why_unreadable();
  if (!why.empty()) {
    throw bad_option("the chat template is not one that llama.cpp's Jinja engine reads (" +
                     visible(why) + "); mend it");
  }
  structure_ = read_structure(options.structure);
  if (structure_ && options.ignores_end) {
    throw bad_option(structure_->option +
                     " with --ignore-eos, which would go on after the text is complete; leave one "
                     "out");
  }
  if (options.system_file) {
    if (!system_.empty()) {
      throw bad_option("--system-prompt and --system-prompt-file are both given; give one of them");
    }
    system_ = read_prompt(std::nullopt, options.system_file);
  }
  if (options.prompt || options.prompt_file) {
    first_message_ = read_prompt(options.prompt, options.prompt_file);
  } else if (options.is_single_turn && ::isatty(STDIN_FILENO) == 1) {
    throw bad_option("--single-turn without a message; give it with -p TEXT or -f FILE");
  }
  if (options.has_escapes) {
    system_ = unescaped(system_);
    first_message_ = unescaped(first_message_);
  }
  if (first_invalid_utf8(system_)) {
    throw bad_option("the system prompt is not UTF-8; convert it first");
  }
  // A pass is short, and one that breaks off would have to be made again.
  model_options_.is_cancelled = stopped_for_good;
}

void ChatRun::load() {
  models_ = load_models(model_options_, method_.drafts(), progress_);
  method_ = possible_method_told(method_, models_);
  if (method_.keeps_seed()) tell_broken_guarantee(*models_.target);
  tell_what_follows(model_options_.more);
  take_model_sampling(arguments_, *models_.target, sampling_);
  cache_.emplace(cost_cache_of(models_, model_options_, options_.planner));
  costs_ = costs_for(method_, models_, *cache_, progress_);
  if (structure_) grammar_ = compile_structure(*structure_, *models_.target);
  calibrations_ = cache_->calibrations();
  progress_.clear();
  api_ = server::make_api_model(*models_.target, template_);
  if (const std::string& why = api_->chat_template->why_unreadable(); !why.empty()) {
    throw bad_option("llama.cpp's Jinja engine cannot read the model's chat template (" +
                     visible(why) + "); give another with --chat-template-file");
  }
  conversation_.emplace(*api_, template_options(options_), system_);
  BatchOptions batch;
  batch.max_active = 1;
  // A shape that is fixed asks for no costs; without these a batch would measure them.
  batch.costs = costs_ ? costs_ : std::make_shared<CostModel>();
  batch.calibrations = calibrations_;
  answerer_.emplace(*models_.target, models_.drafting(), batch);
}

void ChatRun::tell_start() const {
  if (!editor_->is_terminal()) return;
  const char* origin = api_->chat_template->origin();
  std::cerr << "gumbelspec: " << models_.target->description() << ", method " << to_string(method_)
            << ", seed " << seed_
            << (std::string_view(origin) == "model" || !template_.empty()
                    ? ""
                    : "; the model brings no chat template, so it may not be one for chats")
            << "\n/help lists commands; Ctrl-C stops an answer, Ctrl-D ends\n"
            << std::flush;
}

int ChatRun::run() {
  load();
  editor_.emplace(command_names());
  tell_start();
  talk();
  cache_->keep(*calibrations_);
  out_.close();
  if (stopped_for_good()) throw Stopped();
  return 0;
}

void ChatRun::talk() {
  std::string message = first_message_;
  while (!is_over_) {
    if (message.empty()) {
      const Input input = chat::read_message(*editor_, kPrompt, message);
      if (stopped_for_good() || input == Input::end) return;
      if (input == Input::interrupt) {
        // A pipe has nobody who could type on.
        if (!editor_->is_terminal()) throw Stopped();
        forget_stop_signal();
        if (message.empty()) say("Ctrl-D or /quit ends; Ctrl-C stops an answer");
        message.clear();
        continue;
      }
    }
    const std::string text = std::exchange(message, {});
    if (text.find_first_not_of(" \t\r\n") == std::string::npos) continue;
    try {
      if (text[0] == '/' && text.find('\n') == std::string::npos) {
        command(text);
        continue;
      }
      if (const auto at = first_invalid_utf8(text)) {
        throw bad_option("the message is not UTF-8 at byte " + std::to_string(*at) +
                         "; convert it first");
      }
      if (conversation_->has_question()) conversation_->take_back();
      conversation_->ask(std::exchange(pending_, {}) + text);
      stream_ = 0;
      answer();
    } catch (const Error& error) {
      progress_.clear();
      // Whoever wrote a pipe's messages counted on all of them.
      if (!editor_->is_terminal()) throw;
      say(visible(message_of(error)));
    }
    if (options_.is_single_turn) return;
  }
}

// What an answer has to follow: the grammar, behind thoughts that are not too long. Null: nothing.
std::shared_ptr<const Grammar> ChatRun::answer_rule(const std::string& prompt) const {
  if (options_.reasoning_budget < 0) return grammar_;
  const chat::ReasoningTags& tags = chat::reasoning_tags(api_->chat_template->source());
  const auto tokens_of = [&](const std::string& text) {
    return models_.target->tokenize(text, {.adds_special = false, .reads_control = true});
  };
  server::ReasoningRule rule;
  rule.start = tokens_of(tags.open);
  rule.ends = {tokens_of(tags.close)};
  rule.closing = rule.ends.front();
  rule.budget = options_.reasoning_budget;
  const std::string_view end =
      std::string_view(prompt).substr(0, prompt.find_last_not_of(" \t\r\n") + 1);
  const std::size_t n = tags.open.size();
  // The template has begun the thoughts.
  if (end.size() >= n && end.substr(end.size() - n) == tags.open) rule.prompt_end = rule.start;
  rule.n_vocab = models_.target->limits().n_vocab;
  rule.ends_character = [target = models_.target.get()](TokenId token) {
    return server::ends_with_character(target->piece(token));
  };
  return server::with_reasoning(std::move(rule), grammar_);
}

TextOptions ChatRun::text_options(const chat::Prompt& prompt) const {
  const std::size_t n_prompt = prompt.tokens.size();
  TextOptions text;
  text.sampling = sampling_;
  text.method = method_;
  text.guarantee = method_.keeps_seed() ? options_.planner.guarantee.value_or(Guarantee::seed)
                                        : Guarantee::distribution;
  text.seed = seed_;
  text.stream = stream_;
  text.ignores_end = options_.ignores_end;
  if (rule_) text.constraint = rule_->matcher();
  const std::size_t n_context = models_.target->limits().n_context;
  const std::size_t n_left = n_context > n_prompt ? n_context - n_prompt : 1;
  text.max_tokens = options_.n_predict < 0
                        ? n_left
                        : std::min(n_left, static_cast<std::size_t>(options_.n_predict));
  return text;
}

// The question that is due.
void ChatRun::answer() {
  const chat::Prompt prompt = conversation_->prompt();
  chat::DisplayOptions screen = options_.display;
  const char* no_color = std::getenv("NO_COLOR");
  screen.has_colors = options_.has_colors.value_or(::isatty(STDOUT_FILENO) == 1 &&
                                                   (no_color == nullptr || *no_color == '\0'));
  chat::Display display(out_, screen);
  server::TextStream stream(options_.stops);
  chat::ReasoningSplitter thoughts(chat::reasoning_tags(api_->chat_template->source()),
                                   prompt.text);
  std::string content;
  const auto show = [&](const std::vector<chat::AnswerPart>& parts, bool was_drafted) {
    for (const chat::AnswerPart& part : parts) {
      if (!part.is_thought) content += part.text;
      display.show(part.text, part.is_thought, was_drafted);
    }
  };
  const auto take = [&](const std::string& text, bool was_drafted) {
    if (text.empty()) return;
    if (options_.splits_thoughts) {
      show(thoughts.append(text), was_drafted);
    } else {
      show({{text, false}}, was_drafted);
    }
  };
  const auto on_token = [&](const GeneratedToken& token) {
    progress_.clear();
    const bool goes_on = stream.append(models_.target->piece(token.token));
    take(stream.take(), token.was_drafted);
    return goes_on;
  };
  const auto on_prompt = [&](std::size_t n_done, std::size_t n_total) {
    if (n_total < kLongPrompt) return;
    progress_.show("reading " + std::to_string(n_done) + " of " + std::to_string(n_total) +
                   " tokens");
  };
  rule_ = answer_rule(prompt.text);
  is_interrupted_ = false;
  const auto is_stopped = [&] {
    is_interrupted_ = is_interrupted_ || stop_requested() || editor_->typed_interrupt();
    return is_interrupted_;
  };
  std::optional<chat::Answer> answer;
  editor_->set_answering(true);
  try {
    answer = answerer_->run(prompt.tokens, text_options(prompt), on_token, on_prompt, is_stopped);
  } catch (const Error&) {
    editor_->set_answering(false);
    display.finish();
    conversation_->take_back();
    throw;
  }
  editor_->set_answering(false);
  is_interrupted_ = is_stopped();  // also in its last moment
  progress_.clear();
  stream.finish();
  take(stream.take(), false);
  if (options_.splits_thoughts) show(thoughts.finish(), false);
  display.finish();
  keep_answer(prompt, *answer, stream, content);
}

void ChatRun::keep_answer(const chat::Prompt& prompt, const chat::Answer& answer,
                          const server::TextStream& stream, const std::string& content) {
  std::string written;
  if (!stream.is_stopped()) {
    for (const TokenId token : answer.tokens) written += models_.target->piece(token);
  }
  // Behind a stop string the model has written more than the answer has.
  if (stream.is_stopped()) {
    conversation_->answer(content, {}, {}, {});
  } else {
    conversation_->answer(content, prompt, answer.tokens, written);
  }
  last_ = answer;
  tell_end(answer);
  if (stopped_for_good() || !is_interrupted_) return;
  if (!editor_->is_terminal()) throw Stopped();
  forget_stop_signal();
  say("stopped; /regenerate for another answer, or go on");
}

void ChatRun::tell_end(const chat::Answer& answer) const {
  const std::size_t n_context = models_.target->limits().n_context;
  const std::size_t n_text = answer.statistics.n_prompt + answer.tokens.size();
  if (answer.outcome == Outcome::context_full ||
      (answer.outcome == Outcome::length && n_text + 1 >= n_context)) {
    say("the context of " + std::to_string(n_context) +
        " tokens is full; /clear to begin anew, or ask for a larger context (-c)");
  } else if (answer.outcome == Outcome::length && editor_->is_terminal()) {
    say("the answer has as many tokens as -n allows");
  }
}

Command add_chat(Arguments& program) {
  const auto options = std::make_shared<ChatOptions>();
  Arguments& arguments = program.add_command("chat", "Talk with a model in the terminal");
  add_chat_options(arguments, *options);
  return {&arguments, [&arguments, options] { return ChatRun(arguments, *options).run(); }};
}

}  // namespace gumbelspec::apps::cli

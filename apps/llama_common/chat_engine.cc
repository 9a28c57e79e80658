#include "apps/llama_common/chat_engine.h"

#include <algorithm>
#include <list>
#include <map>
#include <sstream>
#include <stdexcept>
#include <utility>

#include "apps/llama_common/rendered_parts.h"
#include "chat-auto-parser.h"
#include "chat-peg-parser.h"
#include "chat.h"
#include "json.h"
#include "server-chat.h"

namespace gumbelspec::llama_common {
namespace {

common_chat_msg to_theirs(const Message& message) {
  common_chat_msg out;
  out.role = "assistant";
  out.content = message.content;
  out.reasoning_content = message.reasoning;
  for (const ToolCall& call : message.tool_calls) {
    out.tool_calls.push_back({call.name, call.arguments, call.id});
  }
  return out;
}

Message to_ours(common_chat_msg message) {
  Message out;
  out.content =
      message.content_parts.empty() ? std::move(message.content) : message.render_content();
  out.reasoning = std::move(message.reasoning_content);
  for (common_chat_tool_call& call : message.tool_calls) {
    out.tool_calls.push_back({std::move(call.id), std::move(call.name), std::move(call.arguments)});
  }
  return out;
}

class PegFormat final : public AnswerFormat {
 public:
  explicit PegFormat(const common_chat_params& params) : params_(params) {
    if (!params.parser.empty()) params_.parser.load(params.parser);
    is_plain_ = params.parser.empty() || params.parser == plain_parser(params.generation_prompt);
  }

  Message read(const std::string& text, bool is_partial) const override {
    return to_ours(common_chat_parse(text, is_partial, params_));
  }
  bool is_plain() const override { return is_plain_; }

 private:
  // Step by step as the analysis makes it (chat-auto-parser-generator.cpp) where there is nothing
  // but content. Made in another way, it would only be read for nothing.
  static std::string plain_parser(const std::string& generation_prompt) {
    const auto parser = build_chat_peg_parser([&](common_chat_peg_builder& p) {
      auto reasoning = p.eps();
      reasoning = p.eps();
      auto content = p.eps();
      content = reasoning + p.content(p.rest()) + p.end();
      return p.prefix(generation_prompt, "") + content;
    });
    return parser.save();
  }

  common_chat_parser_params params_;
  bool is_plain_ = false;
};

common_chat_tool_choice to_theirs(ToolChoice choice) {
  switch (choice) {
    case ToolChoice::automatic:
      return COMMON_CHAT_TOOL_CHOICE_AUTO;
    case ToolChoice::required:
      return COMMON_CHAT_TOOL_CHOICE_REQUIRED;
    case ToolChoice::none:
      break;
  }
  return COMMON_CHAT_TOOL_CHOICE_NONE;
}

common_chat_continuation to_theirs(Continuation continuation) {
  switch (continuation) {
    case Continuation::none:
      return COMMON_CHAT_CONTINUATION_NONE;
    case Continuation::automatic:
      return COMMON_CHAT_CONTINUATION_AUTO;
    case Continuation::content:
      return COMMON_CHAT_CONTINUATION_CONTENT;
    case Continuation::reasoning:
      break;
  }
  return COMMON_CHAT_CONTINUATION_REASONING;
}

common_chat_templates_inputs inputs_of(const ChatRequest& request, bool parallel_by_default) {
  common_chat_templates_inputs inputs;
  inputs.messages = common_chat_msgs_parse_oaicompat(common_json::parse(request.messages));
  if (!request.tools.empty()) {
    inputs.tools = common_chat_tools_parse_oaicompat(common_json::parse(request.tools));
  }
  inputs.tool_choice = to_theirs(request.tool_choice);
  inputs.json_schema = request.json_schema;
  inputs.parallel_tool_calls = request.calls_in_parallel.value_or(parallel_by_default);
  inputs.add_generation_prompt = request.adds_generation_prompt;
  inputs.continue_final_message = to_theirs(request.continuation);
  inputs.reasoning_format = common_reasoning_format_from_name(request.reasoning_format);
  inputs.enable_thinking = request.enable_thinking;
  if (!request.variables.empty()) {
    const common_json variables = common_json::parse(request.variables);
    for (const auto& item : variables.items()) {
      inputs.chat_template_kwargs[item.key()] = item.value().dump();
    }
  }
  return inputs;
}

// The prompt's parts: those of the rendering that it begins with, which is all of it but for the
// beginning of an answer that is gone on with.
std::vector<PromptPart> parts_of(const std::string& prompt, const RenderedParts& rendered,
                                 const std::string& begun) {
  std::size_t n_found = 0;
  const jinja::value_string* found = nullptr;
  for (const jinja::value_string& candidate : rendered.all()) {
    const std::string text = candidate->val_str.str();
    if (prompt.compare(0, text.size(), text) != 0 || (found != nullptr && text.size() < n_found)) {
      continue;
    }
    found = &candidate;
    n_found = text.size();
  }
  if (found == nullptr) throw std::runtime_error("the prompt is not what the template rendered");
  std::vector<PromptPart> parts;
  for (const jinja::string_part& part : (*found)->val_str.parts) {
    if (!part.val.empty()) parts.push_back({part.val, part.is_input});
  }
  const std::string rest = prompt.substr(n_found);
  const bool ends_with_begun = rest.size() >= begun.size() &&
                               rest.compare(rest.size() - begun.size(), begun.size(), begun) == 0;
  const std::size_t n_written = ends_with_begun ? rest.size() - begun.size() : 0;
  if (n_written > 0) parts.push_back({rest.substr(0, n_written), false});
  if (rest.size() > n_written) parts.push_back({rest.substr(n_written), true});
  return parts;
}

std::vector<Trigger> triggers_of(const std::vector<common_grammar_trigger>& triggers) {
  std::vector<Trigger> out;
  for (const common_grammar_trigger& trigger : triggers) {
    switch (trigger.type) {
      case COMMON_GRAMMAR_TRIGGER_TYPE_WORD:
        out.push_back({trigger.value, 0, false});
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN:
      case COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL:
        for (Trigger& one : triggers_of_pattern(trigger.value)) out.push_back(std::move(one));
        break;
      case COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN:
        throw std::runtime_error("the template's tools are triggered by a token's number");
    }
  }
  return out;
}

}  // namespace

std::vector<MessageDelta> difference(const Message& before, const Message& after) {
  std::vector<MessageDelta> out;
  for (common_chat_msg_diff& diff :
       common_chat_msg_diff::compute_diffs(to_theirs(before), to_theirs(after))) {
    MessageDelta delta;
    delta.content = std::move(diff.content_delta);
    delta.reasoning = std::move(diff.reasoning_content_delta);
    if (diff.tool_call_index != std::string::npos) {
      delta.tool = diff.tool_call_index;
      delta.call = {std::move(diff.tool_call_delta.id), std::move(diff.tool_call_delta.name),
                    std::move(diff.tool_call_delta.arguments)};
    }
    out.push_back(std::move(delta));
  }
  return out;
}

class ChatEngine::Impl {
 public:
  Impl(const std::string& source, const std::string& bos, const std::string& eos)
      : templates_(common_chat_templates_init(nullptr, source, bos, eos)),
        capabilities_(common_chat_templates_get_caps(templates_.get())),
        is_analysed_(is_analysed(templates_.get())) {}

  ChatPrompt apply(const ChatRequest& request) const {
    const common_chat_templates_inputs inputs =
        inputs_of(request, can("supports_parallel_tool_calls"));
    const std::lock_guard lock(mutex_);
    const RenderedParts rendered;
    const auto [prompt, format] = prompt_of(inputs);
    ChatPrompt out = *format;
    out.parts = parts_of(prompt, rendered, begun_by(inputs));
    if (request.function.empty()) return out;
    // The model is told of all tools, and may call one.
    common_chat_templates_inputs one = inputs;
    std::erase_if(one.tools, [&](const auto& tool) { return tool.name != request.function; });
    ChatPrompt named = *prompt_of(one).second;
    named.parts = std::move(out.parts);
    return named;
  }

  bool can(const std::string& capability) const {
    const auto found = capabilities_.find(capability);
    return found != capabilities_.end() && found->second;
  }

 private:
  // A prompt without its parts: what the answer is to be like.
  using Format = std::shared_ptr<const ChatPrompt>;
  struct Known {
    std::string key;
    Format format;
  };
  static constexpr std::size_t kMaxKnown = 32;

  static std::string begun_by(const common_chat_templates_inputs& inputs) {
    if (inputs.continue_final_message == COMMON_CHAT_CONTINUATION_NONE || inputs.messages.empty()) {
      return {};
    }
    const common_chat_msg& last = inputs.messages.back();
    const std::string content = last.render_content();
    return content.empty() ? last.reasoning_content : content;
  }

  // Templates that llama.cpp has no parser for are analysed by dozens of experiments, whose outcome
  // does not depend on the conversation. So they are made once for each kind of answer.
  std::pair<std::string, Format> prompt_of(const common_chat_templates_inputs& inputs) const {
    if (!is_analysed_ || inputs.continue_final_message != COMMON_CHAT_CONTINUATION_NONE) {
      const common_chat_params params = params_of(inputs);
      return {params.prompt, format_of(params)};
    }
    common_chat_templates_inputs plain = inputs;
    plain.force_pure_content = true;
    const common_chat_params rendered = common_chat_templates_apply(templates_.get(), plain);
    std::string key = key_of(inputs, rendered.generation_prompt);
    const auto known = std::find_if(known_.begin(), known_.end(),
                                    [&](const Known& one) { return one.key == key; });
    if (known != known_.end()) {
      known_.splice(known_.begin(), known_, known);
      return {rendered.prompt, known->format};
    }
    const common_chat_params params = params_of(inputs);
    Format format = with_call_at_once(inputs, format_of(params));
    known_.push_front({std::move(key), with_one_call(inputs, std::move(format))});
    if (known_.size() > kMaxKnown) known_.pop_back();
    return {params.prompt, known_.front().format};
  }

  // llama.cpp's grammar of a call that is required takes any text before it, without end. Here the
  // call comes at once, unless the model thinks first: the grammar's root is what triggers it where
  // it is not required.
  Format with_call_at_once(common_chat_templates_inputs inputs, Format format) const {
    if (inputs.tool_choice != COMMON_CHAT_TOOL_CHOICE_REQUIRED || inputs.tools.empty() ||
        !inputs.json_schema.empty() || !format->thinking_ends.empty()) {
      return format;
    }
    inputs.tool_choice = COMMON_CHAT_TOOL_CHOICE_AUTO;
    const common_chat_params params = params_of(std::move(inputs));
    if (!params.grammar_lazy) return format;
    const auto [begin, end] = root_of(format->grammar);
    const auto [lazy_begin, lazy_end] = root_of(params.grammar);
    if (begin == end || lazy_begin == lazy_end) return format;
    const std::string root = params.grammar.substr(lazy_begin, lazy_end - lazy_begin);
    if (!has_rules(format->grammar, root)) return format;
    auto out = std::make_shared<ChatPrompt>(*format);
    out->grammar.replace(begin, end - begin, root);
    out->generation_prompt.clear();  // no part of this grammar
    return out;
  }

  // Where calls follow each other, each in tags of its own, llama.cpp's grammar does not look at
  // parallel_tool_calls.
  static Format with_one_call(const common_chat_templates_inputs& inputs, Format format) {
    const auto [begin, end] = root_of(format->grammar);
    const std::string root = format->grammar.substr(begin, end - begin);
    const bool has_several = root == "tool-calls" || root == "tool-call | tool-calls";
    if (inputs.parallel_tool_calls || inputs.tools.empty() || !has_several ||
        !has_rules(format->grammar, "tool-call")) {
      return format;
    }
    auto out = std::make_shared<ChatPrompt>(*format);
    out->grammar.replace(begin, end - begin, "tool-call");
    return out;
  }

  // Where the text of the rule root begins and ends; nothing if there is none.
  static std::pair<std::size_t, std::size_t> root_of(const std::string& grammar) {
    constexpr std::string_view kRoot = "root ::= ";
    std::size_t at = grammar.find(kRoot);
    while (at != std::string::npos && at > 0 && grammar[at - 1] != '\n') {
      at = grammar.find(kRoot, at + 1);
    }
    if (at == std::string::npos) return {0, 0};
    return {at + kRoot.size(), std::min(grammar.find('\n', at), grammar.size())};
  }

  // Whether the text is of names alone, all of them rules of the grammar.
  static bool has_rules(const std::string& grammar, const std::string& text) {
    std::istringstream words(text);
    for (std::string word; words >> word;) {
      if (word == "|") continue;
      if (("\n" + grammar).find("\n" + word + " ::= ") == std::string::npos) return false;
    }
    return true;
  }

  static std::string key_of(const common_chat_templates_inputs& inputs,
                            const std::string& generation_prompt) {
    std::string key =
        std::to_string(inputs.tool_choice) + (inputs.parallel_tool_calls ? "p" : "-") +
        (inputs.enable_thinking ? "t" : "-") + std::to_string(inputs.reasoning_format);
    const auto add = [&](const std::string& text) {
      key += "\n" + std::to_string(text.size()) + ":" + text;
    };
    add(generation_prompt);
    add(inputs.json_schema);
    for (const common_chat_tool& tool : inputs.tools) {
      add(tool.name);
      add(tool.description);
      add(tool.parameters);
    }
    return key;
  }

  common_chat_params params_of(common_chat_templates_inputs inputs) const {
    try {
      return common_chat_templates_apply(templates_.get(), inputs);
    } catch (const std::exception&) {
      // Some templates do not bear the experiments. Their answers are content, then; what the
      // template complains of, it will again.
      if (!inputs.tools.empty() || !inputs.json_schema.empty()) throw;
      inputs.force_pure_content = true;
      return common_chat_templates_apply(templates_.get(), inputs);
    }
  }

  static Format format_of(const common_chat_params& params) {
    auto out = std::make_shared<ChatPrompt>();
    out->generation_prompt = params.generation_prompt;
    out->grammar = params.grammar;
    out->is_lazy = params.grammar_lazy;
    try {
      if (params.grammar_lazy) out->triggers = triggers_of(params.grammar_triggers);
    } catch (const std::runtime_error&) {
      // Then the answer is what the model writes, and is read all the same.
    }
    if (params.grammar_lazy && out->triggers.empty()) out->grammar.clear();
    out->preserved = params.preserved_tokens;
    out->stops = params.additional_stops;
    out->thinking_start = params.thinking_start_tag;
    out->thinking_ends = params.thinking_end_tags;
    out->format = std::make_shared<PegFormat>(params);
    return out;
  }

  // Whether llama.cpp has no parser of its own for the template.
  static bool is_analysed(const common_chat_templates* templates) {
    const std::string source = common_chat_templates_source(templates);
    try {
      const common_chat_template one(source, "", "");
      autoparser::generation_params params;
      params.messages = common_json::parse(R"([{"role": "user", "content": "x"}])");
      params.add_generation_prompt = true;
      return !common_chat_try_specialized_template(one, source, params).has_value();
    } catch (const std::exception&) {
      return false;
    }
  }

  mutable std::mutex mutex_;  // the engine does not say that a program may run twice at once
  common_chat_templates_ptr templates_;
  std::map<std::string, bool> capabilities_;
  bool is_analysed_;
  mutable std::list<Known> known_;  // the most recently used first
};

ChatEngine::ChatEngine(const std::string& source, const std::string& bos, const std::string& eos)
    : impl_(std::make_unique<Impl>(source, bos, eos)) {}
ChatEngine::~ChatEngine() = default;

ChatPrompt ChatEngine::apply(const ChatRequest& request) const { return impl_->apply(request); }
bool ChatEngine::can(const std::string& capability) const { return impl_->can(capability); }

std::string chat_of_responses(const std::string& body) {
  return server_chat_convert_responses_to_chatcmpl(common_json::parse(body)).dump();
}

std::string chat_of_messages(const std::string& body) {
  return server_chat_convert_anthropic_to_oai(common_json::parse(body)).dump();
}

}  // namespace gumbelspec::llama_common

// An answer as one JSON object, and what its last event says as well.
#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "apps/server/api/answer_impl.h"
#include "apps/server/api/answer_json.h"
#include "apps/server/api/answer_native.h"

namespace gumbelspec::server {

Json AnswerImpl::logprobs(std::span<const TokenReport> reports) const {
  if (request_.text.n_logprobs < 0) return nullptr;
  return is_chat() ? chat_logprobs(model_, reports) : completion_logprobs(model_, reports);
}

const char* AnswerImpl::finish_reason(std::size_t i) const {
  const char* reason = choices_[i].finish_reason();
  const bool has_calls = !messages_.empty() && !messages_[i].message().tool_calls.empty();
  return has_calls && std::string_view(reason) == "stop" ? "tool_calls" : reason;
}

ChatEnd AnswerImpl::chat_end() const {
  const AnswerChoice& choice = choices_.front();
  ChatEnd end;
  end.is_cut = std::string_view(choice.finish_reason()) == "length";
  end.summary = summary();
  const auto last = request_.stop.end() - static_cast<std::ptrdiff_t>(request_.n_template_stops);
  if (std::find(request_.stop.begin(), last, choice.stopping_word()) != last) {
    end.stop = choice.stopping_word();
  }
  end.extra["timings"] = timings_json(choices_);
  end.extra["gumbelspec"] = gumbelspec_json(request_, options_.seed, end.summary);
  return end;
}

void AnswerImpl::add_totals(Json& json) const {
  const AnswerSummary sums = summary();
  json["usage"] = usage_json(sums);
  json["timings"] = timings_json(choices_);
  json["gumbelspec"] = gumbelspec_json(request_, options_.seed, sums);
}

Json AnswerImpl::native_text(const AnswerChoice& choice) const {
  const std::size_t i = choice.index();
  const std::string echo = request_.echo ? request_.prompt_texts[choice.prompt()] : std::string();
  Json text = native_end(model_, choice, request_, options_.seed,
                         {echo + texts_[i], tokens_[i], reports_[i]});
  text["gumbelspec"] = gumbelspec_json(request_, options_.seed, summary());
  return text;
}

// One object for one text, as llama.cpp's server has it.
Json AnswerImpl::native_answer() const {
  Json list = Json::array();
  for (const AnswerChoice& choice : choices_) {
    list.push_back(chosen_fields(native_text(choice), request_.native.response_fields));
  }
  return list.size() == 1 ? list.front() : list;
}

Json AnswerImpl::whole_answer() const {
  if (is_native()) return native_answer();
  if (events_ != nullptr) return events_->whole(messages_.front().message(), chat_end());
  Json out = head_;
  Json list = Json::array();
  for (const AnswerChoice& choice : choices_) {
    const std::size_t i = choice.index();
    Json item{{"index", i}};
    if (!messages_.empty()) {
      item["message"] = message_json(messages_[i].message());
    } else if (is_chat()) {
      item["message"] = {{"role", "assistant"}, {"content", texts_[i]}, {"refusal", nullptr}};
    } else {
      item["text"] = request_.echo ? request_.prompt_texts[choice.prompt()] + texts_[i] : texts_[i];
    }
    item["logprobs"] = request_.scores_prompts()
                           ? prompt_logprobs(model_, request_.prompts[choice.prompt()],
                                             choice.prompt_reports(), reports_[i])
                           : logprobs(reports_[i]);
    item["finish_reason"] = finish_reason(i);
    list.push_back(std::move(item));
  }
  out["choices"] = std::move(list);
  add_totals(out);
  if (request_.native.is_verbose) out["__verbose"] = native_text(choices_.front());
  return out;
}

AnswerSummary AnswerImpl::summary() const {
  AnswerSummary sums = summary_of(request_, choices_);
  if (has_failed_) sums.finish = "error";
  if (is_disconnected_) sums.finish = "disconnected";
  return sums;
}

}  // namespace gumbelspec::server

// An answer as events, as its texts come.
#include <string>
#include <utility>

#include "apps/server/api/answer_impl.h"
#include "apps/server/api/answer_json.h"
#include "apps/server/api/answer_native.h"

namespace gumbelspec::server {

// What to write of a choice: at first with the prompt, if it is to be echoed.
std::string AnswerImpl::new_text(std::size_t i) {
  std::string text = choices_[i].take_text();
  if (has_begun_[i] == 0 && request_.echo) {
    text.insert(0, request_.prompt_texts[choices_[i].prompt()]);
  }
  return text;
}

// A chat's first event has the role alone.
void AnswerImpl::write_role(std::size_t i) {
  has_begun_[i] = 1;
  Json chunk = head_;
  chunk["choices"] = Json::array({{{"index", i},
                                   {"delta", {{"role", "assistant"}, {"content", nullptr}}},
                                   {"logprobs", nullptr},
                                   {"finish_reason", nullptr}}});
  write(std::move(chunk));
}

void AnswerImpl::write_progress(std::size_t i, std::size_t n_done, std::size_t n_total) {
  Json fields{{"prompt_progress",
               {{"total", n_total},
                {"cache", choices_[i].n_reused()},
                {"processed", n_done},
                {"time_ms", clocks_[i].since_prompt_ms()}}}};
  if (request_.native.timings_per_token) fields["timings"] = clocks_[i].timings(choices_[i]);
  if (events_ != nullptr) {
    if (!events_->has_progress()) return;
    const bool is_first = std::exchange(has_begun_[i], 1) == 0;
    const std::string begin = is_first ? events_->begin(summary()) : std::string();
    write_raw(begin + events_->progress(fields));
    return;
  }
  if (is_chat() && has_begun_[i] == 0) write_role(i);
  if (is_over_) return;
  Json chunk;
  if (is_native()) {
    chunk = native_event(model_, choices_[i], request_, {});
  } else {
    chunk = head_;
    chunk["choices"] = Json::array({chunk_choice(i, "", {})});
    has_begun_[i] = is_chat() ? 1 : 0;  // what is echoed is still to come
  }
  chunk.update(fields);
  write(std::move(chunk));
}

Json AnswerImpl::chunk_choice(std::size_t i, const std::string& text,
                              std::span<const TokenReport> reports) {
  Json out{{"index", i}};
  if (is_chat()) {
    Json delta = Json::object();
    if (!text.empty()) delta["content"] = text;
    out["delta"] = std::move(delta);
  } else {
    out["text"] = text;
  }
  out["logprobs"] = reports.empty() ? Json(nullptr) : logprobs(reports);
  out["finish_reason"] = nullptr;
  has_begun_[i] = 1;
  return out;
}

void AnswerImpl::write_round(std::size_t i, Json trace) {
  if (is_chat() && has_begun_[i] == 0) write_role(i);
  if (is_over_) return;
  const std::string text = new_text(i);
  const std::vector<TokenReport> reports = choices_[i].take_reports();
  const bool has_trace = !trace.is_null();
  if (!messages_.empty()) {
    return write_message(i, messages_[i].add(text), reports, std::move(trace));
  }
  // A round may end within a character or a possible stop string, and then has nothing to say.
  if (text.empty() && !has_trace && (is_native() || reports.empty())) return;
  Json chunk;
  if (is_native()) {
    chunk = native_event(model_, choices_[i], request_, {text, choices_[i].take_tokens(), reports});
    has_begun_[i] = 1;
  } else {
    chunk = head_;
    chunk["choices"] = Json::array({chunk_choice(i, text, reports)});
  }
  if (has_trace) chunk["gumbelspec_trace"] = std::move(trace);
  if (request_.native.timings_per_token) chunk["timings"] = clocks_[i].timings(choices_[i]);
  write(std::move(chunk));
}

// An event for each thing that a message has got.
void AnswerImpl::write_message(std::size_t i, const std::vector<MessageDelta>& deltas,
                               std::span<const TokenReport> reports, Json trace) {
  const bool is_first = std::exchange(has_begun_[i], 1) == 0;
  if (events_ != nullptr) {
    const std::string begin = is_first ? events_->begin(summary()) : std::string();
    if (request_.native.timings_per_token) {
      events_->set_timings(clocks_[i].timings(choices_[i]));
    }
    std::string events = begin + events_->add(deltas);
    if (!events.empty()) write_raw(std::move(events));
    return;
  }
  const auto write_delta = [&](Json delta, bool is_last) {
    if (is_over_) return;
    Json chunk = head_;
    Json choice{{"index", i}, {"delta", std::move(delta)}};
    const bool has_reports = is_last && !reports.empty();
    choice["logprobs"] = has_reports ? logprobs(reports) : Json(nullptr);
    choice["finish_reason"] = nullptr;
    chunk["choices"] = Json::array({std::move(choice)});
    if (is_last && !trace.is_null()) chunk["gumbelspec_trace"] = std::move(trace);
    if (request_.native.timings_per_token) chunk["timings"] = clocks_[i].timings(choices_[i]);
    write(std::move(chunk));
  };
  const bool is_alone = deltas.empty() && (!reports.empty() || !trace.is_null());
  if (is_first) write_delta({{"role", "assistant"}, {"content", nullptr}}, false);
  for (std::size_t k = 0; k < deltas.size(); ++k) {
    write_delta(delta_json(deltas[k]), k + 1 == deltas.size());
  }
  if (is_alone) write_delta(Json::object(), true);
}

void AnswerImpl::write_last(std::size_t i) {
  write_round(i, nullptr);  // what was held back
  if (!messages_.empty() && !is_over_) write_message(i, messages_[i].finish(""), {}, nullptr);
  if (is_over_) return;
  if (events_ != nullptr) return write_raw(events_->end(chat_end()));
  if (is_native()) {
    Json end = native_end(model_, choices_[i], request_, options_.seed, {new_text(i)});
    end["gumbelspec"] = gumbelspec_json(request_, options_.seed, summary());
    return write_raw(to_event(chosen_fields(end, request_.native.response_fields)));
  }
  const bool is_last = n_running_ == 0;
  Json chunk = head_;
  Json choice = chunk_choice(i, has_begun_[i] == 0 ? new_text(i) : std::string(), {});
  choice["finish_reason"] = finish_reason(i);
  if (request_.scores_prompts()) {
    const AnswerChoice& text = choices_[i];
    choice["logprobs"] =
        prompt_logprobs(model_, request_.prompts[text.prompt()], text.prompt_reports(), {});
  }
  chunk["choices"] = Json::array({std::move(choice)});
  if (is_last && !request_.includes_usage) add_totals(chunk);
  write(std::move(chunk));
  if (is_last && request_.includes_usage && !is_over_) {
    Json totals = head_;
    totals["choices"] = Json::array();
    add_totals(totals);
    write_raw(to_event(totals));
  }
  if (is_last) write_raw("data: [DONE]\n\n");
}

void AnswerImpl::write(Json chunk) {
  // OpenAI's events say that the usage is still to come.
  if (request_.includes_usage) chunk["usage"] = nullptr;
  write_raw(to_event(chunk));
}

void AnswerImpl::write_raw(std::string event) {
  if (is_over_) return;
  ++n_written_;
  if (output_.write(std::move(event))) return;
  is_over_ = true;
  is_disconnected_ = true;
}

}  // namespace gumbelspec::server

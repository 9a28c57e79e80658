#include "apps/server/service/service.h"

#include <array>
#include <charconv>
#include <ctime>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/api/field_value.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {
namespace {

std::string random_id() {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 24; ++i) id += "0123456789abcdef"[device() & 15U];
  return id;
}

// What makes states of two models differ.
std::string identity_of(const ApiModel& model, const std::string& adapters) {
  return model.architecture + " " + model.file_type + " of " +
         std::to_string(model.size.n_parameters) + " parameters, " +
         std::to_string(model.size.n_bytes) + " bytes, " +
         std::to_string(model.tokenizer->n_vocab()) + " tokens, llama.cpp 0.5.0" +
         (adapters.empty() ? "" : ", with " + adapters);
}

ApiError error_of(Interruption reason) {
  switch (reason) {
    case Interruption::timed_out:
      return {504, "timeout_error",
              "the request took longer than the server allows; the text is incomplete; ask for "
              "fewer tokens (max_tokens)",
              "", "request_timeout"};
    case Interruption::shutting_down:
      return {503, "server_error", "the server is shutting down; the text is incomplete", "",
              "shutting_down"};
    case Interruption::cancelled:
      break;
  }
  return {499, "server_error", "the client went away"};
}

}  // namespace

void Exchange::observe(std::size_t text, std::size_t n_tokens, Metrics& metrics) {
  const Clock::time_point now = Clock::now();
  const auto [last, is_first] = last_tokens_.try_emplace(text, now);
  metrics.observe_tokens_per_pass(n_tokens);
  if (!is_first) {
    metrics.observe_gap(std::chrono::duration<double>(now - last->second).count());
    last->second = now;
    return;
  }
  const double first = std::chrono::duration<double>(now - arrival_).count();
  metrics.observe_first_token(first);
  if (!first_token_s_) first_token_s_ = first;
}

void Exchange::cancel() {
  channel_.close();
  scheduler_.cancel(id_);
}

Service::Service(ApiModel model, std::unique_ptr<TextEngine> engine, ServiceOptions options,
                 Metrics& metrics)
    : model_(std::move(model)),
      options_(std::move(options)),
      slot_files_(options_.slot_folder, identity_of(model_, options_.adapters)),
      metrics_(metrics),
      scheduler_(std::move(engine),
                 {.n_active = options_.n_active,
                  .n_waiting = options_.n_waiting,
                  .on_round = [&metrics](const BatchStatistics& s) { metrics.set_batch(s); },
                  .on_failure = options_.on_failure,
                  .make_engine = options_.make_engine,
                  .on_loss = options_.on_loss}) {}

ApiError Service::refusal(Admission admission) const {
  switch (admission) {
    case Admission::queue_full:
      return {429, "overloaded_error",
              "the queue is full: " + std::to_string(scheduler_.n_texts()) +
                  " texts are under way or waiting, the limit is " +
                  std::to_string(options_.n_active + options_.n_waiting) + "; try again later",
              "", "queue_full"};
    case Admission::stopping:
      return {503, "server_error", "the server is shutting down", "", "shutting_down"};
    default:
      return {500, "server_error", "the engine has failed; restart the server"};
  }
}

std::string Service::act_on_slot(const std::string& id, const std::string& action,
                                 std::string_view body) {
  std::size_t slot = 0;
  const auto [end, error] = std::from_chars(id.data(), id.data() + id.size(), slot);
  if (error != std::errc() || end != id.data() + id.size() || slot >= options_.n_active) {
    throw bad_request("there is no slot " + shown(Json(id)) + "; they are 0 to " +
                          std::to_string(options_.n_active - 1),
                      "id_slot", "invalid_value");
  }
  if (action == "erase") {
    std::size_t n = 0;
    scheduler_.call([&](TextEngine& engine) { n = engine.erase_slot(slot); });
    return to_text({{"id_slot", slot}, {"n_erased", n}});
  }
  if (action != "save" && action != "restore") {
    throw bad_request("action is " + shown(Json(action)) + ", but must be save, restore or erase",
                      "action", "invalid_value");
  }
  const Json json = parse_body(body);
  const std::string name =
      json.contains("filename") ? FieldValue(json.at("filename"), "filename").text() : "";
  const auto began = Clock::now();
  const auto ms = [&] {
    return std::chrono::duration<double, std::milli>(Clock::now() - began).count();
  };
  SlotState state;
  std::size_t n_bytes = 0;
  if (action == "save") {
    scheduler_.call([&](TextEngine& engine) { state = engine.save_slot(slot); });
    n_bytes = slot_files_.write(name, state);
    return to_text({{"id_slot", slot},
                    {"filename", name},
                    {"n_saved", state.tokens.size()},
                    {"n_written", n_bytes},
                    {"timings", {{"save_ms", ms()}}}});
  }
  state = slot_files_.read(name, n_bytes);
  scheduler_.call([&](TextEngine& engine) { engine.restore_slot(slot, state); });
  return to_text({{"id_slot", slot},
                  {"filename", name},
                  {"n_restored", state.tokens.size()},
                  {"n_read", n_bytes},
                  {"timings", {{"restore_ms", ms()}}}});
}

std::shared_ptr<Exchange> Service::complete(Endpoint endpoint, std::string_view body,
                                            const Wrap& wrap) {
  auto exchange = std::make_shared<Exchange>(scheduler_, options_.max_event_bytes);
  ParsedRequest request = parse_request(body, model_, endpoint);
  AnswerOptions options;
  options.id = random_id();
  options.created = static_cast<std::int64_t>(std::time(nullptr));
  options.seed = request.seed ? *request.seed : options_.draw_seed();
  AnswerOutput output;
  output.write = [exchange](const std::string& event) { return exchange->channel_.write(event); };
  output.end = [exchange](AnswerEnd end) { exchange->channel_.end(std::move(end)); };
  output.on_tokens = [exchange, this](std::size_t text, std::size_t n_tokens) {
    exchange->observe(text, n_tokens, metrics_);
  };
  if (wrap) output = wrap(std::move(output));
  const std::shared_ptr<Answer> answer =
      Answer::make(model_, std::move(request), std::move(options), std::move(output));
  RequestHooks hooks;
  hooks.on_interrupted = [answer](Interruption reason) { answer->fail(error_of(reason)); };
  hooks.on_refused = [answer](const Error& error) { answer->fail(api_error(error)); };
  hooks.on_done = [answer, exchange, this] {
    const AnswerSummary summary = answer->summary();
    metrics_.count_text(summary.n_prompt, summary.n_reused, summary.n_generated);
    exchange->channel_.finish(summary);
  };
  std::optional<Clock::time_point> deadline;
  if (options_.request_timeout.count() > 0) {
    deadline = exchange->arrival_ + options_.request_timeout;
  }
  const Scheduler::Added added = scheduler_.add(answer->take_jobs(), std::move(hooks), deadline);
  if (added.admission != Admission::accepted) throw refusal(added.admission);
  exchange->id_ = added.id;
  return exchange;
}

}  // namespace gumbelspec::server

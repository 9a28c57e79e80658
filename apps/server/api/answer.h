// From the rounds of a batch to the bytes of an answer: one JSON object, or server-sent events.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/server/api/api_error.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/request.h"
#include "gumbelspec/batch.h"

namespace gumbelspec::server {

struct AnswerOptions {
  std::string id;                      // unique; the answer's is "cmpl-" or "chatcmpl-" and this
  std::int64_t created = 0;            // seconds since 1970
  std::uint64_t seed = 0;              // the request's, or the one drawn for it
  std::function<double()> clock = {};  // see ChatMessageStream
};

struct AnswerEnd {
  int status = 200;
  std::string body = {};  // JSON; empty if events were written, which were then the answer
};

// Called from the calls of an Answer and of its sinks, by the thread that makes those.
struct AnswerOutput {
  // A ready server-sent event, "data: {...}\n\n". Returns: whether the client is still there;
  // if not, its texts end. Not called for requests without stream.
  std::function<bool(std::string event)> write;
  // The last call; exactly once unless the client has gone.
  std::function<void(AnswerEnd end)> end;
  // Text i of take_jobs() has got tokens, at least one; for clocks. Empty: nobody wants to know.
  std::function<void(std::size_t i, std::size_t n_tokens)> on_tokens = {};
};

// A text that a batch is to generate.
struct TextJob {
  std::vector<TokenId> prompt;
  TextOptions options;
  std::unique_ptr<TextSink> sink;
};

// What became of a request, for logs and metrics.
struct AnswerSummary {
  std::size_t n_prompt = 0;     // prompt tokens, of all prompts once
  std::size_t n_reused = 0;     // of them, those that were in the cache for all choices
  std::size_t n_generated = 0;  // tokens of all choices; those behind a stop string do not count
  std::size_t n_rounds = 0;
  std::size_t n_drafted = 0;
  std::size_t n_accepted = 0;
  double tokens_per_pass = 0.0;
  std::string finish;  // "stop", "length", "error", "disconnected"; of several choices the last
};

// A request being answered. Kept alive by its sinks.
// Threads: one at a time (that of the batch).
class Answer : public std::enable_shared_from_this<Answer> {
 public:
  // Lifetime: model outlives the answer.
  static std::shared_ptr<Answer> make(const ApiModel& model, ParsedRequest request,
                                      AnswerOptions options, AnswerOutput output);
  virtual ~Answer() = default;

  // Once: the texts to add to a batch. Choice i of prompt p is number p * n + i, with stream i.
  [[nodiscard]] virtual std::vector<TextJob> take_jobs() = 0;

  // Ends the answer with an error: as an event where events were written, else as status and body.
  // What its texts say afterwards is dropped, and their on_round() returns false. For
  // Error from Batch::add(), timeouts and a shutdown. Ignored once the answer is over.
  virtual void fail(const ApiError& error) = 0;

  [[nodiscard]] virtual bool is_over() const = 0;
  [[nodiscard]] virtual AnswerSummary summary() const = 0;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_H_

// The same error as the library, the command line and the server say it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "apps/common/arguments.h"
#include "apps/common/model_options.h"
#include "apps/common/option_names.h"
#include "apps/common/sampling_options.h"
#include "apps/server/api/api_error.h"
#include "apps/server/api/request.h"
#include "gumbelspec/error.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/session.h"
#include "testing/table_model.h"

namespace gumbelspec::apps::cli {
namespace {

std::optional<Error> error_of(const std::function<void()>& work) {
  try {
    work();
  } catch (const Error& error) {
    return error;
  }
  return std::nullopt;
}

void start_with(std::size_t n_prompt, TokenId token) {
  testing::TableModel target({.n_vocab = 8, .n_context = 4});
  target.mutable_limits().max_context = 16;
  TextOptions options;
  options.method = parse_method("ar");
  Session session(target, nullptr, options);
  (void)session.start(std::vector<TokenId>(n_prompt, token));
}

struct Said {
  std::string name;  // of the test
  std::function<void()> work;
  std::string field;
  std::string library;
  std::string command_line;
  std::string param;
  std::string server;
};

void PrintTo(const Said& said, std::ostream* out) { *out << said.name; }

class SameError : public ::testing::TestWithParam<Said> {};

TEST_P(SameError, IsSaidInTheWordsOfWhoAsks) {
  const Said& said = GetParam();
  const std::optional<Error> error = error_of(said.work);
  ASSERT_TRUE(error.has_value());
  EXPECT_EQ(error->field(), said.field);
  EXPECT_EQ(error->what(), said.library);
  EXPECT_EQ(message_of(*error), said.command_line);
  const server::ApiError answer = server::api_error(*error);
  EXPECT_EQ(answer.status(), 400);
  EXPECT_EQ(answer.param(), said.param);
  EXPECT_EQ(answer.what(), said.server);
}

INSTANTIATE_TEST_SUITE_P(
    Errors, SameError,
    ::testing::Values(
        Said{"TopP", [] { validate({.top_p = 0.0F}); }, "top_p",
             "top_p is 0, but must be in (0, 1] (1: off)",
             "--top-p is 0, but must be in (0, 1] (1: off)", "top_p",
             "top_p is 0, but must be in (0, 1] (1: off)"},
        Said{"Temperature", [] { validate({.temperature = -1.0F}); }, "temperature",
             "temperature is -1, but must be a number >= 0 (0: always the likeliest token)",
             "--temp is -1, but must be a number >= 0 (0: always the likeliest token)",
             "temperature",
             "temperature is -1, but must be a number >= 0 (0: always the likeliest token)"},
        Said{"PenaltyWindow", [] { validate({.penalty_last_n = -2}); }, "penalty_last_n",
             "penalty_last_n is -2, but must be >= -1 (-1: the whole text, 0: off)",
             "--repeat-last-n is -2, but must be >= -1 (-1: the whole text, 0: off)",
             "repeat_last_n",
             "repeat_last_n is -2, but must be >= -1 (-1: the whole text, 0: off)"},
        Said{"LongPrompt", [] { start_with(5, token_id(1)); }, "prompt",
             "the prompt has 5 tokens, but the context of 4 has room for 3; shorten it or enlarge "
             "the context (n_context), up to 16",
             "the prompt has 5 tokens, but the context of 4 has room for 3; shorten it or enlarge "
             "the context (-c), up to 16",
             "prompt",
             "the prompt has 5 tokens, but the context of 4 has room for 3; shorten it or enlarge "
             "the context (the server's -c), up to 16"},
        Said{"ForeignToken", [] { start_with(1, token_id(9)); }, "prompt",
             "the prompt has token 9, but the vocabulary ends at 7; tokenize it with the target's "
             "vocabulary",
             "the prompt has token 9, but the vocabulary ends at 7; tokenize it with the target's "
             "vocabulary",
             "prompt",
             "the prompt has token 9, but the vocabulary ends at 7; tokenize it with the target's "
             "vocabulary"}),
    [](const auto& test) { return test.param.name; });

// What validate() can complain about.
std::vector<Error> sampling_errors() {
  std::vector<Error> errors;
  for (const SamplingOptions& options :
       {SamplingOptions{.temperature = -1.0F}, SamplingOptions{.temperature = 1e-9F},
        SamplingOptions{.top_k = -1}, SamplingOptions{.top_p = 0.0F},
        SamplingOptions{.min_p = 2.0F}, SamplingOptions{.repeat_penalty = 0.0F},
        SamplingOptions{.presence_penalty = HUGE_VALF},
        SamplingOptions{.frequency_penalty = HUGE_VALF}, SamplingOptions{.penalty_last_n = -2},
        SamplingOptions{.logit_bias = {{TokenId{-1}, 0.0F}}},
        SamplingOptions{.logit_bias = {{TokenId{1}, HUGE_VALF}}}}) {
    const auto error = error_of([&] { validate(options); });
    EXPECT_TRUE(error.has_value());
    if (error) errors.push_back(*error);
  }
  return errors;
}

TEST(OptionNames, AreOptionsAndFieldsThatExist) {
  Arguments arguments("program", "");
  SamplingOptions sampling;
  ModelOptions models;
  add_sampling_options(arguments, sampling);
  add_model_options(arguments, models);
  const auto is_option = [&](const std::string& name) {
    const std::vector<Option> all = arguments.options();
    return std::any_of(all.begin(), all.end(), [&](const Option& option) {
      const std::vector<std::string> names = option.names();
      return std::find(names.begin(), names.end(), name) != names.end();
    });
  };
  for (const Error& error : sampling_errors()) {
    EXPECT_TRUE(is_option(option_of(error.field()))) << error.what();
    EXPECT_EQ(message_of(error).find(option_of(error.field())), 0U) << message_of(error);
    const auto fields = server::request_fields();
    EXPECT_TRUE(std::any_of(fields.begin(), fields.end(), [&](const server::FieldDoc& doc) {
      return doc.name == server::json_name(error.field());
    })) << error.what();
  }
  for (const char* field : {"n_context", "n_threads", "devices", "tensor_split", "split_mode",
                            "main_gpu", "rpc_servers", "rpc_timeout"}) {
    EXPECT_TRUE(is_option(option_of(field))) << field;
  }
}

TEST(OptionNames, OfTheDraftAreItsOwn) {
  const Error device(ErrorCode::invalid_option, "devices has \"X\", which is unknown", "devices");
  EXPECT_STREQ(named_for_draft(device).what(), "--device-draft has \"X\", which is unknown");
  const Error threads(ErrorCode::invalid_option, "n_threads is -1", "n_threads");
  EXPECT_STREQ(named_for_draft(threads).what(), "-t is -1");
}

}  // namespace
}  // namespace gumbelspec::apps::cli

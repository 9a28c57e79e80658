// Models that are not the demo pair: small ones with random weights.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

class Models : public ::testing::Test {
 protected:
  static void write(const TemporaryFile& file, const std::string& architecture,
                    ggml_type weights = GGML_TYPE_Q8_0) {
    TinyModel model;
    model.architecture = architecture;
    model.weights = weights;
    write_tiny_model(model, file.path());
  }
  [[nodiscard]] std::vector<std::string> pair() const {
    return {"-m", target_.path(), "-md", draft_.path()};
  }
  [[nodiscard]] ProcessResult run(const std::vector<std::string>& more) const {
    std::vector<std::string> arguments = pair();
    arguments.insert(arguments.end(), {"-p", "hello", "-n", "8", "-s", "1", "--json"});
    arguments.insert(arguments.end(), more.begin(), more.end());
    return generate(arguments);
  }

  TemporaryFile target_{""};
  TemporaryFile draft_{""};
};

TEST_F(Models, ARecurrentTargetVerifiesChainsAndSaysSo) {
  write(target_, "mamba", GGML_TYPE_F32);
  write(draft_, "llama");
  const ProcessResult result = run({"--method", "gumbel-beam"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(n_lines(result.err), 1U);
  EXPECT_THAT(result.err, HasSubstr("drafting a chain"));
  EXPECT_EQ(Json::parse(result.out)["method"], "gumbel-chain");
  const Json plain = Json::parse(run({"--method", "ar"}).out);
  EXPECT_EQ(Json::parse(result.out)["tokens"], plain["tokens"]);
}

TEST_F(Models, ARecurrentDraftDraftsChains) {
  write(target_, "llama");
  write(draft_, "mamba", GGML_TYPE_F32);
  const ProcessResult result = run({"--method", "gumbel-chain:length=2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_GT(Json::parse(result.out)["stats"]["n_drafted"], 0);
  const Json plain = Json::parse(run({"--method", "ar"}).out);
  EXPECT_EQ(Json::parse(result.out)["tokens"], plain["tokens"]);
}

// Cogvlm's graph gives rows that nobody asked for, before those of a draft that catches up.
TEST_F(Models, AChainOfAModelForItselfIsAcceptedWhole) {
  for (const char* architecture : {"llama", "cogvlm"}) {
    TinyModel model;
    model.architecture = architecture;
    model.weights = GGML_TYPE_Q8_0;
    model.n_head_kv = model.n_head;
    write_tiny_model(model, target_.path());
    write_tiny_model(model, draft_.path());
    const ProcessResult result = run({"-n", "40", "-l", "2-inf", "--temp", "0", "--attention",
                                      "fast", "--method", "gumbel-chain:length=3"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json stats = Json::parse(result.out)["stats"];
    EXPECT_EQ(stats["n_generated"], 40) << architecture;
    EXPECT_EQ(stats["n_target_passes"], 10) << architecture;
  }
}

TEST_F(Models, AModelWithoutVocabularyIsRefusedInOneLine) {
  TinyModel model;
  model.vocabulary.is_there = false;
  write_tiny_model(model, target_.path());
  for (const std::vector<std::string>& command :
       {std::vector<std::string>{"generate", "-p", "hello"}, {"serve", "--port", "0"}}) {
    std::vector<std::string> call = command;
    call.insert(call.end(), {"-m", target_.path()});
    const ProcessResult result = run_program(call);
    EXPECT_EQ(result.exit_code, 2) << command[0];
    EXPECT_THAT(result.err, HasSubstr("has no vocabulary")) << command[0];
  }
}

TEST_F(Models, AContextAtItsLimitIsNotToBeEnlarged) {
  TinyModel model;
  model.weights = GGML_TYPE_Q8_0;
  model.n_context = 256;
  write_tiny_model(model, target_.path());
  write_tiny_model(model, draft_.path());
  const ProcessResult full = run({"-n", "-1", "-l", "2-inf"});
  ASSERT_EQ(full.exit_code, 0) << full.err;
  EXPECT_EQ(Json::parse(full.out)["stop_reason"], "context_full");
  EXPECT_THAT(full.err, HasSubstr("(-n), the model takes no larger context\n"));
  EXPECT_THAT(full.err, Not(HasSubstr("(-c)")));
  const ProcessResult too_long = run({"-p", std::string(300, 'x')});
  EXPECT_EQ(too_long.exit_code, 2);
  EXPECT_THAT(too_long.err, HasSubstr("shorten it, the model takes no larger context\n"));
  const ProcessResult limited = run({"-p", std::string(300, 'x'), "-c", "128"});
  EXPECT_EQ(limited.exit_code, 2);
  EXPECT_THAT(limited.err, HasSubstr("enlarge the context (-c), up to 256\n"));
}

TEST_F(Models, AnEndOfTextTokenEndsTheText) {
  write(target_, "llama");
  write(draft_, "llama");
  const ProcessResult result = run({"-l", "2+1000"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["stop_reason"], "eos");
  EXPECT_EQ(json["tokens"], Json::array());
  EXPECT_EQ(json["text"], "");
}

TEST_F(Models, InfoTellsThatARecurrentModelHasChainsOnly) {
  write(target_, "mamba", GGML_TYPE_F32);
  const ProcessResult result = run_program({"info", "-m", target_.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("chains only, the model is recurrent"));
}

TEST_F(Models, ADraftWithLessContextThanTheTargetIsTaken) {
  TinyModel model;
  model.weights = GGML_TYPE_Q8_0;
  write_tiny_model(model, target_.path());
  model.n_context = 256;
  write_tiny_model(model, draft_.path());
  const ProcessResult result = run({"-n", "300", "-l", "2-inf", "--method", "gumbel-beam"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["method"], "gumbel-beam");
  EXPECT_EQ(json["tokens"].size(), 300U);
}

}  // namespace
}  // namespace gumbelspec::testing

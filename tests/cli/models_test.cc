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

TEST_F(Models, ARecurrentTargetDecodesPlainlyAndSaysSo) {
  write(target_, "mamba", GGML_TYPE_F32);
  write(draft_, "llama");
  const ProcessResult result = run({"--method", "gumbel-beam"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(n_lines(result.err), 1U);
  EXPECT_THAT(result.err, HasSubstr("the target model is recurrent"));
  EXPECT_EQ(Json::parse(result.out)["method"], "ar");
}

TEST_F(Models, ARecurrentDraftDecodesPlainlyAndSaysSo) {
  write(target_, "llama");
  write(draft_, "mamba", GGML_TYPE_F32);
  const ProcessResult result = run({});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(n_lines(result.err), 1U);
  EXPECT_THAT(result.err, HasSubstr("the draft model is recurrent"));
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

TEST_F(Models, InfoTellsThatARecurrentModelHasNoTrees) {
  write(target_, "mamba", GGML_TYPE_F32);
  const ProcessResult result = run_program({"info", "-m", target_.path()});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("plain decoding only"));
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

#include "apps/common/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "apps/common/escapes.h"
#include "apps/common/sampling_options.h"

namespace gumbelspec::apps {
namespace {

using ::testing::ElementsAre;

class ArgumentsTest : public ::testing::Test {
 protected:
  ArgumentsTest() : command_(program_.add_command("run", "")) {
    add_text(command_, "-m,--model", "FILE", model_, "");
    add_text(command_, "--model-draft", "FILE", draft_, "");
    add_text(command_, "-p,--prompt", "TEXT", prompt_, "");
    command_.add_flag("--json", is_json_, "");
  }
  std::vector<std::string> normalized(const std::vector<std::string>& given) {
    return program_.normalized(given);
  }

  Arguments program_{"program", "A test"};
  Arguments& command_;
  std::string model_;
  std::string draft_;
  std::string prompt_;
  bool is_json_ = false;
};

TEST_F(ArgumentsTest, LlamaCppsSpellingsBecomeLongNames) {
  EXPECT_THAT(normalized({"run", "-m", "a", "-md", "b"}),
              ElementsAre("run", "-m", "a", "--model-draft", "b"));
}

TEST_F(ArgumentsTest, ValuesStayAsTheyAre) {
  EXPECT_THAT(normalized({"run", "-p", "-md", "-m", "--prompt=x"}),
              ElementsAre("run", "-p", "-md", "-m", "--prompt=x"));
  // A flag has no value, so what follows it is an option.
  EXPECT_THAT(normalized({"run", "--json", "-md", "b"}),
              ElementsAre("run", "--json", "--model-draft", "b"));
}

TEST_F(ArgumentsTest, AnEqualsSignSeparatesNameAndValue) {
  EXPECT_THAT(normalized({"run", "--prompt=a=b", "--model="}),
              ElementsAre("run", "--prompt", "a=b", "--model", ""));
}

TEST_F(ArgumentsTest, OfAnOptionGivenTwiceTheLastOneCounts) {
  EXPECT_EQ(program_.parse({"run", "-p", "a", "-p", "b"}), std::nullopt);
  EXPECT_EQ(prompt_, "b");
}

// Variables of this process, as they were once it is gone.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) { ::setenv(name, value, 1); }
  ~Variable() { ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
};

TEST_F(ArgumentsTest, TheEnvironmentStandsForWhatIsNotGiven) {
  const Variable theirs("LLAMA_ARG_MODEL", "theirs");
  const Variable flag("GUMBELSPEC_ARG_JSON", "true");
  EXPECT_EQ(program_.parse({"run", "-p", "a"}), std::nullopt);
  EXPECT_EQ(model_, "theirs");
  EXPECT_EQ(prompt_, "a");
  EXPECT_TRUE(is_json_);
}

TEST_F(ArgumentsTest, TheCommandLineGoesBeforeTheEnvironmentAndOursBeforeLlamaCpps) {
  const Variable theirs("LLAMA_ARG_MODEL", "theirs");
  const Variable ours("GUMBELSPEC_ARG_MODEL", "ours");
  const Variable off("GUMBELSPEC_ARG_JSON", "0");
  EXPECT_EQ(program_.parse({"run"}), std::nullopt);
  EXPECT_EQ(model_, "ours");
  EXPECT_FALSE(is_json_);
  EXPECT_EQ(program_.parse({"run", "-m", "given"}), std::nullopt);
  EXPECT_EQ(model_, "given");
}

TEST_F(ArgumentsTest, WhatSaysTheSameKeepsTheEnvironmentOut) {
  std::string repo;
  add_text(command_, "--hf-repo", "NAME", repo, "");
  const Variable theirs("LLAMA_ARG_MODEL", "theirs");
  EXPECT_EQ(program_.parse({"run", "-hf", "a/b"}), std::nullopt);
  EXPECT_EQ(model_, "");
  EXPECT_EQ(repo, "a/b");
}

TEST_F(ArgumentsTest, WrongVariablesAreToldByTheirNames) {
  add_integer(
      command_, "--top-k", 0, 9, [](std::int64_t) {}, "");
  const auto error_of = [&] {
    try {
      (void)program_.parse({"run"});
    } catch (const Error& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  {
    const Variable flag("GUMBELSPEC_ARG_JSON", "maybe");
    EXPECT_EQ(error_of(), "the environment's GUMBELSPEC_ARG_JSON is \"maybe\"; give true or false");
  }
  const Variable number("LLAMA_ARG_TOP_K", "10");
  EXPECT_EQ(error_of(),
            "--top-k is \"10\"; give a whole number from 0 to 9 (it comes from the environment's "
            "LLAMA_ARG_TOP_K)");
}

TEST_F(ArgumentsTest, APairTakesTwoValues) {
  std::string told;
  command_.add_pair("--range", "A B", "",
                    [&](const std::string& a, const std::string& b) { told = a + "," + b; });
  EXPECT_EQ(program_.parse({"run", "--range", "1", "2", "-p", "x"}), std::nullopt);
  EXPECT_EQ(told, "1,2");
  EXPECT_THROW((void)program_.parse({"run", "--range", "1"}), Error);
}

TEST(Escapes, StandForWhatTheyMean) {
  EXPECT_EQ(unescaped(R"(a\nb\tc\\d\x41\q\x4)"), "a\nb\tc\\dA\\q\\x4");
  EXPECT_EQ(unescaped("\\"), "\\");
}

TEST_F(ArgumentsTest, HelpShowsLlamaCppsSpelling) {
  EXPECT_EQ(command_.option("--model-draft").displayed_names(), "-md, --model-draft");
  EXPECT_EQ(command_.option("-m").displayed_names(), "-m, --model");
}

TEST(LogitBias, IsATokenASignAndANumber) {
  EXPECT_EQ(index(parse_logit_bias("15043+1.5").token), 15043U);
  EXPECT_EQ(parse_logit_bias("15043+1.5").bias, 1.5F);
  EXPECT_EQ(parse_logit_bias("0-2").bias, -2.0F);
  EXPECT_TRUE(std::isinf(parse_logit_bias("7-inf").bias));
  EXPECT_LT(parse_logit_bias("7-inf").bias, 0.0F);
  for (const char* text :
       {"", "7", "7+", "+1", "-7+1", "7*1", "7--1", "7+x", "x+1", "7+1 ", "99999999999+1"}) {
    EXPECT_THROW((void)parse_logit_bias(text), Error) << text;
  }
}

}  // namespace
}  // namespace gumbelspec::apps

#include "apps/common/arguments.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

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

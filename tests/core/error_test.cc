// Errors speak library; programs put their own names in.
#include "gumbelspec/error.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace gumbelspec {
namespace {

std::string dashed(std::string_view field) {
  if (field == "top_p") return "--top-p";
  return field == "n_context" ? "-c" : "";
}

TEST(Error, SaysTheNamesThatItIsGiven) {
  const Error error(ErrorCode::invalid_option, "top_p is 2, but must be in (0, 1]", "top_p");
  EXPECT_EQ(error.field(), "top_p");
  EXPECT_STREQ(error.what(), "top_p is 2, but must be in (0, 1]");
  EXPECT_EQ(error.message_with(dashed), "--top-p is 2, but must be in (0, 1]");
}

TEST(Error, SaysTheRemedysNameToo) {
  const Error error(ErrorCode::prompt_too_long, "the prompt is long; enlarge n_context", "prompt",
                    "n_context");
  EXPECT_EQ(error.message_with(dashed), "the prompt is long; enlarge -c")
      << "a field without another name keeps its own";
}

TEST(Error, ReplacesNamesAndNotPartsOfWords) {
  const Error error(ErrorCode::invalid_option, "stop_p and top_p2 are no top_p, top_p is", "top_p");
  EXPECT_EQ(error.message_with(dashed), "stop_p and top_p2 are no --top-p, top_p is");
}

TEST(Error, WithoutAFieldIsWhatItIs) {
  const Error error(ErrorCode::evaluation_failed, "top_p and n_context stand here by chance");
  EXPECT_EQ(error.field(), "");
  EXPECT_EQ(error.message_with(dashed), error.what());
}

TEST(Error, NamesWhatIsNotInItsMessage) {
  const Error error(ErrorCode::invalid_option, "nothing of it", "top_p", "n_context");
  EXPECT_EQ(error.message_with(dashed), "nothing of it");
}

}  // namespace
}  // namespace gumbelspec

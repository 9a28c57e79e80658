// Texts to tokens and back, with the vocabularies of real models.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "gumbelspec/error.h"
#include "src/llama/vocabulary.h"
#include "tests/vocabularies/odd_strings.h"
#include "tests/vocabularies/round_trip.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

class Vocabularies : public ::testing::TestWithParam<VocabularyFile> {};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, Vocabularies, ::testing::ValuesIn(all_vocabularies()),
                         test_name);

TEST_P(Vocabularies, GiveTheTokensOfTheirMakersAndTheTextBack) {
  const RoundTrip r = round_trip(GetParam(), odd_strings(1000));
  EXPECT_THAT(r.wrong, IsEmpty());
  EXPECT_EQ(r.n_strings, 1000U);
  EXPECT_EQ(r.n_same + r.n_prefixed + r.n_spaced + r.n_dropped + r.n_changed, 1000U);
  const bool normalises = *GetParam().architecture == '\0';  // the embedding models'
  if (!normalises) {
    EXPECT_EQ(r.n_changed, 0U);
    EXPECT_GT(r.n_same + r.n_prefixed, 900U);
  }
}

TEST_P(Vocabularies, WriteTheirTokensAsTheFileSays) {
  EXPECT_THAT(wrong_pieces(GetParam()), IsEmpty());
}

TEST(Vocabulary, RefusesTextsThatAreNotUtf8AtTheFirstWrongByte) {
  for (const VocabularyFile& file : {all_vocabularies()[11], all_vocabularies()[10]}) {
    const internal::LlamaModelPtr model = load_vocabulary(file);
    for (const IllFormed& wrong : ill_formed_strings()) {
      try {
        (void)internal::tokenize(llama_model_get_vocab(model.get()), wrong.text);
        ADD_FAILURE() << ::testing::PrintToString(wrong.text);
      } catch (const Error& error) {
        EXPECT_EQ(error.code(), ErrorCode::invalid_prompt);
        EXPECT_THAT(error.what(), HasSubstr("byte " + std::to_string(wrong.offset) + " is"))
            << ::testing::PrintToString(wrong.text);
      }
    }
  }
}

}  // namespace
}  // namespace gumbelspec::testing

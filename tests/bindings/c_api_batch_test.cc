// Many texts at once through the C API.
#include <gmock/gmock.h>

#include <map>
#include <string>

#include "tests/bindings/c_api_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

struct BatchTextResult {
  std::string text;
  gumbelspec_outcome outcome = GUMBELSPEC_RUNNING;
  gumbelspec_status status = GUMBELSPEC_OK;
  std::string error;
  std::string report;
  int n_ends = 0;
};

class CApiBatch : public ::testing::Test {
 protected:
  CApiBatch() : pair_(load_demo(R"({"n_context": 512, "n_sequences": 3})")) {
    gumbelspec_batch* batch = nullptr;
    EXPECT_EQ(gumbelspec_batch_new(pair_.get(), nullptr, &batch), 0) << gumbelspec_last_error();
    batch_.reset(batch);
  }

  std::size_t add(const std::string& prompt, const std::string& options) {
    const std::vector<int> tokens = tokenize(pair_.get(), prompt);
    std::size_t id = 999;
    EXPECT_EQ(
        gumbelspec_batch_add(batch_.get(), tokens.data(), tokens.size(), options.c_str(), &id), 0)
        << gumbelspec_last_error();
    return id;
  }

  // One step. Returns: whether there is more to do.
  bool step() {
    std::size_t n = 0;
    int goes_on = -1;
    EXPECT_EQ(gumbelspec_batch_step(batch_.get(), &n, &goes_on), 0) << gumbelspec_last_error();
    for (std::size_t i = 0; i < n; ++i) {
      const gumbelspec_event* event = nullptr;
      EXPECT_EQ(gumbelspec_batch_event(batch_.get(), i, &event), 0);
      BatchTextResult& result = results_[event->id];
      result.text.append(event->round->text, event->round->n_text);
      if (event->round->outcome == GUMBELSPEC_RUNNING) continue;
      result.outcome = event->round->outcome;
      result.status = event->status;
      result.error = event->error;
      result.report = event->report;
      ++result.n_ends;
    }
    const gumbelspec_event* event = nullptr;
    EXPECT_EQ(gumbelspec_batch_event(batch_.get(), n, &event), GUMBELSPEC_INVALID_ARGUMENT);
    return goes_on == 1;
  }

  PairPtr pair_;
  BatchPtr batch_;
  std::map<std::size_t, BatchTextResult> results_;
};

TEST_F(CApiBatch, TextsAreThoseOfSessions) {
  std::vector<std::string> options;
  std::vector<std::size_t> ids;
  // More than there are sequences.
  for (const char* method : {"ar", "gumbel-tree", "gumbel-beam:width=2,length=3", "greedy-chain"}) {
    options.push_back(R"({"seed": 11, "max_tokens": 20, "stop": ["zzz"], "method": ")" +
                      std::string(method) + "\"}");
    ids.push_back(add("She said", options.back()));
  }
  while (step()) {
  }
  batch_.reset();  // its sequences are free again
  const std::string expected = text_of(pair_.get(), "She said", options[0]).text;
  for (const std::size_t id : ids) {
    EXPECT_EQ(results_[id].text, expected);
    EXPECT_EQ(results_[id].outcome, GUMBELSPEC_LENGTH);
    EXPECT_EQ(results_[id].n_ends, 1);
    EXPECT_THAT(results_[id].report, HasSubstr("\"n_generated\":20"));
  }
}

TEST_F(CApiBatch, AnErrorOfOneTextIsAnEventAndTheOthersGoOn) {
  std::string biases;
  // Every token is forbidden.
  const std::size_t n_vocab = 4096;
  for (std::size_t i = 0; i < n_vocab; ++i) {
    biases += (i == 0 ? "[" : ",[") + std::to_string(i) + ",false]";
  }
  const std::size_t bad = add("It", R"({"seed": 1, "logit_bias": [)" + biases + "]}");
  const std::size_t good = add("It", R"({"seed": 1, "max_tokens": 6})");
  while (step()) {
  }
  EXPECT_EQ(results_[bad].status, GUMBELSPEC_NO_TOKEN_ALLOWED) << results_[bad].error;
  EXPECT_NE(results_[bad].error, "");
  EXPECT_EQ(results_[good].status, GUMBELSPEC_OK);
  EXPECT_EQ(results_[good].outcome, GUMBELSPEC_LENGTH);
}

TEST_F(CApiBatch, ACancelledTextHasItsEventInTheNextStep) {
  const std::size_t first = add("It was", R"({"seed": 1, "max_tokens": 100})");
  const std::size_t second = add("It was", R"({"seed": 2, "max_tokens": 5})");
  EXPECT_TRUE(step());
  EXPECT_EQ(gumbelspec_batch_cancel(batch_.get(), first), 0);
  EXPECT_EQ(gumbelspec_batch_cancel(batch_.get(), 12345), 0);
  while (step()) {
  }
  EXPECT_EQ(results_[first].outcome, GUMBELSPEC_CANCELLED);
  EXPECT_EQ(results_[first].n_ends, 1);
  EXPECT_EQ(results_[second].outcome, GUMBELSPEC_LENGTH);
}

TEST_F(CApiBatch, StopTextsEndTextsBeforeThem) {
  const std::string options = R"("seed": 7, "max_tokens": 40)";
  const std::size_t whole = add("The old house", "{" + options + "}");
  while (step()) {
  }
  const std::string stop = results_[whole].text.substr(20, 4);
  const std::size_t cut = add("The old house", "{" + options + R"(, "stop": ")" + stop + "\"}");
  while (step()) {
  }
  EXPECT_EQ(results_[cut].outcome, GUMBELSPEC_STOP);
  EXPECT_EQ(results_[cut].text, results_[whole].text.substr(0, results_[whole].text.find(stop)));
}

}  // namespace
}  // namespace gumbelspec::testing

// The demo pair through the C API, and what tests ask of it.
#ifndef GUMBELSPEC_TESTS_BINDINGS_C_API_FIXTURE_H_
#define GUMBELSPEC_TESTS_BINDINGS_C_API_FIXTURE_H_

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "bindings/c/include/gumbelspec_c.h"

namespace gumbelspec::testing {

struct PairFree {
  void operator()(gumbelspec_pair* pair) const { gumbelspec_pair_free(pair); }
};
struct SessionFree {
  void operator()(gumbelspec_session* session) const { gumbelspec_session_free(session); }
};
struct BatchFree {
  void operator()(gumbelspec_batch* batch) const { gumbelspec_batch_free(batch); }
};
using PairPtr = std::unique_ptr<gumbelspec_pair, PairFree>;
using SessionPtr = std::unique_ptr<gumbelspec_session, SessionFree>;
using BatchPtr = std::unique_ptr<gumbelspec_batch, BatchFree>;

[[nodiscard]] PairPtr load_demo(const std::string& options = R"({"n_context": 512})");
[[nodiscard]] SessionPtr new_session(gumbelspec_pair* pair, const std::string& options);
[[nodiscard]] std::vector<int> tokenize(const gumbelspec_pair* pair, const std::string& text,
                                        int flags = 0);

struct SessionText {
  std::string text;
  std::vector<int> tokens;
  gumbelspec_outcome outcome = GUMBELSPEC_RUNNING;
};
// From start() to the end.
[[nodiscard]] SessionText text_of(gumbelspec_session* session, const std::vector<int>& prompt);
[[nodiscard]] SessionText text_of(gumbelspec_pair* pair, const std::string& prompt,
                                  const std::string& options);

// A pair for all tests of a suite: loading takes longer than most of them.
class CApi : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { pair_ = load_demo().release(); }
  static void TearDownTestSuite() {
    gumbelspec_pair_free(pair_);
    pair_ = nullptr;
  }
  static gumbelspec_pair* pair_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_BINDINGS_C_API_FIXTURE_H_

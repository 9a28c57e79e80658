#include "gumbelspec/method.h"

#include <gtest/gtest.h>

#include <string>

#include "gumbelspec/error.h"

namespace gumbelspec {
namespace {

TEST(Method, ReadsBackWhatItWrites) {
  for (const char* text :
       {"ar", "gumbel-chain", "gumbel-chain:length=8", "gumbel-beam",
        "gumbel-beam:width=8,length=8", "rejection:length=3", "rejection-tree:nodes=8",
        "greedy-chain:length=2", "gumbel-tree:width=8,length=12,nodes=16,tau=0.7",
        "gumbel-tree:max=32", "gumbel-beam:width=2,length=3,nodes=4,tau=0.35,keep=0"}) {
    EXPECT_EQ(to_string(parse_method(text)), text);
  }
  for (const std::string_view name : method_names()) {
    EXPECT_EQ(to_string(parse_method(name)), name);
  }
}

TEST(Method, HasTheDefaultsOfTheTalk) {
  const Method method = parse_method("gumbel-beam");
  EXPECT_EQ(method.width, 4);
  EXPECT_EQ(method.length, 5);
  EXPECT_TRUE(method.keep_pruned);
  EXPECT_EQ(method.node_limit(), 20);
  EXPECT_EQ(parse_method("gumbel-chain").width, 1);
}

TEST(Method, RefusesWhatItDoesNotKnowInOneLineWithARemedy) {
  const std::pair<const char*, const char*> bad[] = {
      {"",
       "known: ar, rejection, rejection-tree, greedy-chain, gumbel-chain, gumbel-beam, "
       "gumbel-tree"},
      {"gumbel",
       "known: ar, rejection, rejection-tree, greedy-chain, gumbel-chain, gumbel-beam, "
       "gumbel-tree"},
      {"ar:length=3", "its options: none"},
      {"gumbel-chain:width=3", "its options: length"},
      {"gumbel-beam:width=0", "[1, 64]"},
      {"gumbel-beam:width=65", "[1, 64]"},
      {"gumbel-beam:length=0", "[1, 64]"},
      {"gumbel-beam:length=x", "'x'"},
      {"gumbel-beam:length=3x", "'3x'"},
      {"gumbel-beam:length=99999999999", "[1, 64]"},
      {"gumbel-beam:length", "key=value"},
      {"gumbel-beam:length=3,", "key=value"},
      {"gumbel-beam:tau=0", "[0.01, 10]"},
      {"gumbel-beam:tau=nan", "[0.01, 10]"},
      {"gumbel-beam:keep=2", "[0, 1]"},
      {"gumbel-beam:width=64,length=64", "at most 255"},
  };
  for (const auto& [text, part] : bad) {
    try {
      static_cast<void>(parse_method(text));
      ADD_FAILURE() << text << " was let through";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_option);
      EXPECT_NE(std::string(e.what()).find(part), std::string::npos) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    }
  }
}

TEST(Method, FallsBackToWhatTheModelsCanDo) {
  const ModelLimits able;
  ModelLimits recurrent;
  recurrent.can_drop = false;
  recurrent.can_branch = false;
  ModelLimits straight;
  straight.can_branch = false;
  const Method beam = parse_method("gumbel-beam:length=7");

  EXPECT_TRUE(possible_method(beam, able, able).reason.empty());
  EXPECT_EQ(to_string(possible_method(beam, able, able).method), to_string(beam));
  EXPECT_EQ(to_string(possible_method(beam, recurrent, able).method), "ar");
  EXPECT_EQ(to_string(possible_method(beam, able, recurrent).method), "ar");
  EXPECT_EQ(to_string(possible_method(beam, straight, able).method), "gumbel-chain:length=7");
  EXPECT_EQ(to_string(possible_method(beam, able, straight).method), "gumbel-chain:length=7");
  recurrent.why_no_drop = "keeps a diary";
  EXPECT_EQ(possible_method(beam, recurrent, able).reason,
            "the target model keeps a diary and cannot drop drafted tokens: decoding plainly (the "
            "text is the same)");
  const Method tree = parse_method("rejection-tree:width=1,length=7");
  EXPECT_EQ(to_string(possible_method(tree, able, able).method), to_string(tree));
  const PossibleMethod chain = possible_method(tree, straight, able);
  EXPECT_EQ(to_string(chain.method), "rejection:length=7");
  EXPECT_NE(chain.reason.find("distribution is the same"), std::string::npos) << chain.reason;
  EXPECT_EQ(to_string(possible_method(tree, able, recurrent).method), "ar");
  EXPECT_TRUE(possible_method(parse_method("rejection"), straight, straight).reason.empty());
  EXPECT_TRUE(possible_method(parse_method("greedy-chain"), straight, straight).reason.empty());
  EXPECT_TRUE(possible_method(parse_method("gumbel-chain"), straight, straight).reason.empty());
  EXPECT_TRUE(possible_method(parse_method("ar"), recurrent, recurrent).reason.empty());
}

TEST(Method, IsAChainWhereAPassCanBeTakenBackInPart) {
  const ModelLimits able;
  ModelLimits snapshots;
  snapshots.can_branch = snapshots.can_drop = false;
  snapshots.max_drop = 4;
  ModelLimits copies = snapshots;
  copies.can_drop_passes = true;
  const Method beam = parse_method("gumbel-beam:length=7");
  EXPECT_EQ(to_string(possible_method(beam, snapshots, able).method), "gumbel-chain:length=7");
  EXPECT_EQ(to_string(possible_method(beam, copies, copies).method), "gumbel-chain:length=7");
  // A draft evaluates a level per pass, and drops what is of several.
  EXPECT_EQ(to_string(possible_method(beam, able, snapshots).method), "ar");
  EXPECT_EQ(to_string(possible_method(beam, snapshots, snapshots).method), "ar");
  // What is planned plans chains by itself.
  const Method tree = parse_method("gumbel-tree");
  for (const ModelLimits& draft : {able, copies}) {
    EXPECT_EQ(to_string(possible_method(tree, snapshots, draft).method), "gumbel-tree");
    EXPECT_TRUE(possible_method(tree, snapshots, draft).reason.empty());
  }
  EXPECT_EQ(
      to_string(possible_method(parse_method("rejection-tree:length=3"), copies, able).method),
      "rejection:length=3");
}

}  // namespace
}  // namespace gumbelspec

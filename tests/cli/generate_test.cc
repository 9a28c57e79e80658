// What `gumbelspec generate` promises to scripts and to people.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

std::set<std::string> keys(const Json& object) {
  std::set<std::string> names;
  for (const auto& item : object.items()) names.insert(item.key());
  return names;
}

Json generate_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProcessResult result = generate(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(n_lines(result.out), 1U);
  return Json::parse(result.out);
}

TEST(Generate, PrintsTheJsonOfTheContract) {
  const Json json = generate_json({"-p", "The old house", "-n", "64", "--seed", "7"});
  EXPECT_EQ(keys(json),
            (std::set<std::string>{"text", "tokens", "seed", "noise_version", "same_seed",
                                   "guarantee", "method", "stop_reason", "stats"}));
  EXPECT_EQ(json["same_seed"], true);
  EXPECT_EQ(json["guarantee"], "seed");
  EXPECT_TRUE(json["text"].is_string());
  ASSERT_TRUE(json["tokens"].is_array());
  EXPECT_EQ(json["tokens"].size(), 64U);
  for (const Json& token : json["tokens"]) EXPECT_TRUE(token.is_number_integer());
  EXPECT_EQ(json["seed"], 7);
  EXPECT_EQ(json["noise_version"], 1);
  EXPECT_EQ(json["method"], "gumbel-tree");
  EXPECT_EQ(json["stop_reason"], "length");
}

// What editors add to a text file is no part of the prompt.
TEST(Generate, ReadsTheTextOfAFile) {
  const auto text_of = [](const std::string& content) {
    const TemporaryFile file(content);
    return generate_json({"-f", file.path(), "-n", "8", "--seed", "7"})["text"];
  };
  const Json expected = text_of("The old house");
  EXPECT_EQ(text_of("The old house\n"), expected);
  EXPECT_EQ(text_of("The old house\r\n"), expected);
  EXPECT_EQ(text_of("\xEF\xBB\xBFThe old house\r\n"), expected);
  EXPECT_NE(text_of("The old house\r"), expected) << "no line break";
  EXPECT_NE(text_of("The old house\n\n"), expected) << "only the final one";
}

// As llama.cpp's programs and the server do.
TEST(Generate, ReadsControlTokensInThePrompt) {
  const auto n_prompt = [](const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"-p", "a</s>b", "-n", "1", "--seed", "7"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return generate_json(arguments)["stats"]["n_prompt"].get<int>();
  };
  EXPECT_LT(n_prompt({}), n_prompt({"--no-parse-special"}));
}

TEST(Generate, DrawsASeedForMinusOne) {
  const auto seed = [] {
    return generate_json({"-p", "x", "-n", "1", "--seed", "-1"})["seed"].get<std::uint64_t>();
  };
  EXPECT_NE(seed(), seed());
}

TEST(Generate, GivesLogProbabilitiesThatFallAndSumUpToLessThanOne) {
  const Json json = generate_json(
      {"-p", "The old house", "-n", "12", "--seed", "7", "--temp", "0", "--logprobs", "3"});
  ASSERT_EQ(json["logprobs"].size(), 12U);
  for (std::size_t i = 0; i < 12; ++i) {
    const Json& entry = json["logprobs"][i];
    EXPECT_EQ(entry["token"], json["tokens"][i]);
    ASSERT_EQ(entry["top"].size(), 3U);
    // At temperature 0 the text is the likeliest token.
    EXPECT_EQ(entry["top"][0]["token"], entry["token"]);
    double before = 0.0;
    double sum = 0.0;
    for (const Json& top : entry["top"]) {
      EXPECT_LE(top["logprob"].get<double>(), before);
      before = top["logprob"].get<double>();
      sum += std::exp(before);
    }
    EXPECT_LE(sum, 1.0 + 1e-5);
  }
}

TEST(Generate, FollowsAGrammarAndASchema) {
  const Json word =
      generate_json({"-p", "Is it?", "-n", "8", "--grammar", "root ::= \"yes\" | \"no\""});
  EXPECT_TRUE(word["text"] == "yes" || word["text"] == "no") << word["text"];
  EXPECT_EQ(word["stop_reason"], "eos");
  for (const char* method : {"ar", "gumbel-tree", "rejection"}) {
    const Json object = generate_json(
        {"-p", "A person:", "-n", "200", "--seed", "5", "--method", method, "-j",
         R"({"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": false})"});
    ASSERT_EQ(object["stop_reason"], "eos") << object["text"];
    const Json person = Json::parse(object["text"].get<std::string>());
    EXPECT_TRUE(person["age"].is_number_integer()) << object["text"];
  }
}

TEST(Generate, JsonStatisticsAreCompleteAndConsistent) {
  // A planned tree may also draft nothing.
  const Json s = generate_json(
      {"-p", "The old house", "-n", "64", "--seed", "7", "--method", "gumbel-beam"})["stats"];
  const std::set<std::string> counts = {"n_prompt",        "n_generated",    "n_rounds",
                                        "n_target_passes", "n_draft_passes", "n_drafted",
                                        "n_accepted"};
  const std::set<std::string> measures = {"tokens_per_pass", "prompt_s", "decode_s", "tokens_per_s",
                                          "target_s",        "draft_s",  "own_s"};
  std::set<std::string> all = counts;
  all.insert(measures.begin(), measures.end());
  all.insert("sources");
  EXPECT_EQ(keys(s), all);
  for (const std::string& name : counts) EXPECT_TRUE(s[name].is_number_unsigned()) << name;
  for (const std::string& name : measures) EXPECT_TRUE(s[name].is_number()) << name;
  EXPECT_EQ(s["n_generated"], 64);
  EXPECT_GT(s["n_prompt"], 0);
  EXPECT_GT(s["n_accepted"], 0);
  EXPECT_LT(s["n_target_passes"], 64);
  EXPECT_DOUBLE_EQ(s["tokens_per_pass"].get<double>(), 64.0 / s["n_target_passes"].get<double>());
}

TEST(Generate, GivesTheSameTokensWithEveryMethod) {
  const std::vector<std::string> call = {"-p", "The old house", "-n", "64", "--seed", "7"};
  const Json expected = generate_json(call);
  for (const std::string& method :
       {std::string("ar"), std::string("gumbel-chain"), std::string("gumbel-chain:length=2"),
        std::string("gumbel-beam"), std::string("gumbel-beam:width=8,length=3,keep=0")}) {
    std::vector<std::string> arguments = call;
    arguments.insert(arguments.end(), {"--method", method});
    const Json json = generate_json(arguments);
    EXPECT_EQ(json["method"], method);
    EXPECT_EQ(json["tokens"], expected["tokens"]) << method;
    EXPECT_EQ(json["text"], expected["text"]) << method;
  }
}

// Noise and log-weights are the same bits with each; without the kernels nothing else changes.
TEST(Generate, SaysTheSameWithEveryInstructionSetOfTheNoise) {
  const std::vector<std::string> call = {"-p", "The old house", "-n",    "32", "-s",
                                         "7",  "--no-kernels",  "--json"};
  const char* forced = std::getenv("GUMBELSPEC_SIMD");
  const std::string before = forced == nullptr ? "" : forced;
  const auto with = [&](const char* name) {
    ::setenv("GUMBELSPEC_SIMD", name, 1);
    ProcessResult result = generate(call);
    ::setenv("GUMBELSPEC_SIMD", before.c_str(), 1);
    return result;
  };
  const ProcessResult expected = with("scalar");
  ASSERT_EQ(expected.exit_code, 0) << expected.err;
  for (const char* name : {"avx2", "avx512"}) {
    const ProcessResult result = with(name);
    if (result.exit_code == 0) {
      EXPECT_EQ(Json::parse(result.out)["text"], Json::parse(expected.out)["text"]) << name;
    } else {
      EXPECT_EQ(result.exit_code, 2);
      EXPECT_THAT(result.err, HasSubstr("on this processor and in this build at most")) << name;
    }
  }
  const ProcessResult unknown = with("mmx");
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_EQ(n_lines(unknown.err), 1U);
  EXPECT_THAT(unknown.err, HasSubstr("GUMBELSPEC_SIMD is 'mmx'; give scalar, avx2 or avx512"));
}

TEST(Generate, WorksWithAllThreads) {
  const ProcessResult result = run_program(
      {"generate", "-p", "The old house", "-n", "16", "--seed", "7", "--no-display-prompt"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const ProcessResult one =
      generate({"-p", "The old house", "-n", "16", "--seed", "7", "--no-display-prompt"});
  EXPECT_EQ(result.out, one.out);
}

TEST(Generate, StreamsThePromptAndTheTextOfTheJson) {
  const std::vector<std::string> call = {"-p", "The old house", "-n", "40", "-s", "11"};
  const std::string text = generate_json(call)["text"];
  const ProcessResult with_prompt = generate(call);
  EXPECT_EQ(with_prompt.exit_code, 0);
  EXPECT_EQ(with_prompt.err, "");
  EXPECT_EQ(with_prompt.out, "The old house" + text + "\n");
  std::vector<std::string> without = call;
  without.emplace_back("--no-display-prompt");
  EXPECT_EQ(generate(without).out, text + "\n");
}

TEST(Generate, TextThatIsCutInsideACharacterIsStillUtf8) {
  // Bytes 0xE2 (token 3 + 0xE2 in a vocabulary with byte fallback) forever.
  const ProcessResult result = generate({"-p", "x", "-n", "2", "-s", "1", "--json", "--method",
                                         "ar", "--temp", "0", "-l", "229+1000"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["tokens"], (std::vector<int>{229, 229}));
  EXPECT_EQ(json["text"], "\xEF\xBF\xBD\xEF\xBF\xBD");
}

TEST(Generate, TellsARandomSeedThatGivesTheTextAgain) {
  const ProcessResult first = generate({"-p", "The old house", "-n", "12"});
  ASSERT_EQ(first.exit_code, 0);
  ASSERT_THAT(first.err, StartsWith("gumbelspec: seed "));
  EXPECT_EQ(n_lines(first.err), 1U);
  const std::string seed = std::to_string(std::stoull(first.err.substr(17)));
  EXPECT_EQ(generate({"-p", "The old house", "-n", "12", "--seed", seed}).out, first.out);
  EXPECT_NE(generate_json({"-p", "x", "-n", "1"})["seed"],
            generate_json({"-p", "x", "-n", "1"})["seed"]);
}

TEST(Generate, TakesSeedsUpTo2To64) {
  EXPECT_EQ(generate_json({"-p", "x", "-n", "2", "--seed", "18446744073709551615"})["seed"],
            18446744073709551615ULL);
}

TEST(Generate, ReadsThePromptFromAFileOrFromStandardInput) {
  const TemporaryFile file("The old house\n");
  const std::vector<std::string> rest = {"-n", "12", "-s", "7"};
  const auto with = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), rest.begin(), rest.end());
    return arguments;
  };
  const std::string expected = generate(with({"-p", "The old house"})).out;
  EXPECT_EQ(generate(with({"-f", file.path()})).out, expected);
  EXPECT_EQ(generate(with({"-f", "-"}), {.input = "The old house\n"}).out, expected);
}

TEST(Generate, TakesPromptsThatLookLikeOptions) {
  for (const std::string& prompt : {std::string("-md"), std::string("--"), std::string("-n"),
                                    std::string("%%"), std::string("[a]"), std::string("{}")}) {
    const ProcessResult result = generate({"-p", prompt, "-n", "1", "-s", "1"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, StartsWith(prompt));
  }
}

TEST(Generate, TakesLlamaCppsSpellings) {
  const ProcessResult result =
      generate({"-m", model_path("demo-target-q8_0.gguf"), "-md",
                model_path("demo-draft-weak-q8_0.gguf"), "-ngl", "0", "-ngld", "0", "-c", "256",
                "-p", "The old house", "-n", "64", "-s", "7", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  // Another draft, the same text.
  EXPECT_EQ(Json::parse(result.out)["tokens"],
            generate_json({"-p", "The old house", "-n", "64", "-s", "7"})["tokens"]);
}

TEST(Generate, DraftsFromTheTextWithoutADraftModel) {
  const std::string song = "The wind is on the water. The wind is on the water. The wind is on";
  const auto run = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments = {"-m",     model_path("demo-target-q8_0.gguf"),
                                          "-p",     song,
                                          "-n",     "48",
                                          "-s",     "7",
                                          "--temp", "0",
                                          "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out);
  };
  const Json plain = run({"--method", "ar"});
  const Json drafted = run({});
  EXPECT_EQ(drafted["method"], "gumbel-tree");
  EXPECT_EQ(drafted["tokens"], plain["tokens"]);
  EXPECT_EQ(drafted["stats"]["n_draft_passes"], 0);
  const Json some =
      run({"--draft", "suffix", "--draft", "recycled", "--method", "gumbel-tree:nodes=8"});
  EXPECT_EQ(some["method"], "gumbel-tree:nodes=8,sources=suffix+recycled");
  EXPECT_EQ(some["tokens"], plain["tokens"]);
  EXPECT_GT(some["stats"]["tokens_per_pass"], 1.0);
  EXPECT_FALSE(some["stats"]["sources"].empty());
  const Json none = run({"--draft", "none"});
  EXPECT_EQ(none["method"], "ar");
  EXPECT_EQ(none["tokens"], plain["tokens"]);
}

TEST(Generate, StopsWithAReasonWhenTheContextIsFull) {
  for (const char* n : {"500", "-1"}) {
    const ProcessResult result =
        generate({"-p", "The old house", "-c", "32", "-n", n, "-s", "7", "--json"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["stop_reason"], "context_full");
    const Json& stats = json["stats"];
    EXPECT_EQ(stats["n_prompt"].get<int>() + stats["n_generated"].get<int>(), 32);
    EXPECT_EQ(result.err,
              "gumbelspec: stopped: the context of 32 tokens is full; ask for fewer tokens (-n) or "
              "a larger context (-c), up to 1024\n");
  }
}

TEST(Generate, PrintsStatisticsOnStandardErrorWhenAsked) {
  const ProcessResult result = generate(
      {"-p", "The old house", "-n", "20", "-s", "7", "--method", "gumbel-beam", "--stats"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("tokens per target pass"));
  EXPECT_THAT(result.err, HasSubstr("tokens/s"));
  EXPECT_THAT(result.err, HasSubstr("accepted"));
}

TEST(Generate, TakesLlamaCppsNamesOfWhatDrafts) {
  const auto generated = [](const std::string& list) {
    return generate({"-p", "the sea and the sea", "-n", "4", "-s", "7", "--spec-type", list});
  };
  EXPECT_EQ(generated("ngram-simple,draft-simple").exit_code, 0);
  const ProcessResult wrong = generated("magic");
  EXPECT_EQ(wrong.exit_code, 2);
  EXPECT_THAT(wrong.err, HasSubstr("magic"));
}

TEST(Generate, SamplingOptionsReachTheSampler) {
  const std::vector<std::string> call = {"-p", "The old house", "-n", "24", "-s", "7"};
  const Json plain = generate_json(call)["tokens"];
  const std::vector<std::vector<std::string>> changes = {
      {"--temp", "0.3"},
      {"--temp", "0"},
      {"--top-k", "2"},
      {"--top-p", "0.1"},
      {"--min-p", "0.9"},
      {"--top-n-sigma", "0.5"},
      {"--typical", "0.2"},
      {"--xtc-probability", "1"},
      {"--dynatemp-range", "0.9"},
      {"--samplers", "top_k", "--top-k", "2"},
      {"--dry-multiplier", "9", "--dry-allowed-length", "0"},
      {"--mirostat", "1", "--mirostat-ent", "1"},
      {"--mirostat", "2", "--mirostat-ent", "1"},
      {"--adaptive-target", "0.4"},
      {"--repeat-penalty", "3"},
      {"--presence-penalty", "9"},
      {"--frequency-penalty", "9"},
      {"-l", "10-inf", "-l", "20+30"},
  };
  for (std::vector<std::string> change : changes) {
    const std::string name = change[0] + " " + change[1];
    change.insert(change.end(), call.begin(), call.end());
    EXPECT_NE(generate_json(change)["tokens"], plain) << name;
  }
  // Off values change nothing.
  const Json off = generate_json({"-p",
                                  "The old house",
                                  "-n",
                                  "24",
                                  "-s",
                                  "7",
                                  "--temp",
                                  "1",
                                  "--top-k",
                                  "0",
                                  "--top-p",
                                  "1",
                                  "--min-p",
                                  "0",
                                  "--repeat-penalty",
                                  "1",
                                  "--repeat-last-n",
                                  "-1",
                                  "--top-n-sigma",
                                  "-1",
                                  "--typical",
                                  "1",
                                  "--min-keep",
                                  "5",
                                  "--xtc-probability",
                                  "0",
                                  "--dynatemp-range",
                                  "0",
                                  "--dry-multiplier",
                                  "0",
                                  "--mirostat",
                                  "0",
                                  "--adaptive-target",
                                  "-1",
                                  "--samplers",
                                  "top_k;temperature"});
  EXPECT_EQ(off["tokens"], plain);
}

}  // namespace
}  // namespace gumbelspec::testing

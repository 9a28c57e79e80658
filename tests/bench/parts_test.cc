// What bench is made of: lists of methods, prompts, turns, ratios, sweeps, tables.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "apps/bench/machine.h"
#include "apps/bench/measure.h"
#include "apps/bench/methods.h"
#include "apps/bench/options.h"
#include "apps/bench/peers.h"
#include "apps/bench/progress.h"
#include "apps/bench/prompts.h"
#include "apps/bench/report.h"
#include "apps/bench/summary.h"
#include "apps/bench/sweep.h"
#include "apps/common/stop_signals.h"

namespace gumbelspec::apps::bench {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::vector<std::string> names_of(const std::string& text) {
  std::vector<std::string> names;
  for (const Method& method : parse_methods(text)) names.push_back(to_string(method));
  return names;
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(BenchMethods, ACommaSeparatesMethodsAndOptions) {
  EXPECT_THAT(names_of("ar,gumbel-beam:width=2,length=3,rejection:length=3"),
              ElementsAre("ar", "gumbel-beam:width=2,length=3", "rejection:length=3"));
  EXPECT_THAT(names_of("gumbel-beam:width=2,length=3, ar"),
              ElementsAre("gumbel-beam:width=2,length=3", "ar"));
}

TEST(BenchMethods, ASemicolonSeparatesMethods) {
  EXPECT_THAT(names_of("gumbel-beam:width=2;rejection:length=3;ar"),
              ElementsAre("gumbel-beam:width=2", "rejection:length=3", "ar"));
}

TEST(BenchMethods, OfEqualOnesTheFirstCounts) {
  EXPECT_THAT(names_of("ar,gumbel-chain:length=5,ar,gumbel-chain"),
              ElementsAre("ar", "gumbel-chain"));
}

TEST(BenchMethods, WhatIsWrongIsNamed) {
  EXPECT_THAT(error_of([] { (void)parse_methods("ar,gumble-beam:width=2"); }),
              HasSubstr("gumble-beam"));
  EXPECT_THAT(error_of([] { (void)parse_methods("ar,,gumbel-beam"); }), HasSubstr("empty"));
  EXPECT_THAT(error_of([] { (void)parse_methods(""); }), HasSubstr("empty"));
  EXPECT_THAT(error_of([] { (void)parse_methods("ar,gumbel-beam:width=99"); }),
              HasSubstr("[1, 64]"));
}

TEST(BenchMethods, TheShapeIsWhatTheMethodReadsBack) {
  for (const std::string_view name : method_names()) {
    for (const Method& shape : sweep_shapes(parse_method(name).kind)) {
      const std::string options = shape_text(shape);
      const std::string text = method_name(shape) + (options.empty() ? "" : ":" + options);
      EXPECT_EQ(to_string(parse_method(text)), to_string(shape)) << text;
    }
  }
  EXPECT_EQ(shape_text(parse_method("gumbel-beam")), "width=4,length=5");
  EXPECT_EQ(shape_text(parse_method("ar")), "");
}

TEST(BenchTemperatures, AreNumbersOfAtLeastZero) {
  EXPECT_THAT(parse_temperatures("0,0.6, 1"), ElementsAre(0.0F, 0.6F, 1.0F));
  for (const char* text : {"", "0,", "-1", "nan", "inf", "1;2", "1 2"}) {
    EXPECT_NE(error_of([&] { (void)parse_temperatures(text); }), "") << text;
  }
}

TEST(BenchPrompts, BothFormatsAreRead) {
  EXPECT_THAT(parse_prompts("{\"prompt\": \"a b\"}\n\n"
                            "{\"question_id\": 81, \"turns\": [\"c\", \"d\"]}\r\n",
                            "file"),
              ElementsAre("a b", "c"));
}

TEST(BenchPrompts, TheLineOfAnErrorIsNamed) {
  const auto message = [](const std::string& text) {
    return error_of([&] { (void)parse_prompts(text, "file \"x\""); });
  };
  EXPECT_THAT(message("{\"prompt\": \"a\"}\n\n{\"prompt\": \"b\""),
              HasSubstr("line 3: broken JSON"));
  EXPECT_THAT(message("[1]"), HasSubstr("line 1: not a JSON object"));
  EXPECT_THAT(message("{\"text\": \"a\"}"), HasSubstr("neither"));
  EXPECT_THAT(message("{\"turns\": []}"), HasSubstr("neither"));
  EXPECT_THAT(message("{\"prompt\": 7}"), HasSubstr("not a text"));
  EXPECT_THAT(message("{\"prompt\": \"\"}"), HasSubstr("empty"));
  EXPECT_THAT(message("\n \n"), HasSubstr("no prompt"));
}

// A method of `speed` tokens per second that says `word` over and over.
BenchText fake_text(std::size_t n_tokens, double speed, int word) {
  BenchText text;
  text.statistics.n_generated = n_tokens;
  text.statistics.n_rounds = n_tokens;
  text.statistics.n_target_passes = n_tokens;
  text.statistics.decode_s = static_cast<double>(n_tokens) / speed;
  text.statistics.target_s = text.statistics.decode_s;
  text.tokens.assign(n_tokens, static_cast<TokenId>(word));
  return text;
}

TEST(BenchMeasure, MethodsTakeTurnsAndAnotherOneBeginsEachTime) {
  const std::vector<Method> methods = parse_methods("ar,gumbel-chain,gumbel-beam");
  const std::vector<std::size_t> prompts = {0, 1};
  std::vector<std::string> order;
  std::vector<std::uint64_t> seeds;
  RunTexts run;
  measure_run(
      {methods, prompts, 1.0F, 0, 5, 8},
      [&](const TextRequest& request) {
        order.push_back(method_name(request.method));
        seeds.push_back(request.seed);
        return fake_text(8, 10.0, 1);
      },
      [] {}, run);
  EXPECT_THAT(
      order, ElementsAre("ar", "gumbel-chain", "gumbel-beam", "gumbel-chain", "gumbel-beam", "ar"));
  EXPECT_THAT(seeds, ElementsAre(5, 5, 5, 6, 6, 6));
}

TEST(BenchMeasure, AStopLeavesThePromptsThatAllMethodsHaveDone) {
  const std::vector<Method> methods = parse_methods("ar,gumbel-chain");
  const std::vector<std::size_t> prompts = {0, 1, 2};
  int n = 0;
  RunTexts run;
  const GenerateText generate = [&](const TextRequest&) {
    if (++n == 6) throw Stopped();
    return fake_text(8, 10.0, 1);
  };
  EXPECT_THROW(measure_run(
                   {methods, prompts, 1.0F, 0, 5, 8}, generate, [] {}, run),
               Stopped);
  EXPECT_THAT(run, ElementsAre(SizeIs(2), SizeIs(2)));
}

// One prompt, two runs: ar of 10 and 20 tokens/s, the chain of 30 and 40, of `word`.
std::vector<RunTexts> two_runs(int word) {
  return {{{fake_text(8, 10.0, 1)}, {fake_text(8, 30.0, word)}},
          {{fake_text(8, 20.0, 1)}, {fake_text(8, 40.0, 1)}}};
}

TEST(BenchSummary, RatiosAreTakenRunByRun) {
  const std::vector<Method> methods = parse_methods("ar,gumbel-chain");
  std::vector<BenchRow> rows = summarize(methods, 1.0F, two_runs(1));
  compare(rows);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_NEAR(rows[1].tokens_per_s.median, 35.0, 1e-9);
  EXPECT_NEAR(rows[1].speedup_vs_ar->median, 2.5, 1e-9);  // of 3 and 2, not 35 / 15
  EXPECT_NEAR(rows[1].speedup_vs_ar->min, 2.0, 1e-9);
  EXPECT_NEAR(rows[1].speedup_vs_ar->max, 3.0, 1e-9);
  EXPECT_FALSE(rows[1].speedup_vs_rejection);
}

TEST(BenchSummary, TheBestRejectionChainIsTheOneToCompareWith) {
  const std::vector<Method> methods = parse_methods("ar,rejection:length=2,rejection:length=4");
  const std::vector<RunTexts> runs = {
      {{fake_text(8, 10.0, 1)}, {fake_text(8, 12.0, 2)}, {fake_text(8, 20.0, 2)}}};
  std::vector<BenchRow> rows = summarize(methods, 1.0F, runs);
  compare(rows);
  EXPECT_NEAR(rows[0].speedup_vs_rejection->median, 0.5, 1e-9);
  EXPECT_NEAR(rows[2].speedup_vs_rejection->median, 1.0, 1e-9);
}

TEST(BenchSummary, ATextThatIsNotThatOfArIsCounted) {
  const std::vector<Method> methods = parse_methods("ar,gumbel-chain");
  EXPECT_EQ(summarize(methods, 1.0F, two_runs(1))[1].n_texts_different, 0U);
  EXPECT_EQ(summarize(methods, 1.0F, two_runs(2))[1].n_texts_different, 1U);
}

TEST(BenchSummary, RejectionKeepsTheTextOnlyWithoutRandomness) {
  const std::vector<Method> methods = parse_methods("ar,rejection");
  EXPECT_FALSE(summarize(methods, 1.0F, two_runs(2))[1].n_texts_different);
  EXPECT_EQ(summarize(methods, 0.0F, two_runs(2))[1].n_texts_different, 1U);
}

TEST(BenchSummary, QuartilesAreInterpolated) {
  const Spread spread = spread_of({4.0, 1.0, 3.0, 2.0, 5.0});
  EXPECT_EQ(spread.median, 3.0);
  EXPECT_EQ(spread.min, 1.0);
  EXPECT_EQ(spread.max, 5.0);
  EXPECT_EQ(spread.q1, 2.0);
  EXPECT_EQ(spread.q3, 4.0);
}

// The speed of a shape on a prompt: chains of 3 are best, single texts are off by up to 20 %.
TEST(BenchSweep, FindsTheBestShapeDespiteNoise) {
  const std::vector<Method> shapes = sweep_shapes(MethodKind::gumbel_chain);
  const std::vector<std::size_t> prompts = {0, 2, 4};
  std::size_t n_texts = 0;
  const GenerateText generate = [&](const TextRequest& request) {
    ++n_texts;
    const double distance = std::abs(request.method.length - 3);
    const double noise = 1.0 + 0.05 * static_cast<double>(request.seed * 7 % 5);
    return fake_text(8, 100.0 / (1.0 + 0.2 * distance) * noise, 1);
  };
  std::size_t n_told = 0;
  const std::size_t best = best_shape({shapes, prompts, 1.0F, 1, 8}, generate, [&] { ++n_told; });
  EXPECT_EQ(shapes[best].length, 3);
  EXPECT_EQ(n_texts, n_sweep_texts(shapes.size()));
  EXPECT_EQ(n_told, n_texts);
}

TEST(BenchSweep, TriesOnlyItsOwnPrompts) {
  const std::vector<Method> shapes = sweep_shapes(MethodKind::gumbel_beam);
  const std::vector<std::size_t> prompts = {0, 2};
  const GenerateText generate = [&](const TextRequest& request) {
    EXPECT_EQ(request.prompt % 2, 0U);
    return fake_text(8, 10.0, 1);
  };
  (void)best_shape({shapes, prompts, 1.0F, 1, 8}, generate, [] {});
}

BenchReport sample_report() {
  BenchReport report;
  report.machine = {{"cpu", "a cpu, of sorts"}, {"cores", 2},
                    {"memory_gib", 8},          {"os", "an OS"},
                    {"kernels", "x"},           {"load_average", Json()}};
  report.versions = {{"gumbelspec", "0"}, {"llama_cpp", "llama.cpp 0"}, {"noise_version", 1}};
  report.models = {{"target", {{"file", "t.gguf"}, {"description", "1 B"}, {"scaled_from", "s"}}},
                   {"draft", Json()},
                   {"is_scaled_pair", true}};
  report.settings = {{"summary", "1 prompt"}, {"command", "gumbelspec bench"}};
  report.rows = summarize(parse_methods("ar,gumbel-beam:width=2,length=3"), 0.6F, two_runs(2));
  compare(report.rows);
  return report;
}

TEST(BenchReport, EveryFormSaysThatThePairIsScaled) {
  const BenchReport report = sample_report();
  EXPECT_THAT(bench_text(report, BenchFormat::table), HasSubstr("scaled pair"));
  EXPECT_THAT(bench_text(report, BenchFormat::md), HasSubstr("scaled pair"));
  EXPECT_THAT(bench_text(report, BenchFormat::csv), HasSubstr("is_scaled_pair"));
  EXPECT_TRUE(bench_json(report)["models"]["is_scaled_pair"].get<bool>());
}

TEST(BenchReport, TheNoteTellsAPaddedVocabulary) {
  BenchReport report = sample_report();
  EXPECT_THAT(bench_text(report, BenchFormat::md), ::testing::Not(HasSubstr("ever win")));
  report.models["target"]["n_vocab"] = 152064;
  report.models["target"]["padded_from"] = "4096";
  EXPECT_THAT(bench_text(report, BenchFormat::md),
              HasSubstr("of the 152064 tokens only 4096 ever win"));
}

std::size_t n_fields(const std::string& line) {
  std::size_t n = 1;
  bool is_quoted = false;
  for (const char c : line) {
    if (c == '"') is_quoted = !is_quoted;
    if (c == ',' && !is_quoted) ++n;
  }
  return n;
}

TEST(BenchReport, CsvLinesHaveAsManyFieldsAsNames) {
  const std::string csv = bench_text(sample_report(), BenchFormat::csv);
  std::vector<std::size_t> counts;
  for (std::size_t begin = 0; begin < csv.size();) {
    const std::size_t end = csv.find('\n', begin);
    counts.push_back(n_fields(csv.substr(begin, end - begin)));
    begin = end + 1;
  }
  ASSERT_THAT(counts, SizeIs(3));
  EXPECT_EQ(counts[1], counts[0]);
  EXPECT_EQ(counts[2], counts[0]);
  EXPECT_THAT(csv, HasSubstr("gumbel-beam,\"width=2,length=3\","));
}

TEST(BenchReport, MarkdownRowsHaveAsManyCellsAsTheirTable) {
  const std::string table =
      table_text({{"method", "x"}, {{"a:b=1", "1.0"}, {"longer name", "22.0"}}}, true);
  EXPECT_EQ(table,
            "| method      |    x |\n"
            "|-------------|-----:|\n"
            "| a:b=1       |  1.0 |\n"
            "| longer name | 22.0 |\n");
}

TEST(BenchReport, DifferentTextsAreToldBelowTheTable) {
  EXPECT_THAT(bench_text(sample_report(), BenchFormat::table),
              HasSubstr("1 of 2 texts of methods that keep the seed are NOT those of ar"));
}

TEST(BenchReport, WhatIsUnknownIsNull) {
  const Json rows = bench_json(sample_report())["rows"];
  EXPECT_TRUE(rows[0]["speedup_vs_rejection"].is_null());
  EXPECT_TRUE(rows[0]["speedup_vs_rejection_spread"].is_null());
  EXPECT_TRUE(rows[0]["n_texts_different"].is_null());
  EXPECT_EQ(rows[1]["n_texts_different"], 1);
}

TEST(BenchPeers, WhatLlamaCppSaysIsRead) {
  const auto simple = parse_simple_output(
      "encoded    4 tokens in    0.010 seconds, speed:  400.000 t/s\n"
      "decoded   33 tokens in    1.650 seconds, speed:   20.000 t/s\n\n"
      "n_draft   = 2\nn_predict = 33\nn_drafted = 40\nn_accept  = 13\naccept    = 32.500%\n");
  ASSERT_TRUE(simple);
  EXPECT_EQ(simple->statistics.n_generated, 33U);
  EXPECT_NEAR(simple->statistics.decode_s, 1.65, 1e-9);
  EXPECT_EQ(simple->statistics.n_drafted, 40U);
  EXPECT_EQ(simple->statistics.n_accepted, 13U);
  EXPECT_EQ(simple->statistics.n_target_passes, 20U);
  EXPECT_FALSE(parse_simple_output("error: no such file"));

  const auto server = parse_server_answer(
      R"({"content": "x", "timings": {"predicted_n": 32, "predicted_ms": 2000.0,
          "draft_n": 30, "draft_n_accepted": 12}})");
  ASSERT_TRUE(server);
  EXPECT_EQ(server->statistics.n_generated, 32U);
  EXPECT_NEAR(server->statistics.decode_s, 2.0, 1e-9);
  EXPECT_EQ(server->statistics.n_target_passes, 20U);
  EXPECT_TRUE(parse_server_answer(R"({"timings": {"predicted_n": 32, "predicted_ms": 5.0}})"));
  EXPECT_FALSE(parse_server_answer("<html>"));
  EXPECT_FALSE(parse_server_answer(R"({"content": "x"})"));
}

TEST(ChildProcess, TellsExitCodeAndOutput) {
  EXPECT_EQ(run_child({"cat"}, "a b").output, "a b");
  EXPECT_EQ(run_child({"sh", "-c", "echo out; echo err >&2; exit 3"}).exit_code, 3);
  EXPECT_EQ(run_child({"/no/such/program"}).exit_code, 127);
}

TEST(BenchProgress, EstimatesTheTimeLeft) {
  EXPECT_EQ(estimate_text(0, 8, 0.0), "0 of 8 texts");
  EXPECT_EQ(estimate_text(2, 8, 10.0), "2 of 8 texts, about 30 s left");
  EXPECT_EQ(estimate_text(2, 8, 60.0), "2 of 8 texts, about 3 min left");
}

TEST(BenchMachine, ReadsTheProcessorsName) {
  const std::string text = "processor\t: 0\nmodel\t\t: 17\nmodel name\t: A CPU\n";
  EXPECT_EQ(cpuinfo_value(text, "model name"), "A CPU");
  EXPECT_EQ(cpuinfo_value(text, "model"), "17");
  EXPECT_EQ(cpuinfo_value(text, "cpu cores"), "");
}

TEST(BenchCommand, IsQuotedForAShellAndHidesTheHomeFolder) {
  EXPECT_EQ(quoted_command({"bench", "-m", "/home/x/a.gguf", "--methods", "ar;gumbel-beam", "it's"},
                           "/home/x"),
            "gumbelspec bench -m ~/a.gguf --methods 'ar;gumbel-beam' 'it'\\''s'");
}

}  // namespace
}  // namespace gumbelspec::apps::bench

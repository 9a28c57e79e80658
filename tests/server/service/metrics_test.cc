#include "apps/server/service/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>

namespace gumbelspec::server {
namespace {

using ::testing::HasSubstr;

TEST(Metrics, ShowsTheBatchsCounts) {
  Metrics metrics(4);
  BatchStatistics batch;
  batch.n_drafted = 30;
  batch.n_accepted = 12;
  batch.by_depth = {{10, 8}, {9, 4}};
  batch.n_waiting = 3;
  batch.target_s = 1.5;
  batch.n_cached_tokens = 25;
  batch.n_cache_tokens = 100;
  metrics.set_batch(batch);
  const std::string text = metrics.text();
  for (const char* line :
       {"# TYPE gumbelspec:spec_decode_num_drafts_total counter",
        "\ngumbelspec:spec_decode_num_drafts_total 10\n",
        "\ngumbelspec:spec_decode_draft_tokens_total 30\n",
        "\ngumbelspec:spec_decode_accepted_tokens_total 12\n",
        "\ngumbelspec:spec_decode_accepted_tokens_per_pos_total{position=\"0\"} 8\n",
        "\ngumbelspec:spec_decode_accepted_tokens_per_pos_total{position=\"1\"} 4\n",
        "\ngumbelspec:engine_seconds_total{part=\"target\"} 1.5\n",
        "\ngumbelspec:texts_waiting 3\n", "\ngumbelspec:slots 4\n",
        "\ngumbelspec:kv_cache_usage_ratio 0.25\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, CountsRequestsByPathAndStatus) {
  Metrics metrics(1);
  metrics.count_request("/v1/completions", 200, 0.1);
  metrics.count_request("/v1/completions", 200, 0.1);
  metrics.count_request("/v1/completions", 429, 0.1);
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("gumbelspec:requests_total{path=\"/v1/completions\",status=\"200\"} "
                              "2\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:requests_total{path=\"/v1/completions\",status=\"429\"} "
                              "1\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:request_seconds_count{path=\"/v1/completions\"} 3\n"));
}

TEST(Metrics, ObservesTimesAndTokens) {
  Metrics metrics(1);
  metrics.observe_first_token(0.02);
  metrics.observe_gap(0.004);
  metrics.observe_gap(0.004);
  metrics.observe_tokens_per_pass(3);
  const std::string text = metrics.text();
  EXPECT_THAT(text, HasSubstr("gumbelspec:time_to_first_token_seconds_bucket{le=\"0.025\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:time_to_first_token_seconds_bucket{le=\"0.01\"} 0\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:inter_token_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:tokens_per_pass_sum 3\n"));
}

TEST(Metrics, WhatABatchHasCountedStaysWhenAnotherIsMade) {
  Metrics metrics(1);
  BatchStatistics batch;
  batch.n_generated = 30;
  batch.target_s = 1.5;
  batch.by_depth = {{10, 8}, {9, 4}};
  batch.by_source = {{"draft", 5, 3}};
  batch.n_cached_tokens = 25;
  metrics.set_batch(batch);
  metrics.begin_batch();
  EXPECT_THAT(metrics.text(), HasSubstr("\ngumbelspec:kv_cache_tokens 0\n"));
  batch = {};
  batch.n_generated = 2;
  batch.target_s = 0.5;
  batch.by_depth = {{1, 1}};
  batch.by_source = {{"suffix", 2, 1}, {"draft", 1, 1}};
  metrics.set_batch(batch);
  metrics.set_batch(batch);
  const std::string text = metrics.text();
  for (const char* line :
       {"\ngumbelspec:generation_tokens_total 32\n",
        "\ngumbelspec:engine_seconds_total{part=\"target\"} 2\n",
        "\ngumbelspec:spec_decode_accepted_tokens_per_pos_total{position=\"0\"} 9\n",
        "\ngumbelspec:spec_decode_accepted_tokens_per_pos_total{position=\"1\"} 4\n",
        "\ngumbelspec:draft_tokens_by_source_total{source=\"draft\"} 6\n",
        "\ngumbelspec:draft_tokens_by_source_total{source=\"suffix\"} 2\n"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

TEST(Metrics, LlamaCppsRatesAreThoseSinceTheyWereLastAskedFor) {
  Metrics metrics(1);
  BatchStatistics batch;
  batch.n_generated = 30;
  batch.target_s = 1.0;
  batch.own_s = 0.5;
  batch.n_prompt = 8;
  batch.prompt_s = 2.0;
  metrics.set_batch(batch);
  const auto expect_rates = [&](const char* prompt, const char* text) {
    const std::string told = metrics.text();
    EXPECT_THAT(told, HasSubstr(std::string("\nllamacpp:prompt_tokens_seconds ") + prompt + "\n"));
    EXPECT_THAT(told, HasSubstr(std::string("\nllamacpp:predicted_tokens_seconds ") + text + "\n"));
  };
  expect_rates("4", "20");
  expect_rates("0", "0");
  metrics.begin_batch();
  batch = {};
  batch.n_generated = 3;
  batch.draft_s = 1.0;
  metrics.set_batch(batch);
  expect_rates("0", "3");
}

TEST(Metrics, EveryDocumentedOneIsThereWithItsTypeAndHelp) {
  Metrics metrics(1);
  BatchStatistics batch;
  batch.by_depth = {{1, 1}};
  metrics.set_batch(batch);
  metrics.count_request("/health", 200, 0.1);
  const std::string text = metrics.text();
  for (const MetricDoc& doc : metric_docs()) {
    EXPECT_THAT(text,
                HasSubstr("# TYPE " + std::string(doc.name) + " " + std::string(doc.type) + "\n"));
    EXPECT_THAT(text,
                HasSubstr("# HELP " + std::string(doc.name) + " " + std::string(doc.help) + "\n"));
  }
  // And no other.
  std::size_t n_types = 0;
  for (std::size_t at = text.find("# TYPE "); at != std::string::npos;
       at = text.find("# TYPE ", at + 1)) {
    ++n_types;
  }
  EXPECT_EQ(n_types, metric_docs().size());
}

TEST(Metrics, TheDashboardAsksForNoOthers) {
  std::ifstream file(GUMBELSPEC_DASHBOARD);
  const std::string dashboard{std::istreambuf_iterator<char>(file), {}};
  const std::regex name("gumbelspec:[a-z_]+");
  std::size_t n_names = 0;
  for (std::sregex_iterator found(dashboard.begin(), dashboard.end(), name), end; found != end;
       ++found, ++n_names) {
    const std::string base =
        std::regex_replace(found->str(), std::regex("_(bucket|sum|count)$"), "");
    const auto docs = metric_docs();
    EXPECT_TRUE(std::any_of(docs.begin(), docs.end(), [&](const MetricDoc& doc) {
      return doc.name == base;
    })) << found->str();
  }
  EXPECT_GT(n_names, 10U);
}

}  // namespace
}  // namespace gumbelspec::server

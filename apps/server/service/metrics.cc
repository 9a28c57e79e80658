#include "apps/server/service/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <array>
#include <mutex>
#include <stdexcept>
#include <utility>
#include <vector>

namespace gumbelspec::server {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

constexpr std::string_view kDrafts = "gumbelspec:spec_decode_num_drafts_total";
constexpr std::string_view kDraftTokens = "gumbelspec:spec_decode_draft_tokens_total";
constexpr std::string_view kAccepted = "gumbelspec:spec_decode_accepted_tokens_total";
constexpr std::string_view kAcceptedPerPos = "gumbelspec:spec_decode_accepted_tokens_per_pos_total";
constexpr std::string_view kDraftBySource = "gumbelspec:draft_tokens_by_source_total";
constexpr std::string_view kAcceptedBySource = "gumbelspec:accepted_tokens_by_source_total";
constexpr std::string_view kTokensPerPass = "gumbelspec:tokens_per_pass";
constexpr std::string_view kGenerated = "gumbelspec:generation_tokens_total";
constexpr std::string_view kPrompt = "gumbelspec:prompt_tokens_total";
constexpr std::string_view kReused = "gumbelspec:prompt_tokens_reused_total";
constexpr std::string_view kRounds = "gumbelspec:rounds_total";
constexpr std::string_view kSeconds = "gumbelspec:engine_seconds_total";
constexpr std::string_view kFirst = "gumbelspec:time_to_first_token_seconds";
constexpr std::string_view kGap = "gumbelspec:inter_token_seconds";
constexpr std::string_view kRequestSeconds = "gumbelspec:request_seconds";
constexpr std::string_view kRequests = "gumbelspec:requests_total";
constexpr std::string_view kActive = "gumbelspec:texts_active";
constexpr std::string_view kWaiting = "gumbelspec:texts_waiting";
constexpr std::string_view kSlots = "gumbelspec:slots";
constexpr std::string_view kCached = "gumbelspec:kv_cache_tokens";
constexpr std::string_view kCacheSize = "gumbelspec:kv_cache_capacity_tokens";
constexpr std::string_view kCacheUse = "gumbelspec:kv_cache_usage_ratio";

// llama.cpp's names, which dashboards made for its server look for.
constexpr std::string_view kPeerPrompt = "llamacpp:prompt_tokens_total";
constexpr std::string_view kPeerReused = "llamacpp:prompt_tokens_cached_total";
constexpr std::string_view kPeerPromptSeconds = "llamacpp:prompt_seconds_total";
constexpr std::string_view kPeerGenerated = "llamacpp:tokens_predicted_total";
constexpr std::string_view kPeerSeconds = "llamacpp:tokens_predicted_seconds_total";
constexpr std::string_view kPeerRounds = "llamacpp:n_decode_total";
constexpr std::string_view kPeerLongest = "llamacpp:n_tokens_max";
constexpr std::string_view kPeerDraftTokens = "llamacpp:spec_decode_num_draft_tokens_total";
constexpr std::string_view kPeerAccepted = "llamacpp:spec_decode_num_accepted_tokens_total";
constexpr std::string_view kPeerDrafts = "llamacpp:spec_decode_num_drafts_total";
constexpr std::string_view kPeerPromptRate = "llamacpp:prompt_tokens_seconds";
constexpr std::string_view kPeerRate = "llamacpp:predicted_tokens_seconds";
constexpr std::string_view kPeerActive = "llamacpp:requests_processing";
constexpr std::string_view kPeerWaiting = "llamacpp:requests_deferred";
constexpr std::string_view kPeerBusy = "llamacpp:n_busy_slots_per_decode";

constexpr std::array<MetricDoc, 37> kDocs = {{
    {kDrafts, "counter", "", "Rounds of a text in which something was drafted."},
    {kDraftTokens, "counter", "", "Drafted tokens that the target verified."},
    {kAccepted, "counter", "", "Drafted tokens that are in the texts."},
    {kAcceptedPerPos, "counter", "position",
     "The same by depth in the draft tree; position 0 is the first level."},
    {kDraftBySource, "counter", "source",
     "Drafted tokens that the target verified, by what proposed them first: draft (the model), "
     "head (a draft head), suffix, recycled, grammar."},
    {kAcceptedBySource, "counter", "source", "The same of those that are in the texts."},
    {kTokensPerPass, "histogram", "", "Tokens that a pass of the target brought one text."},
    {kGenerated, "counter", "", "Generated tokens."},
    {kPrompt, "counter", "", "Prompt tokens that were evaluated."},
    {kReused, "counter", "", "Prompt tokens that were in the cache already."},
    {kRounds, "counter", "", "Rounds of the batch; all its texts share a target pass."},
    {kSeconds, "counter", "part",
     "Time of the engine's thread: prompt, target (passes), draft (passes), own (the rest)."},
    {kFirst, "histogram", "", "From a request's arrival to a text's first token, seconds."},
    {kGap, "histogram", "",
     "Between two rounds of a text, seconds; a round's tokens come together."},
    {kRequestSeconds, "histogram", "path", "From a request's arrival to its end, seconds."},
    {kRequests, "counter", "path, status",
     "Answered requests; status 499: the client went away before the end."},
    {kActive, "gauge", "", "Texts being decoded or reading their prompts."},
    {kWaiting, "gauge", "", "Texts waiting for a slot."},
    {kSlots, "gauge", "", "Texts that can be decoded at once (--parallel)."},
    {kCached, "gauge", "", "Tokens in the key/value cache, of texts active and past."},
    {kCacheSize, "gauge", "", "Tokens that the key/value cache can hold."},
    {kCacheUse, "gauge", "", "Share of the key/value cache in use, from 0 to 1."},
    {kPeerPrompt, "counter", "", "Prompt tokens of ended requests that were evaluated."},
    {kPeerReused, "counter", "", "Prompt tokens of ended requests that were in the cache already."},
    {kPeerPromptSeconds, "counter", "", "Seconds of the engine's thread in prompts."},
    {kPeerGenerated, "counter", "", "Generated tokens."},
    {kPeerSeconds, "counter", "", "Seconds of the engine's thread in rounds."},
    {kPeerRounds, "counter", "", "Rounds of the batch."},
    {kPeerLongest, "counter", "", "Tokens of the longest request so far, prompt included."},
    {kPeerDraftTokens, "counter", "", "Drafted tokens that the target verified."},
    {kPeerAccepted, "counter", "", "Drafted tokens that are in the texts."},
    {kPeerDrafts, "counter", "", "Rounds of a text in which something was drafted."},
    {kPeerPromptRate, "gauge", "",
     "Prompt tokens per second of the engine's thread, since they were last asked for."},
    {kPeerRate, "gauge", "",
     "Generated tokens per second of the engine's thread, since they were last asked for."},
    {kPeerActive, "gauge", "", "Texts being decoded or reading their prompts."},
    {kPeerWaiting, "gauge", "", "Texts waiting for a slot."},
    {kPeerBusy, "gauge", "", "Texts per round, on average."},
}};

const MetricDoc& doc_of(std::string_view name) {
  const auto* found =
      std::find_if(kDocs.begin(), kDocs.end(), [&](const MetricDoc& d) { return d.name == name; });
  if (found == kDocs.end()) throw std::logic_error("a metric without a description");
  return *found;
}

MetricFamily family(std::string_view name) {
  const MetricDoc& doc = doc_of(name);
  MetricFamily family;
  family.name = std::string(doc.name);
  family.help = std::string(doc.help);
  family.type = doc.type == "counter" ? MetricType::Counter : MetricType::Gauge;
  return family;
}

void add(MetricFamily& family, double value, std::vector<ClientMetric::Label> labels = {}) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) metric.counter.value = value;
  if (family.type == MetricType::Gauge) metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

MetricFamily single(std::string_view name, double value) {
  MetricFamily result = family(name);
  add(result, value);
  return result;
}

double number(std::size_t n) { return static_cast<double>(n); }

// The batch counts for itself; its numbers are shown as they are.
std::vector<MetricFamily> families_of(const BatchStatistics& s, std::size_t n_slots) {
  const auto& depths = s.by_depth;
  MetricFamily per_position = family(kAcceptedPerPos);
  for (std::size_t i = 0; i < depths.size(); ++i) {
    add(per_position, number(depths[i].n_accepted), {{"position", std::to_string(i)}});
  }
  MetricFamily drafted = family(kDraftBySource);
  MetricFamily accepted = family(kAcceptedBySource);
  for (const SourceCount& count : s.by_source) {
    add(drafted, number(count.n_drafted), {{"source", count.name}});
    add(accepted, number(count.n_accepted), {{"source", count.name}});
  }
  MetricFamily seconds = family(kSeconds);
  add(seconds, s.prompt_s, {{"part", "prompt"}});
  add(seconds, s.target_s, {{"part", "target"}});
  add(seconds, s.draft_s, {{"part", "draft"}});
  add(seconds, s.own_s, {{"part", "own"}});
  const double use =
      s.n_cache_tokens == 0 ? 0.0 : number(s.n_cached_tokens) / number(s.n_cache_tokens);
  return {single(kDrafts, depths.empty() ? 0.0 : number(depths[0].n_drafted)),
          single(kDraftTokens, number(s.n_drafted)),
          single(kAccepted, number(s.n_accepted)),
          std::move(per_position),
          std::move(drafted),
          std::move(accepted),
          single(kGenerated, number(s.n_generated)),
          single(kPrompt, number(s.n_prompt)),
          single(kReused, number(s.n_prompt_reused)),
          single(kRounds, number(s.n_rounds)),
          std::move(seconds),
          single(kActive, number(s.n_active)),
          single(kWaiting, number(s.n_waiting)),
          single(kSlots, number(n_slots)),
          single(kCached, number(s.n_cached_tokens)),
          single(kCacheSize, number(s.n_cache_tokens)),
          single(kCacheUse, use)};
}

// What both have counted; of what is there now, the second's.
BatchStatistics sum(const BatchStatistics& before, BatchStatistics now) {
  now.n_rounds += before.n_rounds;
  now.n_plain_rounds += before.n_plain_rounds;
  now.n_closed_rounds += before.n_closed_rounds;
  now.n_drafted += before.n_drafted;
  now.n_accepted += before.n_accepted;
  now.n_generated += before.n_generated;
  now.n_prompt += before.n_prompt;
  now.n_prompt_reused += before.n_prompt_reused;
  now.by_depth.resize(std::max(now.by_depth.size(), before.by_depth.size()));
  for (std::size_t i = 0; i < before.by_depth.size(); ++i) {
    now.by_depth[i].n_drafted += before.by_depth[i].n_drafted;
    now.by_depth[i].n_accepted += before.by_depth[i].n_accepted;
  }
  for (const SourceCount& count : before.by_source) {
    SourceCount& total = count_of(now.by_source, count.name);
    total.n_drafted += count.n_drafted;
    total.n_accepted += count.n_accepted;
  }
  now.prompt_s += before.prompt_s;
  now.target_s += before.target_s;
  now.draft_s += before.draft_s;
  now.own_s += before.own_s;
  return now;
}

double rounds_seconds(const BatchStatistics& s) { return s.target_s + s.draft_s + s.own_s; }

// Of the requests that have ended.
struct TextCounts {
  std::size_t n_prompt = 0;
  std::size_t n_reused = 0;
  std::size_t longest = 0;
  std::size_t n_rounds = 0;  // of texts
};

// last: when they were told before, which the rates are since.
std::vector<MetricFamily> peer_families(const BatchStatistics& s, const BatchStatistics& last,
                                        const TextCounts& texts) {
  const auto rate = [](double n, double seconds) { return seconds > 0.0 ? n / seconds : 0.0; };
  const auto& depths = s.by_depth;
  return {
      single(kPeerPrompt, number(texts.n_prompt)),
      single(kPeerReused, number(texts.n_reused)),
      single(kPeerPromptSeconds, s.prompt_s),
      single(kPeerGenerated, number(s.n_generated)),
      single(kPeerSeconds, rounds_seconds(s)),
      single(kPeerRounds, number(s.n_rounds)),
      single(kPeerLongest, number(texts.longest)),
      single(kPeerDraftTokens, number(s.n_drafted)),
      single(kPeerAccepted, number(s.n_accepted)),
      single(kPeerDrafts, depths.empty() ? 0.0 : number(depths[0].n_drafted)),
      single(kPeerPromptRate, rate(number(s.n_prompt - last.n_prompt), s.prompt_s - last.prompt_s)),
      single(kPeerRate, rate(number(s.n_generated - last.n_generated),
                             rounds_seconds(s) - rounds_seconds(last))),
      single(kPeerActive, number(s.n_active)),
      single(kPeerWaiting, number(s.n_waiting)),
      single(kPeerBusy, rate(number(texts.n_rounds), number(s.n_rounds)))};
}

template <class Builder>
auto& make_family(Builder builder, prometheus::Registry& registry, std::string_view name) {
  const MetricDoc& doc = doc_of(name);
  return builder.Name(std::string(doc.name)).Help(std::string(doc.help)).Register(registry);
}

const prometheus::Histogram::BucketBoundaries kSecondBuckets = {
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0};
const prometheus::Histogram::BucketBoundaries kTokenBuckets = {1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24};

}  // namespace

std::span<const MetricDoc> metric_docs() { return kDocs; }

class Metrics::Impl {
 public:
  explicit Impl(std::size_t n)
      : n_slots(n),
        first(histogram(kFirst, kSecondBuckets)),
        gap(histogram(kGap, kSecondBuckets)),
        tokens_per_pass(histogram(kTokensPerPass, kTokenBuckets)),
        requests(make_family(prometheus::BuildCounter(), registry, kRequests)),
        request_seconds(make_family(prometheus::BuildHistogram(), registry, kRequestSeconds)) {}

  prometheus::Histogram& histogram(std::string_view name,
                                   const prometheus::Histogram::BucketBoundaries& buckets) {
    return make_family(prometheus::BuildHistogram(), registry, name).Add({}, buckets);
  }

  const std::size_t n_slots;
  prometheus::Registry registry;
  prometheus::Histogram& first;
  prometheus::Histogram& gap;
  prometheus::Histogram& tokens_per_pass;
  prometheus::Family<prometheus::Counter>& requests;
  prometheus::Family<prometheus::Histogram>& request_seconds;
  mutable std::mutex mutex;
  // Under the mutex.
  BatchStatistics earlier;    // of batches that are gone
  BatchStatistics batch;      // the same, with that of now
  BatchStatistics last_told;  // by text()
  TextCounts texts;
};

Metrics::Metrics(std::size_t n_slots) : impl_(std::make_unique<Impl>(n_slots)) {}
Metrics::~Metrics() = default;

void Metrics::set_batch(const BatchStatistics& statistics) {
  const std::lock_guard lock(impl_->mutex);
  impl_->batch = sum(impl_->earlier, statistics);
}

void Metrics::begin_batch() {
  const std::lock_guard lock(impl_->mutex);
  BatchStatistics& batch = impl_->batch;
  batch.n_active = batch.n_waiting = batch.n_cached_tokens = batch.n_cache_tokens = 0;
  impl_->earlier = batch;
}

void Metrics::observe_first_token(double seconds) { impl_->first.Observe(seconds); }
void Metrics::observe_gap(double seconds) { impl_->gap.Observe(seconds); }
void Metrics::observe_tokens_per_pass(std::size_t n_tokens) {
  impl_->tokens_per_pass.Observe(number(n_tokens));
  const std::lock_guard lock(impl_->mutex);
  ++impl_->texts.n_rounds;
}

void Metrics::count_text(std::size_t n_prompt, std::size_t n_reused, std::size_t n_generated) {
  const std::lock_guard lock(impl_->mutex);
  TextCounts& texts = impl_->texts;
  texts.n_prompt += n_prompt - std::min(n_reused, n_prompt);
  texts.n_reused += n_reused;
  texts.longest = std::max(texts.longest, n_prompt + n_generated);
}

void Metrics::count_request(const std::string& path, int status, double seconds) {
  impl_->requests.Add({{"path", path}, {"status", std::to_string(status)}}).Increment();
  impl_->request_seconds.Add({{"path", path}}, kSecondBuckets).Observe(seconds);
}

std::string Metrics::text() {
  std::vector<MetricFamily> families = impl_->registry.Collect();
  {
    const std::lock_guard lock(impl_->mutex);
    auto more = families_of(impl_->batch, impl_->n_slots);
    std::move(more.begin(), more.end(), std::back_inserter(families));
    auto peers = peer_families(impl_->batch, impl_->last_told, impl_->texts);
    impl_->last_told = impl_->batch;
    std::move(peers.begin(), peers.end(), std::back_inserter(families));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace gumbelspec::server

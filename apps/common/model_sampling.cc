#include "apps/common/model_sampling.h"

#include <charconv>
#include <limits>
#include <optional>
#include <string>
#include <system_error>

#include "apps/common/output.h"
#include "apps/common/sampling_options.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

template <class Number>
std::optional<Number> value_of(const LlamaModel& target, const std::string& key) {
  const std::string text = target.metadata(key);
  if (text.empty()) return std::nullopt;
  Number value{};
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc() && at == end) return value;
  say("the model's file has " + key + " = " + in_quotes(text) + ", which is no number; not used");
  return std::nullopt;
}

// What the file asks for and is not followed.
void tell_rest(const LlamaModel& target) {
  std::string rest;
  const std::string text = target.metadata("general.sampling.sequence");
  if (!text.empty()) rest = "general.sampling.sequence = " + visible(text);
  if (!rest.empty()) say("the model's file also has " + rest + ", which is not followed");
}

}  // namespace

void take_model_sampling(const Arguments& arguments, const LlamaModel& target,
                         SamplingOptions& options) {
  std::string told;
  const auto take = [&](const char* key, const char* option, auto& place) {
    using Number = std::remove_reference_t<decltype(place)>;
    if (arguments.is_given(option)) return;
    const auto value = value_of<Number>(target, std::string("general.sampling.") + key);
    if (!value) return;
    place = *value;
    told +=
        std::string(" ") + option + " " + target.metadata(std::string("general.sampling.") + key);
  };
  take("temp", "--temp", options.temperature);
  take("top_k", "--top-k", options.top_k);
  take("top_p", "--top-p", options.top_p);
  take("min_p", "--min-p", options.min_p);
  take("penalty_repeat", "--repeat-penalty", options.repeat_penalty);
  take("penalty_last_n", "--repeat-last-n", options.penalty_last_n);
  take("xtc_probability", "--xtc-probability", options.xtc_probability);
  take("xtc_threshold", "--xtc-threshold", options.xtc_threshold);
  take("mirostat", "--mirostat", options.mirostat);
  take("mirostat_tau", "--mirostat-ent", options.mirostat_tau);
  take("mirostat_eta", "--mirostat-lr", options.mirostat_eta);
  if (!told.empty()) {
    validate(options);
    say("the model's file asks for" + told + "; options given here go before them");
  }
  tell_rest(target);
  take_dry_breakers(dry_breaker_texts(arguments), target, options);
  for (const TokenId token : target.suppressed_tokens()) {
    options.logit_bias.push_back({token, -std::numeric_limits<float>::infinity()});
  }
}

}  // namespace gumbelspec::apps

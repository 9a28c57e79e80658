#include "apps/cli/selftest_report.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "apps/cli/guarantee.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/noise.h"

namespace gumbelspec::apps::cli {
namespace {

constexpr std::size_t kNameColumn = 38;

std::string result_line(const char* mark, std::string name, const std::string& detail) {
  name.resize(std::max(name.size() + 1, kNameColumn), ' ');
  return std::string("  ") + mark + name + detail + "\n";
}

std::string candidate(const std::string& piece) {
  return piece.empty() ? "the end" : in_quotes(piece);
}

std::string margin_text(float margin) {
  return std::isinf(margin) ? "unknown" : formatted("%.3g", static_cast<double>(margin));
}

std::string n_of(std::size_t n, const std::string& noun) {
  return std::to_string(n) + " " + noun + (n == 1 ? "" : "s");
}

std::size_t n_failed(const std::vector<testing::CheckResult>& checks) {
  return static_cast<std::size_t>(std::count_if(
      checks.begin(), checks.end(), [](const testing::CheckResult& c) { return !c.passed; }));
}

std::string verdict_text(const IdentityResult& identity) {
  const std::string of_texts = " of " + std::to_string(identity.n_texts()) + " texts differ";
  switch (identity.verdict()) {
    case Verdict::exact:
      return "exact on this machine (" + std::to_string(identity.n_texts()) + " texts, " +
             std::to_string(identity.n_tokens()) + " tokens, no difference)";
    case Verdict::nearly_exact:
      return "nearly exact on this machine (" + std::to_string(identity.n_different()) + of_texts +
             ", largest margin " + margin_text(identity.largest_margin()) + ")";
    case Verdict::not_promised:
      return "a seed's text depends on the method on this machine, as info says (" +
             std::to_string(identity.n_different()) + of_texts + ", largest margin " +
             margin_text(identity.largest_margin()) + ")";
    case Verdict::different:
      break;
  }
  return std::to_string(identity.n_different()) + of_texts + ", largest margin " +
         margin_text(identity.largest_margin()) + " (limits: 5 % of the texts, margin 0.3)";
}

const char* verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::exact:
      return "exact";
    case Verdict::nearly_exact:
      return "nearly exact";
    case Verdict::not_promised:
      return "not promised";
    case Verdict::different:
      break;
  }
  return "different";
}

Json margin_json(float margin) { return std::isinf(margin) ? Json(nullptr) : Json(margin); }

Json identity_json(const IdentityResult& identity) {
  Json methods = Json::array();
  Json differences = Json::array();
  for (const MethodIdentity& m : identity.methods) {
    const std::string name = to_string(m.method);
    methods.push_back({{"method", name},
                       {"n_texts", m.n_texts},
                       {"n_tokens", m.n_tokens},
                       {"n_different", m.differences.size()}});
    for (const Difference& d : m.differences) {
      differences.push_back({{"method", name},
                             {"prompt", d.prompt},
                             {"seed", d.seed},
                             {"position", d.position},
                             {"expected", visible(d.expected)},
                             {"got", visible(d.got)},
                             {"margin", margin_json(d.margin)}});
    }
  }
  return {{"verdict", verdict_name(identity.verdict())},
          {"n_texts", identity.n_texts()},
          {"n_tokens", identity.n_tokens()},
          {"n_different", identity.n_different()},
          {"largest_margin", margin_json(identity.largest_margin())},
          {"methods", methods},
          {"differences", differences}};
}

std::string number(double value) { return formatted("%.2g", value); }

std::string passes_text(const PassesResult& passes) {
  const std::string rows =
      std::to_string(passes.n_rows) + " rows of the target in passes of all kinds";
  std::string out = result_line(
      passes.passed() ? "ok    " : "FAIL  ", "passes",
      passes.n_rows == 0
          ? std::string("plain decoding is all that this model can do")
          : rows + (passes.n_different == 0
                        ? ": the bits of single tokens' rows"
                        : ": " + std::to_string(passes.n_different) +
                              " are not the bits of single tokens' rows, largest difference " +
                              number(static_cast<double>(passes.largest))));
  out += passes.said.holds ? "        a seed's text does not depend on the method, by:\n"
                           : "        a seed's text may depend on the method, by:\n";
  for (const std::string& line : guarantee_lines(passes.said)) out += "          " + line + "\n";
  return out;
}

std::string kind_text(const ReferenceResult& model, PassKind kind) {
  const RowDistances& ours = model.ours[static_cast<std::size_t>(kind)];
  const RowDistances& rounding = model.rounding[static_cast<std::size_t>(kind)];
  std::string detail = n_of(ours.n_rows(), "row") + ": " + number(ours.median()) +
                       " apart (limit " + number(model.limit()) + "; llama.cpp from itself " +
                       number(rounding.median()) + "), a logit at most " +
                       number(static_cast<double>(ours.largest())) + ", ";
  detail += ours.n_other_choices() == 0
                ? "same likeliest tokens"
                : n_of(ours.n_other_choices(), "other likeliest token") + ", margins up to " +
                      number(static_cast<double>(ours.largest_margin())) + " (limit " +
                      number(static_cast<double>(model.margin_limit())) + ")";
  if (ours.mean() > model.mean_limit()) {
    detail += ", some rows far more: root mean square " + number(ours.mean()) + " (limit " +
              number(model.mean_limit()) + ")";
  }
  return result_line(model.is_near(kind) ? "ok    " : "FAIL  ",
                     model.model + ", " + std::string(kPassKinds[static_cast<std::size_t>(kind)]),
                     detail);
}

Json distances_json(const RowDistances& rows) {
  return {{"n_rows", rows.n_rows()},
          {"median", rows.median()},
          {"mean", rows.mean()},
          {"largest_logit", rows.largest()},
          {"n_other_choices", rows.n_other_choices()},
          {"largest_margin", rows.largest_margin()}};
}

Json reference_json(const ReferenceReport& reference) {
  Json models = Json::array();
  for (const ReferenceResult& m : reference.models) {
    Json kinds = Json::array();
    for (std::size_t k = 0; k < kPassKinds.size(); ++k) {
      kinds.push_back({{"passes", kPassKinds[k]},
                       {"passed", m.is_near(static_cast<PassKind>(k))},
                       {"ours", distances_json(m.ours[k])},
                       {"rounding", distances_json(m.rounding[k])}});
    }
    models.push_back({{"model", m.model},
                      {"passed", m.passed()},
                      {"compared", m.compared},
                      {"rounding_of", m.rounding_of},
                      {"limit", m.limit()},
                      {"margin_limit", m.margin_limit()},
                      {"kinds", std::move(kinds)}});
  }
  return {{"passed", reference.passed()},
          {"n_tokens", reference.n_tokens},
          {"models", std::move(models)},
          {"same_seed",
           {{"passed", reference.passes.passed()},
            {"n_rows", reference.passes.n_rows},
            {"n_different", reference.passes.n_different},
            {"largest_logit", reference.passes.largest},
            {"said", guarantee_json(reference.passes.said)}}}};
}

Json checks_json(const std::vector<testing::CheckResult>& checks) {
  Json out = Json::array();
  for (const testing::CheckResult& c : checks) {
    out.push_back(
        {{"name", c.name}, {"passed", c.passed}, {"p_value", c.p_value}, {"detail", c.detail}});
  }
  return out;
}

}  // namespace

bool SelftestReport::passed() const {
  return (!identity || identity->verdict() != Verdict::different) &&
         (!reference || reference->passed()) && n_failed(distribution) == 0 &&
         n_failed(sabotage) == 0;
}

std::string identity_text(const IdentityResult& identity, std::span<const std::string> prompts) {
  const bool fails = identity.verdict() == Verdict::different;
  std::string out;
  for (const MethodIdentity& m : identity.methods) {
    const std::size_t n = m.differences.size();
    const std::string detail =
        n == 0 ? n_of(m.n_texts, "text") + ", " + std::to_string(m.n_tokens) + " tokens, identical"
               : std::to_string(n) + " of " + n_of(m.n_texts, "text") + " differ";
    out += result_line(n > 0 && fails ? "FAIL  " : "ok    ", to_string(m.method), detail);
    for (const Difference& d : m.differences) {
      out += "        prompt " + std::to_string(d.prompt + 1) + " (" +
             in_quotes(prompts[d.prompt]) + "), seed " + std::to_string(d.seed) + ", token " +
             std::to_string(d.position) + ": ar " + candidate(d.expected) + ", here " +
             candidate(d.got) + ", margin " + margin_text(d.margin) + "\n";
    }
  }
  return out;
}

std::string reference_text(const ReferenceReport& reference) {
  std::string out;
  for (const ReferenceResult& model : reference.models) {
    out += "      " + model.model + ": " + model.compared +
           ", against llama.cpp's defaults; rounding: " + model.rounding_of + "\n";
    for (std::size_t k = 0; k < kPassKinds.size(); ++k) {
      out += kind_text(model, static_cast<PassKind>(k));
    }
  }
  return out + passes_text(reference.passes);
}

std::string checks_text(std::span<const testing::CheckResult> checks,
                        const std::string& passed_word) {
  std::string out;
  for (const testing::CheckResult& c : checks) {
    out += result_line(c.passed ? "ok    " : "FAIL  ", c.name,
                       (c.passed ? passed_word : std::string()) + c.detail);
  }
  return out;
}

std::string summary_text(const SelftestReport& report) {
  const std::string identity =
      report.identity ? verdict_text(*report.identity) : report.identity_skipped;
  if (report.passed()) return "selftest passed: " + identity + "\n";
  std::string causes;
  const auto add = [&](bool failed, const std::string& cause) {
    if (failed) causes += (causes.empty() ? "" : "; ") + cause;
  };
  add(report.identity && report.identity->verdict() == Verdict::different, identity);
  if (report.reference) {
    for (const ReferenceResult& model : report.reference->models) {
      add(!model.passed(), "the " + model.model +
                               "'s logits are not llama.cpp's (try --no-kernels, and please report "
                               "it)");
    }
    add(!report.reference->passes.passed(),
        "the target's logits depend on the pass although they should not (please report it)");
  }
  const std::size_t n_wrong = n_failed(report.distribution);
  add(n_wrong > 0, std::to_string(n_wrong) + " of " +
                       n_of(report.distribution.size(), "distribution") + " wrong");
  const std::size_t n_missed = n_failed(report.sabotage);
  add(n_missed > 0,
      std::to_string(n_missed) + " of " + n_of(report.sabotage.size(), "sabotage") + " not caught");
  return "selftest FAILED: " + causes + "\n";
}

Json selftest_json(const SelftestReport& report) {
  Json identity = report.identity
                      ? identity_json(*report.identity)
                      : Json{{"verdict", "skipped"}, {"reason", report.identity_skipped}};
  return {{"passed", report.passed()},
          {"noise_version", kNoiseVersion},
          {"identity", std::move(identity)},
          {"reference", report.reference ? reference_json(*report.reference) : Json(nullptr)},
          {"distribution", checks_json(report.distribution)},
          {"sabotage", checks_json(report.sabotage)}};
}

}  // namespace gumbelspec::apps::cli

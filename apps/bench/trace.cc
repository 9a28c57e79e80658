#include "apps/bench/trace.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

constexpr std::string_view kMagic = "gsptrace";
constexpr std::size_t kPreamble = 16;  // magic, version, size of the header
constexpr std::size_t kChecksum = 8;
// More than any trace of a session has; a wrong number must not ask for all the memory.
constexpr std::size_t kMostTokens = std::size_t{1} << 24U;

// FNV-1a.
std::uint64_t checksum(std::string_view bytes) {
  std::uint64_t hash = 0xcbf29ce484222325U;
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
  }
  return hash;
}

class Writer {
 public:
  template <class Unsigned>
  void add(Unsigned value) {
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
      bytes_ += static_cast<char>(static_cast<unsigned char>(value >> (8U * i)));
    }
  }
  void add_text(std::string_view text) { bytes_ += text; }
  void add_float(float value) { add(std::bit_cast<std::uint32_t>(value)); }
  std::string& bytes() { return bytes_; }

 private:
  std::string bytes_;
};

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {}

  template <class Unsigned>
  Unsigned take() {
    const std::string_view part = take_text(sizeof(Unsigned));
    Unsigned value = 0;
    for (std::size_t i = 0; i < sizeof(Unsigned); ++i) {
      value = static_cast<Unsigned>(
          value | static_cast<Unsigned>(static_cast<Unsigned>(static_cast<unsigned char>(part[i]))
                                        << (8U * i)));
    }
    return value;
  }
  float take_float() { return std::bit_cast<float>(take<std::uint32_t>()); }
  std::string_view take_text(std::size_t n) {
    require(n <= bytes_.size());
    const std::string_view part = bytes_.substr(0, n);
    bytes_.remove_prefix(n);
    return part;
  }
  void require(bool holds) const {
    if (!holds) fail("is damaged");
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw Error(ErrorCode::invalid_option,
                "trace " + in_quotes(name_) + " " + what + "; record it again with --trace");
  }
  [[nodiscard]] bool is_empty() const { return bytes_.empty(); }

 private:
  std::string_view bytes_;
  const std::string& name_;
};

Json limits_json(const ModelLimits& l) {
  return {{"n_vocab", l.n_vocab},
          {"n_context", l.n_context},
          {"max_pass_nodes", l.max_pass_nodes},
          {"max_leaves", l.max_leaves},
          {"can_branch", l.can_branch},
          {"can_drop", l.can_drop},
          {"max_drop", l.max_drop},
          {"can_drop_passes", l.can_drop_passes}};
}

ModelLimits limits_of(const Json& json) {
  ModelLimits l;
  l.n_vocab = json.at("n_vocab");
  l.n_context = json.at("n_context");
  l.max_pass_nodes = json.at("max_pass_nodes");
  l.max_leaves = json.at("max_leaves");
  l.can_branch = json.at("can_branch");
  l.can_drop = json.at("can_drop");
  l.max_drop = json.value("max_drop", l.max_drop);
  l.can_drop_passes = json.value("can_drop_passes", l.can_drop_passes);
  return l;
}

Json costs_json(const std::vector<CostPoint>& curve) {
  Json json = Json::array();
  for (const CostPoint& p : curve) json.push_back({p.n, p.seconds});
  return json;
}

std::vector<CostPoint> costs_of(const Json& json) {
  std::vector<CostPoint> curve;
  for (const Json& p : json) curve.push_back({p.at(0), p.at(1)});
  return curve;
}

// Everything but the texts.
std::string header_text(const Trace& trace) {
  Json ends = Json::array();
  for (const TokenId token : trace.models.end_tokens) ends.push_back(index(token));
  Json temperatures = Json::array();
  for (const float t : trace.temperatures) temperatures.push_back(static_cast<double>(t));
  return Json{{"about", trace.about},
              {"target", limits_json(trace.models.limits[0])},
              {"draft", limits_json(trace.models.limits[1])},
              {"target_costs", costs_json(trace.models.costs[0])},
              {"draft_costs", costs_json(trace.models.costs[1])},
              {"end_tokens", ends},
              {"temperatures", temperatures},
              {"n_prompts", trace.n_prompts},
              {"n_runs", trace.n_runs},
              {"n_tokens", trace.n_tokens},
              {"seed", trace.seed},
              {"n_texts", trace.texts.size()}}
      .dump();
}

std::size_t read_header(std::string_view text, Trace& trace) {
  const Json json = Json::parse(text);
  trace.about = json.at("about");
  (void)trace.about.at("machine").at("cpu");
  (void)trace.about.at("versions").at("noise_version");
  (void)trace.about.at("models").at("target");
  (void)trace.about.at("settings").at("command");
  trace.models.limits = {limits_of(json.at("target")), limits_of(json.at("draft"))};
  trace.models.costs = {costs_of(json.at("target_costs")), costs_of(json.at("draft_costs"))};
  for (const Json& token : json.at("end_tokens")) {
    trace.models.end_tokens.push_back(token_id(token.get<std::size_t>()));
  }
  for (const Json& t : json.at("temperatures")) trace.temperatures.push_back(t.get<float>());
  trace.n_prompts = json.at("n_prompts");
  trace.n_runs = json.at("n_runs");
  trace.n_tokens = json.at("n_tokens");
  trace.seed = json.at("seed");
  return json.at("n_texts");
}

void add_row(Writer& out, const TraceRow& row) {
  out.add(static_cast<std::uint32_t>(row.tokens.size()));
  out.add(row.n_rest);
  out.add_float(row.log_rest);
  for (const TokenId token : row.tokens) out.add(static_cast<std::uint32_t>(index(token)));
  for (const float weight : row.weights) out.add(to_half(weight));
}

TraceRow take_row(Reader& in, std::size_t n_vocab) {
  TraceRow row;
  const std::size_t n = in.take<std::uint32_t>();
  in.require(n > 0 && n <= n_vocab);
  row.n_rest = in.take<std::uint32_t>();
  in.require(row.n_rest <= n_vocab - n);
  row.log_rest = in.take_float();
  in.require(row.n_rest == 0 || std::isfinite(row.log_rest));
  row.tokens.reserve(n);
  row.weights.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t token = in.take<std::uint32_t>();
    in.require(token < n_vocab && (i == 0 || token > index(row.tokens.back())));
    row.tokens.push_back(token_id(token));
  }
  for (std::size_t i = 0; i < n; ++i) {
    row.weights.push_back(from_half(in.take<std::uint16_t>()));
    in.require(std::isfinite(row.weights.back()));
  }
  return row;
}

void add_text(Writer& out, const TraceText& text) {
  out.add(static_cast<std::uint32_t>(text.temperature));
  out.add(static_cast<std::uint32_t>(text.prompt));
  out.add(static_cast<std::uint32_t>(text.run));
  out.add(text.stream);
  out.add(text.seed);
  out.add(static_cast<std::uint32_t>(text.n_prompt));
  out.add(static_cast<std::uint32_t>(text.tokens.size()));
  for (const TokenId token : text.tokens) out.add(static_cast<std::uint32_t>(index(token)));
  for (const TraceRow& row : text.target) add_row(out, row);
  for (const TraceRow& row : text.draft) add_row(out, row);
}

TraceText take_trace_text(Reader& in, const Trace& trace) {
  TraceText text;
  text.temperature = in.take<std::uint32_t>();
  text.prompt = in.take<std::uint32_t>();
  text.run = in.take<std::uint32_t>();
  text.stream = in.take<std::uint32_t>();
  text.seed = in.take<std::uint64_t>();
  text.n_prompt = in.take<std::uint32_t>();
  const std::size_t n_tokens = in.take<std::uint32_t>();
  in.require(text.temperature < trace.temperatures.size() && text.n_prompt > 0 &&
             n_tokens >= text.n_prompt && n_tokens <= kMostTokens);
  for (std::size_t i = 0; i < n_tokens; ++i) {
    const std::size_t token = in.take<std::uint32_t>();
    in.require(token < trace.models.limits[0].n_vocab);
    text.tokens.push_back(token_id(token));
  }
  for (std::size_t i = text.n_prompt; i < n_tokens; ++i) {
    text.target.push_back(take_row(in, trace.models.limits[0].n_vocab));
  }
  for (std::size_t i = text.n_prompt; i < n_tokens; ++i) {
    text.draft.push_back(take_row(in, trace.models.limits[1].n_vocab));
  }
  return text;
}

}  // namespace

std::uint16_t to_half(float value) {
  const auto bits = std::bit_cast<std::uint32_t>(value);
  const auto sign = static_cast<std::uint16_t>((bits >> 16U) & 0x8000U);
  constexpr float kLargest = 65504.0F;
  const float size = std::min(std::fabs(value), kLargest);
  // Numbers below 2^-14 have the spacing of those just above.
  constexpr float kSmallestNormal = 6.103515625e-05F;
  if (size < kSmallestNormal) {
    return static_cast<std::uint16_t>(sign | static_cast<unsigned>(std::lrint(size * 16777216.0F)));
  }
  std::uint32_t u = std::bit_cast<std::uint32_t>(size);
  u += 0xfffU + ((u >> 13U) & 1U);  // to the nearest, of two to the even one
  const std::uint32_t half = std::min<std::uint32_t>((u >> 13U) - (112U << 10U), 0x7bffU);
  return static_cast<std::uint16_t>(sign | half);
}

float from_half(std::uint16_t half) {
  const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000U) << 16U;
  const std::uint32_t exponent = (half >> 10U) & 0x1fU;
  const std::uint32_t fraction = half & 0x3ffU;
  float size = static_cast<float>(fraction) / 16777216.0F;
  if (exponent == 0x1fU) {
    size = fraction == 0 ? std::numeric_limits<float>::infinity()
                         : std::numeric_limits<float>::quiet_NaN();
  } else if (exponent > 0) {
    size = std::bit_cast<float>(((exponent + 112U) << 23U) | (fraction << 13U));
  }
  return std::bit_cast<float>(std::bit_cast<std::uint32_t>(size) | sign);
}

std::string trace_bytes(const Trace& trace) {
  const std::string header = header_text(trace);
  Writer out;
  out.add_text(kMagic);
  out.add(static_cast<std::uint32_t>(kTraceVersion));
  out.add(static_cast<std::uint32_t>(header.size()));
  out.add_text(header);
  for (const TraceText& text : trace.texts) add_text(out, text);
  const std::uint64_t sum = checksum(out.bytes());
  out.add(sum);
  return std::move(out.bytes());
}

Trace parse_trace(std::string_view bytes, const std::string& name) {
  Reader in(bytes, name);
  if (bytes.size() < kPreamble || bytes.substr(0, kMagic.size()) != kMagic) {
    throw Error(ErrorCode::invalid_option, in_quotes(name) +
                                               " is not a trace; give a file that gumbelspec bench "
                                               "--trace has written");
  }
  (void)in.take_text(kMagic.size());
  if (const auto version = in.take<std::uint32_t>(); version != kTraceVersion) {
    in.fail("has version " + std::to_string(version) + ", but this program reads version " +
            std::to_string(kTraceVersion));
  }
  const std::size_t n_header = in.take<std::uint32_t>();
  const std::size_t n_checked = bytes.size() - std::min(bytes.size(), kChecksum);
  Reader tail(bytes.substr(n_checked), name);
  if (n_header > n_checked - std::min(n_checked, kPreamble) ||
      checksum(bytes.substr(0, n_checked)) != tail.take<std::uint64_t>()) {
    in.fail("is cut short or was changed: its checksum is another one");
  }
  Trace trace;
  std::size_t n_texts = 0;
  try {
    n_texts = read_header(in.take_text(n_header), trace);
  } catch (const Json::exception&) {
    in.fail("has a header that cannot be read");
  }
  in.require(n_texts <= bytes.size());
  for (std::size_t i = 0; i < n_texts; ++i) trace.texts.push_back(take_trace_text(in, trace));
  (void)in.take_text(kChecksum);
  in.require(in.is_empty() && n_texts > 0);
  return trace;
}

Trace read_trace(const std::string& path) {
  std::string bytes;
  try {
    std::ifstream file;
    file.exceptions(std::ios::failbit | std::ios::badbit);
    file.open(path, std::ios::binary);
    bytes.assign(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios::failure&) {  // also if it is a folder
    throw Error(ErrorCode::file_not_found,
                "trace " + in_quotes(path) + " cannot be read; check the path");
  }
  return parse_trace(bytes, path);
}

}  // namespace gumbelspec::apps::bench

// What a schema's grammar says of texts, for oracles in other languages (tests/structure/ajv).
//   schema_texts [N]    N: texts to draw per schema
// stdin: a line {"schema": ..., "try": [text, ...]} per schema. stdout: a line per schema:
// {"texts": [...], "takes": [...], "dead_end": text} or {"error": message}.
#include <cstdint>
#include <iostream>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "apps/structure/json_schema.h"
#include "gumbelspec/error.h"
#include "src/llama/grammar_states.h"

namespace gumbelspec::testing {
namespace {

using Json = nlohmann::ordered_json;
using internal::GrammarPlace;
using internal::GrammarStates;
using internal::PlacePtr;

constexpr std::size_t kMostBytes = 4000;
constexpr std::size_t kLong = 200;  // from here on, what closes something is much more likely

bool takes(GrammarStates& states, const std::string& text) {
  PlacePtr at = states.begin();
  for (const char c : text) {
    states.begin_work();
    at = states.hold(states.next(*at, static_cast<std::uint8_t>(c)));
    if (at == nullptr) return false;
  }
  return at->may_end;
}

unsigned weight_of(unsigned byte, bool is_long) {
  const bool closes = byte == '"' || byte == ']' || byte == '}';
  if (is_long) return closes ? 200 : byte == '[' || byte == '{' ? 1 : 4;
  if (byte <= ' ' || byte >= 0x80) return 1;
  return closes ? 12 : 2;
}

// A text that ends, byte by byte at random. Empty: none was found; dead_end: nothing could follow.
std::string drawn(GrammarStates& states, std::mt19937& random, std::string& dead_end) {
  std::string text;
  PlacePtr at = states.begin();
  while (text.size() < kMostBytes) {
    states.begin_work();
    const bool is_long = text.size() > kLong;
    if (at->may_end && (is_long || random() % 2 == 0)) return text;
    std::vector<std::pair<std::uint8_t, GrammarPlace*>> ways;
    for (unsigned byte = 0; byte < 256; ++byte) {
      GrammarPlace* to = states.next(*at, static_cast<std::uint8_t>(byte));
      if (to != nullptr) ways.insert(ways.end(), weight_of(byte, is_long), {byte, to});
    }
    if (ways.empty() && at->may_end) return text;
    if (ways.empty()) {
      dead_end = text + " ";
      return {};
    }
    const auto& [byte, to] = ways[random() % ways.size()];
    text.push_back(static_cast<char>(byte));
    at = states.hold(to);
  }
  return {};
}

Json answer(const Json& question, int n_texts, std::mt19937& random) {
  Json out = Json::object();
  try {
    const std::string gbnf = structure::grammar_of_schema(question.at("schema").dump());
    GrammarStates states(internal::make_program(
        internal::parse_gbnf(gbnf, [](std::string_view) { return std::nullopt; })));
    out["texts"] = Json::array();
    for (int i = 0; i < n_texts; ++i) {
      std::string dead_end;
      const std::string text = drawn(states, random, dead_end);
      if (!text.empty()) out["texts"].push_back(text);
      if (!dead_end.empty()) out["dead_end"] = dead_end;
    }
    out["takes"] = Json::array();
    for (const Json& text : question.at("try")) {
      out["takes"].push_back(takes(states, text.get<std::string>()));
    }
  } catch (const Error& error) {
    out = {{"error", error.what()}};
  }
  return out;
}

}  // namespace
}  // namespace gumbelspec::testing

int main(int argc, char** argv) {
  using gumbelspec::testing::Json;
  std::mt19937 random(7);
  std::string line;
  while (std::getline(std::cin, line)) {
    const Json out =
        gumbelspec::testing::answer(Json::parse(line), argc > 1 ? std::stoi(argv[1]) : 10, random);
    std::cout << out.dump(-1, ' ', false, Json::error_handler_t::replace) << std::endl;
  }
}

#include "apps/bench/prompts.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <system_error>

#include "apps/common/arguments.h"
#include "apps/common/prompt.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

[[noreturn]] void fail(const std::string& name, std::size_t line, const std::string& what) {
  throw Error(ErrorCode::invalid_prompt,
              name + (line > 0 ? ", line " + std::to_string(line) : "") + ": " + what +
                  R"(; give a line {"prompt": "TEXT"} or {"turns": ["TEXT"]} for each prompt)");
}

std::string prompt_of(std::string_view text, const std::string& name, std::size_t line) {
  const json object = json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (object.is_discarded()) fail(name, line, "broken JSON " + in_quotes(text.substr(0, 40)));
  if (!object.is_object()) fail(name, line, "not a JSON object");
  json prompt;
  if (object.contains("prompt")) {
    prompt = object["prompt"];
  } else if (object.contains("turns") && object["turns"].is_array() && !object["turns"].empty()) {
    prompt = object["turns"][0];
  } else {
    fail(name, line, R"(neither "prompt" nor "turns")");
  }
  if (!prompt.is_string()) fail(name, line, "the prompt is not a text");
  const auto& value = prompt.get_ref<const std::string&>();
  if (value.empty()) fail(name, line, "the prompt is empty");
  return value;
}

}  // namespace

std::vector<std::string> parse_prompts(std::string_view text, const std::string& name) {
  std::vector<std::string> prompts;
  std::size_t line = 0;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    const std::string_view content = text.substr(begin, end - begin);
    ++line;
    begin = end + 1;
    if (content.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    prompts.push_back(prompt_of(content, name, line));
  }
  if (prompts.empty()) fail(name, 0, "no prompt");
  return prompts;
}

std::string shared_file(std::string_view name) {
  std::error_code failure;
  const fs::path program = fs::read_symlink("/proc/self/exe", failure);
  const fs::path path = program.parent_path().parent_path() / "share" / "gumbelspec" / name;
  return failure || !fs::exists(path, failure) ? std::string() : path.string();
}

std::vector<std::string> read_prompts(const std::string& path) {
  if (!path.empty()) {
    return parse_prompts(read_file(path),
                         path == "-" ? "standard input" : "file " + in_quotes(path));
  }
  const std::string file = shared_file("prompts/openings.jsonl");
  if (file.empty()) {
    throw Error(ErrorCode::file_not_found,
                "share/gumbelspec/prompts/openings.jsonl is missing; install it there or give "
                "prompts with --prompts FILE");
  }
  return parse_prompts(read_file(file), "file " + in_quotes(file));
}

}  // namespace gumbelspec::apps::bench

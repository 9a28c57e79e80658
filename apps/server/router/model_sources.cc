#include "apps/server/router/model_sources.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <regex>
#include <system_error>

#include "apps/common/utf8_stream.h"
#include "gumbelspec/error.h"

namespace gumbelspec::server {
namespace {

namespace fs = std::filesystem;

// The model's name; none: the file is no model, or not the first part of one.
std::optional<std::string> model_name(const fs::path& path) {
  if (path.extension() != ".gguf") return {};
  const std::string stem = path.stem().string();
  if (stem.rfind("mmproj", 0) == 0) return {};
  static const std::regex kPart("(.+)-([0-9]{5})-of-[0-9]{5}");
  std::smatch match;
  if (!std::regex_match(stem, match, kPart)) return stem;
  if (match[2].str() != "00001") return {};
  return match[1].str();
}

std::vector<ModelFile> files_of(const fs::path& folder) {
  std::vector<ModelFile> files;
  std::error_code failure;
  for (const auto& item : fs::directory_iterator(folder, failure)) {
    if (!item.is_regular_file(failure)) continue;
    if (const auto name = model_name(item.path())) files.push_back({*name, item.path().string()});
  }
  return files;
}

std::string trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\r");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\r") + 1 - begin));
}

Error wrong_line(std::size_t number, const std::string& why) {
  return {ErrorCode::invalid_option, "line " + std::to_string(number) + " " + why};
}

}  // namespace

std::vector<ModelFile> model_files(const std::string& folder) {
  std::error_code failure;
  if (!fs::is_directory(folder, failure)) {
    throw Error(ErrorCode::file_not_found, "--models-dir is " + apps::in_quotes(folder) +
                                               ", which is no folder; give one with GGUF files");
  }
  std::vector<ModelFile> files = files_of(folder);
  for (const auto& item : fs::directory_iterator(folder, failure)) {
    if (!item.is_directory(failure)) continue;
    const std::string name = item.path().filename().string();
    const std::vector<ModelFile> inner = files_of(item.path());
    for (const ModelFile& file : inner) {
      files.push_back({inner.size() == 1 ? name : name + "/" + file.name, file.path});
    }
  }
  std::sort(files.begin(), files.end(),
            [](const ModelFile& a, const ModelFile& b) { return a.path < b.path; });
  return files;
}

std::vector<Preset> parse_presets(std::string_view text) {
  std::vector<Preset> presets;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string line = trimmed(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty() || line.front() == ';' || line.front() == '#') continue;
    if (line.front() == '[') {
      const std::string name = trimmed(std::string_view(line).substr(1, line.size() - 2));
      if (line.back() != ']' || name.empty()) {
        throw wrong_line(number, "is no section; write [NAME]");
      }
      const bool is_twice = std::any_of(presets.begin(), presets.end(),
                                        [&](const Preset& p) { return p.name == name; });
      if (is_twice) throw wrong_line(number, "begins a section that there is already; join them");
      presets.push_back({name, {}});
      continue;
    }
    const std::size_t equals = line.find('=');
    const std::string key =
        trimmed(std::string_view(line).substr(0, std::min(equals, line.size())));
    if (equals == std::string::npos || key.empty()) {
      throw wrong_line(number, "is neither a section nor KEY = VALUE");
    }
    if (presets.empty()) {
      if (key == "version") continue;
      throw wrong_line(number, "stands before the first section; write [*] above it");
    }
    presets.back().values.emplace_back(key, trimmed(std::string_view(line).substr(equals + 1)));
  }
  return presets;
}

}  // namespace gumbelspec::server

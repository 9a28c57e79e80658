#include "apps/hub/names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <regex>
#include <string_view>

#include "apps/common/utf8_stream.h"
#include "apps/hub/hub.h"

namespace gumbelspec::hub {
namespace {

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  });
  return text;
}

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}

bool is_plain(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// As Hugging Face writes repositories, and nothing that would leave a folder.
bool is_repo(std::string_view text) {
  int n_slashes = 0;
  bool was_plain = false;
  for (const char c : text) {
    if (!is_plain(c) && (!was_plain || (c != '/' && c != '.' && c != '-'))) return false;
    n_slashes += c == '/' ? 1 : 0;
    was_plain = is_plain(c);
  }
  return was_plain && n_slashes == 1 && text.size() <= 256;
}

}  // namespace

RepoName parse_name(const std::string& text) {
  const std::size_t colon = text.rfind(':');
  RepoName name{text.substr(0, colon), colon == std::string::npos ? "" : text.substr(colon + 1)};
  const bool is_quant_plain = std::all_of(name.quant.begin(), name.quant.end(), [](char c) {
    return is_plain(c) || c == '-' || c == '.';
  });
  if (!is_repo(name.repo) || !is_quant_plain ||
      (colon != std::string::npos && name.quant.empty())) {
    throw Error(ErrorCode::invalid_option, "the model's name is " + apps::in_quotes(text) +
                                               "; give USER/MODEL or USER/MODEL:QUANT, e.g. "
                                               "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  }
  return name;
}

FileName read_file_name(const std::string& path) {
  constexpr std::string_view kEnd = ".gguf";
  FileName name;
  name.stem = path;
  if (path.size() <= kEnd.size() || path.substr(path.size() - kEnd.size()) != kEnd) return name;
  name.stem.resize(path.size() - kEnd.size());
  static const std::regex kPartPattern("^(.+)-([0-9]{5})-of-([0-9]{5})$");
  static const std::regex kQuantPattern("[-.]([A-Za-z0-9_]+)$");
  std::smatch match;
  if (std::regex_match(name.stem, match, kPartPattern)) {
    name.part = std::stoi(match[2]);
    name.n_parts = std::stoi(match[3]);
    name.stem = std::string(match[1]);
  }
  if (std::regex_search(name.stem, match, kQuantPattern)) name.quant = upper(match[1]);
  const std::string file = path.substr(path.rfind('/') + 1);
  constexpr std::array<std::string_view, 6> kOthers = {"mmproj",  "imatrix", "mtp-",
                                                       "eagle3-", "dflash-", "dspark-"};
  name.is_model = std::none_of(kOthers.begin(), kOthers.end(),
                               [&](std::string_view other) { return contains(file, other); });
  return name;
}

int choose_file(const std::vector<std::string>& paths, const std::string& quant) {
  const auto first = [&](const std::string& wanted) {
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const FileName name = read_file_name(paths[i]);
      if (!name.is_model || name.part != 1) continue;
      const std::string path = upper(paths[i]);
      const bool fits = wanted.empty() || contains(path, upper(wanted) + ".") ||
                        contains(path, upper(wanted) + "-");
      if (fits) return static_cast<int>(i);
    }
    return -1;
  };
  if (!quant.empty()) return first(quant);
  for (const char* usual : {"Q4_K_M", "Q8_0", ""}) {
    if (const int found = first(usual); found >= 0) return found;
  }
  return -1;
}

std::vector<int> parts_of(const std::vector<std::string>& paths, int chosen) {
  const FileName whole = read_file_name(paths[static_cast<std::size_t>(chosen)]);
  std::vector<int> parts;
  for (int part = 1; part <= whole.n_parts; ++part) {
    for (std::size_t i = 0; i < paths.size(); ++i) {
      const FileName name = read_file_name(paths[i]);
      if (name.stem == whole.stem && name.n_parts == whole.n_parts && name.part == part) {
        parts.push_back(static_cast<int>(i));
        break;
      }
    }
  }
  return parts;
}

std::string listed_quants(const std::vector<std::string>& paths) {
  std::vector<std::string> quants;
  for (const std::string& path : paths) {
    const FileName name = read_file_name(path);
    const bool is_new = std::find(quants.begin(), quants.end(), name.quant) == quants.end();
    if (name.is_model && !name.quant.empty() && is_new) quants.push_back(name.quant);
  }
  std::string listed;
  for (const std::string& quant : quants) listed += (listed.empty() ? "" : ", ") + quant;
  return listed;
}

namespace {

struct Family {
  std::string_view pattern;  // of the target's name, in lower case
  const char* draft;
  const char* what;
};

// Public pairs of one vocabulary; the first row that fits counts. A target as small as its draft is
// in none.
constexpr std::array<Family, 8> kFamilies = {{
    {"qwen2.5-coder-(3|7|14|32)b", "Qwen/Qwen2.5-Coder-0.5B-Instruct-GGUF:Q8_0", "0.5 GB"},
    {"qwen2.5-(3|7|14|32|72)b", "Qwen/Qwen2.5-0.5B-Instruct-GGUF:Q8_0", "0.7 GB"},
    {"qwen3-(4|8|14|32)b", "Qwen/Qwen3-0.6B-GGUF:Q8_0", "0.6 GB"},
    {"qwen3-(30|235)b-a", "Qwen/Qwen3-0.6B-GGUF:Q8_0", "0.6 GB"},
    {"llama-3\\.1-(8|70|405)b", "bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", "1.3 GB"},
    {"llama-3\\.3-70b", "bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", "1.3 GB"},
    {"llama-3\\.2-3b", "bartowski/Llama-3.2-1B-Instruct-GGUF:Q8_0", "1.3 GB"},
    {"gemma-3-(4|12|27)b", "ggml-org/gemma-3-270m-it-GGUF:Q8_0", "0.3 GB"},
}};

}  // namespace

KnownDraft known_draft(const std::string& target) {
  std::string name = target;
  std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  });
  for (const Family& family : kFamilies) {
    if (std::regex_search(name, std::regex(std::string(family.pattern)))) {
      return {family.draft, family.what};
    }
  }
  return {};
}

}  // namespace gumbelspec::hub

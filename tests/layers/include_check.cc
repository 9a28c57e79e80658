#include "tests/layers/include_check.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;

bool is_below(const std::string& path, const std::string& folder) {
  return path == folder || path.rfind(folder + "/", 0) == 0;
}

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

bool is_source(const fs::path& path) {
  const std::string extension = path.extension().string();
  return extension == ".h" || extension == ".cc" || extension == ".inc";
}

class Checker {
 public:
  Checker(const fs::path& root, const Rules& rules) : root_(root), rules_(rules) {}
  Findings run();

 private:
  void check_order();
  void find_public_headers();
  void find_files(const fs::path& folder);
  void check_file(const std::string& file);
  void check_own(const std::string& file, const Folder& folder, const std::string& target);
  void check_foreign(const std::string& file, const Folder& folder, const std::string& name,
                     bool is_quoted);
  void find_circles(const std::string& file);
  void refuse(const std::string& file, const std::string& what) {
    findings_.violations.push_back(file + ": " + what);
  }
  // The file of the tree that an include means.
  [[nodiscard]] std::optional<std::string> resolved(const std::string& file,
                                                    const std::string& name) const;
  // Its row; null: there is none.
  [[nodiscard]] const Folder* folder_of(const std::string& file) const;

  const fs::path root_;
  const Rules& rules_;
  Findings findings_;
  std::set<std::string> files_;
  std::map<std::string, std::string> public_layers_;  // of "include/gumbelspec/batch.h": "engine"
  std::map<std::string, std::vector<std::string>> edges_;
  std::map<std::string, int> visits_;  // 1: on the way, 2: done
};

// Rows that name only rows before them have no circle.
void Checker::check_order() {
  std::set<std::string> before;
  for (const Folder& folder : rules_.folders) {
    for (const std::string& used : folder.uses) {
      if (used != "*" && before.count(used) == 0) {
        refuse(folder.name, "uses " + used + ", which has no row before it");
      }
    }
    before.insert(folder.name);
  }
}

void Checker::find_public_headers() {
  const std::string command = "gumbelspec_public_headers(";
  for (const auto& entry : fs::directory_iterator(root_ / "src")) {
    const fs::path list = entry.path() / "CMakeLists.txt";
    if (!fs::exists(list)) continue;
    const std::string text = text_of(list);
    for (std::size_t at = text.find(command); at != std::string::npos;
         at = text.find(command, at)) {
      at += command.size();
      std::istringstream words(text.substr(at, text.find(')', at) - at));
      std::string layer;
      words >> layer;
      for (std::string header; words >> header;) {
        public_layers_["include/gumbelspec/" + header] = layer;
        findings_.public_headers.insert(header);
      }
    }
  }
  public_layers_["include/gumbelspec/gumbelspec.h"] = "all";
}

void Checker::find_files(const fs::path& folder) {
  for (const auto& entry : fs::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (entry.is_directory()) {
      if (name[0] != '.' && name != "node_modules") find_files(entry.path());
    } else if (is_source(entry.path())) {
      files_.insert(entry.path().lexically_relative(root_).generic_string());
    }
  }
}

std::optional<std::string> Checker::resolved(const std::string& file,
                                             const std::string& name) const {
  const fs::path own = fs::path(file).parent_path();
  for (const fs::path& folder : {own, fs::path(), fs::path("include"), fs::path("kernels/include"),
                                 fs::path("kernels/src")}) {
    const std::string path = (folder / name).lexically_normal().generic_string();
    if (files_.count(path) != 0) return path;
  }
  return std::nullopt;
}

const Folder* Checker::folder_of(const std::string& file) const {
  const auto layer = public_layers_.find(file);
  const std::string path = layer == public_layers_.end() ? file : "public " + layer->second;
  const Folder* found = nullptr;
  for (const Folder& folder : rules_.folders) {
    if (!is_below(path, folder.name)) continue;
    if (found == nullptr || folder.name.size() > found->name.size()) found = &folder;
  }
  return found;
}

void Checker::check_file(const std::string& file) {
  const Folder* folder = folder_of(file);
  if (folder == nullptr) return refuse(file, "belongs to no layer; give it a row");
  ++findings_.n_files[folder->name];
  for (const std::string& include : includes_of(root_ / file)) {
    const std::string name = include.substr(1);
    if (const auto target = resolved(file, name)) {
      check_own(file, *folder, *target);
    } else {
      check_foreign(file, *folder, name, include[0] == '"');
    }
  }
}

void Checker::check_own(const std::string& file, const Folder& folder, const std::string& target) {
  edges_[file].push_back(target);
  const Folder* used = folder_of(target);
  if (used == nullptr || used == &folder) return;  // without a layer: told once, with that file
  const auto allows = [&](const std::string& name) { return name == "*" || name == used->name; };
  if (std::any_of(folder.uses.begin(), folder.uses.end(), allows)) return;
  refuse(file, folder.name + " may not use " + used->name + ", but includes " + target);
}

void Checker::check_foreign(const std::string& file, const Folder& folder, const std::string& name,
                            bool is_quoted) {
  bool is_library = false;
  for (const Library& library : rules_.libraries) {
    if (name.rfind(library.prefix, 0) != 0) continue;
    is_library = true;
    for (const std::string& place : library.folders) {
      if (is_below(file, place)) return;
    }
  }
  if (is_library) return refuse(file, "may not include " + name);
  if (is_quoted) return refuse(file, "includes " + name + ", which is not in the tree");
  if (folder.is_standard_only && name.find_first_of("./") != std::string::npos) {
    refuse(file, folder.name + " knows the standard library only, but includes " + name);
  }
}

void Checker::find_circles(const std::string& file) {
  visits_[file] = 1;
  for (const std::string& target : edges_[file]) {
    if (visits_[target] == 1 && target != file) refuse(file, "includes " + target + " in a circle");
    if (visits_[target] == 0) find_circles(target);
  }
  visits_[file] = 2;
}

Findings Checker::run() {
  check_order();
  find_public_headers();
  std::set<std::string> tops;
  for (const Folder& folder : rules_.folders) tops.insert(*fs::path(folder.name).begin());
  for (const auto& entry : fs::directory_iterator(root_)) {
    const std::string name = entry.path().filename().string();
    const bool has_code = name == "include" || tops.count(name) != 0;
    if (entry.is_directory() && (has_code || fs::exists(entry.path() / "CMakeLists.txt"))) {
      find_files(entry.path());
    }
  }
  for (const std::string& file : files_) check_file(file);
  for (const std::string& file : files_) {
    if (visits_[file] == 0) find_circles(file);
  }
  return findings_;
}

}  // namespace

std::vector<std::string> includes_of(const fs::path& file) {
  std::istringstream lines(text_of(file));
  std::vector<std::string> names;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    char hash = 0;
    std::string word;
    if (!(words >> hash) || hash != '#' || !(words >> word) || word.rfind("include", 0) != 0) {
      continue;
    }
    const std::size_t begin = line.find_first_of("\"<");
    if (begin == std::string::npos) continue;
    const std::size_t end = line.find(line[begin] == '<' ? '>' : '"', begin + 1);
    names.push_back(line.substr(begin, end - begin));
  }
  return names;
}

Findings check_includes(const fs::path& root, const Rules& rules) {
  return Checker(root, rules).run();
}

}  // namespace gumbelspec::testing

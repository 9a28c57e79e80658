// Which models there are: files of a folder, sections of a file of presets.
#ifndef GUMBELSPEC_APPS_SERVER_ROUTER_MODEL_SOURCES_H_
#define GUMBELSPEC_APPS_SERVER_ROUTER_MODEL_SOURCES_H_

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gumbelspec::server {

struct ModelFile {
  std::string name;  // without ".gguf", and without the number of a part
  std::string path;
};

// The folder's GGUF files, and those of the folders in it, which are called like the folder where
// that has a single model. Parts of a model count as one; "mmproj*" is no model.
// Throws: Error{file_not_found} where it is no folder.
[[nodiscard]] std::vector<ModelFile> model_files(const std::string& folder);

struct Preset {
  std::string name;                                         // "*": of all models
  std::vector<std::pair<std::string, std::string>> values;  // in their order
};

// An INI file: [section], key = value, lines that begin with ; or # are comments. Only "version"
// may stand before the first section.
// Throws: Error{invalid_option} with the line.
[[nodiscard]] std::vector<Preset> parse_presets(std::string_view text);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_ROUTER_MODEL_SOURCES_H_

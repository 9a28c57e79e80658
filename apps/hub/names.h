// What names of files say: quantization, parts.
#ifndef GUMBELSPEC_APPS_HUB_NAMES_H_
#define GUMBELSPEC_APPS_HUB_NAMES_H_

#include <string>
#include <vector>

namespace gumbelspec::hub {

// "dir/model-Q4_K_M-00001-of-00003.gguf"
struct FileName {
  std::string stem;   // "dir/model-Q4_K_M"
  std::string quant;  // "Q4_K_M"; empty: none
  int part = 1;
  int n_parts = 1;
  bool is_model = false;  // a .gguf file, and no projector, matrix or draft head of another one
};
[[nodiscard]] FileName read_file_name(const std::string& path);

// Of the paths the one that a quant stands for, as llama.cpp chooses; -1: none.
[[nodiscard]] int choose_file(const std::vector<std::string>& paths, const std::string& quant);

// Indices of all parts of the file, in their order; itself alone if it is whole.
[[nodiscard]] std::vector<int> parts_of(const std::vector<std::string>& paths, int chosen);

// The quants to choose from, for messages: "Q4_K_M, Q8_0".
[[nodiscard]] std::string listed_quants(const std::vector<std::string>& paths);

}  // namespace gumbelspec::hub

#endif  // GUMBELSPEC_APPS_HUB_NAMES_H_

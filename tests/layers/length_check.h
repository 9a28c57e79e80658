// How long the files of a source tree and their functions are.
#ifndef GUMBELSPEC_TESTS_LAYERS_LENGTH_CHECK_H_
#define GUMBELSPEC_TESTS_LAYERS_LENGTH_CHECK_H_

#include <cstddef>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::testing {

// A function that is defined in a file, from its first line to its closing brace. Functions inside
// functions count to them.
struct FunctionLength {
  std::string name;      // "Session::start"; of a test "TEST(Walk, Stops)"
  std::size_t line = 0;  // counted from 1
  std::size_t n_lines = 0;
};

// Reads C++ as clang-format writes it, without understanding it: comments, strings and directives
// are left out, and what stands before a brace says what it opens.
[[nodiscard]] std::vector<FunctionLength> functions_of(std::string_view source);

struct LengthRules {
  std::size_t most_file_lines = 0;
  std::size_t most_function_lines = 0;
  // More lines than that, by "folder/file.cc", or by "folder/file.cc: function_name".
  std::map<std::string, std::size_t> exceptions = {};
};

// What is too long, a line each. Files: .h, .cc, .inc below the folders.
// Throws: std::runtime_error where a file cannot be read.
[[nodiscard]] std::vector<std::string> too_long(const std::filesystem::path& root,
                                                const std::vector<std::string>& folders,
                                                const LengthRules& rules);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LAYERS_LENGTH_CHECK_H_

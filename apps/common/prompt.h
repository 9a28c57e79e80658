// The prompt, from the command line, a file or standard input.
#ifndef GUMBELSPEC_APPS_COMMON_PROMPT_H_
#define GUMBELSPEC_APPS_COMMON_PROMPT_H_

#include <optional>
#include <string>

namespace gumbelspec::apps {

// All bytes of a file; "-" is standard input. Throws: Error{file_not_found}; Stopped.
[[nodiscard]] std::string read_file(const std::string& path);

// The prompt of -p or of -f; of a file's final line break nothing is left, as in llama.cpp.
// Throws: Error{invalid_option} unless there is exactly one; Error{invalid_prompt} if it is empty
// or not UTF-8; what read_file() throws.
[[nodiscard]] std::string read_prompt(const std::optional<std::string>& text,
                                      const std::optional<std::string>& path);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_PROMPT_H_

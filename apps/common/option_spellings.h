// Names of options as llama.cpp spells them (-ngl), and as CLI11 can have them (--gpu-layers).
#ifndef GUMBELSPEC_APPS_COMMON_OPTION_SPELLINGS_H_
#define GUMBELSPEC_APPS_COMMON_OPTION_SPELLINGS_H_

#include <string>
#include <vector>

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gumbelspec::apps {

// "-ngl" -> "--gpu-layers"; what is no such spelling stays as it is.
[[nodiscard]] std::string long_spelling(const std::string& argument);
// "-n,--predict,--n-predict" -> "-n/--predict"; "--gpu-layers" -> "-ngl/--gpu-layers".
[[nodiscard]] std::string told_name(const std::string& names);

// All names of an option as the help shows them, and with ", " between them.
[[nodiscard]] std::vector<std::string> names_of(const CLI::Option& option);
[[nodiscard]] std::string displayed(const CLI::Option& option);
[[nodiscard]] bool takes_value(const CLI::Option& option);

// The program's help and its commands' are written in our way.
void set_help_format(CLI::App& program);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_OPTION_SPELLINGS_H_

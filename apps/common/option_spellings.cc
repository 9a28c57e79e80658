#include "apps/common/option_spellings.h"

#include <CLI/CLI.hpp>
#include <array>
#include <string_view>

namespace gumbelspec::apps {
namespace {

struct Spelling {
  std::string_view given;
  std::string_view long_name;
};

constexpr std::array<Spelling, 31> kSpellings = {{
    {"-cmoe", "--cpu-moe"},
    {"-Cr", "--cpu-range"},
    {"-ctk", "--cache-type-k"},
    {"-ctkd", "--cache-type-k-draft"},
    {"-ctv", "--cache-type-v"},
    {"-ctvd", "--cache-type-v-draft"},
    {"-dev", "--device"},
    {"-devd", "--device-draft"},
    {"-hf", "--hf-repo"},
    {"-hfd", "--hf-repo-draft"},
    {"-hff", "--hf-file"},
    {"-hft", "--hf-token"},
    {"-jf", "--json-schema-file"},
    {"-lm", "--load-mode"},
    {"-md", "--model-draft"},
    {"-ngl", "--gpu-layers"},
    {"-ngld", "--gpu-layers-draft"},
    {"-mg", "--main-gpu"},
    {"-mu", "--model-url"},
    {"-ncmoe", "--n-cpu-moe"},
    {"-np", "--parallel"},
    {"-ot", "--override-tensor"},
    {"-sm", "--split-mode"},
    {"-st", "--single-turn"},
    {"-sys", "--system-prompt"},
    {"-sysf", "--system-prompt-file"},
    {"-tb", "--threads-batch"},
    {"-td", "--threads-draft"},
    {"-to", "--timeout"},
    {"-ts", "--tensor-split"},
    {"-ub", "--ubatch-size"},
}};

}  // namespace

std::string long_spelling(const std::string& argument) {
  for (const Spelling& spelling : kSpellings) {
    if (argument == spelling.given) return std::string(spelling.long_name);
  }
  return argument;
}

bool takes_value(const CLI::Option& option) { return option.get_expected_min() > 0; }

std::vector<std::string> names_of(const CLI::Option& option) {
  std::vector<std::string> names;
  for (const std::string& name : option.get_snames()) names.push_back("-" + name);
  for (const std::string& name : option.get_lnames()) {
    for (const Spelling& spelling : kSpellings) {
      if (spelling.long_name == "--" + name) names.emplace_back(spelling.given);
    }
  }
  for (const std::string& name : option.get_lnames()) names.push_back("--" + name);
  return names;
}

std::string displayed(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : names_of(option)) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? option.get_name() : names;
}

std::string told_name(const std::string& names) {
  const std::size_t begin = names.find("--");
  const std::string long_name = names.substr(begin, names.find(',', begin) - begin);
  std::string short_name = names.substr(0, begin == 0 ? 0 : begin - 1);
  for (const Spelling& spelling : kSpellings) {
    if (spelling.long_name == long_name) short_name = spelling.given;
  }
  return short_name.empty() ? long_name : short_name + "/" + long_name;
}

}  // namespace gumbelspec::apps

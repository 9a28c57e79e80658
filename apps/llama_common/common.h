// What the files that we take from llama.cpp's common/ want of its common.h, which would bring
// llama.h, the command line, downloads, ...
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_

#include <cstddef>
#include <string>
#include <vector>

std::string string_join(const std::vector<std::string>& values, const std::string& separator);
std::vector<std::string> string_split(const std::string& text, const std::string& delimiter);
std::string string_repeat(const std::string& text, std::size_t n);

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_

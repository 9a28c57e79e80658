// What the files that we take from llama.cpp's common/ want of its common.h, which would bring
// llama.h, the command line, downloads, ...
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

std::string string_join(const std::vector<std::string>& values, const std::string& separator);
std::vector<std::string> string_split(const std::string& text, const std::string& delimiter);
std::string string_repeat(const std::string& text, std::size_t n);

// json-schema-to-grammar.cpp only warns, on standard error, of what it leaves out of a schema, with
// parts of the schema. Here that is an error. Throws: std::invalid_argument.
int gumbelspec_schema_warning(FILE* file, const char* format, ...);
#define fprintf gumbelspec_schema_warning

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_

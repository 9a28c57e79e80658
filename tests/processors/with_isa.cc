// with-isa SET PROGRAM [ARGUMENT...]: runs a program with our code confined to an instruction set,
// or says that this processor lacks it and ends with 77, which ctest counts as skipped. Fails where
// a pattern of GoogleTest's --gtest_filter fits no test of the program.
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>

#include "gumbelspec/simd.h"
#ifdef GUMBELSPEC_TEST_KERNELS
#include "kernels/src/isa.h"
#endif

namespace {

constexpr int kSkipped = 77;

struct Set {
  std::string_view name;
  gumbelspec::Simd simd;  // of core
  const char* kernels;    // GUMBELSPEC_KERNELS_ISA
};

constexpr Set kSets[] = {
    {"scalar", gumbelspec::Simd::scalar, "off"},    {"avx2", gumbelspec::Simd::avx2, "avx2"},
    {"avxvnni", gumbelspec::Simd::avx2, "avxvnni"}, {"avx512", gumbelspec::Simd::avx512, "avx512"},
    {"amx", gumbelspec::Simd::avx512, "amx"},
};

bool has_kernels([[maybe_unused]] const Set& set) {
#ifdef GUMBELSPEC_TEST_KERNELS
  bool is_known = false;
  return set.name == "scalar" || gumbelspec::kernels::find_kernels(set.kernels, &is_known);
#else
  return true;
#endif
}

// Whether `program` has a test that fits. Names of tests stand behind two spaces in its list.
bool has_test(const char* program, const std::string& pattern) {
  const std::string command =
      "'" + std::string(program) + "' --gtest_list_tests '--gtest_filter=" + pattern + "'";
  FILE* list = ::popen(command.c_str(), "r");
  if (list == nullptr) return false;
  bool is_there = false;
  char line[4096];
  while (std::fgets(line, sizeof line, list) != nullptr) {
    is_there = is_there || (line[0] == ' ' && line[1] == ' ');
  }
  return ::pclose(list) == 0 && is_there;
}

// The first pattern of the filter that fits no test; empty: none.
std::string stale_pattern(const char* program, std::string_view argument) {
  constexpr std::string_view kFilter = "--gtest_filter=";
  if (argument.substr(0, kFilter.size()) != kFilter) return {};
  argument.remove_prefix(kFilter.size());
  while (!argument.empty()) {
    const std::size_t colon = std::min(argument.find(':'), argument.size());
    const std::string pattern(argument.substr(0, colon));
    if (!has_test(program, pattern)) return pattern;
    argument.remove_prefix(std::min(colon + 1, argument.size()));
  }
  return {};
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 2 ? argv[1] : "";
  const Set* set = std::find_if(std::begin(kSets), std::end(kSets),
                                [&](const Set& candidate) { return candidate.name == name; });
  if (set == std::end(kSets)) {
    std::fputs("with-isa: give scalar, avx2, avxvnni, avx512 or amx, and a program\n", stderr);
    return 1;
  }
  if (set->simd > gumbelspec::best_simd() || !has_kernels(*set)) {
    std::printf("skipped: this processor or build has no %s\n", argv[1]);
    return kSkipped;
  }
  for (int i = 3; i < argc; ++i) {
    const std::string stale = stale_pattern(argv[2], argv[i]);
    if (stale.empty()) continue;
    std::fprintf(stderr, "with-isa: no test fits %s\n", stale.c_str());
    return 1;
  }
  ::setenv("GUMBELSPEC_SIMD", gumbelspec::simd_name(set->simd).data(), 1);
  ::setenv("GUMBELSPEC_KERNELS_ISA", set->kernels, 1);
  ::setenv("GUMBELSPEC_TEST_ISA", argv[1], 1);
  ::execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 1;
}

// The shared library's border: the functions of its header and no others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <sstream>
#include <string>

#include "bindings/c/include/gumbelspec_c.h"
#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

std::set<std::string> functions_of_header() {
  std::ifstream file(GUMBELSPEC_C_HEADER);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  std::set<std::string> names;
  const std::regex declaration(R"(GUMBELSPEC_API [a-z_ *]*?\b(gumbelspec_[a-z_]+)\()");
  for (std::sregex_iterator i(text.begin(), text.end(), declaration), end; i != end; ++i) {
    names.insert((*i)[1]);
  }
  return names;
}

TEST(CApiSymbols, AreThoseOfTheHeader) {
  const ProcessResult nm =
      Process(GUMBELSPEC_NM, {"-D", "--defined-only", GUMBELSPEC_C_LIBRARY}).finish();
  ASSERT_EQ(nm.exit_code, 0) << nm.err;
  std::set<std::string> names;
  std::istringstream lines(nm.out);
  for (std::string line; std::getline(lines, line);) {
    const std::string name = line.substr(line.rfind(' ') + 1);
    if (name == "GUMBELSPEC_C_1") continue;  // the version's own
    EXPECT_EQ(name.substr(name.find("@@")), "@@GUMBELSPEC_C_1");
    names.insert(name.substr(0, name.find("@@")));
  }
  EXPECT_EQ(names, functions_of_header());
  EXPECT_GE(names.size(), 20U);
}

TEST(CApiSymbols, TheAbiIsTheOneInTheLibrarysName) {
  EXPECT_EQ(gumbelspec_abi(), GUMBELSPEC_ABI);
  EXPECT_THAT(std::string(GUMBELSPEC_C_LIBRARY),
              ::testing::HasSubstr(".so." + std::to_string(GUMBELSPEC_ABI)));
  EXPECT_NE(std::string(gumbelspec_version()), "");
}

}  // namespace
}  // namespace gumbelspec::testing

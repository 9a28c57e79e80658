// Arrows between folders, read from the includes of the source tree (docs/architecture.md).
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "tests/layers/include_check.h"

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

using Names = std::vector<std::string>;

Names operator+(Names names, const Names& more) {
  names.insert(names.end(), more.begin(), more.end());
  return names;
}

// From the bottom up. An app sees public headers only.
Rules house_rules() {
  const Names core = {"public core"};
  const Names engine = core + Names{"public engine"};
  const Names all = engine + Names{"public llama", "public pair"};
  const Names sources = {"src/core", "src/engine", "src/llama", "src/pair"};
  const Names server = {"apps/server/api", "apps/server/service", "apps/server/router",
                        "apps/server/http"};
  const std::string utf8 = "apps/common/utf8_stream.h";
  const Names common = all + Names{"src/pair", "apps/common", "apps/hub", "apps/structure", utf8};
  const Names free = {"*"};
  Rules rules;
  rules.folders = {
      {"public core", {}, true},
      {"public engine", core, true},
      {"public llama", engine, true},
      {"public pair", engine + Names{"public llama"}, true},
      {"public all", all, true},
      {"src/core", core, true},
      {"src/engine", engine + Names{"src/core"}, true},
      {"src/llama", engine + Names{"public llama"}},
      {"kernels/include", {}},
      {"src/pair", all + Names{"kernels/include"}},
      {"kernels/src", {"kernels/include"}},
      // Below the apps: the program's self-test has its checks from here.
      {"testing", all + sources + Names{"kernels/include"}},
      {"apps/llama_common", {}},
      {"apps/structure", core},
      {utf8, {}},
      // Of apps/common, which fetches models through it, the UTF-8 alone.
      {"apps/hub", core + Names{utf8}},
      {"apps/common", all + Names{"src/pair", "apps/hub", utf8}},
      {"apps/server/api", common + Names{"apps/llama_common"}},
      {"apps/server/service", common + Names{"apps/server/api"}},
      {"apps/server/router", common + Names{"apps/server/api"}},
      {"apps/server/http",
       common + Names{"apps/server/api", "apps/server/service", "apps/server/router"}},
      {"apps/bench", common},
      // The rejection methods on a recorded text, in the shapes of the engine's own.
      {"apps/bench/hindsight.cc", common + Names{"src/core", "src/engine", "apps/bench"}},
      {"apps/scale", common},
      {"apps/chat", common + Names{"apps/server/api"}},
      {"apps/cli", common + server + Names{"apps/bench", "apps/chat", "testing"}},
      {"bindings/c/include", {}},
      {"bindings/c", common + Names{"apps/server/api", "bindings/c/include"}},
      {"testing/zoo", free},
      {"tests", free},
      {"bench", free},
      {"fuzz", free},
  };
  const Names tests = {"tests", "testing", "bench", "fuzz"};
  rules.libraries = {
      {"llama.h", tests + Names{"src/llama"}},
      {"llama-", tests + Names{"src/llama"}},
      {"llama_libraries.h", tests + Names{"src/llama"}},  // made by CMake
      {"ggml", tests + Names{"src/llama", "kernels", "apps/scale"}},
      {"gguf.h", tests + Names{"src/llama", "apps/scale"}},
      {"tests/test-llama-archs.cpp", {"testing/zoo"}},  // llama.cpp's
      // llama.cpp's chat code.
      {"jinja/", {"apps/llama_common"}},
      {"json.h", {"apps/llama_common"}},
      {"chat", {"apps/llama_common"}},
      {"server-chat.h", {"apps/llama_common"}},
      {"httplib.h", tests + Names{"apps/hub", "apps/server/http"}},
      {"openssl/", tests},
      {"prometheus/", {"apps/server/service"}},
      {"nlohmann/", tests + Names{"apps", "src/pair"}},
      {"CLI/", {"apps/common"}},
      {"Random123/", {"src/core", "tests/core"}},
      {"immintrin.h", tests + Names{"src/core", "kernels"}},
      {"gtest/", {"tests"}},
      {"gmock/", {"tests"}},
      {"benchmark/", {"bench"}},
  };
  return rules;
}

TEST(Layers, NoIncludeOfThisTreeGoesUpOrAround) {
  const Rules rules = house_rules();
  const Findings findings = check_includes(GUMBELSPEC_SOURCE_DIR, rules);
  for (const std::string& violation : findings.violations) ADD_FAILURE() << violation;
  // Rows without files would be rules about nothing.
  for (const Folder& folder : rules.folders) {
    EXPECT_TRUE(findings.n_files.count(folder.name) != 0) << folder.name << " has no files";
  }
}

TEST(Layers, TheUmbrellaHeaderIncludesEveryOther) {
  const fs::path root = GUMBELSPEC_SOURCE_DIR;
  std::set<std::string> included;
  for (const std::string& name : includes_of(root / "include/gumbelspec/gumbelspec.h")) {
    included.insert(name.substr(std::string("\"gumbelspec/").size()));
  }
  EXPECT_EQ(included, check_includes(root, house_rules()).public_headers);
}

// A small tree whose includes are right.
class FixtureTree {
 public:
  FixtureTree() {
    write("src/core/CMakeLists.txt", "gumbelspec_public_headers(core\n  types.h)\n");
    write("src/engine/CMakeLists.txt", "gumbelspec_public_headers(engine session.h)\n");
    write("include/gumbelspec/types.h", "#include <vector>\n");
    include("include/gumbelspec/session.h", "gumbelspec/types.h");
    include("src/core/noise.h", "gumbelspec/types.h");
    include("src/engine/plan.h", "src/core/noise.h");
    include("src/llama/cache.h", "llama.h");
    include("kernels/src/isa.cc", "gumbelspec/kernels.h");
    write("kernels/include/gumbelspec/kernels.h", "");
    include("apps/common/output.h", "gumbelspec/session.h");
    include("apps/server/api/answer.h", "apps/common/output.h");
    include("apps/bench/bench.h", "apps/common/output.h");
    include("apps/cli/commands.h", "apps/server/api/answer.h");
    include("tests/core/noise_test.cc", "apps/cli/commands.h");
  }
  ~FixtureTree() { fs::remove_all(root_); }
  FixtureTree(const FixtureTree&) = delete;
  FixtureTree& operator=(const FixtureTree&) = delete;

  void include(const std::string& file, const std::string& name) const {
    write(file, "#include " + (name[0] == '<' ? name : "\"" + name + "\"") + "\n");
  }
  [[nodiscard]] const fs::path& root() const { return root_; }
  [[nodiscard]] Names violations() const { return check_includes(root_, house_rules()).violations; }

 private:
  void write(const std::string& file, const std::string& text) const {
    fs::create_directories((root_ / file).parent_path());
    std::ofstream(root_ / file) << text;
  }

  // Tests run at once, each in a process of its own.
  const fs::path root_ = fs::path(::testing::TempDir()) / ("layers_" + std::to_string(::getpid()));
};

TEST(LayersOfATree, RightIncludesPass) {
  const FixtureTree tree;
  EXPECT_THAT(tree.violations(), IsEmpty());
}

struct WrongInclude {
  std::string file;
  std::string include;
  std::string complaint;
};

class AWrongInclude : public ::testing::TestWithParam<WrongInclude> {};

TEST_P(AWrongInclude, IsFound) {
  const FixtureTree tree;
  tree.include(GetParam().file, GetParam().include);
  EXPECT_THAT(tree.violations(), ElementsAre(AllOf(HasSubstr(GetParam().file + ": "),
                                                   HasSubstr(GetParam().complaint))));
}

INSTANTIATE_TEST_SUITE_P(
    Layers, AWrongInclude,
    ::testing::Values(
        WrongInclude{"src/core/walk.cc", "gumbelspec/session.h",
                     "src/core may not use public engine"},
        WrongInclude{"src/core/walk.cc", "src/engine/plan.h", "src/core may not use src/engine"},
        WrongInclude{"src/core/walk.cc", "gumbelspec/kernels.h", "may not use kernels/include"},
        WrongInclude{"src/core/walk.cc", "<unistd.h>", "standard library only"},
        WrongInclude{"src/engine/round.cc", "src/llama/cache.h", "may not use src/llama"},
        WrongInclude{"src/engine/round.cc", "llama.h", "may not include llama.h"},
        WrongInclude{"src/llama/model.cc", "src/engine/plan.h", "may not use src/engine"},
        WrongInclude{"include/gumbelspec/session.h", "src/engine/plan.h",
                     "public engine may not use"},
        WrongInclude{"include/gumbelspec/new.h", "gumbelspec/types.h", "belongs to no layer"},
        WrongInclude{"kernels/src/plan.cc", "gumbelspec/types.h", "may not use public core"},
        WrongInclude{"apps/common/arguments.cc", "apps/bench/bench.h", "may not use apps/bench"},
        WrongInclude{"apps/server/api/tokens.cc", "apps/cli/commands.h", "may not use apps/cli"},
        WrongInclude{"apps/server/api/tokens.cc", "../../cli/commands.h", "may not use apps/cli"},
        WrongInclude{"apps/bench/cost.cc", "apps/cli/commands.h", "may not use apps/cli"},
        WrongInclude{"apps/cli/main.cc", "src/engine/plan.h", "may not use src/engine"},
        WrongInclude{"apps/cli/main.cc", "llama.h", "may not include llama.h"},
        WrongInclude{"apps/cli/main.cc", "gone.h", "gone.h, which is not in the tree"},
        WrongInclude{"apps/more/main.cc", "gumbelspec/types.h", "belongs to no layer"}),
    [](const auto& test) { return "Number" + std::to_string(test.index); });

TEST(LayersOfATree, ACircleOfFilesIsFound) {
  const FixtureTree tree;
  tree.include("src/core/a.h", "src/core/b.h");
  tree.include("src/core/b.h", "src/core/a.h");
  EXPECT_THAT(tree.violations(), ElementsAre("src/core/b.h: includes src/core/a.h in a circle"));
}

TEST(LayersOfATree, ARuleThatPointsUpIsFound) {
  const FixtureTree tree;
  Rules rules = house_rules();
  rules.folders.front().uses = {"src/engine"};
  EXPECT_THAT(check_includes(tree.root(), rules).violations,
              Contains("public core: uses src/engine, which has no row before it"));
}

}  // namespace
}  // namespace gumbelspec::testing

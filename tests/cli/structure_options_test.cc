// What the text is to look like, from the command line.
#include "apps/cli/structure_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::apps::cli {
namespace {

using gumbelspec::testing::TemporaryFile;
using ::testing::HasSubstr;
using ::testing::StartsWith;

StructureOptions parsed(const std::vector<std::string>& given) {
  Arguments program("program", "");
  StructureOptions options;
  add_structure_options(program, options);
  EXPECT_EQ(program.parse(given), std::nullopt);
  return options;
}

std::optional<Structure> structure(const std::vector<std::string>& given) {
  return read_structure(parsed(given));
}

LlamaModel& model() {
  static const auto kDemo = [] {
    LlamaModelOptions options;
    options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
    options.n_context = 64;
    return LlamaModel::load(options);
  }();
  return *kDemo;
}

// The one line that reading and compiling ends with.
std::string refusal(const std::vector<std::string>& given) {
  try {
    const auto read = structure(given);
    if (read) (void)compile_structure(*read, model());
  } catch (const Error& error) {
    const std::string line = error.what();
    EXPECT_EQ(line.find('\n'), std::string::npos) << line;
    EXPECT_LT(line.size(), 500U);
    return line;
  }
  return "accepted";
}

TEST(StructureOptions, TakeAGrammarOrASchemaFromTextOrFile) {
  EXPECT_FALSE(structure({}).has_value());
  EXPECT_FALSE(parsed({}).is_given());
  const std::string gbnf = "root ::= \"yes\" | \"no\"";
  EXPECT_EQ(structure({"--grammar", gbnf})->gbnf, gbnf);
  const TemporaryFile grammar(gbnf);
  EXPECT_EQ(structure({"--grammar-file", grammar.path()})->gbnf, gbnf);
  const std::string schema = R"({"type": "object", "properties": {"colour": {"type": "string"}}})";
  const std::string made = structure({"-j", schema})->gbnf;
  EXPECT_THAT(made, HasSubstr("root ::="));
  EXPECT_THAT(made, HasSubstr("colour"));
  const TemporaryFile file(schema);
  EXPECT_EQ(structure({"-jf", file.path()})->gbnf, made) << "llama.cpp's spelling";
  EXPECT_EQ(structure({"--json-schema-file=" + file.path()})->gbnf, made);
  EXPECT_TRUE(parsed({"-jf", file.path()}).is_given());
}

TEST(StructureOptions, MakeConstraintsThatForbidWhatDoesNotFit) {
  const auto grammar = compile_structure(*structure({"--grammar", "root ::= \"a\""}), model());
  const auto matcher = grammar->matcher();
  const auto mask = matcher->allowed({}, {});
  for (std::size_t i = 0; i < model().limits().n_vocab; ++i) {
    const bool is_allowed = (mask[i / 32] >> (i % 32) & 1U) != 0;
    EXPECT_EQ(is_allowed, model().piece(token_id(i)) == "a") << i;
  }
}

TEST(StructureOptions, GivenTwiceAreRefused) {
  EXPECT_EQ(refusal({"--grammar", "root ::= \"a\"", "-j", "{}"}),
            "--grammar and --json-schema both say what the text is like; give one of them");
  EXPECT_THAT(refusal({"-jf", "x", "--grammar-file", "y"}),
              StartsWith("--grammar-file and --json-schema-file"));
}

TEST(StructureOptions, FilesThatCannotBeReadAreRefused) {
  for (const char* option : {"--grammar-file", "--json-schema-file"}) {
    EXPECT_THAT(refusal({option, "/no/such/file"}),
                HasSubstr("file \"/no/such/file\" cannot be read: No such file"));
    EXPECT_THAT(refusal({option, "/tmp"}),
                HasSubstr("file \"/tmp\" cannot be read: Is a directory"));
  }
}

TEST(StructureOptions, WrongGrammarsAreToldWithOptionAndLine) {
  EXPECT_THAT(refusal({"--grammar", "root ::= \"a\"\nb = \"c\""}),
              StartsWith("--grammar is wrong in line 2: expecting ::= at "));
  const TemporaryFile file("root ::= word");
  EXPECT_THAT(refusal({"--grammar-file", file.path()}),
              StartsWith("--grammar-file \"" + file.path() +
                         "\" is wrong in line 1: the rule \"word\" is used but not defined"));
  EXPECT_THAT(refusal({"--grammar", std::string(70000, ' ')}),
              StartsWith("--grammar has 70000 bytes, at most 65536 are allowed"));
  EXPECT_THAT(refusal({"--grammar", "root ::= " + std::string(1001, '(')}),
              HasSubstr("more than 1000 parentheses are open at once"));
  EXPECT_THAT(refusal({"--grammar", ""}), StartsWith("--grammar is wrong: it has no rule"));
}

TEST(StructureOptions, WrongSchemasAreToldWithOptionAndPlace) {
  EXPECT_THAT(
      refusal({"-j", R"({"properties": {"age": {"type": "nonsense"}}})"}),
      StartsWith("--json-schema at #/properties/age/type is not what \"type\" takes; give "));
  EXPECT_THAT(
      refusal({"-j", R"j({"items": {"type": "string", "pattern": "(?=a)"}})j"}),
      StartsWith("--json-schema at #/items/pattern cannot be followed: the pattern \"(?=a)\" has a "
                 "look-ahead"));
  EXPECT_THAT(refusal({"-j", R"({"allOf": [{"type": "string", "pattern": ")" +
                                 std::string(2000, 'x') + "\"}]}"}),
              StartsWith("--json-schema at #/allOf/0/pattern has a pattern of 2000 bytes"));
  EXPECT_THAT(refusal({"-j", "{\"type\": "}),
              StartsWith("--json-schema is not JSON: it goes wrong "));
  EXPECT_THAT(refusal({"-j", "[]"}), StartsWith("--json-schema is no schema; give an object"));
  EXPECT_THAT(refusal({"-j", std::string(100, '[') + std::string(100, ']')}),
              StartsWith("--json-schema is nested deeper than 64 levels"));
  EXPECT_THAT(refusal({"-j", "{\"minimum\": 1e999}"}), StartsWith("--json-schema holds a number"));
  const TemporaryFile file(R"({"$ref": "#/nowhere"})");
  EXPECT_THAT(refusal({"-jf", file.path()}), StartsWith("--json-schema-file \"" + file.path() +
                                                        "\" at #/$ref refers to \"#/nowhere\""));
}

}  // namespace
}  // namespace gumbelspec::apps::cli

// The request fuzzer with a seeded mutator: no crash, nothing but an answer or an ApiError.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/request_target.h"

namespace gumbelspec::server::testing {
namespace {

std::vector<std::string> corpus() {
  std::vector<std::filesystem::path> paths;
  for (const auto& entry :
       std::filesystem::directory_iterator(GUMBELSPEC_SOURCE_DIR "/fuzz/corpus/request")) {
    paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  std::vector<std::string> texts;
  for (const auto& path : paths) {
    std::ifstream file(path, std::ios::binary);
    texts.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  }
  return texts;
}

// What mutations put in: the edges of what fields may be.
constexpr std::array<std::string_view, 24> kPieces = {"null",
                                                      "true",
                                                      "-1",
                                                      "0",
                                                      "1e999",
                                                      "18446744073709551616",
                                                      "-0.0",
                                                      "1e-320",
                                                      "\"\"",
                                                      "[]",
                                                      "{}",
                                                      "[[",
                                                      "\\u0000",
                                                      "\\ud83d\\ude00",
                                                      "\xC3\xA9",
                                                      "\xFF",
                                                      "\"n\":",
                                                      "\"stop\":",
                                                      "\"seed\":",
                                                      "\"logit_bias\":",
                                                      "\"messages\":",
                                                      ",",
                                                      "}",
                                                      "4294967296"};

class Mutator {
 public:
  Mutator(std::vector<std::string> texts, unsigned seed)
      : texts_(std::move(texts)), random_(seed) {}

  std::string next() {
    std::string text = texts_[below(texts_.size())];
    for (std::size_t n = 1 + below(4); n > 0; --n) mutate(text);
    return text;
  }

 private:
  std::size_t below(std::size_t n) { return random_() % n; }

  void mutate(std::string& text) {
    const std::size_t at = below(text.size() + 1);
    switch (below(5)) {
      case 0:
        text.insert(at, kPieces[below(kPieces.size())]);
        break;
      case 1:
        text.erase(at, 1 + below(8));
        break;
      case 2:
        if (at < text.size()) text[at] = static_cast<char>(below(256));
        break;
      case 3: {  // a value by another
        const std::size_t colon = text.find(':', at);
        const std::size_t end = text.find_first_of(",}]", colon);
        if (end != std::string::npos) {
          text.replace(colon + 1, end - colon - 1, kPieces[below(kPieces.size())]);
        }
        break;
      }
      default: {  // a part of another request
        const std::string& other = texts_[below(texts_.size())];
        const std::size_t begin = below(other.size());
        text.insert(at, other.substr(begin, below(64)));
      }
    }
  }

  std::vector<std::string> texts_;
  std::mt19937 random_;
};

TEST(FuzzRequest, TakesItsCorpusAsItIs) {
  std::size_t n_accepted = 0;
  const std::vector<std::string> texts = corpus();
  for (const std::string& text : texts) {
    n_accepted += fuzz::run_request(text) == fuzz::Verdict::accepted ? 1 : 0;
  }
  EXPECT_EQ(n_accepted, texts.size());
}

TEST(FuzzRequest, AnswersOrRefusesWhateverComes) {
  Mutator mutator(corpus(), 1);
  std::size_t n_accepted = 0;
  constexpr std::size_t kRuns = 20000;
  for (std::size_t i = 0; i < kRuns; ++i) {
    const std::string text = mutator.next();
    try {
      n_accepted += fuzz::run_request(text) == fuzz::Verdict::accepted ? 1 : 0;
    } catch (const std::exception& error) {
      FAIL() << error.what() << " with " << ::testing::PrintToString(text);
    }
  }
  EXPECT_GT(n_accepted, kRuns / 50) << "the mutator reaches what lies behind the parser";
}

}  // namespace
}  // namespace gumbelspec::server::testing

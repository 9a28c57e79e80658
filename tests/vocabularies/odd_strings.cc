#include "tests/vocabularies/odd_strings.h"

#include <random>

namespace gumbelspec::testing {
namespace {

using namespace std::string_literals;

const std::vector<std::string>& fragments() {
  static const std::vector<std::string> kFragments = {
      "a"s,
      "The quick brown fox"s,
      " jumps"s,
      "\xC3\x9C"
      "ber"s,
      "caf\xC3\xA9"s,
      "na\xC3\xAFve"s,
      "Stra\xC3\x9F"
      "e"s,
      "I'm"s,
      "they'll"s,
      "don't've"s,
      " 's"s,
      "'S'T'LL"s,
      "   "s,
      "\t"s,
      "\t\t\t"s,
      "\n"s,
      "\n\n\n"s,
      "\r\n"s,
      "\r"s,
      "\r\r\n"s,
      "\xC2\xA0"s,
      "\xE2\x80\x83"s,
      "\xE3\x80\x80"s,
      "\xE2\x80\xA8"s,
      "\xE2\x80\xA9"s,
      "\xC2\x85"s,
      "\x0B"s,
      "\x0C"s,
      "                 "s,
      std::string(64, ' '),
      std::string(257, ' '),
      std::string(40, '\n'),
      std::string(33, '\t'),
      " \n \n "s,
      "a \?"s,
      "b !"s,
      "c ,d ."s,
      " ' "s,
      " 't 's 'm 're"s,
      "0"s,
      "12"s,
      "123"s,
      "1234567890"s,
      "3.14159e-10"s,
      "0x1F"s,
      "\xD9\xA3\xD9\xA4\xD9\xA5"s,
      "\xE0\xA5\xAD\xE0\xA5\xAE"s,
      "\xE2\x85\xA7"s,
      "\xC2\xBD"s,
      "\xC2\xB2\xE2\x82\x83"s,
      "\xEF\xBC\x91\xEF\xBC\x92\xEF\xBC\x93"s,
      "1 000 000,00"s,
      "\xD0\x97\xD0\xB4\xD1\x80\xD0\xB0\xD0\xB2\xD1\x81\xD1\x82\xD0\xB2\xD1\x83\xD0\xB9"s,
      "\xCE\x95\xCE\xBB\xCE\xBB\xCE\xB7\xCE\xBD\xCE\xB9\xCE\xBA\xCE\xAC"s,
      "\xE4\xB8\xAD\xE6\x96\x87\xE5\x88\x86\xE8\xAF\x8D"s,
      "\xE6\x97\xA5\xE6\x9C\xAC\xE8\xAA\x9E\xE3\x81\xAE\xE3\x83\x86\xE3\x82\xB9\xE3\x83\x88"s,
      "\xED\x95\x9C\xEA\xB5\xAD\xEC\x96\xB4"s,
      "\xE1\x84\x92\xE1\x85\xA1\xE1\x86\xAB"s,
      "\xE0\xB8\xA0\xE0\xB8\xB2\xE0\xB8\xA9\xE0\xB8\xB2\xE0\xB9\x84\xE0\xB8\x97\xE0\xB8\xA2"s,
      "\xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\xA8\xE0\xA5\x8D\xE0\xA4\xA6\xE0\xA5\x80"s,
      "\xE0\xAE\xA4\xE0\xAE\xAE\xE0\xAE\xBF\xE0\xAE\xB4\xE0\xAF\x8D"s,
      "\xE1\x9E\x98\xE1\x9F\x92\xE1\x9E\x93"s,
      "\xE0\xBD\x96\xE0\xBD\xBC\xE0\xBD\x91"s,
      "\xE1\x83\xA5\xE1\x83\x90\xE1\x83\xA0\xE1\x83\x97"s,
      "\xE1\x8F\xA3\xE1\x8E\xB3\xE1\x8E\xA9"s,
      "\xE1\x8A\xA0\xE1\x88\x9B\xE1\x88\xAD\xE1\x8A\x9B"s,
      "\xF0\xA0\x80\x80\xF0\xAA\x9B\x96"s,
      "\xF0\x90\x8C\xB0\xF0\x90\x8C\xB1"s,
      "\xF0\x9D\x90\x80\xF0\x9D\x9F\x98"s,
      "\xD7\xA9\xD7\x9C\xD7\x95\xD7\x9D"s,
      "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7"s,
      "\xE2\x80\xAE\xD7\x90\xD7\x91\xE2\x80\xAC"s,
      "\xE2\x81\xA7"
      "abc\xE2\x81\xA9"s,
      "\xE2\x80\x8F"s,
      "\xD8\xA7\xD9\x84\xD8\xB9\xD9\x8E\xD8\xB1\xD9\x8E\xD8\xA8\xD9\x90\xD9\x8A\xD9\x91\xD8\xA9"s,
      "\xF0\x9F\x98\x80"s,
      "\xF0\x9F\x91\xA8\xE2\x80\x8D\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x91\xA7\xE2\x80\x8D\xF0\x9F\x91\xA6"s,
      "\xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD"s,
      "\xE2\x9D\xA4\xEF\xB8\x8F\xE2\x80\x8D\xF0\x9F\x94\xA5"s,
      "\xF0\x9F\x87\xA9\xF0\x9F\x87\xAA\xF0\x9F\x87\xAB"s,
      "1\xEF\xB8\x8F\xE2\x83\xA3"s,
      "\xF0\x9F\x8F\xB4\xF3\xA0\x81\xA7\xF3\xA0\x81\xA2\xF3\xA0\x81\xBF"s,
      "\xF0\x9F\xA7\x91\xF0\x9F\x8F\xBF\xE2\x80\x8D\xF0\x9F\x9A\x80"s,
      "\xE2\x9A\xA7\xEF\xB8\x8E"s,
      "e\xCC\x81"s,
      "\xCC\x81"s,
      "\xCC\x81\xCC\x82\xCC\x83"s,
      "Z\xCD\x91\xCC\xA7\xCD\x86"
      "a\xCC\xB4\xCC\x92l\xCC\x95\xCC\xA1g\xCC\x8Co\xCD\x98"s,
      "\xE0\xA8\xBE"s,
      "\xE2\x83\x9D"s,
      "A\xCC\x8A"s,
      "\xE1\xBA\x9B\xCC\xA3"s,
      "\xCD\x84"s,
      "\xEF\xAC\x81"s,
      "\xEF\xAC\xAB"s,
      "\xE2\x80\x8B"s,
      "\xE2\x80\x8C"s,
      "\xE2\x80\x8D"s,
      "\xE2\x81\xA0"s,
      "\xEF\xBB\xBF"s,
      "\xC2\xAD"s,
      "\xE1\xA0\x8E"s,
      "\x00"s,
      "a\x00"
      "b"s,
      "\x01\x02\x07"s,
      "\x08\x1B[31m"s,
      "\x7F"s,
      "\xC2\x80\xC2\x9F"s,
      "\xEF\xBF\xB9\xEF\xBF\xBA\xEF\xBF\xBB"s,
      "\xF3\xA0\x80\x81"s,
      "\xEE\x80\x80"s,
      "\xEF\xA3\xBF"s,
      "\xF3\xB0\x80\x80"s,
      "\xF4\x8F\xBF\xBD"s,
      "\xF4\x8F\xBF\xBF"s,
      "\xEF\xBF\xBE\xEF\xBF\xBF"s,
      "\xEF\xB7\x90"s,
      "\xEF\xBF\xBD"s,
      "\x7F\xC2\x80"s,
      "\xDF\xBF\xE0\xA0\x80"s,
      "\xED\x9F\xBF"s,
      "\xEF\xBF\xBF\xF0\x90\x80\x80"s,
      "\xCD\xB8"s,
      "\xF0\xBF\xBF\xBF"s,
      "def f(x):\n    return x**2\n"s,
      "for (int i = 0; i < n; ++i) {\n\t\ta[i] += b[i];\n}"s,
      "{\"k\": [1, 2.5, null, \"\\u00e9\\n\"]}"s,
      "<div class='a'>&amp;</div>"s,
      "SELECT * FROM t WHERE a<>'';"s,
      "\\begin{align}x&=1\\\\\\end{align}"s,
      "#!/usr/bin/env bash\n"s,
      "https://example.org/\?q=%20a&b=1#c"s,
      "user@example.org"s,
      "C:\\dir\\file"s,
      "------------------------"s,
      "====="s,
      "!!!!\?\?\?\?...."s,
      "~~~```|||"s,
      "//////"s,
      "$$$$\xE2\x82\xAC\xE2\x82\xAC"s,
      "@#%^&*"s,
      "\xE2\x80\xA6\xE2\x80\x94\xE2\x80\x9C\xE2\x80\x9D\xE2\x80\x98\xE2\x80\x99"s,
      "\xEF\xBC\x81\xEF\xBC\x9F\xE3\x80\x82\xE3\x80\x81"s,
      "camelCaseHTTPServer"s,
      "snake_case_name"s,
      "x=1;y=2"s,
      "aGVsbG8gd29ybGQ9PQ=="s,
      "ACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGTACGT"s,
      std::string(100, 'a'),
      "abababababababababababababababababababababababababababababababababababababababababababababababababababababababababababab"s,
      "\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81\xE0\xB8\x81"s,
      "<s>"s,
      "</s>"s,
      "<unk>"s,
      "<0x0A>"s,
      "<0xE2><0x82>"s,
      "<|endoftext|>"s,
      "<|im_start|>"s,
      "<|im_end|>"s,
      "<|begin_of_text|>"s,
      "<|eot_id|>"s,
      "<start_of_turn>"s,
      "<bos>"s,
      "<|fim_prefix|>"s,
      "[INST]"s,
      "[/INST]"s,
      "[UNK]"s,
      "[CLS]"s,
      "<pad>"s,
      "<mask>"s,
      "<|"s,
      "|>"s,
      "\xE2\x96\x81"s,
      "\xE2\x96\x81"
      "a"s,
      "a\xE2\x96\x81"s,
      "\xC4\xA0"s,
      "\xC4\x8A"s,
      "\xC4\xA0the"s,
      "\xEF\xBD\x9C"
      "begin\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C"s,
      "##ing"s,
      "</w>"s,
      "<tool_call>"s,
      "<think>"s};
  return kFragments;
}

// A character from anywhere in Unicode.
std::string random_character(std::mt19937& random) {
  constexpr unsigned kEnds[] = {0x80, 0x800, 0xD800, 0x10000, 0x110000};
  constexpr unsigned kBegins[] = {0, 0x80, 0x800, 0xE000, 0x10000};
  const std::size_t plane = random() % 5;
  const auto c = static_cast<unsigned>(kBegins[plane] + random() % (kEnds[plane] - kBegins[plane]));
  const auto byte = [](unsigned value) { return static_cast<char>(value); };
  const auto last = [&](unsigned shift) { return byte(0x80U | ((c >> shift) & 0x3FU)); };
  if (c < 0x80) return {byte(c)};
  if (c < 0x800) return {byte(0xC0U | (c >> 6U)), last(0)};
  if (c < 0x10000) return {byte(0xE0U | (c >> 12U)), last(6), last(0)};
  return {byte(0xF0U | (c >> 18U)), last(12), last(6), last(0)};
}

}  // namespace

std::vector<std::string> odd_strings(std::size_t n) {
  std::vector<std::string> out(
      fragments().begin(),
      fragments().begin() + static_cast<std::ptrdiff_t>(std::min(n, fragments().size())));
  std::mt19937 random(20261128);
  while (out.size() < n) {
    std::string text;
    for (std::size_t parts = 1 + random() % 6; parts > 0; --parts) {
      if (random() % 4 == 0) text += ' ';
      text +=
          random() % 5 == 0 ? random_character(random) : fragments()[random() % fragments().size()];
    }
    out.push_back(std::move(text));
  }
  return out;
}

std::vector<IllFormed> ill_formed_strings() {
  std::vector<IllFormed> out;
  // A lone continuation byte, overlong forms, surrogates, above U+10FFFF, never a first byte.
  for (const char* wrong :
       {"\x80", "\xBF", "\xC0\xAF", "\xC1\xBF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xED\xBF\xBF",
        "\xF0\x80\x80\xAF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF"}) {
    out.push_back({wrong, 0});
    out.push_back({"caf\xC3\xA9 "s + wrong, 6});
    out.push_back({"\xE4\xB8\xAD"s + wrong + "\xE4\xB8\xAD", 3});
  }
  // Characters that are cut off, at the end and before another one.
  for (const char* cut : {"\xC3", "\xE2\x82", "\xE2", "\xF0\x9F\x98", "\xF0\x9F", "\xF0"}) {
    out.push_back({"ab"s + cut, 2});
    out.push_back({"ab"s + cut + "c", 2});
  }
  return out;
}

}  // namespace gumbelspec::testing

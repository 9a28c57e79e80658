// libFuzzer's entry, with mutations that know the fields of a header. The seed is a tiny model.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "fuzz/gguf_target.h"
#include "tests/llama/gguf_mutator.h"
#include "tests/llama/tiny_model.h"

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t max_size);

namespace {

const std::string& seed_header() {
  static const std::string kHeader = [] {
    gumbelspec::testing::TinyModel tiny;
    tiny.n_layer = 1;
    tiny.n_embd = 32;
    tiny.n_ff = 32;
    tiny.n_context = 64;
    const auto path = std::filesystem::temp_directory_path() / "gumbelspec-fuzz-seed.gguf";
    gumbelspec::testing::write_tiny_model(tiny, path.string());
    std::ifstream file(path, std::ios::binary);
    std::string whole{std::istreambuf_iterator<char>(file), {}};
    std::filesystem::remove(path);
    return whole.substr(0, gumbelspec::testing::GgufMutator(whole).header_end());
  }();
  return kHeader;
}

}  // namespace

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t max_size, unsigned int seed) {
  if (seed % 4 == 0 && size > 0) return LLVMFuzzerMutate(data, size, max_size);
  std::string bytes(1, static_cast<char>(seed >> 8U));
  std::string header(reinterpret_cast<const char*>(data), size);
  header = size < 64 || seed % 4 == 1 ? seed_header() : header.substr(1);
  try {
    bytes += gumbelspec::testing::GgufMutator(header).mutant(seed).file;
  } catch (const std::exception&) {  // what was mutated before is no header any more
    bytes += gumbelspec::testing::GgufMutator(seed_header()).mutant(seed).file;
  }
  bytes.resize(std::min(bytes.size(), max_size));
  std::memcpy(data, bytes.data(), bytes.size());
  return bytes.size();
}

// NOLINTNEXTLINE(readability-identifier-naming): libFuzzer's name
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  (void)gumbelspec::fuzz::load_header({reinterpret_cast<const char*>(data), size});
  return 0;
}

#include "fuzz/gguf_target.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <stdexcept>
#include <string>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_model.h"
#include "src/llama/model_file.h"

namespace gumbelspec::fuzz {
namespace {

// A file in memory.
class MemoryFile {
 public:
  explicit MemoryFile(std::string_view bytes) : descriptor_(memfd_create("gguf", MFD_CLOEXEC)) {
    if (descriptor_ < 0 || write(descriptor_, bytes.data(), bytes.size()) < 0 ||
        ftruncate(descriptor_, static_cast<off_t>(bytes.size() + kDataBytes)) != 0) {
      throw std::runtime_error("no file in memory");
    }
  }
  ~MemoryFile() { close(descriptor_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(descriptor_); }

 private:
  int descriptor_;
};

void load(const std::string& path, bool vocabulary_only) {
  if (vocabulary_only) {
    internal::ModelFileOptions options;
    options.path = path;
    options.vocabulary_only = true;
    (void)internal::load_model_file(options, {});
    return;
  }
  LlamaModelOptions options;
  options.path = path;
  options.n_threads = 1;
  options.n_context = 16;
  (void)LlamaModel::load(options);
}

}  // namespace

bool load_header(std::string_view bytes) {
  if (bytes.empty()) return false;
  const MemoryFile file(bytes.substr(1));
  try {
    load(file.path(), (static_cast<unsigned char>(bytes.front()) & 1U) != 0);
    return true;
  } catch (const Error& error) {
    const std::string said = error.what();
    if (said.find('\n') != std::string::npos) throw std::logic_error("several lines: " + said);
    return false;
  }
}

}  // namespace gumbelspec::fuzz

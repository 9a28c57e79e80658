#include "src/llama/recurrent_memory.h"

#include <cstdlib>
#include <string>

namespace gumbelspec::internal {

RecurrentMemoryLog::RecurrentMemoryLog(const LogSink& sink)
    : tee_([this, &sink](std::string_view line) {
        read(line);
        if (sink) sink(line);
      }) {}

// "llama_memory_recurrent:        CPU RS buffer size =    19.27 MiB", a line for each device.
void RecurrentMemoryLog::read(std::string_view line) {
  constexpr std::string_view kSize = "RS buffer size =";
  const std::size_t at = line.find(kSize);
  if (at == std::string_view::npos) return;
  const std::string number(line.substr(at + kSize.size()));
  n_bytes_ += static_cast<std::size_t>(std::strtod(number.c_str(), nullptr) * 1048576.0);
}

}  // namespace gumbelspec::internal

#include "apps/common/load_embedder.h"

#include <filesystem>
#include <string>

#include "apps/common/utf8_stream.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps {

std::unique_ptr<LlamaEmbedder> load_embedder(const ModelOptions& options, Pooling pooling,
                                             std::size_t max_tokens, Progress& progress) {
  if (stop_requested()) throw Stopped();
  LlamaEmbedderOptions load;
  load.model = target_load_options(options, progress);
  load.pooling = pooling;
  load.max_tokens = max_tokens;
  const std::string name = std::filesystem::path(load.model.path).filename().string();
  load.model.on_progress = [&progress, &name](float fraction) {
    progress.show("loading " + visible(name) + " " +
                  std::to_string(static_cast<int>(fraction * 100.0F)) + " %");
    return !stop_requested();
  };
  try {
    auto embedder = LlamaEmbedder::load(load);
    progress.clear();
    return embedder;
  } catch (const Error&) {
    if (stop_requested()) throw Stopped();
    throw;
  }
}

}  // namespace gumbelspec::apps

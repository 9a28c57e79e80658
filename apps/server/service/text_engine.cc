#include "apps/server/service/text_engine.h"

#include <utility>

namespace gumbelspec::server {
namespace {

class BatchEngine final : public TextEngine {
 public:
  BatchEngine(LanguageModel& target, LanguageModel* draft, BatchOptions options)
      : batch_(target, draft, std::move(options)) {}

  TextId add(std::span<const TokenId> prompt, const TextOptions& options,
             std::unique_ptr<TextSink> sink) override {
    return batch_.add(prompt, options, std::move(sink));
  }
  void cancel(TextId id) override { batch_.cancel(id); }
  bool step() override { return batch_.step(); }
  [[nodiscard]] const BatchStatistics& statistics() const override { return batch_.statistics(); }

 private:
  Batch batch_;
};

}  // namespace

std::unique_ptr<TextEngine> make_batch_engine(LanguageModel& target, LanguageModel* draft,
                                              BatchOptions options) {
  return std::make_unique<BatchEngine>(target, draft, std::move(options));
}

}  // namespace gumbelspec::server

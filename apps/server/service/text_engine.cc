#include "apps/server/service/text_engine.h"

#include <utility>

namespace gumbelspec::server {
namespace {

Error no_slots() { return {ErrorCode::invalid_option, "this engine keeps no slots"}; }

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
  SlotState save_slot(std::size_t slot) override { return batch_.save_slot(slot); }
  void restore_slot(std::size_t slot, const SlotState& state) override {
    batch_.restore_slot(slot, state);
  }
  std::size_t erase_slot(std::size_t slot) override { return batch_.erase_slot(slot); }

 private:
  Batch batch_;
};

class IdleEngine final : public TextEngine {
 public:
  TextId add(std::span<const TokenId> /*prompt*/, const TextOptions& /*options*/,
             std::unique_ptr<TextSink> /*sink*/) override {
    throw Error(ErrorCode::invalid_option, "this server generates no texts");
  }
  void cancel(TextId /*id*/) override {}
  bool step() override { return false; }
  [[nodiscard]] const BatchStatistics& statistics() const override { return statistics_; }

 private:
  BatchStatistics statistics_;
};

}  // namespace

SlotState TextEngine::save_slot(std::size_t /*slot*/) { throw no_slots(); }
void TextEngine::restore_slot(std::size_t /*slot*/, const SlotState& /*state*/) {
  throw no_slots();
}
std::size_t TextEngine::erase_slot(std::size_t /*slot*/) { throw no_slots(); }

std::unique_ptr<TextEngine> make_batch_engine(LanguageModel& target, LanguageModel* draft,
                                              BatchOptions options) {
  return std::make_unique<BatchEngine>(target, draft, std::move(options));
}

std::unique_ptr<TextEngine> make_idle_engine() { return std::make_unique<IdleEngine>(); }

}  // namespace gumbelspec::server

// What the scheduler needs of a Batch. Tests put other things in its place.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_TEXT_ENGINE_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_TEXT_ENGINE_H_

#include <memory>
#include <span>

#include "gumbelspec/batch.h"

namespace gumbelspec::server {

// The functions mean what Batch's mean.
class TextEngine {
 public:
  virtual ~TextEngine() = default;
  virtual TextId add(std::span<const TokenId> prompt, const TextOptions& options,
                     std::unique_ptr<TextSink> sink) = 0;
  virtual void cancel(TextId id) = 0;
  virtual bool step() = 0;
  [[nodiscard]] virtual const BatchStatistics& statistics() const = 0;
  // As Batch has them. Throws: what Batch throws; Error{invalid_option} where there are none.
  [[nodiscard]] virtual SlotState save_slot(std::size_t slot);
  virtual void restore_slot(std::size_t slot, const SlotState& state);
  virtual std::size_t erase_slot(std::size_t slot);
};

// A Batch. Throws: what Batch throws.
[[nodiscard]] std::unique_ptr<TextEngine> make_batch_engine(LanguageModel& target,
                                                            LanguageModel* draft,
                                                            BatchOptions options);

// Of a server that generates nothing: it takes no text. Throws from add(): Error{invalid_option}.
[[nodiscard]] std::unique_ptr<TextEngine> make_idle_engine();

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_TEXT_ENGINE_H_

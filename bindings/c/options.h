// Options as JSON text to the library's structs. Names and limits are those of the server's
// requests.
#ifndef GUMBELSPEC_BINDINGS_C_OPTIONS_H_
#define GUMBELSPEC_BINDINGS_C_OPTIONS_H_

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/json_text.h"
#include "bindings/c/loaded_pair.h"
#include "gumbelspec/batch.h"
#include "gumbelspec/text_options.h"

namespace gumbelspec::c {

// A JSON object; null and "" are an empty one. Throws: ApiError.
[[nodiscard]] server::Json parse_options(const char* text);

// Throws: Error{invalid_option} with the names that there are.
[[noreturn]] void refuse_unknown(const std::string& name, std::span<const OptionDoc> known);

// What a text is to be, but for its matcher of the grammar.
struct TextRequest {
  TextOptions options;
  std::shared_ptr<const Grammar> grammar = {};  // null: none
  std::vector<std::string> stop = {};

  // For a text from its beginning.
  [[nodiscard]] TextOptions fresh() const;
};

// Throws: Error, ApiError that name the field.
[[nodiscard]] TextRequest read_text_options(const LoadedPair& pair, const char* text);
[[nodiscard]] BatchOptions read_batch_options(const char* text);

[[nodiscard]] std::span<const OptionDoc> text_option_docs();
[[nodiscard]] std::span<const OptionDoc> batch_option_docs();

// {"seed", "method", "guarantee", "stop_reason", "stats"}.
[[nodiscard]] std::string report_of(const TextOptions& options, Outcome outcome,
                                    const Statistics& statistics);

}  // namespace gumbelspec::c

#endif  // GUMBELSPEC_BINDINGS_C_OPTIONS_H_

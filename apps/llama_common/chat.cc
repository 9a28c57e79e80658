// llama.cpp's chat.cpp as it is, but for one thing: it makes a string of what a template renders
// and so forgets which parts of it users wrote. Its Jinja engine knows, and here it is asked.
#include "chat.h"

#include "apps/llama_common/rendered_parts.h"
#include "chat-auto-parser.h"
#include "jinja/runtime.h"

namespace gumbelspec::llama_common {
namespace {

thread_local RenderedParts* kept = nullptr;

}  // namespace

RenderedParts::RenderedParts() { kept = this; }
RenderedParts::~RenderedParts() { kept = nullptr; }

void RenderedParts::add(const jinja::value_string& parts) {
  if (kept != nullptr) kept->all_.push_back(parts);
}

}  // namespace gumbelspec::llama_common

namespace jinja {

struct keeping_runtime : runtime {
  using runtime::runtime;
  static value_string gather_string_parts(const value& results) {
    value_string parts = runtime::gather_string_parts(results);
    gumbelspec::llama_common::RenderedParts::add(parts);
    return parts;
  }
};

// What users wrote are the messages and tools; the tokens that begin and end a text are the
// template's, and become control tokens.
template <typename AnyJson>
void values_from_json(context& known, const AnyJson& values, bool marks_input) {
  global_from_json(known, values, marks_input);
  AnyJson tokens = AnyJson::object();
  for (const char* name : {"bos_token", "eos_token"}) {
    if (values.contains(name)) tokens[name] = values[name];
  }
  global_from_json(known, tokens, /*mark_input=*/false);
}

}  // namespace jinja

#define global_from_json values_from_json
#define runtime keeping_runtime
#include "chat.cpp"

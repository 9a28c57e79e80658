// What templates were rendered to, with what of it users wrote. Private to this folder.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_RENDERED_PARTS_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_RENDERED_PARTS_H_

#include <vector>

#include "jinja/value.h"

namespace gumbelspec::llama_common {

// Keeps what this thread renders while it lives; one at a time in a thread.
class RenderedParts {
 public:
  RenderedParts();
  ~RenderedParts();
  RenderedParts(const RenderedParts&) = delete;
  RenderedParts& operator=(const RenderedParts&) = delete;

  [[nodiscard]] const std::vector<jinja::value_string>& all() const { return all_; }
  static void add(const jinja::value_string& parts);

 private:
  std::vector<jinja::value_string> all_;
};

}  // namespace gumbelspec::llama_common

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_RENDERED_PARTS_H_

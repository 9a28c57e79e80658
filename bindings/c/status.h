// What a function of the C API returns, and where its message is.
#ifndef GUMBELSPEC_BINDINGS_C_STATUS_H_
#define GUMBELSPEC_BINDINGS_C_STATUS_H_

#include <stdexcept>
#include <string>

#include "bindings/c/include/gumbelspec_c.h"
#include "gumbelspec/error.h"

namespace gumbelspec::c {

// An error that only a caller of the C API can make.
class Misuse : public std::runtime_error {
 public:
  Misuse(gumbelspec_status status, const std::string& message)
      : std::runtime_error(message), status_(status) {}
  [[nodiscard]] gumbelspec_status status() const { return status_; }

 private:
  gumbelspec_status status_;
};

// Throws: Misuse{GUMBELSPEC_INVALID_ARGUMENT} that names the argument.
void require_pointer(const void* pointer, const char* name);

[[nodiscard]] gumbelspec_status status_of(const Error& error);

// The exception that is being handled, told to this thread. Requires: in a catch block.
[[nodiscard]] gumbelspec_status told() noexcept;

// Runs what a function of the API does; no exception leaves it.
template <class Function>
[[nodiscard]] gumbelspec_status guarded(Function&& function) noexcept {
  try {
    function();
    return GUMBELSPEC_OK;
  } catch (...) {
    return told();
  }
}

}  // namespace gumbelspec::c

#endif  // GUMBELSPEC_BINDINGS_C_STATUS_H_

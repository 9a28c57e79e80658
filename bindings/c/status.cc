#include "bindings/c/status.h"

#include <algorithm>
#include <cstring>
#include <new>

#include "apps/server/api/api_error.h"

namespace gumbelspec::c {
namespace {

// Of a fixed size: telling of an error must not need memory.
constexpr std::size_t kMostBytes = 2048;
thread_local char message[kMostBytes] = "";

// One line, cut between two characters.
void tell(const char* text) noexcept {
  std::size_t n = std::min(std::strlen(text), kMostBytes - 1);
  while (n > 0 && (static_cast<unsigned char>(text[n]) & 0xC0U) == 0x80U) --n;
  std::copy_n(text, n, message);
  message[n] = '\0';
  std::replace(message, message + n, '\n', ' ');
}

gumbelspec_status status_of(const server::ApiError& error) {
  if (error.code() == "context_length_exceeded") return GUMBELSPEC_PROMPT_TOO_LONG;
  if (error.code() == "invalid_prompt") return GUMBELSPEC_INVALID_PROMPT;
  return error.status() < 500 ? GUMBELSPEC_INVALID_OPTION : GUMBELSPEC_INTERNAL_ERROR;
}

}  // namespace

void require_pointer(const void* pointer, const char* name) {
  if (pointer != nullptr) return;
  throw Misuse(GUMBELSPEC_INVALID_ARGUMENT,
               std::string(name) + " is a null pointer, but must not be one");
}

gumbelspec_status status_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::invalid_option:
      return GUMBELSPEC_INVALID_OPTION;
    case ErrorCode::file_not_found:
      return GUMBELSPEC_FILE_NOT_FOUND;
    case ErrorCode::invalid_model:
      return GUMBELSPEC_INVALID_MODEL;
    case ErrorCode::vocabulary_mismatch:
      return GUMBELSPEC_VOCABULARY_MISMATCH;
    case ErrorCode::invalid_prompt:
      return GUMBELSPEC_INVALID_PROMPT;
    case ErrorCode::prompt_too_long:
      return GUMBELSPEC_PROMPT_TOO_LONG;
    case ErrorCode::out_of_memory:
      return GUMBELSPEC_OUT_OF_MEMORY;
    case ErrorCode::evaluation_failed:
      return GUMBELSPEC_EVALUATION_FAILED;
    case ErrorCode::no_token_allowed:
      return GUMBELSPEC_NO_TOKEN_ALLOWED;
    case ErrorCode::peer_lost:
      return GUMBELSPEC_PEER_LOST;
  }
  return GUMBELSPEC_INTERNAL_ERROR;
}

gumbelspec_status told() noexcept {
  try {
    throw;
  } catch (const Misuse& error) {
    tell(error.what());
    return error.status();
  } catch (const Error& error) {
    tell(error.what());
    return status_of(error);
  } catch (const server::ApiError& error) {
    tell(error.what());
    return status_of(error);
  } catch (const std::bad_alloc&) {
    tell("there is not enough memory");
    return GUMBELSPEC_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    tell(error.what());
    return GUMBELSPEC_INTERNAL_ERROR;
  } catch (...) {
    tell("something that is no std::exception was thrown");
    return GUMBELSPEC_INTERNAL_ERROR;
  }
}

}  // namespace gumbelspec::c

const char* gumbelspec_last_error(void) { return gumbelspec::c::message; }
int gumbelspec_abi(void) { return GUMBELSPEC_ABI; }
const char* gumbelspec_version(void) { return GUMBELSPEC_VERSION; }

// The bytes of tokens to the text of an answer, piece by piece.
#ifndef GUMBELSPEC_APPS_SERVER_API_TEXT_STREAM_H_
#define GUMBELSPEC_APPS_SERVER_API_TEXT_STREAM_H_

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/common/utf8_stream.h"

namespace gumbelspec::server {

// Gives out whole characters only, and nothing that may turn out to be part of a stop string: the
// text ends before the first of them.
class TextStream {
 public:
  explicit TextStream(std::vector<std::string> stops) : stops_(std::move(stops)) {}

  // Token by token: what comes behind a stop string does not count.
  // Returns: false once a stop string is complete. Requires: not stopped, not finished.
  bool append(std::string_view bytes);

  // The text is over: nothing is held back any more.
  void finish();

  // What can be given out since the last call.
  [[nodiscard]] std::string take();

  [[nodiscard]] bool is_stopped() const { return is_stopped_; }
  // The string that ended it; empty: none.
  [[nodiscard]] const std::string& stopped_by() const { return stopped_by_; }
  // Bytes of text so far: given out, and with what is held back.
  [[nodiscard]] std::size_t n_taken() const { return n_taken_; }
  [[nodiscard]] std::size_t n_bytes() const { return n_taken_ + held_.size(); }
  // Characters so far, with what is held back.
  [[nodiscard]] std::size_t n_characters() const { return n_characters_; }

 private:
  [[nodiscard]] std::size_t n_doubtful() const;

  std::vector<std::string> stops_;
  apps::Utf8Stream characters_;
  std::string held_;
  std::size_t n_taken_ = 0;
  std::size_t n_characters_ = 0;
  bool is_stopped_ = false;
  std::string stopped_by_;
  bool is_finished_ = false;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_TEXT_STREAM_H_

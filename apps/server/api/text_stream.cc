#include "apps/server/api/text_stream.h"

#include <algorithm>

namespace gumbelspec::server {
namespace {

std::size_t n_characters_of(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

}  // namespace

bool TextStream::append(std::string_view bytes) {
  const std::string more = characters_.append(bytes);
  n_characters_ += n_characters_of(more);
  held_ += more;
  std::size_t first = std::string::npos;
  for (const std::string& stop : stops_) {
    const std::size_t at = held_.find(stop);
    if (at >= first) continue;
    first = at;
    stopped_by_ = stop;
  }
  if (first == std::string::npos) return true;
  held_.resize(first);
  is_stopped_ = true;
  return false;
}

void TextStream::finish() {
  if (is_finished_) return;
  is_finished_ = true;
  if (!is_stopped_) held_ += characters_.finish();
}

std::string TextStream::take() {
  const std::size_t n_kept = is_stopped_ || is_finished_ ? 0 : n_doubtful();
  std::string out = held_.substr(0, held_.size() - n_kept);
  held_.erase(0, out.size());
  n_taken_ += out.size();
  return out;
}

// The longest end of the text that a stop string begins with.
std::size_t TextStream::n_doubtful() const {
  std::size_t most = 0;
  for (const std::string& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > most; --n) {
      if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) most = n;
    }
  }
  return most;
}

}  // namespace gumbelspec::server

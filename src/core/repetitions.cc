#include "src/core/repetitions.h"

#include <algorithm>

namespace gumbelspec {
namespace {

bool is_before(const DryBreaker& a, const DryBreaker& b) { return a.head < b.head; }

}  // namespace

Repetitions::Repetitions(const SamplingOptions& o)
    : n_allowed_(static_cast<std::size_t>(o.dry_allowed_length)), n_last_(o.dry_penalty_last_n) {
  if (!o.dry_breakers) return;
  if (std::is_sorted(o.dry_breakers->begin(), o.dry_breakers->end(), is_before)) {
    breakers_ = o.dry_breakers;
    return;
  }
  auto sorted = std::make_shared<std::vector<DryBreaker>>(*o.dry_breakers);
  std::sort(sorted->begin(), sorted->end(), is_before);
  breakers_ = std::move(sorted);
}

std::span<const DryBreaker> Repetitions::breakers_of(TokenId head) const {
  if (!breakers_) return {};
  const auto range =
      std::equal_range(breakers_->begin(), breakers_->end(), DryBreaker{head, {}}, is_before);
  return {range.first, range.second};
}

// What stands behind the last breaker; of several that begin there, behind the longest.
std::size_t Repetitions::longest_allowed() const {
  for (std::size_t i = 0; i < last_.size(); ++i) {
    bool is_found = false;
    std::size_t n_tail = 0;
    for (const DryBreaker& breaker : breakers_of(last_[i])) {
      const std::size_t n = breaker.tail.size();
      // The token behind last_[i] is last_[i - 1].
      if (n > i || !std::equal(breaker.tail.begin(), breaker.tail.end(),
                               last_.rend() - static_cast<std::ptrdiff_t>(i)))
        continue;
      is_found = true;
      n_tail = std::max(n_tail, n);
    }
    if (is_found) return i - n_tail;
  }
  return last_.size();
}

// The Z-algorithm (Gusfield 1997, 1.3) on the reversed text.
void Repetitions::measure(std::size_t longest) {
  const std::size_t n = last_.size();
  lengths_.assign(n, 0);
  std::size_t begin = 0;
  std::size_t end = 0;  // [begin, end) equals the text's end, and end is the furthest so far
  for (std::size_t k = 1; k < n; ++k) {
    std::size_t length = k < end ? std::min(lengths_[k - begin], end - k) : 0;
    if (k + length >= end) {
      while (k + length < n && last_[length] == last_[k + length]) ++length;
      begin = k;
      end = k + length;
    }
    lengths_[k] = length;
  }
  for (std::size_t& length : lengths_) length = std::min(length, longest);
}

std::span<const Repetitions::Repeat> Repetitions::find(const TextView& text) {
  repeats_.clear();
  const std::size_t n =
      n_last_ < 0 ? text.size() : std::min(text.size(), static_cast<std::size_t>(n_last_));
  if (n <= n_allowed_) return {};
  last_.clear();
  for (std::size_t i = 0; i < n; ++i) last_.push_back(text[text.size() - 1 - i]);
  const std::size_t longest = longest_allowed();
  if (longest < n_allowed_) return {};
  measure(longest);
  for (std::size_t k = 1; k < n; ++k) {
    if (lengths_[k] >= n_allowed_) repeats_.push_back({last_[k - 1], lengths_[k]});
  }
  std::sort(repeats_.begin(), repeats_.end(), [](const Repeat& a, const Repeat& b) {
    return a.token != b.token ? a.token < b.token : a.length > b.length;
  });
  const auto is_same = [](const Repeat& a, const Repeat& b) { return a.token == b.token; };
  repeats_.erase(std::unique(repeats_.begin(), repeats_.end(), is_same), repeats_.end());
  std::erase_if(repeats_, [&](const Repeat& repeat) {
    const auto breakers = breakers_of(repeat.token);
    return std::any_of(breakers.begin(), breakers.end(),
                       [](const DryBreaker& breaker) { return breaker.tail.empty(); });
  });
  return repeats_;
}

}  // namespace gumbelspec

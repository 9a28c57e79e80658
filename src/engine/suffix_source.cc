#include "src/engine/suffix_source.h"

#include <algorithm>

namespace gumbelspec {
namespace {

constexpr std::size_t kHashes = std::size_t{1} << 14U;
constexpr std::size_t kMostMatch = 32;   // tokens compared
constexpr std::size_t kMostPlaces = 16;  // of a chain, the last ones
constexpr std::size_t kMostFollowers = 12;
constexpr std::size_t kEnough = 2;  // places that make shorter matches unneeded
constexpr double kMostSum = 0.99;
constexpr double kAgreed = 0.9;  // of the weight, for the best follower

// Classes of a match's length: 1, 2, 3, 4, 5 to 6, 7 to 9, 10 to 15, 16 and more.
std::size_t class_of(std::size_t length) {
  constexpr std::array<std::size_t, SuffixSource::kLengths> kFirst = {1, 2, 3, 4, 5, 7, 10, 16};
  std::size_t i = 0;
  while (i + 1 < kFirst.size() && kFirst[i + 1] <= length) ++i;
  return i;
}

// Of a first guess on which all places agree.
constexpr std::array<double, SuffixSource::kLengths> kPriorRates = {0.15, 0.3,  0.4, 0.5,
                                                                    0.6,  0.75, 0.9, 0.95};

// agreement: 0: the places differ, 1: one has nearly all the weight, 2: several with one follower.
std::size_t kind_of(std::size_t length, std::size_t agreement, std::size_t rank) {
  return (class_of(length) * 3 + agreement) * SuffixSource::kMost + rank;
}

}  // namespace

SuffixSource::SuffixSource() {
  for (Chains& chains : chains_) chains.last.assign(kHashes, -1);
  followers_.reserve(kMostFollowers);
  for (std::size_t length = 0; length < kLengths; ++length) {
    for (std::size_t rank = 0; rank < kMost; ++rank) {
      const double part = rank == 0 ? 1.0 : 0.3 / static_cast<double>(rank);
      for (std::size_t agreement = 0; agreement < 3; ++agreement) {
        const double agreed = agreement == 0 ? 0.6 : 1.0;
        rates_.begin((length * 3 + agreement) * kMost + rank, kPriorRates[length] * part * agreed);
      }
    }
  }
  begin_text();
}

void SuffixSource::begin_text() {
  // Places of earlier texts are below first_, so that nothing has to be cleared.
  first_ += static_cast<std::int64_t>(text_.size());
  for (Chains& chains : chains_) chains.before.clear();
  text_.clear();
  n_read_ = 0;
}

// Of the `order` tokens before `end`.
template <class Text>
std::size_t SuffixSource::hash(const Text& text, std::size_t end, std::size_t order) const {
  std::uint64_t h = 0;
  for (std::size_t k = end - order; k < end; ++k) {
    h = (h ^ static_cast<std::uint64_t>(index(text[k]) + 1)) * 0x9e3779b97f4a7c15U;
    h ^= h >> 29U;
  }
  return static_cast<std::size_t>(h) % kHashes;
}

void SuffixSource::read(std::span<const TokenId> text) {
  text_.insert(text_.end(), text.begin() + static_cast<std::ptrdiff_t>(text_.size()), text.end());
  // A place is worth something as soon as it is known what follows.
  for (; n_read_ + 1 < text_.size(); ++n_read_) {
    for (std::size_t o = 0; o < kOrders.size(); ++o) {
      Chains& chains = chains_[o];
      chains.before.push_back(-1);
      if (n_read_ + 1 < kOrders[o]) continue;
      std::int64_t& last = chains.last[hash(text_, n_read_ + 1, kOrders[o])];
      if (last >= first_) chains.before.back() = static_cast<std::int32_t>(last - first_);
      last = first_ + static_cast<std::int64_t>(n_read_);
    }
  }
}

void SuffixSource::note(TokenId token, std::size_t length) {
  ++n_found_;
  // So many short matches do not outvote one that is three times as long.
  const auto weight = static_cast<double>(length * length * length);
  for (Follower& f : followers_) {
    if (f.token != token) continue;
    f.weight += weight;
    f.length = std::max(f.length, length);
    ++f.n;
    return;
  }
  if (followers_.size() < kMostFollowers) followers_.push_back({token, weight, length, 1});
}

// longest: matches of that length or more were found by a longer order.
void SuffixSource::follow(const TextView& text, std::size_t order, std::size_t longest) {
  const std::size_t size = text.size();
  if (size < order) return;
  const std::size_t o =
      static_cast<std::size_t>(std::find(kOrders.begin(), kOrders.end(), order) - kOrders.begin());
  const Chains& chains = chains_[o];
  std::int64_t place = chains.last[hash(text, size, order)] - first_;
  for (std::size_t n = 0; place >= 0 && n < kMostPlaces; ++n) {
    const auto p = static_cast<std::size_t>(place);
    const std::size_t most = std::min({kMostMatch, p + 1, size});
    std::size_t length = 0;
    while (length < most && text_[p - length] == text[size - 1 - length]) ++length;
    // What is of another n-gram has the same hash.
    if (length >= order && length < longest) note(text_[p + 1], length);
    place = chains.before[p];
  }
}

std::size_t SuffixSource::look(const TextView& text, std::span<Guess> out) {
  followers_.clear();
  n_found_ = 0;
  std::size_t longest = kMostMatch + 1;
  for (const std::size_t order : kOrders) {
    follow(text, order, longest);
    if (n_found_ >= kEnough) break;
    longest = order;
  }
  const std::size_t n = std::min({followers_.size(), kMost, out.size()});
  if (n == 0) return 0;
  std::partial_sort(followers_.begin(), followers_.begin() + static_cast<std::ptrdiff_t>(n),
                    followers_.end(), [](const Follower& a, const Follower& b) {
                      return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
                    });
  double all = 0.0;
  for (const Follower& f : followers_) all += f.weight;
  const Follower& best = followers_[0];
  const std::size_t agreement = best.weight < kAgreed * all ? 0 : best.n > 1 ? 2 : 1;
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t kind = kind_of(followers_[i].length, agreement, i);
    out[i] = {followers_[i].token, static_cast<float>(rates_.rate(kind)),
              static_cast<std::uint8_t>(kind)};
    sum += rates_.rate(kind);
  }
  if (sum > kMostSum) {
    for (Guess& guess : out.first(n)) guess.chance *= static_cast<float>(kMostSum / sum);
  }
  confidence_ = 2 * class_of(best.length) + (agreement == 0 ? 0 : 1);
  return n;
}

}  // namespace gumbelspec

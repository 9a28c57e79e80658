#include "src/engine/batch_ledger.h"

#include <algorithm>
#include <bit>

namespace gumbelspec {
namespace {

// A round that took so many plain rounds more than it was worth was interrupted.
constexpr double kMostLoss = 4.0;
// Plain rounds that tell what they take.
constexpr double kPlainWindow = 64.0;
// And how many of them, with the eight that the beginning counts as, are enough to judge by.
constexpr double kKnownPlain = 20.0;

}  // namespace

// 1, 2, 3-4, 5-8, 9-16 ...
std::size_t BatchLedger::number(std::size_t n_texts) {
  return std::min<std::size_t>(std::bit_width(n_texts - 1), kAccounts - 1);
}

bool BatchLedger::begin_round(std::size_t n_texts) {
  n_texts_ = n_texts;
  if (n_texts == 1) return true;
  Account& a = accounts_[number(n_texts)];
  if (a.is_new) {
    const Account& fewer = account((n_texts + 1) / 2);
    a.balance = fewer.has_lost ? kTry * kFirstAllowance : kFirstAllowance;
    a.is_new = false;
  }
  if (!a.is_open && a.balance >= kTry * kFirstAllowance) {
    a.is_open = true;
    a.n_drafted = 0;
  }
  // Before losses end it they are compared with some plain rounds.
  if (a.is_open && a.n_plain < kKnownPlain && a.balance < 0.5 * kFirstAllowance &&
      a.n_drafted > 0) {
    return false;
  }
  // Where drafting clearly pays it is seldom done.
  const std::size_t every = a.balance < kFirstAllowance ? kPlainEvery : 4 * kPlainEvery;
  if (a.is_open && a.n_drafted >= every) {
    a.n_drafted = 0;
    return false;
  }
  return a.is_open;
}

void BatchLedger::end_round(std::size_t n_tokens, double seconds, double plain_s,
                            bool has_drafted) {
  if (plain_s <= 0.0 || n_texts_ == 1) return;
  Account& a = accounts_[number(n_texts_)];
  const double took = seconds / plain_s;
  if (has_drafted) {
    const double worth = static_cast<double>(n_tokens) / static_cast<double>(n_texts_);
    a.balance += std::max(worth - took / a.plain_mean, -kMostLoss);
    ++a.n_drafted;
  } else {
    a.n_plain = std::min(a.n_plain + 1.0, kPlainWindow);
    a.plain_mean += (std::min(took, kMostLoss) - a.plain_mean) / a.n_plain;
    a.balance += kAllowance;
    a.n_drafted = 0;
  }
  a.balance = std::min(a.balance, kFirstAllowance);
  if (a.balance < 0.0) {
    a.is_open = false;
    a.has_lost = true;
  } else if (a.balance == kFirstAllowance) {
    a.has_lost = false;
  }
}

}  // namespace gumbelspec

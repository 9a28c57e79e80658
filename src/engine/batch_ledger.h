// Whether a batch may draft: by what its rounds brought, against plain rounds of the same texts.
#ifndef GUMBELSPEC_ENGINE_BATCH_LEDGER_H_
#define GUMBELSPEC_ENGINE_BATCH_LEDGER_H_

#include <array>
#include <cstddef>

namespace gumbelspec {

// Plans are estimates: of values, of passes, of what else a draft takes (its prompts, texts that it
// has to catch up with, trees). Each can be off by a few per cent, all in one direction, and where
// drafting wins by little that is a loss which no estimate sees. So what rounds really took is
// entered here.
//
// A round of n texts that brings t tokens is worth the time of t / n plain rounds. What it took
// less is a gain, what it took more a loss. Where the losses have used up an allowance the texts
// are decoded plainly; a small part of that time is allowed for another try, whose length depends
// on what it loses. So two texts or more take at most kAllowance more than without a draft, besides
// the first allowance; and a draft that pays is never given up for long. Gains count up to the
// first allowance, or a draft could lose for as long as it won before.
//
// There is an account for each number of texts, by powers of two, since what pays for a few need
// not pay for many. What does not pay for a few seldom pays for more: such an account begins with
// what a try has. A text alone is left to its planner, which compares the two for itself.
class BatchLedger {
 public:
  // Of the time without a draft.
  static constexpr double kAllowance = 0.01;
  // Plain rounds that may be lost at first: enough to have the draft read the texts' prompts.
  static constexpr double kFirstAllowance = 6.0;
  // A try begins with so much of the first allowance.
  static constexpr double kTry = 0.125;
  // Rounds that may draft, before one that may not: it shows what plain rounds take.
  static constexpr std::size_t kPlainEvery = 64;

  // The next round is of n_texts >= 1. Returns: whether it may draft.
  [[nodiscard]] bool begin_round(std::size_t n_texts);
  // It brought n_tokens in all and took `seconds`, prompts that the draft read before it included.
  // plain_s: expected of a plain round of these texts. has_drafted: whether the draft did anything.
  void end_round(std::size_t n_tokens, double seconds, double plain_s, bool has_drafted);

  // Whether texts of n in all may draft now; a round that may not only for comparison counts.
  [[nodiscard]] bool is_open(std::size_t n_texts) const { return account(n_texts).is_open; }

 private:
  static constexpr std::size_t kAccounts = 12;  // the last one is for 1,025 texts and more

  struct Account {
    bool is_open = true;
    // In plain rounds; the first allowance at most.
    double balance = 0.0;
    bool is_new = true;
    bool has_lost = false;  // all its allowance, and has not won it back
    // What plain rounds took over what was expected of them: on a machine that is also busy with
    // other things more than 1, as expectations are medians. The beginning counts as 8 rounds.
    double plain_mean = 1.0;
    double n_plain = 8.0;
    std::size_t n_drafted = 0;  // rounds that drafted since one that did not
  };

  [[nodiscard]] static std::size_t number(std::size_t n_texts);
  [[nodiscard]] const Account& account(std::size_t n_texts) const {
    return accounts_[number(n_texts)];
  }
  std::array<Account, kAccounts> accounts_{};
  std::size_t n_texts_ = 1;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_LEDGER_H_

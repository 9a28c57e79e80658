// How much of a prompt is read between two rounds, so that the texts that decode do not wait for
// it for long.
#ifndef GUMBELSPEC_ENGINE_PROMPT_PIECES_H_
#define GUMBELSPEC_ENGINE_PROMPT_PIECES_H_

#include <array>
#include <cstddef>

namespace gumbelspec {

// Learns how long pieces of each size take. Sizes are the largest one, and below it powers of two:
// pieces end at multiples of their size, so few of them depend on what else there is to read.
class PromptPieces {
 public:
  // Smaller ones are not worth their pass.
  static constexpr std::size_t kLeast = 16;
  // The first one, of which nothing is known.
  static constexpr std::size_t kFirst = 64;
  // What reading may take of the time, in plain rounds: as much for each text that reads as for
  // each that decodes, but not less than half of the time, and not more than two thirds.
  static constexpr double kLeastRounds = 1.0;
  static constexpr double kMostRounds = 2.0;
  // Where nobody decodes yet, a piece may take this many plain rounds: who comes while it is read
  // waits for its end.
  static constexpr double kAloneRounds = 4.0;

  explicit PromptPieces(std::size_t most) : most_(most) {}

  // Units: plain rounds.
  [[nodiscard]] static double rounds(std::size_t n_reading, std::size_t n_decoding);
  // The largest size that is expected to take at most so long, or the least one.
  // Units: limit_s in seconds.
  [[nodiscard]] std::size_t size(double limit_s) const;
  // The size where nobody decodes: that, or a larger one where prompts are read notably faster with
  // it, as on a GPU.
  [[nodiscard]] std::size_t size_alone(double limit_s) const;
  // Expected of a piece of the least size. Units: seconds.
  [[nodiscard]] double least_s() const {
    return static_cast<double>(kLeast) * token_s(class_of(kLeast));
  }
  // A piece of n tokens took so long.
  void observe(std::size_t n, double seconds);

 private:
  static constexpr std::size_t kClasses = 13;  // up to 4096 tokens and more
  [[nodiscard]] static std::size_t class_of(std::size_t n);
  [[nodiscard]] double token_s(std::size_t at) const;
  // Seconds per token, by the largest power of two in the size; 0: none was seen.
  std::array<double, kClasses> token_s_{};
  std::size_t most_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_PROMPT_PIECES_H_

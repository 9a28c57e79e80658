// What planners learnt about a draft, kept from text to text.
#ifndef GUMBELSPEC_CALIBRATION_STORE_H_
#define GUMBELSPEC_CALIBRATION_STORE_H_

#include <cstddef>
#include <span>
#include <vector>

namespace gumbelspec {

struct SamplingOptions;

// What a calibration depends on: at another temperature, values of drafted nodes mean something
// else. Penalties, biases and constraints change too few rows to count. An option that does count
// goes into this struct, into of() and into visit(), and nowhere else.
struct CalibrationKey {
  float temperature = 1.0F;
  int top_k = 0;
  float top_p = 1.0F;
  float min_p = 0.0F;
  float tau = 0.0F;  // Method::tau, where it began

  [[nodiscard]] static CalibrationKey of(const SamplingOptions& sampling, float tau);
  friend bool operator==(const CalibrationKey&, const CalibrationKey&) = default;

  // Every field with its name in files. Key: CalibrationKey, const or not; visitor(name, field).
  template <class Key, class Visitor>
  static void visit(Key& key, Visitor&& visitor) {
    visitor("temperature", key.temperature);
    visitor("top_k", key.top_k);
    visitor("top_p", key.top_p);
    visitor("min_p", key.min_p);
    visitor("tau", key.tau);
  }
};

// What the values of drafted nodes mean under one kind of sampling.
struct CalibrationRecord {
  CalibrationKey key;
  // The state; what it means is the planner's business. A planner that does not know the length, or
  // finds a number out of its bounds, begins afresh.
  std::vector<double> numbers = {};
};

// Calibrations of one pair of models by kind of sampling. A text begins with what the last one of
// its kind ended with, at a lower weight; without a store every text begins with what fits the demo
// pair. No text depends on it, only how fast it is written.
//
// Threads: one at a time.
class CalibrationStore {
 public:
  static constexpr std::size_t kMost = 16;  // kinds of sampling; the least recently kept goes

  // Null: there is none. Lifetime: until the next keep().
  [[nodiscard]] const CalibrationRecord* find(const CalibrationKey& key) const;
  // Instead of an earlier one of its kind.
  void keep(CalibrationRecord record);
  // Shape: [n], n <= kMost, the last one kept is last.
  [[nodiscard]] std::span<const CalibrationRecord> records() const { return records_; }

 private:
  std::vector<CalibrationRecord> records_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CALIBRATION_STORE_H_

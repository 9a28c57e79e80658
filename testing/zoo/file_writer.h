// Writes the models of the zoo.
//
// Random weights as llama.cpp's own test draws them make models that are blind: their logits are
// nearly flat and do not depend on the text, so that wrong attention goes unseen. Here variances
// are kept from layer to layer, and what every architecture makes of that is measured, with
// llama.cpp's own code, and corrected: the spread of the logits, and how much of the text they
// depend on.
#ifndef GUMBELSPEC_TESTING_ZOO_FILE_WRITER_H_
#define GUMBELSPEC_TESTING_ZOO_FILE_WRITER_H_

#include <cstdint>
#include <string>

#include "testing/zoo/zoo_model.h"

namespace gumbelspec::zoo {

// How well a model sees, in standard deviations of its logits.
struct Sight {
  float spread = 0.0F;    // standard deviation of a row
  float context = 0.0F;   // change of a row by another token 8 places before it
  float order = 0.0F;     // change by two tokens that change places, 5 and 9 places before it
  float rounding = 0.0F;  // largest difference of a logit between one batch and many: not too much
};

struct WrittenModel {
  std::string path;  // the model
  std::string
      plain_path;  // the same with matrices of type F32; empty: the model's refusal is wanted
  // Both with the same matrices, and norms that are larger by a millionth, and beside quantized
  // matrices by half of the last bit of half precision.
  std::string nudged_path;
  std::string nudged_plain_path;
  Sight sight;
};

// Writes into a folder. Requires: this project's device is not registered.
// Throws: std::runtime_error; llama.cpp may also abort.
[[nodiscard]] WrittenModel write_model(const ZooModel& model, std::uint64_t seed,
                                       const std::string& folder);

// Weights as they come, of type F32: for models that nobody looks at. Returns: the path.
std::string write_unseen_model(const ZooModel& model, std::uint64_t seed,
                               const std::string& folder);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_FILE_WRITER_H_

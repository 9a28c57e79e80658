// Everything that the zoo looks at in one model.
#ifndef GUMBELSPEC_TESTING_ZOO_MODEL_CHECK_H_
#define GUMBELSPEC_TESTING_ZOO_MODEL_CHECK_H_

#include <functional>
#include <string>
#include <vector>

#include "testing/zoo/comparison.h"
#include "testing/zoo/file_writer.h"
#include "testing/zoo/texts.h"

namespace gumbelspec::zoo {

// A file's rows beside llama.cpp's own, over all texts.
struct Agreement {
  bool is_known = false;
  float tolerance = 0.0F;  // what rounding explains of the largest difference
  Difference rounding;     // llama.cpp in other batches and with other types of cache
  Difference own;          // this project, one token per pass and trees
};

struct ModelReport {
  std::string name;
  Sight sight;
  bool is_loaded = false;
  std::string refusal;  // the message; empty: it was loaded
  std::string
      no_promise;  // why its texts may depend on the method, as info says; empty: they may not
  bool is_plain = false;
  Agreement plain;      // with matrices of type F32: rounding is small, so little is overlooked
  Agreement quantized;  // with the model's own: the device computes the products, too
  TextReport texts;
  std::vector<std::string> faults;  // one line each; empty: all is well
  double seconds = 0.0;             // of processor time
};

struct CheckOptions {
  std::string folder;  // files are written there
  std::uint64_t seed = 1;
  bool uses_kernels = true;
  // Told what comes next: an abort in llama.cpp leaves nothing else.
  std::function<void(const std::string&)> on_stage = {};
};

// llama.cpp may abort. Requires: this project's device is not registered.
[[nodiscard]] ModelReport check_model(const ZooModel& model, const CheckOptions& options);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_MODEL_CHECK_H_

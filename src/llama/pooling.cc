// The names of poolings, and norms of vectors.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_embedder.h"

namespace gumbelspec {
namespace {

constexpr std::array kNames = {
    std::pair{Pooling::none, "none"}, std::pair{Pooling::mean, "mean"},
    std::pair{Pooling::cls, "cls"},   std::pair{Pooling::last, "last"},
    std::pair{Pooling::rank, "rank"},
};

}  // namespace

Pooling parse_pooling(std::string_view name) {
  for (const auto& [pooling, known] : kNames) {
    if (name == known) return pooling;
  }
  throw Error(ErrorCode::invalid_option,
              "pooling is \"" + std::string(name) + "\"; give none, mean, cls, last or rank",
              "pooling");
}

const char* to_string(Pooling pooling) {
  for (const auto& [known, name] : kNames) {
    if (pooling == known) return name;
  }
  return "model";
}

void normalize(std::span<float> vector, int norm) {
  if (norm < 0) return;
  double sum = 0.0;
  for (const float value : vector) {
    const double magnitude = std::abs(static_cast<double>(value));
    if (norm == 0) {
      sum = std::max(sum, magnitude / 32760.0);
    } else {
      sum += norm == 2 ? magnitude * magnitude : std::pow(magnitude, norm);
    }
  }
  if (norm > 0) sum = norm == 2 ? std::sqrt(sum) : std::pow(sum, 1.0 / norm);
  const float factor = sum > 0.0 ? static_cast<float>(1.0 / sum) : 0.0F;
  for (float& value : vector) value *= factor;
}

}  // namespace gumbelspec

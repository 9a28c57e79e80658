#include "testing/zoo/weights.h"

#include <algorithm>
#include <cmath>
#include <string_view>

namespace gumbelspec::zoo {
namespace {

bool contains(std::string_view text, std::string_view part) {
  return text.find(part) != std::string_view::npos;
}
bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

// SplitMix64, seeded with the tensor's name: the same values wherever a tensor stands in a file,
// and with every standard library.
class Random {
 public:
  Random(std::string_view name, std::uint64_t seed) : state_(seed) {
    for (const char c : name) state_ = next_bits() ^ static_cast<unsigned char>(c);
  }
  // Uniform in [-1, 1): of variance 1/3.
  float next() {
    return static_cast<float>(next_bits() >> 40U) / static_cast<float>(1U << 23U) - 1.0F;
  }

 private:
  std::uint64_t next_bits() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15U);
    z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
    z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
    return z ^ (z >> 31U);
  }
  std::uint64_t state_;
};

// Values are center + [-range, range).
struct Range {
  float center = 0.0F;
  float range = 0.0F;
};

// A range of the given standard deviation around 0.
Range spread(float deviation) { return {0.0F, deviation * std::sqrt(3.0F)}; }

bool is_norm(std::string_view name) {
  return contains(name, "norm") || ends_with(name, "_ln.weight") || ends_with(name, "gamma.weight");
}

bool is_table(std::string_view name) {
  return contains(name, "token_types") || contains(name, "attn_rel_b") || contains(name, "sinks");
}

Range matrix(const TensorShape& tensor, float sharpness) {
  static constexpr const char* kSharp[] = {"attn_q.",   "attn_k.",    "attn_q_b.",
                                           "attn_k_b.", "attn_kv_b.", "attn_qkv."};
  const auto is_named = [&](const char* part) { return contains(tensor.name, part); };
  const bool is_sharp = std::any_of(std::begin(kSharp), std::end(kSharp), is_named);
  const float gain = is_sharp ? sharpness : 1.0F;
  return spread(gain / std::sqrt(static_cast<float>(tensor.ne[0])));
}

Range range_of(const TensorShape& tensor, const WeightScales& scales) {
  const std::string_view name = tensor.name;
  const bool is_vector = tensor.ne[1] == 1 && tensor.ne[2] == 1;
  if (ends_with(name, "scale") || ends_with(name, "scales") || ends_with(name, "scale.weight")) {
    return {1.0F, 0.0F};
  }
  if (contains(name, "rope_f")) return {1.5F, 0.5F};  // factors of frequencies
  if (contains(name, "ssm_a") && !contains(name, "ssm_alpha")) return {-1.0F, 0.5F};  // decay
  if (contains(name, "ssm_conv1d") || contains(name, "shortconv.conv")) return spread(0.5F);
  if (contains(name, "time_mix_lerp") || contains(name, "channel_mix_lerp")) return {0.5F, 0.5F};
  if (contains(name, "time_mix_decay.") || contains(name, "time_mix_w0")) return {-1.0F, 1.0F};
  if (ends_with(name, "bias") || contains(name, "exp_probs_b")) return spread(0.1F);
  if (is_norm(name)) {
    // The last one carries the spread of the logits where the token table is the output, too.
    const bool is_last = name == "output_norm.weight" && !scales.has_output;
    if (is_last) return {scales.output, 0.1F * scales.output};
    // Normalised queries and keys forget how large they were.
    const bool is_sharp = contains(name, "attn_q_norm") || contains(name, "attn_k_norm");
    return {is_sharp ? scales.sharpness : 1.0F, 0.1F};
  }
  if (contains(name, "token_embd.weight") || contains(name, "position_embd")) {
    return spread(scales.embedding);
  }
  if (is_table(name)) return spread(1.0F);
  if (is_vector && tensor.ne[0] == 1) return {1.0F, 0.1F};
  Range range = matrix(tensor, scales.sharpness);
  if (name == "output.weight") range.range *= scales.output;
  return range;
}

}  // namespace

std::vector<float> values_of(const TensorShape& tensor, const WeightScales& scales,
                             std::uint64_t seed) {
  const Range range = range_of(tensor, scales);
  Random random(tensor.name, seed);
  std::vector<float> values(tensor.n_elements());
  const float factor = is_norm(tensor.name) ? scales.nudge : 1.0F;
  std::generate(values.begin(), values.end(),
                [&] { return factor * (range.center + range.range * random.next()); });
  return values;
}

int optional_group(const std::string& name) {
  if (ends_with(name, "scale")) return 1;
  if (contains(name, "rope_freqs")) return 2;
  if (contains(name, "rope_factors")) return 3;
  if (ends_with(name, ".bias")) return 4;
  if (contains(name, "time_mix_first")) return 5;
  return 0;
}

}  // namespace gumbelspec::zoo

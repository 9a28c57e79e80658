#include "src/llama/weight_layout.h"

#include <cctype>
#include <cstdlib>
#include <map>
#include <memory>
#include <string_view>

#include "src/llama/product_rules.h"

namespace gumbelspec::internal {
namespace {

ggml_backend_buffer_type_t repacking_buffer_type(ggml_backend_dev_t cpu) {
  if (cpu == nullptr) return nullptr;
  void* address = ggml_backend_reg_get_proc_address(ggml_backend_dev_backend_reg(cpu),
                                                    "ggml_backend_dev_get_extra_bufts");
  if (address == nullptr) return nullptr;
  const auto list = reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(address);
  for (ggml_backend_buffer_type_t* type = list(cpu); type != nullptr && *type != nullptr; ++type) {
    if (std::string_view(ggml_backend_buft_name(*type)) == "CPU_REPACK") return *type;
  }
  return nullptr;
}

// llama.cpp's own question, which it does not ask for weights that it is told where to put.
bool can_repack(const ggml_tensor* weight, ggml_backend_dev_t cpu,
                ggml_backend_buffer_type_t type) {
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
      ggml_init({4 * ggml_tensor_overhead(), nullptr, true}), &ggml_free);
  const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> empty(
      ggml_backend_buft_alloc_buffer(type, 0), &ggml_backend_buffer_free);
  ggml_tensor* w = ggml_new_tensor(context.get(), weight->type, GGML_MAX_DIMS, weight->ne);
  ggml_tensor* x = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, weight->ne[0], 512);
  w->buffer = empty.get();
  return ggml_backend_dev_supports_op(cpu, ggml_mul_mat(context.get(), w, x));
}

// "blk.12.ffn_down.weight": 12 and "ffn_down.weight". False for other names: the token table, which
// is also looked up in, and the output, which may be the same.
bool split_name(std::string_view name, std::string& block, std::string& rest) {
  constexpr std::string_view kStart = "blk.";
  if (name.substr(0, kStart.size()) != kStart) return false;
  name.remove_prefix(kStart.size());
  const auto dot = name.find('.');
  if (dot == std::string_view::npos) return false;
  block = name.substr(0, dot);
  rest = name.substr(dot + 1);
  return true;
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const bool is_plain = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_';
    if (!is_plain) result += '\\';
    result += c;
  }
  return result;
}

}  // namespace

WeightLayout::WeightLayout(ggml_context* tensors, bool can_place) {
  const auto is_of = [](const ggml_tensor* t, ggml_type type) { return t->type == type; };
  std::vector<const ggml_tensor*> to_place;
  for (ggml_tensor* t = ggml_get_first_tensor(tensors); t != nullptr;
       t = ggml_get_next_tensor(tensors, t)) {
    if (is_of(t, GGML_TYPE_Q2_K) || is_of(t, GGML_TYPE_Q4_K)) repacks_ = false;
    if (is_of(t, GGML_TYPE_IQ4_NL) && ggml_n_dims(t) == 2) to_place.push_back(t);
  }
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const ggml_backend_buffer_type_t repacked = repacking_buffer_type(cpu);
  if (repacks_ || !can_place || repacked == nullptr) return;
  // One pattern for all blocks: llama.cpp compiles every pattern again for every weight.
  std::map<std::string, std::string> blocks_by_name;
  for (const ggml_tensor* t : to_place) {
    std::string block;
    std::string rest;
    if (!split_name(ggml_get_name(t), block, rest) || !can_repack(t, cpu, repacked)) continue;
    std::string& blocks = blocks_by_name[rest];
    blocks += (blocks.empty() ? "" : "|") + escaped(block);
  }
  for (const auto& [rest, blocks] : blocks_by_name) {
    patterns_.push_back("^blk\\.(" + blocks + ")\\." + escaped(rest) + "$");
  }
  for (const std::string& pattern : patterns_) overrides_.push_back({pattern.c_str(), repacked});
  overrides_.push_back({nullptr, nullptr});
}

void WeightLayout::put(llama_model_params& params) const {
  params.use_extra_bufts = repacks_;
  if (!patterns_.empty()) params.tensor_buft_overrides = overrides_.data();
}

void turn_off_iq_panels() {
  if (std::getenv(kNoIqPanels) == nullptr) setenv(kNoIqPanels, "1", 0);
}

}  // namespace gumbelspec::internal

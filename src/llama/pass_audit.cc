// Through llama.cpp's private context (its shared library exports what is needed here): only its
// scheduler knows where an operation goes.
#include "src/llama/pass_audit.h"

#include <algorithm>
#include <array>
#include <compare>
#include <cstdint>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "llama-context.h"
#include "llama-memory.h"
#include "src/llama/operation_kinds.h"
#include "src/llama/product_rules.h"

namespace gumbelspec::internal {
namespace {

// More than a single token, and as many as where the last of ggml's thresholds lies (8).
constexpr std::uint32_t kManyTokens = 16;

// Operations of one kind, as they are counted.
struct Kind {
  std::string what;  // "products with Q8_0 weights"
  std::string device;
  bool holds = true;
  std::string why;
  // NOLINTNEXTLINE(readability-implicit-bool-conversion): what the compiler makes of it
  friend auto operator<=>(const Kind&, const Kind&) = default;
};

struct Verdict {
  bool holds;
  std::string why;
};

bool is_of_amx(const ggml_tensor* t) {
  const ggml_backend_buffer_type_t type = ggml_backend_buffer_get_type(owner(t)->buffer);
  return std::string_view(ggml_backend_buft_name(type)) == "AMX";
}

// The operations of one graph. Two graphs that compute alike have the same.
struct Operations {
  std::map<Kind, std::size_t> kinds;
  std::map<std::pair<ggml_op, std::string>, std::size_t> by_device;  // that change numbers
};

// The first operation that one of them computes elsewhere; empty if there is none.
std::string difference(const Operations& one, const Operations& many) {
  if (one.by_device == many.by_device) return {};
  for (const auto& [place, count] : one.by_device) {
    const auto same = many.by_device.find(place);
    if (same == many.by_device.end() || same->second != count) {
      return std::string(ggml_op_name(place.first)) + " on " + place.second;
    }
  }
  for (const auto& [place, count] : many.by_device) {
    if (one.by_device.count(place) == 0) {
      return std::string(ggml_op_name(place.first)) + " on " + place.second;
    }
  }
  return {};
}

// Of a product of activations: rows, columns of one slice, and what is summed over.
using SliceShape = std::array<std::int64_t, 3>;

bool multiplies_activations(const ggml_tensor* op) {
  return op->op == GGML_OP_MUL_MAT && !is_weight(op->src[0]);
}

SliceShape slice_of(const ggml_tensor* product) {
  return {product->src[0]->ne[1], product->src[1]->ne[1], product->src[0]->ne[0]};
}

std::vector<SliceShape> slices_of(ggml_cgraph* graph) {
  std::vector<SliceShape> slices;
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor* op = ggml_graph_node(graph, i);
    if (multiplies_activations(op)) slices.push_back(slice_of(op));
  }
  return slices;
}

class Audit {
 public:
  Audit(llama_context* context, const PassFacts& facts) : context_(context), facts_(facts) {}

  PassGuarantee run() {
    const Operations one = operations_of(1);
    slices_of_one_ = std::exchange(slices_, {});
    const auto n =
        static_cast<std::uint32_t>(std::min<std::size_t>(kManyTokens, facts_.max_pass_nodes));
    Operations many = operations_of(n);
    if (const std::string where = difference(one, many); !where.empty()) {
      many.kinds[{"operations", "", facts_.decodes_plainly,
                  "a pass over one token is not computed as one over several, see " + where}] = 0;
    }
    PassGuarantee guarantee;
    for (const auto& [kind, count] : many.kinds) {
      const std::string counted = (count > 0 ? std::to_string(count) + " " : "") + kind.what;
      guarantee.parts.push_back({counted, kind.device, kind.holds, kind.why});
      guarantee.holds = guarantee.holds && kind.holds;
    }
    std::stable_sort(guarantee.parts.begin(), guarantee.parts.end(),
                     [](const auto& a, const auto& b) { return !a.holds && b.holds; });
    return guarantee;
  }

 private:
  Operations operations_of(std::uint32_t n_tokens) {
    Operations operations;
    const ggml_backend_sched_t scheduler = context_->get_sched();
    const llama_memory_context_ptr memory = context_->get_memory()->init_full();
    ggml_cgraph* graph =
        context_->graph_reserve(n_tokens, 1, n_tokens, memory.get(), /*split_only=*/true);
    if (graph == nullptr) {
      operations.kinds[{"operations", "", false, "llama.cpp could not plan a pass"}] = 0;
      return operations;
    }
    slices_ = slices_of(graph);
    n_products_seen_ = 0;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
      const ggml_tensor* op = ggml_graph_node(graph, i);
      if (moves_nothing(op)) continue;
      const ggml_backend_dev_t device = device_of(op);
      const Verdict verdict = judge(op, device);
      if (multiplies_activations(op)) ++n_products_seen_;
      const std::string name = name_of(device);
      ++operations.kinds[{what_of(op), name, verdict.holds || facts_.decodes_plainly, verdict.why}];
      if (!only_moves(op)) ++operations.by_device[{op->op, name}];
    }
    ggml_backend_sched_reset(scheduler);
    return operations;
  }

  ggml_backend_dev_t device_of(const ggml_tensor* op) const {
    const ggml_backend_t backend =
        ggml_backend_sched_get_tensor_backend(context_->get_sched(), const_cast<ggml_tensor*>(op));
    return backend == nullptr ? nullptr : ggml_backend_get_device(backend);
  }

  std::string name_of(ggml_backend_dev_t device) const {
    if (device == nullptr) return "unknown";
    for (const Device& d : facts_.devices) {
      if (d.handle == device) return d.name;
    }
    return ggml_backend_dev_name(device);
  }

  Verdict judge(const ggml_tensor* op, ggml_backend_dev_t device) const {
    if (device == nullptr) return {false, "llama.cpp does not say what computes them"};
    switch (ggml_backend_dev_type(device)) {
      case GGML_BACKEND_DEVICE_TYPE_CPU:
        return judge_cpu(op, /*is_remote=*/false);
      case GGML_BACKEND_DEVICE_TYPE_ACCEL:
        if (facts_.trusts_accelerators) return {true, "does not depend on the pass"};
        return {false, "this accelerator does not say whether its results depend on the pass"};
      default:
        break;
    }
    const bool is_known =
        std::any_of(facts_.devices.begin(), facts_.devices.end(),
                    [&](const Device& d) { return d.handle == device && is_cpu_like(d); });
    if (is_known) return judge_cpu(op, /*is_remote=*/true);
    return {false, "a GPU's results depend on the pass; the CPU's need not (devices: none)"};
  }

  // A server's CPU has weights as they are in the file.
  Verdict judge_cpu(const ggml_tensor* op, bool is_remote) const {
    if (op->op == GGML_OP_FLASH_ATTN_EXT) {
      if (facts_.has_steady_attention) return {true, "ggml's, in the order of positions"};
      return {false, "ggml's sums depend on the pass and on the cache; use exact attention"};
    }
    if (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID) {
      return judge_product(op, is_remote);
    }
    if (is_row_by_row(op)) return {true, "ggml's"};
    if (is_token_by_token(op)) return {true, "ggml's, one token after the other"};
    // The scores do not depend on the pass; which cells llama.cpp then takes among equal ones does.
    if (op->op == GGML_OP_LIGHTNING_INDEXER) {
      return {false, "which of equally scored cells are attended to depends on where they lie"};
    }
    return {false, "nothing is known of whether ggml's depend on the pass"};
  }

  // With AVX ggml multiplies several columns by other code than one, until there is AVX2
  // (tests/variants: ivybridge and sandybridge against sse42 and haswell).
  [[nodiscard]] static bool has_avx_alone() {
    ggml_backend_reg_t cpu = ggml_backend_reg_by_name("CPU");
    if (cpu == nullptr) return false;
    const auto features = reinterpret_cast<ggml_backend_get_features_t>(
        ggml_backend_reg_get_proc_address(cpu, "ggml_backend_get_features"));
    if (features == nullptr) return false;
    bool has_avx = false;
    for (const ggml_backend_feature* f = features(cpu); f->name != nullptr; ++f) {
      if (std::string_view(f->name) == "AVX2") return false;
      has_avx = has_avx || std::string_view(f->name) == "AVX";
    }
    return has_avx;
  }

  // Whether the next product of activations has the same slices in a pass over one token: then a
  // token has slices of its own, each multiplied as if it were alone.
  [[nodiscard]] bool has_slices_of_one() const {
    return slices_.size() == slices_of_one_.size() &&
           slices_[n_products_seen_] == slices_of_one_[n_products_seen_];
  }

  Verdict judge_product(const ggml_tensor* op, bool is_remote) const {
    const ggml_tensor* matrix = op->src[0];
    if (multiplies_activations(op) && has_slices_of_one()) {
      return {true, "ggml's, a product of its own for each token"};
    }
    const ProductRule* rule = product_rule(matrix->type);
    if (rule == nullptr) return {false, "nothing is known of ggml's products with this type"};
    const bool is_plain =
        is_remote || !is_weight(matrix) ||
        ggml_backend_buft_is_host(ggml_backend_buffer_get_type(owner(matrix)->buffer));
    // Every type that it takes (tests/processors/amx_products_test.cc).
    if (!is_plain && is_of_amx(matrix)) {
      return {true, "ggml's with AMX, the same for any number of columns"};
    }
    const bool is_expert = op->op == GGML_OP_MUL_MAT_ID;
    const bool holds = is_plain ? (is_expert ? rule->expert : rule->plain)
                                : (is_expert ? rule->repacked_expert : rule->repacked);
    if (holds && !is_remote && has_avx_alone()) {
      return {false, "with AVX but no AVX2 ggml sums several columns in another order than one"};
    }
    if (holds) return {true, "ggml's, the same for any number of columns"};
    if (rule->is_grid && is_plain && std::getenv(kNoIqPanels) != nullptr) {
      return {true, "ggml's, without its panels the same for any number of columns"};
    }
    if (!is_plain) return {false, "ggml's repacked weights take another order with many columns"};
    if (rule->is_grid) {
      return {false, std::string("ggml takes another way from 8 columns on; set ") + kNoIqPanels +
                         "=1 in the environment, or use another type (Q8_0, Q4_K, Q6_K)"};
    }
    if (!is_weight(matrix)) return {false, "ggml sums several columns in another order than one"};
    return {false,
            "ggml sums several columns in another order than one; use the kernels, or another type "
            "(Q8_0, Q4_K, Q6_K)"};
  }

  llama_context* context_;
  const PassFacts& facts_;
  std::vector<SliceShape> slices_of_one_, slices_;  // of the graphs' products of activations
  std::size_t n_products_seen_ = 0;                 // in the graph that is being read
};

}  // namespace

PassGuarantee audit_passes(llama_context* context, const PassFacts& facts) {
  // Accelerators may wait with what they take until a context is in use (kernels/src/device.cc).
  llama_synchronize(context);
  return Audit(context, facts).run();
}

}  // namespace gumbelspec::internal

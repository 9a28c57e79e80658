#include "apps/scale/scale_head.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <numeric>
#include <optional>
#include <string>
#include <system_error>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/model_shape.h"
#include "apps/scale/scaler.h"

namespace gumbelspec::scale {
namespace {

// What a head must know of the target that it is to draft for.
struct Target {
  Gguf gguf;
  int embd = 0;
  int from_width = 0;        // of the model that it was scaled from
  std::int64_t n_vocab = 0;  // with added tokens
  std::int64_t n_real = 0;
};

Target read_target(const std::string& path) {
  if (!std::filesystem::is_regular_file(path)) {
    fail("--target is \"" + path + "\", which does not exist or is no file; check the path");
  }
  Target target;
  target.gguf.reset(gguf_init_from_file(path.c_str(), {true, nullptr}));
  const gguf_context* g = target.gguf.get();
  if (g == nullptr) fail("--target is \"" + path + "\", which is not a complete GGUF file");
  const auto number = [g](const char* key, int otherwise) {
    const std::int64_t id = gguf_find_key(g, key);
    return id < 0 || gguf_get_kv_type(g, id) != GGUF_TYPE_UINT32
               ? otherwise
               : static_cast<int>(gguf_get_val_u32(g, id));
  };
  target.embd = number("llama.embedding_length", 0);
  target.from_width = number(kScaledFromWidth, target.embd);
  const std::int64_t tokens = gguf_find_key(g, "tokenizer.ggml.tokens");
  if (target.embd == 0 || tokens < 0) {
    fail("--target is \"" + path +
         "\", which is no model of the llama architecture; give what gumbelspec-scale made of the "
         "head's target");
  }
  target.n_vocab = static_cast<std::int64_t>(gguf_get_arr_n(g, tokens));
  target.n_real = number("gumbelspec.padded_from", static_cast<int>(target.n_vocab));
  return target;
}

void check_options(const ScaleOptions& o) {
  if (o.target.empty()) {
    fail("\"" + o.in +
         "\" is an EAGLE-3 head; give the scaled model that it is to draft for with " + "--target");
  }
  const char* option = o.params > 0.0       ? "--params"
                       : o.shape.layers > 0 ? "--layers"
                       : o.vocab > 0        ? "--vocab"
                                            : nullptr;
  if (option == nullptr) return;
  fail(std::string(option) + " is not for EAGLE-3 heads, which follow their --target; leave it " +
       "out, or give --embd, --ff or --heads");
}

void check_target(const Source& head, const Target& target) {
  const int n_state = head.number("target_hidden_size", 0);
  if (target.from_width != n_state) {
    fail("the head reads states of size " + std::to_string(n_state) +
         ", but --target was made of a model of " + std::to_string(target.from_width) +
         "; give what gumbelspec-scale made of the head's target");
  }
  const std::int64_t tokens = gguf_find_key(head.gguf(), "tokenizer.ggml.tokens");
  const std::int64_t n_tokens =
      tokens < 0 ? 0 : static_cast<std::int64_t>(gguf_get_arr_n(head.gguf(), tokens));
  if (n_tokens != target.n_real) {
    fail("the head has " + std::to_string(n_tokens) + " tokens, --target " +
         std::to_string(target.n_real) + "; give what gumbelspec-scale made of the head's target");
  }
  const bool lacks_some =
      head.find("output.weight") == nullptr || head.find("token_embd.weight") == nullptr;
  if (lacks_some && target.n_vocab != target.n_real) {
    fail("the head takes embeddings or output from its target, which has added tokens; give a " +
         std::string("--target without --vocab"));
  }
}

std::vector<NamedPart> parts_of(const Source& head, const Target& target) {
  std::vector<NamedPart> parts;
  std::int64_t n_found = 0;
  const auto add = [&](const std::string& name, const Part& part) {
    if (head.find(name) != nullptr) ++n_found;
    parts.push_back({name, part});
  };
  add("fc.weight", {Axis::states, Axis::embd, Rest::zero});
  if (head.flag("norm_before_fc")) {
    add("enc.output_norm.weight", {Axis::states, Axis::one, Rest::zero});
  }
  add("output_norm.weight", {Axis::embd, Axis::one, Rest::zero});
  if (head.find("token_embd.weight") != nullptr) {
    add("token_embd.weight", {Axis::embd, Axis::vocab, Rest::zero});
  }
  for (const auto& [name, axes] : layer_parts()) {
    Part part = axes;
    if (name == "attn_q" || name == "attn_k" || name == "attn_v") part.columns = Axis::embd_twice;
    add("blk.0." + name + ".weight", part);
  }
  add("blk.0.attn_norm_2.weight", {Axis::embd, Axis::one, Rest::zero});
  if (head.find("output.weight") != nullptr) {
    add("output.weight", {Axis::embd, Axis::drafted, Rest::zero});
  }
  const std::int64_t n_wanted = static_cast<std::int64_t>(parts.size());
  if (n_found == n_wanted && head.find("output.weight") != nullptr) {
    const bool has_list = head.find("d2t") != nullptr;
    if (has_list || target.n_vocab != target.n_real) {
      parts.push_back({"d2t", {Axis::drafted, Axis::one, Rest::ids}});
    }
    if (has_list) ++n_found;
  }
  // A bias or a frequency table would change the function without a word.
  if (n_found != head.n_tensors() || n_found < n_wanted) {
    fail("the head has tensors that gumbelspec-scale does not know, or lacks some; give another");
  }
  return parts;
}

// As wide, beside its target, as it was. What takes the target's tables is as wide as the target.
ModelShape chosen_shape(const Source& head, const Target& target, const ScaleOptions& o) {
  const ModelShape& least = head.shape();
  const int n_state = head.number("target_hidden_size", 0);
  const FixedShape fixed = {target.n_vocab, head.head_dim(), true,
                            static_cast<int>(ggml_blck_size(type_named(o.type)))};
  ModelShape wanted = o.shape;
  wanted.layers = 1;
  if (wanted.embd == 0) {
    const std::int64_t step = std::lcm(fixed.head_dim, fixed.block);
    const std::int64_t wide = static_cast<std::int64_t>(least.embd) * target.embd / n_state;
    wanted.embd =
        least.embd == n_state ? target.embd : static_cast<int>((wide + step - 1) / step * step);
  }
  const bool lacks_some =
      head.find("output.weight") == nullptr || head.find("token_embd.weight") == nullptr;
  if (lacks_some && wanted.embd != target.embd) {
    fail("the head takes embeddings or output from its target, which is " +
         std::to_string(target.embd) + " wide; leave --embd out");
  }
  // Two mean squares, over the target's states and the head's own, share one epsilon.
  if (head.flag("norm_before_fc") && static_cast<std::int64_t>(wanted.embd) * n_state !=
                                         static_cast<std::int64_t>(target.embd) * least.embd) {
    fail("the head normalises the target's states, and so must grow as its target does; leave " +
         std::string("--embd out, or scale the target to another width"));
  }
  const auto shape = shape_of_width(wanted.embd, 0.0, least, fixed, wanted);
  if (!shape) {
    fail("no number of key/value heads divides the " +
         std::to_string(wanted.embd / fixed.head_dim) + " heads; give --heads and --heads-kv");
  }
  return *shape;
}

// The target's list of tokens, added ones included.
void set_vocabulary_of(const Source& head, const Target& target, gguf_context* g) {
  const gguf_context* from = target.gguf.get();
  const auto n = static_cast<std::size_t>(target.n_vocab);
  const std::int64_t tokens = gguf_find_key(from, "tokenizer.ggml.tokens");
  std::vector<const char*> texts(n);
  for (std::size_t i = 0; i < n; ++i) texts[i] = gguf_get_arr_str(from, tokens, i);
  gguf_set_arr_str(g, "tokenizer.ggml.tokens", texts.data(), n);
  for (const char* key : {"tokenizer.ggml.scores", "tokenizer.ggml.token_type"}) {
    const std::int64_t id = gguf_find_key(from, key);
    if (id < 0) continue;
    gguf_set_arr_data(g, key, gguf_get_arr_type(from, id), gguf_get_arr_data(from, id), n);
  }
  gguf_set_val_u32(g, head.key("vocab_size").c_str(), static_cast<std::uint32_t>(n));
  gguf_set_val_u32(g, "gumbelspec.padded_from", static_cast<std::uint32_t>(target.n_real));
}

void set_parameters(const Source& head, const std::string& path, const Target& target,
                    const ModelShape& s, gguf_context* g) {
  const auto number = [&](const char* name, int value) {
    gguf_set_val_u32(g, head.key(name).c_str(), static_cast<std::uint32_t>(value));
  };
  set_names(head, path, s, g);
  number("embedding_length", s.embd);
  number("feed_forward_length", s.ff);
  number("attention.head_count", s.heads);
  number("attention.head_count_kv", s.heads_kv);
  number("attention.key_length", head.head_dim());
  number("attention.value_length", head.head_dim());
  number("target_hidden_size", target.embd);
  const double room = static_cast<double>(head.epsilon()) * head.shape().embd;
  gguf_set_val_f32(g, head.key("attention.layer_norm_rms_epsilon").c_str(),
                   static_cast<float>(room / s.embd));
  if (target.n_vocab != target.n_real) set_vocabulary_of(head, target, g);
}

}  // namespace

ScaleResult scale_head(const Source& source, const ScaleOptions& o) {
  check_options(o);
  const Target target = read_target(o.target);
  std::error_code ignored;
  if (std::filesystem::equivalent(o.target, o.out, ignored)) {
    fail("the new head would overwrite its --target \"" + o.target + "\"; give another name");
  }
  check_target(source, target);
  const std::vector<NamedPart> parts = parts_of(source, target);
  ScaleResult result;
  result.shape = chosen_shape(source, target, o);
  result.n_vocab = target.n_vocab;
  const Sizes from = {source.shape(), target.n_real, source.number("target_hidden_size", 0)};
  const Sizes to = {result.shape, target.n_vocab, target.embd};
  const std::optional<Padding> no_padding;
  Scaler scaler(source, from, to, parts, no_padding, o);
  for (const Tensor& t : scaler.tensors()) {
    result.n_params += static_cast<double>(t.columns) * static_cast<double>(t.rows);
  }
  result.n_bytes = write_scaled(source, scaler, o, [&](gguf_context* out) {
    set_parameters(source, o.in, target, result.shape, out);
  });
  return result;
}

}  // namespace gumbelspec::scale

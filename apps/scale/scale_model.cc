#include "apps/scale/scale_model.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/padding.h"
#include "apps/scale/scale_head.h"
#include "apps/scale/scaler.h"
#include "apps/scale/source_model.h"

namespace gumbelspec::scale {
namespace {

// Throws: std::runtime_error if the model has tensors that are not among them, or lacks one.
std::vector<NamedPart> parts_of(const Source& source, int n_layers) {
  std::vector<NamedPart> parts;
  std::int64_t n_found = 0;
  const auto add = [&](const std::string& name, const Part& part) {
    if (source.find(name) != nullptr) ++n_found;
    parts.push_back({name, part});
  };
  const Part table = {Axis::embd, Axis::vocab, Rest::zero};
  add("token_embd.weight", table);
  add("output_norm.weight", {Axis::embd, Axis::one, Rest::zero});
  if (!source.is_tied()) add("output.weight", table);
  for (int i = 0; i < n_layers; ++i) {
    for (const auto& [part, axes] : layer_parts()) {
      add("blk." + std::to_string(i) + "." + part + ".weight", axes);
    }
  }
  const auto n_new = static_cast<std::int64_t>(layer_parts().size()) *
                     std::max(n_layers - source.shape().layers, 0);
  // A bias, a frequency table or a missing matrix would change the function without a word.
  if (n_found != source.n_tensors() || n_found != static_cast<std::int64_t>(parts.size()) - n_new) {
    fail("the model has tensors that gumbelspec-scale does not know, or lacks some; give another");
  }
  return parts;
}

void set_parameters(const Source& source, const std::string& path, const ModelShape& s,
                    const std::optional<Padding>& padding, gguf_context* g) {
  const auto number = [&](const char* key, int value) {
    gguf_set_val_u32(g, key, static_cast<uint32_t>(value));
  };
  set_names(source, path, s, g);
  if (gguf_find_key(g, kScaledFromWidth) < 0) number(kScaledFromWidth, source.shape().embd);
  number("llama.block_count", s.layers);
  number("llama.embedding_length", s.embd);
  number("llama.feed_forward_length", s.ff);
  number("llama.attention.head_count", s.heads);
  number("llama.attention.head_count_kv", s.heads_kv);
  number("llama.attention.key_length", source.head_dim());
  number("llama.attention.value_length", source.head_dim());
  // Of the sum of squares over all dimensions, what epsilon stands for, less what padding adds.
  double room = static_cast<double>(source.epsilon()) * source.shape().embd;
  if (padding) {
    room -= padding->sum_of_squares;
    set_vocabulary(*padding, g);
  }
  gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon", static_cast<float>(room / s.embd));
}

FixedShape fixed_shape(const Source& source, const std::optional<Padding>& padding,
                       ggml_type type) {
  const ggml_tensor* embedding = source.find("token_embd.weight");
  if (embedding == nullptr) fail("the model has no token_embd.weight; give another");
  return {padding ? padding->n_vocab : embedding->ne[1], source.head_dim(), !source.is_tied(),
          static_cast<int>(ggml_blck_size(type))};
}

// With --params a shape is chosen; what is given stays; without it the rest is the original's, but
// for the block that padding needs.
ModelShape chosen_shape(const Source& source, const FixedShape& fixed,
                        const std::optional<Padding>& padding, const ScaleOptions& o) {
  ModelShape least = source.shape();
  if (padding) {
    least.embd = padding->least_embd();
    if (o.shape.embd > 0 && o.shape.embd < least.embd) {
      fail("--embd is " + std::to_string(o.shape.embd) +
           ", but --vocab needs a free block beside " + std::to_string(source.shape().embd) +
           " dimensions; give at least " + std::to_string(least.embd));
    }
  }
  if (o.params > 0.0) return shape_for(o.params, least, fixed, o.shape);
  ModelShape shape = o.shape;
  const auto fill = [](int& value, int otherwise) {
    if (value == 0) value = otherwise;
  };
  fill(shape.layers, least.layers);
  fill(shape.embd, least.embd);
  fill(shape.ff, least.ff);
  fill(shape.heads, least.heads);
  fill(shape.heads_kv, least.heads_kv);
  return shape;
}

// Writes the model; returns the bytes of its tensors.
std::size_t write_model(const Source& source, const ModelShape& shape,
                        const std::optional<Padding>& padding, const ScaleOptions& o) {
  const std::int64_t n_vocab = source.find("token_embd.weight")->ne[1];
  const Sizes from = {source.shape(), n_vocab};
  const Sizes to = {shape, padding ? padding->n_vocab : n_vocab};
  Scaler scaler(source, from, to, parts_of(source, shape.layers), padding, o);
  return write_scaled(source, scaler, o, [&](gguf_context* out) {
    set_parameters(source, o.in, shape, padding, out);
  });
}

// How large the final norm's weights must be depends on the residual stream, which the original
// knows: it runs, wider by a block, with one added token, in a type that takes any shape.
double final_norm_weight(const Source& source, const Padding& padding, const ScaleOptions& o) {
  ScaleOptions probe = o;
  probe.out += ".probe";
  probe.type = "f16";
  probe.on_progress = nullptr;
  const Padding one =
      plan_padding(source, type_named(probe.type), static_cast<int>(padding.n_real) + 1);
  ModelShape shape = source.shape();
  shape.embd = one.least_embd();
  struct Removed {
    const std::string& path;
    ~Removed() { std::remove(path.c_str()); }
  } const removed{probe.out};
  (void)write_model(source, shape, one, probe);
  return measure_final_norm_weight(probe.out, o.threads) * one.reach / padding.reach;
}

}  // namespace

ScaleResult scale_model(const ScaleOptions& o) {
  const Source source(o.in);
  require_other_file(o.in, o.out);
  if (source.is_head()) return scale_head(source, o);
  if (!o.target.empty()) {
    fail("--target is for EAGLE-3 heads, but \"" + o.in + "\" is a model; leave --target out");
  }
  const ggml_type type = type_named(o.type);
  std::optional<Padding> padding;
  if (o.vocab > 0) padding = plan_padding(source, type, o.vocab);
  const FixedShape fixed = fixed_shape(source, padding, type);
  ScaleResult result;
  result.shape = chosen_shape(source, fixed, padding, o);
  result.n_params = n_params(result.shape, fixed);
  result.n_vocab = fixed.n_vocab;
  if (padding) padding->final_norm_weight = final_norm_weight(source, *padding, o);
  result.n_bytes = write_model(source, result.shape, padding, o);
  return result;
}

}  // namespace gumbelspec::scale

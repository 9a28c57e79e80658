#include "apps/scale/recurrent_layers.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/scaler.h"
#include "apps/scale/source_model.h"

namespace gumbelspec::scale {
namespace {

constexpr const char* kFrom = "llama.";
constexpr const char* kTo = "granitehybrid.";

// Of a Mamba-2 layer.
constexpr int kHeadDim = 64;
constexpr int kState = 128;
constexpr int kKernel = 4;

struct Mixer {
  std::int64_t inner, heads, convolved;
};

Mixer mixer_of(int embd) {
  const std::int64_t inner = 2 * static_cast<std::int64_t>(embd);
  return {inner, inner / kHeadDim, inner + 2 * kState};
}

enum class Fill { noise, zero, one, half_below_zero, two_below_zero };

struct NewTensor {
  Tensor tensor;
  Fill fill;
};

void add_layer(const ModelShape& s, int layer, ggml_type type, std::vector<NewTensor>& all) {
  const Mixer m = mixer_of(s.embd);
  const std::string prefix = "blk." + std::to_string(layer) + ".";
  const auto add = [&](const char* name, ggml_type t, std::int64_t columns, std::int64_t rows,
                       Fill fill) {
    all.push_back({{prefix + name, t, columns, rows}, fill});
  };
  const ggml_type f32 = GGML_TYPE_F32;
  add("attn_norm.weight", f32, s.embd, 1, Fill::one);
  add("ssm_in.weight", type, s.embd, m.inner + m.convolved + m.heads, Fill::noise);
  add("ssm_conv1d.weight", f32, kKernel, m.convolved, Fill::noise);
  add("ssm_conv1d.bias", f32, m.convolved, 1, Fill::zero);
  add("ssm_dt.bias", f32, m.heads, 1, Fill::two_below_zero);
  add("ssm_a", f32, 1, m.heads, Fill::half_below_zero);
  add("ssm_d", f32, 1, m.heads, Fill::one);
  add("ssm_norm.weight", f32, m.inner, 1, Fill::one);
  add("ssm_out.weight", type, m.inner, s.embd, Fill::zero);
  add("ffn_norm.weight", f32, s.embd, 1, Fill::one);
  add("ffn_gate.weight", type, s.embd, s.ff, Fill::noise);
  add("ffn_up.weight", type, s.embd, s.ff, Fill::noise);
  add("ffn_down.weight", type, s.ff, s.embd, Fill::zero);
}

std::vector<std::uint8_t> filled(const NewTensor& t, Noise& noise) {
  if (t.fill == Fill::noise) return noise.matrix(t.tensor);
  // Zero bytes are zeros in every type: the scales of a block are zero.
  if (t.fill == Fill::zero) return std::vector<std::uint8_t>(tensor_bytes(t.tensor));
  const float value = t.fill == Fill::one ? 1.0F : t.fill == Fill::half_below_zero ? -0.5F : -2.0F;
  return bytes_of(
      std::vector<float>(static_cast<std::size_t>(t.tensor.columns * t.tensor.n_rows()), value));
}

// Sets the key `to` to the value of the key number `id` of `from`.
void copy_value(const gguf_context* from, std::int64_t id, const std::string& to,
                gguf_context* out) {
  const char* key = to.c_str();
  switch (gguf_get_kv_type(from, id)) {
    case GGUF_TYPE_UINT32:
      return gguf_set_val_u32(out, key, gguf_get_val_u32(from, id));
    case GGUF_TYPE_INT32:
      return gguf_set_val_i32(out, key, gguf_get_val_i32(from, id));
    case GGUF_TYPE_FLOAT32:
      return gguf_set_val_f32(out, key, gguf_get_val_f32(from, id));
    case GGUF_TYPE_BOOL:
      return gguf_set_val_bool(out, key, gguf_get_val_bool(from, id));
    case GGUF_TYPE_STRING:
      return gguf_set_val_str(out, key, gguf_get_val_str(from, id));
    default:
      fail("the model's key " + std::string(gguf_get_key(from, id)) +
           " is of a kind that gumbelspec-scale does not move to another architecture; give "
           "another model");
  }
}

void set_keys(const Source& source, const ScaleOptions& o, gguf_context* out) {
  const gguf_context* from = source.gguf();
  const std::string prefix = kFrom;
  gguf_set_kv(out, from);
  gguf_set_val_str(out, "general.architecture", "granitehybrid");
  set_names(source, o.in, "with " + std::to_string(o.recurrent_layers) + " Mamba-2 layers added",
            out);
  for (std::int64_t i = 0; i < gguf_get_n_kv(from); ++i) {
    const std::string key = gguf_get_key(from, i);
    if (key.rfind(prefix, 0) != 0) continue;
    copy_value(from, i, kTo + key.substr(prefix.size()), out);
    gguf_remove_key(out, key.c_str());
  }
  const ModelShape& s = source.shape();
  const Mixer m = mixer_of(s.embd);
  const auto number = [&](const char* name, std::int64_t value) {
    gguf_set_val_u32(out, (kTo + std::string(name)).c_str(), static_cast<std::uint32_t>(value));
  };
  number("block_count", s.layers + o.recurrent_layers);
  number("ssm.conv_kernel", kKernel);
  number("ssm.inner_size", m.inner);
  number("ssm.state_size", kState);
  number("ssm.time_step_rank", m.heads);
  number("ssm.group_count", 1);
  // A layer without heads of keys and values is a recurrent one.
  std::vector<std::uint32_t> heads_kv(static_cast<std::size_t>(s.layers + o.recurrent_layers));
  std::fill_n(heads_kv.begin(), s.layers, static_cast<std::uint32_t>(s.heads_kv));
  gguf_set_arr_data(out, (kTo + std::string("attention.head_count_kv")).c_str(), GGUF_TYPE_UINT32,
                    heads_kv.data(), heads_kv.size());
}

void check(const Source& source, const ScaleOptions& o) {
  if (source.is_head()) {
    fail("model file \"" + o.in +
         "\" is a head, which --recurrent-layers does not take; give a "
         "model of the llama architecture");
  }
  const ModelShape& s = o.shape;
  if (o.params > 0.0 || s.layers > 0 || s.embd > 0 || s.ff > 0 || s.heads > 0 || s.heads_kv > 0 ||
      o.vocab > 0 || !o.target.empty()) {
    fail(
        "--recurrent-layers is a step of its own; scale the model first, then add layers to what "
        "was written");
  }
  const ggml_type type = type_named(o.type);
  const std::int64_t block = ggml_blck_size(type);
  for (const int columns : {source.shape().embd, source.shape().ff}) {
    if (columns % block != 0) {
      fail("the new layers would have rows of " + std::to_string(columns) + ", but --type " +
           o.type + " needs a multiple of " + std::to_string(block) + "; give another type");
    }
  }
  if (source.shape().embd * 2 % kHeadDim != 0) {
    fail("the model has " + std::to_string(source.shape().embd) +
         " dimensions, but recurrent layers need a multiple of 32; give another");
  }
}

}  // namespace

ScaleResult add_recurrent_layers(const ScaleOptions& o) {
  const Source source(o.in);
  require_other_file(o.in, o.out);
  check(source, o);
  ScaleResult result;
  result.shape = source.shape();
  result.n_vocab = source.find("token_embd.weight")->ne[1];

  std::vector<Tensor> tensors;
  for (std::int64_t i = 0; i < source.n_tensors(); ++i) {
    const ggml_tensor* t = source.find(gguf_get_tensor_name(source.gguf(), i));
    tensors.push_back({t->name, t->type, t->ne[0], t->ne[1], t->ne[2]});
  }
  std::vector<NewTensor> added;
  for (int i = 0; i < o.recurrent_layers; ++i) {
    add_layer(source.shape(), source.shape().layers + i, type_named(o.type), added);
  }
  std::map<std::string, const NewTensor*> by_name;
  for (const NewTensor& t : added) {
    by_name[t.tensor.name] = &t;
    tensors.push_back(t.tensor);
  }
  for (const Tensor& t : tensors) {
    result.n_bytes += tensor_bytes(t);
    result.n_params += static_cast<double>(t.columns * t.n_rows());
  }
  require_space(o.out, result.n_bytes);
  result.shape.layers += o.recurrent_layers;

  const Gguf out(gguf_init_empty());
  set_keys(source, o, out.get());
  Noise noise(o.distinct_rows, o.threads, o.seed);
  std::size_t n_done = 0;
  write_gguf(o.out, out.get(), tensors, [&](const Tensor& t) {
    if (o.on_progress) {
      o.on_progress(static_cast<double>(n_done) / static_cast<double>(result.n_bytes));
    }
    n_done += tensor_bytes(t);
    if (const auto it = by_name.find(t.name); it != by_name.end())
      return filled(*it->second, noise);
    const auto* data = static_cast<const std::uint8_t*>(source.find(t.name)->data);
    return std::vector<std::uint8_t>(data, data + tensor_bytes(t));
  });
  return result;
}

}  // namespace gumbelspec::scale

#include "apps/scale/scale_model.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/scale/gguf_writer.h"
#include "apps/scale/padding.h"
#include "apps/scale/source_model.h"

namespace gumbelspec::scale {
namespace {

enum class Axis { one, vocab, embd, ff, heads, heads_kv };
enum class Rest { noise, zero };  // what the new part of a matrix holds

struct Part {
  Axis columns, rows;
  Rest rest;
};

const std::map<std::string, Part>& layer_parts() {
  static const std::map<std::string, Part> kParts = {
      {"attn_norm", {Axis::embd, Axis::one, Rest::zero}},
      {"attn_q", {Axis::embd, Axis::heads, Rest::noise}},
      {"attn_k", {Axis::embd, Axis::heads_kv, Rest::noise}},
      {"attn_v", {Axis::embd, Axis::heads_kv, Rest::noise}},
      {"attn_output", {Axis::heads, Axis::embd, Rest::zero}},
      {"ffn_norm", {Axis::embd, Axis::one, Rest::zero}},
      {"ffn_gate", {Axis::embd, Axis::ff, Rest::noise}},
      {"ffn_up", {Axis::embd, Axis::ff, Rest::noise}},
      {"ffn_down", {Axis::ff, Axis::embd, Rest::zero}}};
  return kParts;
}

class Scaler {
 public:
  Scaler(const Source& source, const ModelShape& shape, const std::optional<Padding>& padding,
         const ScaleOptions& o)
      : source_(source),
        old_(source.shape()),
        new_(shape),
        padding_(padding),
        type_(type_named(o.type)),
        noise_(o.distinct_rows, o.threads, o.seed) {
    const auto grows = [](const char* name, int from, int to) {
      if (to < from) {
        fail(std::string(name) + " is " + std::to_string(to) + ", but the original has " +
             std::to_string(from) + "; give at least that");
      }
    };
    if (new_.heads % new_.heads_kv != 0) {
      fail("--heads is " + std::to_string(new_.heads) + ", which is no multiple of --heads-kv " +
           std::to_string(new_.heads_kv) + "; give one");
    }
    grows("--layers", old_.layers, new_.layers);
    grows("--embd", old_.embd, new_.embd);
    grows("--ff", old_.ff, new_.ff);
    grows("--heads-kv", old_.heads_kv, new_.heads_kv);
    grows("--heads / --heads-kv", old_.heads / old_.heads_kv, new_.heads / new_.heads_kv);
    ggml_quantize_init(type_);
    list_tensors();
  }

  const std::vector<Tensor>& tensors() const { return tensors_; }

  std::vector<uint8_t> data(const Tensor& t) {
    const Part& part = parts_.at(t.name);
    const ggml_tensor* original = source_.find(t.name);
    if (part.rows == Axis::one) return norm(t, original);
    if (part.rows == Axis::vocab && padding_) return padded_table(t, original);
    std::vector<uint8_t> out = part.rest == Rest::noise ? noise_.matrix(t) : zeros(t);
    if (original != nullptr) place(original, part, t, &out);
    return out;
  }

 private:
  void add(const std::string& name, const Part& part, int64_t n_vocab) {
    const Tensor t = {name, part.rows == Axis::one ? GGML_TYPE_F32 : type_,
                      size(part.columns, n_vocab), size(part.rows, n_vocab)};
    if (t.columns % ggml_blck_size(t.type) != 0)
      fail(name + " would have rows of " + std::to_string(t.columns) +
           ", but the type needs a multiple of " + std::to_string(ggml_blck_size(t.type)) +
           "; change --embd, --ff or --heads");
    parts_[name] = part;
    tensors_.push_back(t);
  }

  void list_tensors() {
    const ggml_tensor* embedding = source_.find("token_embd.weight");
    if (embedding == nullptr) fail("the model has no token_embd.weight; give another");
    const int64_t n_vocab = padding_ ? padding_->n_vocab : embedding->ne[1];
    int64_t n_found = 0;
    const auto add_found = [&](const std::string& name, const Part& part) {
      if (source_.find(name) != nullptr) ++n_found;
      add(name, part, n_vocab);
    };
    const Part table = {Axis::embd, Axis::vocab, Rest::zero};
    add_found("token_embd.weight", table);
    add_found("output_norm.weight", {Axis::embd, Axis::one, Rest::zero});
    if (!source_.is_tied()) add_found("output.weight", table);
    for (int i = 0; i < new_.layers; ++i) {
      for (const auto& [part, axes] : layer_parts())
        add_found("blk." + std::to_string(i) + "." + part + ".weight", axes);
    }
    // A bias, a frequency table or a missing matrix would change the function without a word.
    if (n_found != source_.n_tensors() ||
        n_found != static_cast<int64_t>(tensors_.size()) -
                       static_cast<int64_t>(layer_parts().size()) * (new_.layers - old_.layers))
      fail(
          "the model has tensors that gumbelspec-scale does not know, or lacks some; give another");
  }

  int64_t size(Axis axis, int64_t n_vocab) const {
    const int64_t head_dim = source_.head_dim();
    switch (axis) {
      case Axis::one:
        return 1;
      case Axis::vocab:
        return n_vocab;
      case Axis::embd:
        return new_.embd;
      case Axis::ff:
        return new_.ff;
      case Axis::heads:
        return head_dim * new_.heads;
      case Axis::heads_kv:
        return head_dim * new_.heads_kv;
    }
    fail("unknown axis");
  }

  // A query head must stay with its kv head, so it moves to the group of that one.
  int64_t moved(Axis axis, int64_t i) const {
    if (axis != Axis::heads) return i;
    const int64_t head_dim = source_.head_dim();
    const int64_t head = i / head_dim, group = old_.heads / old_.heads_kv;
    const int64_t to = head / group * (new_.heads / new_.heads_kv) + head % group;
    return to * head_dim + i % head_dim;
  }

  void quantise(const Tensor& t, const std::vector<float>& row, uint8_t* to) const {
    // Some types cannot do without: every column is worth the same.
    const std::vector<float> importance(row.size(), 1.0F);
    ggml_quantize_chunk(t.type, row.data(), to, 0, 1, t.columns,
                        ggml_quantize_requires_imatrix(t.type) ? importance.data() : nullptr);
  }

  std::vector<uint8_t> zeros(const Tensor& t) const {
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    std::vector<uint8_t> row(row_bytes), out;
    quantise(t, std::vector<float>(static_cast<size_t>(t.columns)), row.data());
    out.reserve(row_bytes * static_cast<size_t>(t.rows));
    for (int64_t r = 0; r < t.rows; ++r) out.insert(out.end(), row.begin(), row.end());
    return out;
  }

  // Columns move in whole heads or not at all: with heads of whole blocks of 32, a Q8_0 block stays
  // one and is quantised to the values it had.
  void place(const ggml_tensor* original, const Part& part, const Tensor& t,
             std::vector<uint8_t>* out) const {
    const std::vector<float> values = floats_of(original);
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    const int64_t n_columns = original->ne[0];
    std::vector<float> row(static_cast<size_t>(t.columns));
    for (int64_t r = 0; r < original->ne[1]; ++r) {
      for (int64_t c = 0; c < n_columns; ++c) {
        row.at(static_cast<size_t>(moved(part.columns, c))) =
            values[static_cast<size_t>(r * n_columns + c)];
      }
      quantise(t, row, out->data() + static_cast<size_t>(moved(part.rows, r)) * row_bytes);
    }
  }

  std::vector<uint8_t> padded_table(const Tensor& t, const ggml_tensor* original) const {
    const std::vector<float> values = floats_of(original);
    const size_t row_bytes = ggml_row_size(t.type, t.columns);
    const auto n_columns = original->ne[0];
    std::vector<uint8_t> out(row_bytes * static_cast<size_t>(t.rows));
    for (int64_t r = 0; r < t.rows; ++r) {
      std::vector<float> row(static_cast<size_t>(t.columns));
      if (r < padding_->n_real) std::copy_n(values.begin() + r * n_columns, n_columns, row.begin());
      if (t.name == "output.weight") {
        padding_->fill_output(r, row);
      } else {
        padding_->fill_embedding(r, row);
      }
      quantise(t, row, out.data() + static_cast<size_t>(r) * row_bytes);
    }
    return out;
  }

  // The mean square over more dimensions, the new ones zero, is old / new of what it was.
  std::vector<uint8_t> norm(const Tensor& t, const ggml_tensor* original) const {
    std::vector<float> weights(static_cast<size_t>(t.columns), 1.0f);
    if (original != nullptr) {
      const std::vector<float> values = floats_of(original);
      const double scale = std::sqrt(static_cast<double>(old_.embd) / new_.embd);
      for (size_t i = 0; i < values.size(); ++i)
        weights.at(i) = static_cast<float>(static_cast<double>(values[i]) * scale);
    }
    if (padding_ && t.name == "output_norm.weight") {
      padding_->fill_final_norm(weights);
    } else if (padding_) {
      std::fill_n(weights.begin() + padding_->first_dim, padding_->n_dims, 0.0f);
    }
    return bytes_of(weights);
  }

  const Source& source_;
  ModelShape old_, new_;
  const std::optional<Padding>& padding_;
  ggml_type type_;
  Noise noise_;
  std::vector<Tensor> tensors_;
  std::map<std::string, Part> parts_;
};

std::string name_of(const Source& source, const std::string& path) {
  const int64_t id = gguf_find_key(source.gguf(), "general.name");
  return id < 0 ? std::filesystem::path(path).filename().string()
                : std::string(gguf_get_val_str(source.gguf(), id));
}

void set_parameters(const Source& source, const std::string& path, const ModelShape& s,
                    const std::optional<Padding>& padding, gguf_context* g) {
  const std::string name = name_of(source, path);
  const auto number = [&](const char* key, int value) {
    gguf_set_val_u32(g, key, static_cast<uint32_t>(value));
  };
  gguf_set_val_str(g, "general.name",
                   (name + ", scaled to " + std::to_string(s.layers) + " layers of " +
                    std::to_string(s.embd) + " dimensions")
                       .c_str());
  gguf_set_val_str(g, "gumbelspec.scaled_from", name.c_str());
  gguf_remove_key(g, "general.file_type");
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
size_t write_model(const Source& source, const ModelShape& shape,
                   const std::optional<Padding>& padding, const ScaleOptions& o) {
  Scaler scaler(source, shape, padding, o);
  size_t n_bytes = 0;
  for (const Tensor& t : scaler.tensors()) n_bytes += tensor_bytes(t);
  require_space(o.out, n_bytes);
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), source.gguf());
  set_parameters(source, o.in, shape, padding, out.get());
  size_t n_done = 0;
  write_gguf(o.out, out.get(), scaler.tensors(), [&](const Tensor& t) {
    if (o.on_progress) o.on_progress(static_cast<double>(n_done) / static_cast<double>(n_bytes));
    n_done += tensor_bytes(t);
    return scaler.data(t);
  });
  return n_bytes;
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
  std::error_code ignored;
  if (std::filesystem::equivalent(o.in, o.out, ignored)) {
    fail("the new model would overwrite the original \"" + o.in + "\"; give another name");
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

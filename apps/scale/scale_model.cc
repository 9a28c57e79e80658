#include "apps/scale/scale_model.h"

#include <cmath>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "apps/scale/gguf_writer.h"

namespace gumbelspec::scale {
namespace {

using namespace gumbelspec::bench;

// The small model: its header, shape and tensors.
class Source {
 public:
  explicit Source(const std::string& path) {
    if (!std::filesystem::is_regular_file(path)) {
      fail("model file \"" + path + "\" does not exist or is no file; check the path");
    }
    ggml_context* tensors = nullptr;
    gguf_.reset(gguf_init_from_file(path.c_str(), {false, &tensors}));
    tensors_.reset(tensors);
    if (!gguf_) fail("model file \"" + path + "\" is not a complete GGUF file; convert it again");
    const int64_t arch = gguf_find_key(gguf(), "general.architecture");
    if (arch < 0 || std::string(gguf_get_val_str(gguf(), arch)) != "llama")
      fail("model file \"" + path + "\" is not of the llama architecture; give one that is");
    shape_.layers = number("llama.block_count", 0);
    shape_.embd = number("llama.embedding_length", 0);
    shape_.ff = number("llama.feed_forward_length", 0);
    shape_.heads = number("llama.attention.head_count", 0);
    shape_.heads_kv = number("llama.attention.head_count_kv", shape_.heads);
    if (shape_.heads < 1 || shape_.heads_kv < 1)
      fail("model file \"" + path + "\" has no head counts; convert it again");
    head_dim_ = number("llama.attention.key_length", shape_.embd / shape_.heads);
    if (number("llama.attention.value_length", head_dim_) != head_dim_)
      fail("model file \"" + path + "\" has keys and values of different lengths; give another");
  }

  const gguf_context* gguf() const { return gguf_.get(); }
  const ModelShape& shape() const { return shape_; }
  int head_dim() const { return head_dim_; }
  float epsilon() const {
    const int64_t id = gguf_find_key(gguf(), "llama.attention.layer_norm_rms_epsilon");
    return id < 0 ? 1e-5f : gguf_get_val_f32(gguf(), id);
  }
  int64_t n_tensors() const { return gguf_get_n_tensors(gguf()); }
  // Null where there is none of that name.
  const ggml_tensor* find(const std::string& name) const {
    return ggml_get_tensor(tensors_.get(), name.c_str());
  }

 private:
  int number(const char* key, int otherwise) const {
    const int64_t id = gguf_find_key(gguf(), key);
    return id < 0 ? otherwise : static_cast<int>(gguf_get_val_u32(gguf(), id));
  }

  Gguf gguf_;
  std::unique_ptr<ggml_context, GgmlDeleter> tensors_;
  ModelShape shape_;
  int head_dim_ = 0;
};

std::vector<float> floats_of(const ggml_tensor* t) {
  std::vector<float> out(static_cast<size_t>(ggml_nelements(t)));
  if (t->type == GGML_TYPE_F32) {
    std::memcpy(out.data(), t->data, out.size() * sizeof(float));
  } else {
    const auto to_float = ggml_get_type_traits(t->type)->to_float;
    if (to_float == nullptr) fail(std::string(t->name) + ": its type cannot be read");
    to_float(t->data, out.data(), ggml_nelements(t));
  }
  return out;
}

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
  Scaler(const Source& source, const ModelShape& shape, const ScaleOptions& o)
      : source_(source),
        old_(source.shape()),
        new_(shape),
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
    const int64_t n_vocab = embedding->ne[1];
    int64_t n_found = 0;
    const auto add_found = [&](const std::string& name, const Part& part) {
      if (source_.find(name) != nullptr) ++n_found;
      add(name, part, n_vocab);
    };
    const Part table = {Axis::embd, Axis::vocab, Rest::zero};
    add_found("token_embd.weight", table);
    add_found("output_norm.weight", {Axis::embd, Axis::one, Rest::zero});
    if (source_.find("output.weight") != nullptr) add_found("output.weight", table);
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
    ggml_quantize_chunk(t.type, row.data(), to, 0, 1, t.columns, nullptr);
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

  // The mean square over more dimensions, the new ones zero, is old / new of what it was.
  std::vector<uint8_t> norm(const Tensor& t, const ggml_tensor* original) const {
    std::vector<float> weights(static_cast<size_t>(t.columns), 1.0f);
    if (original != nullptr) {
      const std::vector<float> values = floats_of(original);
      const double scale = std::sqrt(static_cast<double>(old_.embd) / new_.embd);
      for (size_t i = 0; i < values.size(); ++i)
        weights.at(i) = static_cast<float>(static_cast<double>(values[i]) * scale);
    }
    return bytes_of(weights);
  }

  const Source& source_;
  ModelShape old_, new_;
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

void set_parameters(const Source& source, const std::string& name, const ModelShape& s,
                    gguf_context* g) {
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
  const double shrink = static_cast<double>(source.shape().embd) / s.embd;
  gguf_set_val_f32(g, "llama.attention.layer_norm_rms_epsilon",
                   static_cast<float>(static_cast<double>(source.epsilon()) * shrink));
}

FixedShape fixed_shape(const Source& source, const std::string& type) {
  const ggml_tensor* embedding = source.find("token_embd.weight");
  if (embedding == nullptr) fail("the model has no token_embd.weight; give another");
  return {embedding->ne[1], source.head_dim(), source.find("output.weight") != nullptr,
          static_cast<int>(ggml_blck_size(type_named(type)))};
}

// With --params a shape is chosen; what is given stays; without it the rest is the original's.
ModelShape chosen_shape(const Source& source, const FixedShape& fixed, const ScaleOptions& o) {
  const ModelShape& old = source.shape();
  if (o.params > 0.0) return shape_for(o.params, old, fixed, o.shape);
  ModelShape shape = o.shape;
  const auto fill = [](int& value, int otherwise) {
    if (value == 0) value = otherwise;
  };
  fill(shape.layers, old.layers);
  fill(shape.embd, old.embd);
  fill(shape.ff, old.ff);
  fill(shape.heads, old.heads);
  fill(shape.heads_kv, old.heads_kv);
  return shape;
}

std::string size_text(size_t bytes) { return std::to_string(bytes / 1'000'000 + 1) + " MB"; }

void require_space(const std::string& path, size_t n_bytes) {
  std::error_code failure;
  std::filesystem::path folder = std::filesystem::path(path).parent_path();
  if (folder.empty()) folder = ".";
  const auto space = std::filesystem::space(folder, failure);
  if (failure || space.available >= n_bytes) return;
  throw WriteError("cannot write " + path + ": it needs " + size_text(n_bytes) + ", but " +
                   size_text(space.available) + " are free; free some or write elsewhere");
}

}  // namespace

ScaleResult scale_model(const ScaleOptions& o) {
  const Source source(o.in);
  std::error_code ignored;
  if (std::filesystem::equivalent(o.in, o.out, ignored)) {
    fail("the new model would overwrite the original \"" + o.in + "\"; give another name");
  }
  const FixedShape fixed = fixed_shape(source, o.type);
  ScaleResult result;
  result.shape = chosen_shape(source, fixed, o);
  result.n_params = n_params(result.shape, fixed);
  Scaler scaler(source, result.shape, o);
  for (const Tensor& t : scaler.tensors()) result.n_bytes += tensor_bytes(t);
  require_space(o.out, result.n_bytes);
  const Gguf out(gguf_init_empty());
  gguf_set_kv(out.get(), source.gguf());
  set_parameters(source, name_of(source, o.in), result.shape, out.get());
  size_t n_done = 0;
  write_gguf(o.out, out.get(), scaler.tensors(), [&](const Tensor& t) {
    if (o.on_progress)
      o.on_progress(static_cast<double>(n_done) / static_cast<double>(result.n_bytes));
    n_done += tensor_bytes(t);
    return scaler.data(t);
  });
  return result;
}

}  // namespace gumbelspec::scale
